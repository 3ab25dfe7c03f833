//! `leafbox console ca`: a certificate that browsers on other machines take.

use std::{fs, net::TcpStream, os::unix::fs::PermissionsExt, sync::Arc};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::{FLEET, NODE, PORTS, Place, eventually, made};

const FILES: [&str; 4] = ["console-ca.crt", "console-ca.key", "console.crt", "console.key"];

#[test]
fn a_made_certificate_is_shown_and_devices_that_trust_its_authority_take_it() {
    let place = made();
    place.run(&["console", "ca"]).says(1, &["no certificate is needed", "`console.origin`"]);
    let with_origin =
        format!("{NODE}{PORTS}").replace("[console]", "[console]\norigin = \"https://box.lan:8443\"");
    place.write("node.toml", &with_origin);
    let said = place.run(&["console", "ca"]).expect(0);
    for words in [
        "Made the authority",
        "listen = \"0.0.0.0:8443\"",
        "origin = \"https://box.lan:8443\"",
        "tls = { cert = \"console.crt\", key = \"console.key\" }",
        "Linux ",
        "Firefox ",
        "macOS ",
        "Windows ",
        "iOS ",
        "Android ",
        "box.lan and the names below it",
    ] {
        assert!(said.contains(words), "`{words}` in:\n{said}");
    }
    let files = FILES.map(|name| place.path(".data/keys").join(name));
    for file in &files {
        let mode = fs::metadata(file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }

    let tls = "tls = { cert = \"console.crt\", key = \"console.key\" }";
    place.write("node.toml", &with_origin.replace("[console]", &format!("[console]\n{tls}")));
    let again = place.run(&["console", "ca"]).expect(0);
    assert!(again.contains("nothing was changed") && !again.contains("node.toml"), "{again}");
    let node = place.start(&["run"]);
    eventually("the console shows the certificate", || {
        let root = CertificateDer::from_pem_file(&files[0]).unwrap();
        is_taken(node.address("console"), root, "box.lan")
    });
    let root = CertificateDer::from_pem_file(&files[0]).unwrap();
    assert!(!is_taken(node.address("console"), root, "bank.example"), "for its own name alone");
    assert!(node.log().contains("https://box.lan:8443"), "{}", node.log());
    assert_eq!(node.stop(), 0);
}

#[test]
fn the_files_go_where_they_are_to_go_and_another_name_takes_another_authority() {
    let origin = |host: &str| format!("{NODE}\nconsole.origin = \"https://{host}\"\n");
    let place = Place::new(&origin("box.lan"), FLEET);
    place.run(&["console", "ca"]).says(1, &["no folder", "`--keys DIR`"]);
    place.run(&["console", "ca", "--keys", "nowhere"]).says(1, &["nowhere is no folder"]);
    fs::create_dir(place.path("tls")).unwrap();
    let said = place.run(&["console", "ca", "--keys", "tls"]).expect(0);
    let cert = place.path("tls").canonicalize().unwrap().join("console.crt");
    assert!(said.contains(&format!("cert = \"{}\"", cert.display())), "{said}");
    assert!(said.contains("listen = \"0.0.0.0:443\""), "{said}");

    place.write("node.toml", &origin("shop.lan"));
    place.run(&["console", "ca", "--keys", "tls"]).says(1, &["for another name than shop.lan", "--replace"]);
    place.run(&["console", "ca", "--keys", "tls", "--replace"]).expect(0);
}

/// Whether a client that trusts this root alone takes the console for `name`.
fn is_taken(console: std::net::SocketAddr, root: CertificateDer<'static>, name: &str) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let client = ClientConnection::new(Arc::new(config), name.to_owned().try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(client, TcpStream::connect(console).unwrap());
    stream.sock.set_read_timeout(Some(super::DEADLINE)).unwrap();
    while stream.conn.is_handshaking() {
        if stream.conn.complete_io(&mut stream.sock).is_err() {
            return false;
        }
    }
    true
}
