//! What tests of the admin interface are made of: a server that has one, and an operator who uses it.

use std::path::{Path, PathBuf};

use reqwest::{Method, StatusCode};
use rillcast_protocol::id::Role;
use rillcast_protocol::signal::{ClientMessage, RefusedCode, ServerMessage};
use rillcast_signaling::{Options, Running, start};
use serde_json::Value;

use crate::bearer::token;
use crate::kit::{Client, join, key, loopback, url, with_token};

const TOKEN: &str = "0123456789abcdef0123";

/// A server whose site `demo` has key pair 1, with these settings besides, behind a proxy on this machine, so that tests
/// may come from anywhere.
pub(crate) struct Site {
    pub(crate) server: Running,
    dir: PathBuf,
}

impl Site {
    pub(crate) async fn start(dir: &Path, settings: &str) -> Self {
        Self::start_with(dir, settings, |_| ()).await
    }

    pub(crate) async fn start_with(dir: &Path, settings: &str, change: impl FnOnce(&mut Options)) -> Self {
        let admin = dir.join("token");
        std::fs::write(&admin, TOKEN).expect("write");
        let mut options = Options {
            listen: vec![loopback()],
            config: Some(dir.join("settings.toml")),
            admin_token_file: Some(admin),
            trusted_proxy: vec!["127.0.0.1".parse().expect("an address")],
            ..Options::default()
        };
        change(&mut options);
        set(dir, settings);
        Self { server: start(options).await.expect("starts"), dir: dir.to_owned() }
    }

    /// Writes other settings; they are read when the server looks.
    pub(crate) fn set(&self, settings: &str) {
        set(&self.dir, settings);
    }

    /// A request below `/admin`, with an answer that is JSON, text or nothing.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let request = reqwest::Client::new().request(method, url(&self.server, &format!("/admin/{path}")));
        let request = request.bearer_auth(TOKEN).header("x-forwarded-for", "192.0.2.99");
        let request = match body {
            Some(body) => request.body(body.to_string()),
            None => request,
        };
        let answer = request.send().await.expect("answers");
        let (status, text) = (answer.status(), answer.text().await.expect("text"));
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// The same below the site, where all goes well.
    pub(crate) async fn done(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.admin(method, &format!("sites/demo/{path}"), Some(body)).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// Joins from this address with a token that says this; why not, if it isn't let in.
    pub(crate) async fn viewer(&self, address: &str, claims: Value) -> Result<Client, String> {
        self.member(Role::Viewer, address, claims).await
    }

    pub(crate) async fn member(&self, role: Role, address: &str, claims: Value) -> Result<Client, String> {
        let mut client = Client::connect_with(&self.server, &[("x-forwarded-for", address)]).await;
        client.send(&ClientMessage::Join { join: with_token(join(role), &token(claims)) }).await;
        match client.next().await {
            Some(ServerMessage::Welcome { welcome }) => client.welcome = Some(welcome),
            Some(ServerMessage::Refused { code, message }) => {
                assert_eq!(code, RefusedCode::Unauthorised);
                return Err(message.as_str().to_owned());
            }
            other => panic!("neither welcome nor refusal: {other:?}"),
        }
        Ok(client)
    }
}

fn set(dir: &Path, settings: &str) {
    // Renamed into place, so that no half of it is read.
    let text = format!("[limits]\nadmin_per_sec = 1000\n{}{settings}", key("sites.demo", 1, "one"));
    std::fs::write(dir.join("new.toml"), text).expect("write");
    std::fs::rename(dir.join("new.toml"), dir.join("settings.toml")).expect("rename");
}

/// What somebody who is sent away hears: the switch that has it drop its links, then why.
pub(crate) async fn sent_away(client: &mut Client) -> String {
    let mut dropped = false;
    let said = client
        .until(|m| match m {
            ServerMessage::Settings { settings } => {
                dropped = !settings.enabled;
                None
            }
            ServerMessage::Refused { code: RefusedCode::Unauthorised, message } => {
                Some(message.as_str().to_owned())
            }
            _ => None,
        })
        .await;
    assert!(dropped, "links are dropped first");
    assert!(client.next().await.is_none(), "and the connection is closed");
    said
}
