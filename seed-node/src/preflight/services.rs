//! What a node needs of others: a token that counts, origins that it understands, signaling that lets it in.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rillcast_protocol::coding::{Blob, Text};
use rillcast_protocol::id::{Delivery, Fingerprint, Role};
use rillcast_protocol::signal::Join;
use rillcast_publisher::origin::{Validators, bare};
use rillcast_publisher::{Publisher, PublishingKey, Url, manifest, track_id};
use serde_json::Value;

use super::Finding;
use crate::config::Settings;
use crate::manifest::allowed;
use crate::node;
use crate::signaling::{News, Signaling};

/// Signaling has to let us in within this time.
const WITHIN: Duration = Duration::from_secs(12);
/// A token that runs out sooner is hardly worth starting with.
const SOON: u64 = 15 * 60;

/// Of everything elsewhere.
pub async fn check(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(path) = &settings.token_file {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        findings.push(token(path, &settings.site, settings.seeds, now));
    }
    for manifest in &settings.manifests {
        findings.push(origin(settings, manifest).await);
    }
    if let Some(signal) = &settings.signal {
        findings.push(signaling(settings, signal).await);
    }
    findings
}

/// What the token says; whether its signature counts, signaling tells.
fn token(path: &Path, site: &str, seeds: bool, now: u64) -> Finding {
    const FLAG: &str = "--token-file";
    let wrong = |why: String| Finding::wrong(FLAG, format!("{}: {why}", path.display()));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            return wrong(format!("{error}; have the site's backend sign a token, and put it there"));
        }
    };
    let payload = text.lines().next().unwrap_or_default().trim().split('.').nth(1);
    let claims = payload.and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let Some(claims) = claims.and_then(|json| serde_json::from_slice::<Value>(&json).ok()) else {
        return wrong("its first line is no token (JWT); have the site's backend sign one".into());
    };
    if claims["site"].as_str() != Some(site) {
        return wrong(format!(
            "is for site {}, not for --site {site}; have one signed for it",
            claims["site"]
        ));
    }
    if seeds && claims["role"].as_str() != Some("publisher") {
        return wrong(format!("is of role {}; a seed needs one of role publisher", claims["role"]));
    }
    if claims["nbf"].as_f64().is_some_and(|begins| begins > now as f64) {
        return wrong("doesn't count yet (nbf); check this machine's clock and the backend's".into());
    }
    match claims["exp"].as_f64() {
        None => wrong("says not when it runs out (exp); have a new one signed".into()),
        Some(ends) if ends <= now as f64 => wrong("has run out; have a new one signed".into()),
        Some(ends) if ends - (now as f64) < SOON as f64 => {
            let left = (ends - now as f64) as u64;
            Finding::poor(
                FLAG,
                format!("{} runs out in {left} s; see that the file is renewed", path.display()),
            )
        }
        Some(ends) => Finding::good(
            FLAG,
            format!("{} is for site {site}, for {} s more", path.display(), ends as u64 - now),
        ),
    }
}

/// Reads a manifest, and one of its media playlists.
async fn origin(settings: &Settings, manifest: &Url) -> Finding {
    let what = format!("--manifest {}", bare(manifest));
    if settings.ingest.as_ref().is_some_and(|ingest| settings.is_pushed(manifest, ingest.listen)) {
        return Finding::good(what, "is pushed to this node: there is nothing to look at before it runs");
    }
    match renditions(settings, manifest).await {
        Ok(says) => Finding::good(what, says),
        Err(why) => Finding::wrong(what, format!("{why}; check the URL in a player, --allow and --fallback")),
    }
}

