//! TLS of a listener: its certificate and key are files, and new ones are taken up without a restart.
//!
//! Whoever renews a certificate replaces two files, never both at the same moment. A pair that does
//! not belong together, or a file that is half written, is therefore logged and tried again later,
//! while the pair before it goes on serving.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    confine::Reach,
    credentials::{self, CredentialError, find},
};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(3);

/// A certificate and key cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    /// The certificate chain cannot be read.
    #[error("the certificate {path} cannot be used: {reason}; put a PEM chain there, the server's own first", path = path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Others can read the key, or it belongs to another user.
    #[error(transparent)]
    Exposed(#[from] CredentialError),
    /// The key cannot be read.
    #[error("the private key {path} cannot be used: {reason}; put the PEM key of the certificate there", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is another certificate's.
    #[error("the private key {key} is not that of the certificate {cert}: {source}; put a pair there", key = key.display(), cert = cert.display())]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls says.
        #[source]
        source: rustls::Error,
    },
    /// The library refused the configuration.
    #[error("TLS could not be set up: {0}")]
    Library(#[from] rustls::Error),
}

/// What a listener that speaks TLS shows its clients.
#[derive(Clone, Debug)]
pub struct ServerTls {
    files: Files,
    served: Arc<Served>,
    config: Arc<ServerConfig>,
    seen: Stamps,
}

impl ServerTls {
    /// Serves the certificate chain `cert` with the private key `key`, both PEM. Names are of files in
    /// the `credentials` directory.
    ///
    /// # Errors
    /// When a file cannot be read, others can read the key, or the two do not belong together.
    pub fn load(credentials: &Path, cert: &Path, key: &Path) -> Result<Self, ServerTlsError> {
        let files = Files {
            cert: find(credentials, cert),
            key: find(credentials, key),
            elsewhere: key.is_absolute(),
        };
        let provider = Arc::new(ring::default_provider());
        // Before reading, so that a change in between is seen as one.
        let seen = files.stamps();
        let served = Arc::new(Served(RwLock::new(Arc::new(files.read(&provider)?))));
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&served) as _;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        // What every listener speaks; a client that asks for none gets it as well.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { files, served, config: Arc::new(config), seen })
    }

    /// Lets a confined daemon read the two files, and those that will stand in their place.
    #[must_use]
    pub fn within(&self, reach: Reach) -> Reach {
        reach.read_replaced(&self.files.cert).read_replaced(&self.files.key)
    }

    /// Speaks HTTP/1.1, and HTTP/2 with clients that prefer it if it is to.
    pub(crate) fn acceptor(&self, http2: bool) -> TlsAcceptor {
        let mut config = Arc::clone(&self.config);
        if http2 {
            Arc::make_mut(&mut config).alpn_protocols.insert(0, b"h2".to_vec());
        }
        TlsAcceptor::from(config)
    }

    /// Takes up new files until `shutdown`.
    pub(crate) async fn watch(mut self, shutdown: CancellationToken) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = String::new();
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            match self.look() {
                Ok(true) => {
                    told.clear();
                    let path = self.files.cert.display();
                    tracing::info!(tls.cert = %path, "the certificate {path} is served now");
                }
                Ok(false) => {}
                // The same words once, though a bad pair is tried again each time.
                Err(error) => {
                    let text = error.to_string();
                    if text != told {
                        tracing::error!("the certificate before goes on being served: {text}");
                        told = text;
                    }
                }
            }
        }
    }

    /// Whether the files changed and are served now. What cannot be used is looked at again the next
    /// time: its other half may be on its way.
    fn look(&mut self) -> Result<bool, ServerTlsError> {
        let seen = self.files.stamps();
        if seen == self.seen {
            return Ok(false);
        }
        let read = self.files.read(self.config.crypto_provider())?;
        *self.served.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
        self.seen = seen;
        Ok(true)
    }
}

#[derive(Clone, Debug)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
    /// The key is not in the credentials directory: whoever renews it may share it with a group, as
    /// ACME clients do.
    elsewhere: bool,
}

