//! The demo for people.

use std::net::SocketAddr;

use anyhow::Result;
use serde_json::json;

use super::Options;
use crate::media::Library;
use crate::origin::{Origin, OriginConfig};
use crate::services::{Place, Rillcast, SITE, content};
use crate::site;

/// Serves until Ctrl-C.
pub(super) async fn show(library: Library, options: &Options) -> Result<()> {
    let origin_at = SocketAddr::new(options.address, options.port);
    let stream = format!("http://{origin_at}/live/master.m3u8");
    let script = format!("http://{}/rillcast.js", SocketAddr::new(options.address, options.signaling_port));
    let config = OriginConfig {
        mounts: site::mounts(),
        info: Some(
            json!({ "stream": stream, "vod": stream.replace("/live/", "/vod/"), "script": script, "site": SITE, "content": content(&stream) }),
        ),
        ..OriginConfig::default()
    };
    let origin = Origin::start(library, config, origin_at).await?;
    if options.origin_only {
        println!("live stream:  {stream}");
        println!("plain player: {}", origin.url("/pages/plain.html"));
        tokio::signal::ctrl_c().await?;
        return Ok(());
    }
    let place = Place::At(options.address);
    let mut servers = Rillcast::start(&place, options.signaling_port, &stream, true).await?;
    let page = origin.url(&format!("/?site={SITE}&content={}", content(&stream)));
    println!("open this page, in several windows: {page}");
    println!("  stream {stream}   script {script}   Ctrl-C ends it");
    loop {
        tokio::select! {
            stopped = tokio::signal::ctrl_c() => return Ok(stopped?),
            () = tokio::time::sleep(std::time::Duration::from_secs(1)) => servers.check()?,
        }
    }
}
