//! TLS to the nats-server of this very node.
//!
//! Its certificate is made for the name that clients outside use, and a daemon beside it connects
//! to a loopback address. The daemon has the certificate's file at hand, so it accepts exactly that
//! certificate, whatever names stand in it.
//!
//! Where the listener asks clients for a certificate, the daemon shows one of its own: the server's
//! is made for a server, and its authority is seldom the clients'.

use std::{
    env, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};

use crate::{
    confine::{NIX_STORE, Reach},
    credentials::{self, find},
};

/// Where platforms keep the certificates of authorities, and where links there lead.
const AUTHORITIES: [&str; 6] = [
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    NIX_STORE,
];

/// How this node's own daemons speak with its client listener.
#[derive(Clone, Debug)]
pub struct LocalTls {
    server: PathBuf,
    own: Option<(PathBuf, PathBuf)>,
}

impl LocalTls {
    /// A listener with the certificate `server`, PEM, that is shown the certificate and key `own`
    /// where it asks for one. Names are of files in the `credentials` directory.
    pub fn new(credentials: &Path, server: &Path, own: Option<(&Path, &Path)>) -> Self {
        let own = own.map(|(cert, key)| (find(credentials, cert), find(credentials, key)));
        Self { server: find(credentials, server), own }
    }

    /// Lets a confined daemon read what a connection takes: these files, which may lie anywhere, and
    /// the platform's authorities. async-nats opens those for every connection with TLS, though it
    /// uses none here, and fails where they cannot be read.
    #[must_use]
    pub fn within(&self, reach: Reach) -> Reach {
        let named = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        let own = self.own.iter().flat_map(|(cert, key)| [cert, key]);
        let files = std::iter::once(&self.server).chain(own).chain(&named);
        let folders = env::var_os("SSL_CERT_DIR").unwrap_or_default();
        let reach = files.fold(reach, |reach, file| reach.read_replaced(file));
        let reach = env::split_paths(&folders).fold(reach, Reach::read);
        AUTHORITIES.into_iter().fold(reach, Reach::read)
    }

    /// A client configuration that accepts only this certificate.
    ///
    /// # Errors
    /// When a file cannot be read, is not PEM, or is a key that others can read, and when the own
    /// certificate and key do not belong together.
    pub fn config(&self) -> io::Result<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let certificate = chain(&self.server)?.swap_remove(0);
        let verifier = OnlyThis { certificate, algorithms: provider.signature_verification_algorithms };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let Some((cert, key_file)) = &self.own else { return Ok(builder.with_no_client_auth()) };
        credentials::check(key_file).map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| named(key_file, error))?;
        builder.with_client_auth_cert(chain(cert)?, key).map_err(|error| named(key_file, error))
    }
}

/// The certificates in a file: at least one.
fn chain(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| named(path, error))?;
    if chain.is_empty() { Err(named(path, "it holds no certificate")) } else { Ok(chain) }
}

fn named(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
}

/// Accepts one certificate; that the server has its key is proved by the handshake's signature.
#[derive(Debug)]
struct OnlyThis {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for OnlyThis {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *end_entity == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::General("the server shows another certificate than the one in node.toml".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
