//! HTTPS, with a certificate that is renewed while the registry runs.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::TlsConnector;

use crate::{client::read_answer, harness::until, site::Site};

/// Writes a certificate for localhost and its key, and returns it.
fn renew(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = folder.join("registry.key");
    fs::write(folder.join("registry.crt"), made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()
}

/// The status of a request over TLS from a client that trusts only this certificate.
async fn ask(site: &Site, certificate: &CertificateDer<'static>, path: &str) -> Option<u16> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(site.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    stream.write_all(&site.client().request("GET", path, &[])).await.unwrap();
    Some(read_answer(stream, false).await.status)
}

#[tokio::test]
async fn a_new_certificate_is_served_without_a_restart_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let first = renew(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let tls = format!("tls = {{ cert = \"{}\", key = \"{}\" }}", path("registry.crt"), path("registry.key"));
    let site = Site::unready(&tls, "").await;
    until("answered over TLS", async || ask(&site, &first, "/readyz").await == Some(200)).await;
    let (_, other) = rcgen_pair();
    assert_eq!(ask(&site, &other, "/readyz").await, None, "nobody else's certificate is trusted");

    fs::write(folder.path().join("registry.crt"), "half a certificate").unwrap();
    let second = renew(folder.path());
    until("the new certificate is served", async || ask(&site, &second, "/readyz").await == Some(200)).await;
    assert_eq!(ask(&site, &first, "/readyz").await, None, "the old certificate is not served any more");
    site.stop().await;
}

fn rcgen_pair() -> (String, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap())
}
