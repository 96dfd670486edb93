//! The operator's hand on signaling: its admin interface, as an operator uses it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};

use super::{Place, http};

/// A token in a file that is there as long as this.
#[derive(Debug)]
pub(super) struct Admin {
    token: String,
    file: PathBuf,
}

impl Admin {
    /// A token of its own, written to where the server will read it.
    pub(super) fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let token = format!("rillcast-test-admin-{}-{number}", std::process::id());
        let file = std::env::temp_dir().join(&token);
        std::fs::write(&file, &token).with_context(|| format!("can't write {}", file.display()))?;
        Ok(Self { token, file })
    }

    /// What the server is told.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Changes one field of a site on the server at `port` of `place`.
    pub(super) async fn set(
        &self,
        place: &Place,
        port: u16,
        site: &str,
        field: &str,
        value: &serde_json::Value,
    ) -> Result<()> {
        self.ask(place, port, Method::PUT, &format!("admin/sites/{site}/{field}"), value).await.map(drop)
    }

    /// Lets somebody in no more.
    pub(super) async fn revoke(
        &self,
        place: &Place,
        port: u16,
        site: &str,
        revocation: &serde_json::Value,
    ) -> Result<()> {
        self.ask(place, port, Method::POST, &format!("admin/sites/{site}/revocations"), revocation)
            .await
            .map(drop)
    }

    /// What the server shows an operator at a path.
    pub(super) async fn read(&self, place: &Place, port: u16, path: &str) -> Result<String> {
        self.ask(place, port, Method::GET, path, &serde_json::Value::Null).await
    }

    async fn ask(
        &self,
        place: &Place,
        port: u16,
        method: Method,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<String> {
        let request = Request::builder()
            .method(method)
            .uri(format!("/{path}"))
            .header("host", "signaling")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.token))
            .body(Full::<Bytes>::from(body.to_string()))?;
        http::ask(place, port, request).await
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        // A file that is left in the temporary folder opens nothing any more.
        let _ = std::fs::remove_file(&self.file);
    }
}
