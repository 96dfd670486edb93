//! TLS by rustls: certificate and key from PEM files, read again when they change.
//!
//! - [`Certificate`]: what a server shows
//! - [`Watched`]: a file that may change while its reader runs

mod watched;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;
pub use tokio_rustls::TlsAcceptor;
pub use watched::Watched;

/// Why TLS can't be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file can't be read as PEM.
    #[error("{path}: {reason}; it must hold {must} in PEM form")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What's wrong.
        reason: String,
        /// What it should hold.
        must: &'static str,
    },
    /// Certificate and key don't belong together, or are of a kind that rustls doesn't take.
    #[error("certificate {cert} and key {key} can't be used: {source}; check that they belong together")]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
}

/// A certificate that can be replaced while connections are served.
#[derive(Debug)]
pub struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
    files: Mutex<[Watched; 2]>,
}

impl Certificate {
    /// Reads the files.
    pub fn load(cert: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        // Before they are read: a change that comes meanwhile is seen.
        let files = Mutex::new([cert, key].map(Watched::new));
        let current = RwLock::new(read(cert, key)?);
        Ok(Arc::new(Self { cert: cert.to_owned(), key: key.to_owned(), current, files }))
    }

    /// Reads the files again. On an error the old certificate stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = read(&self.cert, &self.key)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Reads them again if one of them has changed since this was last asked; told back: whether one had. On an error the old certificate
    /// stays.
    pub fn follow(&self) -> Result<bool, TlsError> {
        let changed = {
            let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            files.iter_mut().fold(false, |any, file| any | file.changed())
        };
        if changed {
            self.reload()?;
        }
        Ok(changed)
    }

    /// Accepts TLS connections with it.
    pub fn acceptor(self: &Arc<Self>) -> TlsAcceptor {
        TlsAcceptor::from(Arc::new(self.config()))
    }

    /// The same for clients that close when they have sent all they have, and read nothing. What they leave unread makes their system reset the
    /// connection, and what is still on its way here is lost with it; so they are sent no session tickets.
    pub fn acceptor_for_uploads(self: &Arc<Self>) -> TlsAcceptor {
        let mut config = self.config();
        config.send_tls13_tickets = 0;
        TlsAcceptor::from(Arc::new(config))
    }

    fn config(self: &Arc<Self>) -> ServerConfig {
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("the provider knows the default versions")
                .with_no_client_auth()
                .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn read(cert: &Path, key: &Path) -> Result<Arc<CertifiedKey>, TlsError> {
    let pem = |path: &Path, must, reason: String| TlsError::Pem { path: path.to_owned(), reason, must };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|e| pem(cert, "the certificate chain", e.to_string()))?;
    if chain.is_empty() {
        return Err(pem(cert, "the certificate chain", "no certificate in it".to_owned()));
    }
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|e| pem(key, "the private key", e.to_string()))?;
    CertifiedKey::from_der(chain, private, &rustls::crypto::ring::default_provider())
        .map(Arc::new)
        .map_err(|source| TlsError::Pair { cert: cert.to_owned(), key: key.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(at: &Path) -> [PathBuf; 2] {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        let files = [at.join("cert.pem"), at.join("key.pem")];
        std::fs::write(&files[0], made.cert.pem()).expect("written");
        std::fs::write(&files[1], made.signing_key.serialize_pem()).expect("written");
        files
    }

    fn shown(certificate: &Certificate) -> Vec<u8> {
        certificate.current.read().expect("no panic").cert[0].to_vec()
    }

    #[test]
    fn a_new_certificate_takes_the_place_of_the_old_and_a_broken_one_does_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let [cert, key] = made(dir.path());
        let certificate = Certificate::load(&cert, &key).expect("a pair");
        let first = shown(&certificate);
        assert!(!certificate.follow().expect("as it was"));
        std::fs::write(&cert, "nonsense").expect("written");
        let said = certificate.follow().expect_err("no certificate").to_string();
        assert!(said.contains("cert.pem") && said.contains("the certificate chain"), "{said}");
        assert_eq!(shown(&certificate), first);
        made(dir.path());
        assert!(certificate.follow().expect("a pair again"));
        assert_ne!(shown(&certificate), first);
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let (one, other) =
            (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let ([cert, _], [_, key]) = (made(one.path()), made(other.path()));
        let said = Certificate::load(&cert, &key).expect_err("two of different pairs").to_string();
        assert!(said.contains("belong together"), "{said}");
        let said = Certificate::load(&cert, &cert).expect_err("a certificate is no key").to_string();
        assert!(said.contains("the private key"), "{said}");
    }
}