/// What tells a file from the one that stood there before: its inode, length and time of change.
type Stamps = [Option<(u64, u64, Option<SystemTime>)>; 2];

impl Files {
    fn stamps(&self) -> Stamps {
        [&self.cert, &self.key].map(|path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.ino(), metadata.len(), metadata.modified().ok()))
        })
    }

    fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, ServerTlsError> {
        let certificate = |reason: String| ServerTlsError::Certificate { path: self.cert.clone(), reason };
        let chain: Vec<_> = CertificateDer::pem_file_iter(&self.cert)
            .and_then(Iterator::collect)
            .map_err(|error| certificate(error.to_string()))?;
        if chain.is_empty() {
            return Err(certificate("it holds no certificate".to_owned()));
        }
        let bad_key = |reason: String| ServerTlsError::Key { path: self.key.clone(), reason };
        self.check_key().map_err(|error| match error {
            CredentialError::Read { source, .. } => bad_key(source.to_string()),
            error => error.into(),
        })?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| bad_key(error.to_string()))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|source| ServerTlsError::Pair {
            cert: self.cert.clone(),
            key: self.key.clone(),
            source,
        })
    }

    fn check_key(&self) -> Result<(), CredentialError> {
        if !self.elsewhere {
            return credentials::check(&self.key);
        }
        let path = self.key.clone();
        let mode = match fs::metadata(&path) {
            Ok(metadata) => metadata.mode() & 0o7777,
            Err(source) => return Err(CredentialError::Read { path, source }),
        };
        if mode & 0o007 == 0 { Ok(()) } else { Err(CredentialError::Exposed { path, mode }) }
    }
}

#[derive(Debug)]
struct Served(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{io, os::unix::fs::PermissionsExt};

    use super::*;

    fn write(folder: &Path, names: &[&str], cert: bool, key: bool) -> io::Result<()> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        if cert {
            fs::write(folder.join("registry.crt"), made.cert.pem())?;
        }
        if key {
            let path = folder.join("registry.key");
            fs::write(&path, made.signing_key.serialize_pem())?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        }
        Ok(())
    }

    fn load(folder: &Path) -> Result<ServerTls, ServerTlsError> {
        ServerTls::load(folder, Path::new("registry.crt"), Path::new("registry.key"))
    }

    fn served(tls: &ServerTls) -> Vec<u8> {
        tls.served.0.read().unwrap().cert[0].to_vec()
    }

    #[test]
    fn a_new_pair_is_taken_up_and_half_of_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &["first.test"], true, true).unwrap();
        let mut tls = load(folder.path()).unwrap();
        let first = served(&tls);
        assert!(!tls.look().unwrap(), "nothing changed");

        write(folder.path(), &["second.test"], true, false).unwrap();
        let text = tls.look().unwrap_err().to_string();
        assert!(text.contains("is not that of the certificate"), "{text}");
        assert_eq!(served(&tls), first);

        write(folder.path(), &["third.test"], true, true).unwrap();
        assert!(tls.look().unwrap());
        assert_ne!(served(&tls), first);
        assert!(!tls.look().unwrap());
    }

    #[test]
    fn what_cannot_be_served_is_named_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let text = load(folder.path()).unwrap_err().to_string();
        assert!(text.contains("registry.crt cannot be used"), "{text}");
        write(folder.path(), &["first.test"], true, true).unwrap();
        let key = folder.path().join("registry.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let text = load(folder.path()).unwrap_err().to_string();
        assert!(text.contains("run `chmod 600"), "{text}");
        fs::remove_file(&key).unwrap();
        let text = load(folder.path()).unwrap_err().to_string();
        assert!(text.contains("private key") && text.contains("registry.key"), "{text}");
        fs::write(folder.path().join("registry.crt"), "no PEM").unwrap();
        let text = load(folder.path()).unwrap_err().to_string();
        assert!(text.contains("holds no certificate"), "{text}");
    }
}