async fn renditions(settings: &Settings, manifest: &Url) -> Result<String, String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let config = rillcast_publisher::Config { mirrors: Arc::clone(&settings.mirrors), ..Default::default() };
    let key = PublishingKey::generate().map_err(|e| text(&e))?;
    let (publisher, _events) = Publisher::new(key, config).map_err(|e| text(&e))?;
    let allow = allowed(manifest, &settings.allow, &settings.mirrors).map_err(|e| text(&e))?;
    let renditions = publisher.renditions(manifest.as_str(), &allow).await.map_err(|e| text(&e))?;
    let first = renditions.first().ok_or("names no rendition")?;
    let document = publisher.origin().playlist(&allow, first, &Validators::default()).await;
    let document = document.map_err(|e| format!("{}: {e}", bare(first)))?.ok_or("its playlist is empty")?;
    let playlist =
        manifest::read(track_id(first.as_str()), first, &document.url, &document.body, SystemTime::now())
            .map_err(|e| format!("{}: {e}", bare(first)))?
            .playlist;
    if let Some(segment) = playlist.segments.iter().find(|segment| !allow.allows(&segment.url)) {
        return Err(format!(
            "its segments are under {}, which isn't allowed: add that with --allow",
            bare(&segment.url)
        ));
    }
    let kind = if playlist.ended { "finished" } else { "live" };
    Ok(format!("{} renditions, {kind}, {} segments in the first", renditions.len(), playlist.segments.len()))
}

/// Joins as the node will, but as no publisher, and leaves again.
async fn signaling(settings: &Settings, signal: &Url) -> Finding {
    let what = format!("--signal {}", bare(signal));
    match join(settings, signal).await {
        Ok(()) => Finding::good(what, "lets this node in"),
        Err(why) => Finding::wrong(what, why),
    }
}

async fn join(settings: &Settings, signal: &Url) -> Result<(), String> {
    let named = settings.content.clone().or_else(|| settings.manifests.first().map(Url::to_string));
    let content = named.unwrap_or_default();
    let join = Join {
        version: rillcast_protocol::VERSION,
        site: Text::new(settings.site.as_str()).ok_or("--site is longer than signaling takes")?,
        content: Text::new(content.as_str())
            .ok_or("the manifest's URL is longer than signaling takes; give a --content id")?,
        delivery: settings.manifests.first().map_or(Delivery::Hls, manifest::delivery),
        role: if settings.seeds { Role::Seed } else { Role::Viewer },
        token: Blob::default(),
        publisher: None,
        fingerprint: Fingerprint([0; 32]),
        session: None,
        sealing: None,
        ticket: None,
    };
    let tls = node::tls(settings.ca.as_deref()).map_err(|error| error.to_string())?;
    let (url, token) = (signal.to_string(), settings.token_file.clone());
    let (signaling, mut news) = Signaling::start(url, join, token, Arc::new(tls));
    let first = tokio::time::timeout(WITHIN, news.recv()).await;
    drop(news);
    signaling.leave().await;
    match first {
        Ok(Some(News::Joined(_) | News::Message(_))) => Ok(()),
        Ok(Some(News::Away(error))) => Err(error.to_string()),
        Ok(None) | Err(_) => Err("doesn't answer; is it running, and reachable from here?".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn what_a_token_lacks_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("token");
        let said = |claims: &str| {
            std::fs::write(&path, format!("e30.{}.sig\n", URL_SAFE_NO_PAD.encode(claims))).expect("written");
            token(&path, "tv", true, 1000)
        };
        let good = r#"{"site":"tv","role":"publisher","exp":9000}"#;
        assert_eq!(said(good).state, State::Good);
        for (from, to, word) in [
            ("tv", "radio", "--site tv"),
            ("publisher", "viewer", "role publisher"),
            (r#""exp":9000"#, r#""exp":9000,"nbf":1001"#, "clock"),
            ("9000", "1000", "has run out"),
            (r#""exp":9000"#, r#""iat":1"#, "exp"),
        ] {
            let said = said(&good.replace(from, to));
            assert!(said.state == State::Wrong && said.says.contains(word), "{said:?}");
        }
        for (exp, state) in [(1000 + SOON - 1, State::Poor), (1000 + SOON, State::Good)] {
            assert_eq!(said(&good.replace("9000", &exp.to_string())).state, state);
        }
        std::fs::write(&path, "nonsense").expect("written");
        assert!(token(&path, "tv", true, 0).says.contains("no token"));
        assert_eq!(token(&dir.path().join("none"), "tv", true, 0).state, State::Wrong);
    }
}
