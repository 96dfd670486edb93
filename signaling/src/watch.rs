//! Files that may change while the server runs: settings, certificate, key, databases. Looked at every other second and on SIGHUP.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rillcast_tls::{Certificate, Watched};

use crate::geo::GeoFiles;
use crate::hub::Hub;
use crate::site::SettingsFile;

const EVERY: Duration = Duration::from_secs(2);

/// Watches for ever. SIGHUP is caught from the call on, not only from the first poll on: otherwise one that comes early
/// would end the process.
pub fn run(
    hub: Arc<Hub>,
    config: Option<PathBuf>,
    certificate: Option<Arc<Certificate>>,
    geo: GeoFiles,
) -> impl Future<Output = ()> + Send {
    watch(hub, config, certificate, geo, Hangup::new())
}

async fn watch(
    hub: Arc<Hub>,
    config: Option<PathBuf>,
    certificate: Option<Arc<Certificate>>,
    geo: GeoFiles,
    mut hangup: Hangup,
) {
    let mut settings = config.map(|path| Watched::new(&path));
    let mut databases: Vec<Watched> = geo.paths().map(Watched::new).collect();
    let mut interval = tokio::time::interval(EVERY);
    interval.tick().await;
    loop {
        let asked = tokio::select! {
            _ = interval.tick() => false,
            () = hangup.wait() => true,
        };
        if let Some(file) = &mut settings
            && (file.changed() | asked)
        {
            let done = SettingsFile::read(&file.path).and_then(|settings| hub.reload(&settings));
            match done {
                Ok(()) => {
                    tracing::info!(file = %file.path.display(), "settings read again");
                    if let Some(table) = hub.open_table() {
                        tracing::info!(
                            table,
                            "no keys here: joins without a token, from where the command line lets them"
                        );
                    }
                }
                Err(error) => tracing::error!(%error, "the settings stay as they were; correct the file"),
            }
        }
        if let Some(certificate) = &certificate {
            match if asked { certificate.reload().map(|()| true) } else { certificate.follow() } {
                Ok(false) => {}
                Ok(true) => tracing::info!("certificate read again"),
                Err(error) => tracing::error!(%error, "the old certificate stays; correct the files"),
            }
        }
        if asked && let Err(error) = hub.audit.reopen() {
            tracing::error!(%error, "the audit log goes on in the file that is open");
        }
        if asked && let Err(error) = hub.receipts.reopen() {
            tracing::error!(%error, "the log of receipts goes on in the file that is open");
        }
        let changed = databases.iter_mut().fold(false, |any, file| any | file.changed());
        if changed || (asked && !databases.is_empty()) {
            relocate(&hub, &geo).await;
        }
    }
}

/// Reads the databases again. They are large: that is no work for a thread which others wait for.
async fn relocate(hub: &Hub, geo: &GeoFiles) {
    let files = geo.clone();
    match tokio::task::spawn_blocking(move || files.load()).await {
        Ok(Ok(geo)) => {
            hub.relocate(geo);
            tracing::info!("databases of countries and providers read again");
        }
        Ok(Err(error)) => tracing::error!(%error, "the old databases stay; correct the file"),
        Err(error) => tracing::error!(%error, "the old databases stay: reading them broke off"),
    }
}

#[cfg(unix)]
struct Hangup(Option<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Hangup {
    fn new() -> Self {
        Self(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok())
    }

    async fn wait(&mut self) {
        match &mut self.0 {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    }
}

#[cfg(not(unix))]
struct Hangup;

#[cfg(not(unix))]
impl Hangup {
    fn new() -> Self {
        Self
    }

    async fn wait(&mut self) {
        std::future::pending().await
    }
}
