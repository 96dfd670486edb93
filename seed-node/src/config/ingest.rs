//! What is set of the origin that encoders push to.

use std::net::SocketAddr;
use std::time::Duration;

use rillcast_publisher::Url;

use super::{CACHE_SIZE, ConfigError, Options, Settings, url};
use crate::ingest::{Config as IngestConfig, Tls};

const RETAIN: Duration = Duration::from_secs(3600);

/// Least time that they are kept for: what players need to begin.
pub const MIN_RETAIN: Duration = Duration::from_secs(10);
/// Least disk for pushed streams: twice the longest segment.
pub const MIN_INGEST: u64 = 64 * 1024 * 1024;

impl Settings {
    /// Whether what is pushed to this address is found under the manifest's URL.
    pub fn is_pushed(&self, manifest: &Url, listening: SocketAddr) -> bool {
        let own = || Url::parse(&format!("http://{listening}/")).ok();
        let public = self.ingest_url.clone().or_else(own);
        public.is_some_and(|public| {
            manifest.origin() == public.origin() && manifest.path().starts_with(public.path())
        })
    }
}

impl Options {
    /// With a slash at its end, so that it is a prefix of what lies under it alone.
    pub(super) fn ingest_url(&self) -> Result<Option<Url>, ConfigError> {
        let Some(text) = &self.ingest_url else { return Ok(None) };
        let mut url = url("ingest-url", text, ["http", "https"], "http:// or https://")?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(ConfigError::IngestUrl(text.clone()));
        }
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(Some(url))
    }

    pub(super) fn ingest(&self, url: Option<&Url>) -> Result<Option<IngestConfig>, ConfigError> {
        let Some(listen) = self.ingest else {
            let given = [
                ("ingest-cert", self.ingest_cert.is_some()),
                ("ingest-cert-key", self.ingest_cert_key.is_some()),
                ("ingest-url", self.ingest_url.is_some()),
                ("ingest-dir", self.ingest_dir.is_some()),
                ("ingest-size", self.ingest_size.is_some()),
                ("ingest-keys", self.ingest_keys.is_some()),
                ("retain", self.retain.is_some()),
                ("channel", !self.channel.is_empty()),
            ];
            let alone = given.into_iter().find(|(_, given)| *given);
            return alone.map_or(Ok(None), |(flag, _)| Err(ConfigError::NoIngest(flag)));
        };
        let dir = self.ingest_dir.clone().ok_or(ConfigError::NoIngestDir)?;
        let budget = self.ingest_size.map_or(CACHE_SIZE, |size| size.0);
        let retain = self.retain.map_or(RETAIN, |retain| retain.0);
        if budget < MIN_INGEST {
            return Err(ConfigError::TooLittle("ingest-size", MIN_INGEST));
        }
        if retain < MIN_RETAIN {
            return Err(ConfigError::TooShort("retain", "10s"));
        }
        let tls = self.tls()?;
        let prefix = url.map_or("/", Url::path).to_owned();
        Ok(Some(IngestConfig {
            listen,
            tls,
            dir,
            budget,
            retain,
            prefix,
            keys: self.ingest_keys.clone(),
            channels: self.channel.clone(),
        }))
    }

    fn tls(&self) -> Result<Option<Tls>, ConfigError> {
        let files = (self.ingest_cert.clone(), self.ingest_cert_key.clone());
        match (self.ingest_tls, files) {
            (Some(listen), (Some(cert), Some(key))) => Ok(Some(Tls { listen, cert, key })),
            (Some(_), _) => Err(ConfigError::NoCertificate),
            (None, (None, None)) => Ok(None),
            (None, _) => Err(ConfigError::NoIngestTls),
        }
    }
}
