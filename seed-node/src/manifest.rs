//! A stream's manifest: where its parts may lie, and which renditions it has.

use std::sync::Arc;

use rillcast_publisher::allow::PrefixError;
use rillcast_publisher::{AllowList, Mirrors, Publisher, Url};

use crate::Error;
use crate::driver::SwarmConfig;

const MANIFEST_AGAIN: std::time::Duration = std::time::Duration::from_secs(2);

/// Where playlists and segments may come from: the manifest's origin, its mirrors, and what else the operator names.
pub(crate) fn allowed(manifest: &Url, more: &[String], mirrors: &Mirrors) -> Result<AllowList, PrefixError> {
    let origin = manifest.origin().ascii_serialization();
    let mirrors = mirrors.prefixes().map(str::to_owned);
    AllowList::new(std::iter::once(origin).chain(more.iter().cloned()).chain(mirrors))
}

/// See [`allowed`].
pub(crate) fn allow_list(config: &SwarmConfig) -> Result<Arc<AllowList>, Error> {
    Ok(Arc::new(allowed(&config.at, &config.allow, &config.mirrors)?))
}

/// Reads the manifest, again and again until it can be had.
pub(crate) async fn read_manifest(publisher: Publisher, manifest: Url, allow: Arc<AllowList>) -> Vec<Url> {
    let mut told = false;
    loop {
        match publisher.renditions(manifest.as_str(), &allow).await {
            Ok(urls) => return urls,
            // Once: an encoder that is yet to come may be long in coming.
            Err(error) if !std::mem::replace(&mut told, true) => {
                tracing::warn!(%error, manifest = rillcast_publisher::origin::bare(&manifest), "the manifest can't be read, and is asked for again every two seconds")
            }
            Err(_) => {}
        }
        tokio::time::sleep(MANIFEST_AGAIN).await;
    }
}
