//! TLS on every kind of listener: leafbox's own connections get through, clients that know the
//! authority too, and nobody else.
#![allow(clippy::unwrap_used)]

mod harness;

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_nats::{Client, ConnectError, ConnectOptions};
use harness::{Node, Place, client, eventually, proxy::Proxy};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, pki_types::pem::PemObject};

const FLEET: &str = include_str!("../../../examples/school/fleet.toml");

/// Any port for every listener, so that tests run beside each other.
const PORTS: &str = r#"
health.listen = "127.0.0.1:0"
registry.listen = "127.0.0.1:0"
console.listen = "127.0.0.1:0"
nats.client = "127.0.0.1:0"
nats.monitoring = "127.0.0.1:0"
"#;

/// An authority and the certificates that it signed, as PEM files in a folder.
struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let authority = Self { folder, issuer: Issuer::new(params, key) };
        authority.write("ca.pem", &certificate.pem());
        authority
    }

    /// Writes `<name>.pem` and `<name>.key`, for a server on loopback that may be a client too.
    fn issue(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let hosts = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write(&format!("{name}.pem"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    fn write(&self, name: &str, pem: &str) {
        fs::write(self.file(name), pem).unwrap();
        fs::set_permissions(self.file(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The TLS of a listener in node.toml. leafbox has a certificate of its own where clients do.
    fn listener(&self, name: &str, certificate: &str, verify: bool) -> String {
        let [cert, key] = ["pem", "key"].map(|kind| self.file(&format!("{certificate}.{kind}")));
        let ca = self.file("ca.pem");
        let ca = if verify { format!("ca = {ca:?}\nverify = true\n") } else { String::new() };
        let own = if verify && name == "client" {
            let [cert, key] = ["own.pem", "own.key"].map(|file| self.file(file));
            format!("own_cert = {cert:?}\nown_key = {key:?}\n")
        } else {
            String::new()
        };
        format!("[nats.tls.{name}]\ncert = {cert:?}\nkey = {key:?}\n{ca}{own}")
    }
}

fn creds(place: &Place, name: &str) -> PathBuf {
    place.path(".data/keys").join(name)
}

async fn try_connect(node: &Node, place: &Place, options: ConnectOptions) -> Result<Client, ConnectError> {
    let creds = fs::read_to_string(creds(place, "services/SCHOOL/teacher-service.creds")).unwrap();
    let url = format!("tls://{}", node.address("client"));
    options.credentials(&creds).unwrap().connect(url).await
}

/// What leafbox itself does over the client listener.
fn assert_commands_work(place: &Place) {
    place.run(&["plan"]).expect(0);
    place.run(&["apply"]).expect(0);
    place.run(&["plan"]).expect(0);
    place.run(&["auth", "test"]).expect(0);
    let status = place.run(&["status"]).expect(0);
    assert!(status.contains("ready     yes") && status.contains("EVENTS"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_speak_tls_and_know_the_authority() {
    let authority = Authority::new("fleet");
    authority.issue("node");
    let tls = authority.listener("client", "node", false);
    let place = Place::new(&format!("name = \"school-1\"\nnats.websocket = \"off\"\n{PORTS}\n{tls}"), FLEET);
    let node = place.start(&["dev"]);
    assert_commands_work(&place);

    let known = ConnectOptions::new().add_root_certificates(authority.file("ca.pem")).require_tls(true);
    let teacher = try_connect(&node, &place, known).await.unwrap();
    client::publish(&teacher, "events.teacher.marks", "event", 0..10).await;
    let unknown = try_connect(&node, &place, ConnectOptions::new().require_tls(true)).await.unwrap_err();
    assert!(format!("{unknown:?}").contains("UnknownIssuer"), "{unknown:?}");
    let other = Authority::new("other");
    let wrong = ConnectOptions::new().add_root_certificates(other.file("ca.pem")).require_tls(true);
    try_connect(&node, &place, wrong).await.unwrap_err();

    let contexts = place.run(&["context", "--account", "SCHOOL", "--service", "teacher-service"]).expect(0);
    assert!(contexts.contains("school-1-SCHOOL-teacher-service"), "{contexts}");
    let context = place.read("config/nats/context/school-1-SCHOOL-teacher-service.json");
    let context: serde_json::Value = serde_json::from_str(&context).unwrap();
    assert_eq!(context["url"], format!("tls://{}", node.address("client")));
    assert!(Path::new(context["ca"].as_str().unwrap()).is_file(), "{context}");
    assert_eq!(node.stop(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_show_a_certificate_where_the_listener_asks_for_one() {
    let authority = Authority::new("fleet");
    authority.issue("node");
    authority.issue("till");
    authority.issue("own");
    let tls = authority.listener("client", "node", true);
    let place = Place::new(&format!("name = \"school-1\"\nnats.websocket = \"off\"\n{PORTS}\n{tls}"), FLEET);
    let node = place.start(&["dev"]);
    assert_commands_work(&place);

    let known = || ConnectOptions::new().add_root_certificates(authority.file("ca.pem")).require_tls(true);
    let shown = known().add_client_certificate(authority.file("till.pem"), authority.file("till.key"));
    let teacher = try_connect(&node, &place, shown).await.unwrap();
    client::publish(&teacher, "events.teacher.marks", "event", 0..10).await;
    try_connect(&node, &place, known()).await.unwrap_err();
    let other = Authority::new("other");
    other.issue("till");
    let foreign = known().add_client_certificate(other.file("till.pem"), other.file("till.key"));
    try_connect(&node, &place, foreign).await.unwrap_err();
    assert_eq!(node.stop(), 0);
}

/// The first line that a websocket listener answers to an upgrade.
fn upgrade(address: SocketAddr, authority: &Authority) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    let ca = rustls::pki_types::CertificateDer::from_pem_file(authority.file("ca.pem")).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n") && stream.read(&mut byte)? > 0 {
        answer.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&answer).trim().to_owned())
}

#[test]
fn the_websocket_listener_speaks_tls() {
    let authority = Authority::new("fleet");
    authority.issue("node");
    let tls = authority.listener("websocket", "node", false);
    let node_file = format!("name = \"school-1\"\nnats.websocket = \"127.0.0.1:0\"\n{PORTS}\n{tls}");
    let place = Place::new(&node_file, FLEET);
    let node = place.start(&["dev"]);
    let address = node.address("websocket");
    assert_eq!(upgrade(address, &authority).unwrap(), "HTTP/1.1 101 Switching Protocols");
    let refused = upgrade(address, &Authority::new("other")).unwrap_err().to_string();
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    assert_eq!(node.stop(), 0);
}

/// A hub with TLS for its leaves, on the keys that the leaf's `leafbox dev` made.
fn start_hub(operator: &Place, tls: &str) -> (Place, Node) {
    let jwts = operator.path(".data/jwts");
    let file = format!(
        "name = \"hub-1\"\nrole = \"hub\"\njwts = {jwts:?}\nnats.websocket = \"off\"\nnats.leaf = \"127.0.0.1:0\"\n{PORTS}\n{tls}"
    );
    let hub = Place::new(&file, FLEET);
    let mut command = hub.command(&["run"]);
    command.env("CREDENTIALS_DIRECTORY", operator.path(".data/keys"));
    let node = hub.start_command(command);
    (hub, node)
}

fn leaf(proxy: &Proxy, uplink: &str) -> Place {
    let url = format!("tls://{}", proxy.address());
    let file = format!(
        "name = \"school-1\"\nnats.websocket = \"off\"\n{PORTS}\n[uplink]\nurls = [{url:?}]\n{uplink}"
    );
    Place::new(&file, FLEET)
}

fn links(node: &Node) -> u64 {
    node.monitoring("/leafz").and_then(|leafz| leafz["leafnodes"].as_u64()).unwrap_or(0)
}

async fn assert_events_travel(leaf_place: &Place, leaf: &Node, hub: &Node) {
    let teacher =
        client::connect(&leaf.url(), &creds(leaf_place, "services/SCHOOL/teacher-service.creds")).await;
    client::publish(&teacher, "events.teacher.marks", "event", 0..50).await;
    let on_hub = client::connect(&hub.url(), &creds(leaf_place, "apply-SCHOOL.creds")).await;
    let give_up = tokio::time::Instant::now() + harness::DEADLINE;
    while client::count(&on_hub, "EVENTS").await < 50 {
        assert!(tokio::time::Instant::now() < give_up, "the events did not travel:\n{}", leaf.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client::assert_exactly(&on_hub, "EVENTS", "event", 0..50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_joins_over_tls_and_events_travel() {
    let authority = Authority::new("fleet");
    authority.issue("hub");
    let proxy = Proxy::start().await;
    let leaf_place = leaf(&proxy, &format!("ca = {:?}\n", authority.file("ca.pem")));
    let leaf = leaf_place.start(&["dev"]);
    let (_hub_place, hub) = start_hub(&leaf_place, &authority.listener("leaf", "hub", false));
    proxy.heal(hub.address("leaf"));
    eventually("the link is up", || links(&leaf) >= 3);
    assert_events_travel(&leaf_place, &leaf, &hub).await;
    assert_eq!(leaf.stop(), 0);
    assert_eq!(hub.stop(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_may_ask_leaves_for_a_certificate() {
    let authority = Authority::new("fleet");
    authority.issue("hub");
    authority.issue("leaf");
    let proxy = Proxy::start().await;
    // Named relative to the credentials directory, as on a machine with systemd.
    let leaf_place = leaf(&proxy, "ca = \"hub-ca.pem\"\ncert = \"leaf.pem\"\nkey = \"leaf.key\"\n");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(creds(&leaf_place, "")).unwrap();
    for (from, to) in [("ca.pem", "hub-ca.pem"), ("leaf.pem", "leaf.pem"), ("leaf.key", "leaf.key")] {
        fs::copy(authority.file(from), creds(&leaf_place, to)).unwrap();
    }
    let leaf = leaf_place.start(&["dev"]);
    let (_hub_place, hub) = start_hub(&leaf_place, &authority.listener("leaf", "hub", true));
    proxy.heal(hub.address("leaf"));
    eventually("the link is up", || links(&leaf) >= 3);
    assert_events_travel(&leaf_place, &leaf, &hub).await;
    assert_eq!(leaf.stop(), 0);

    // Without one the leaf is refused, and goes on alone.
    let alone = leaf_place.read("node.toml").replace("cert = \"leaf.pem\"\nkey = \"leaf.key\"\n", "");
    leaf_place.write("node.toml", &alone);
    let leaf = leaf_place.start(&["dev"]);
    eventually("the hub refuses the leaf", || hub.log().contains("TLS leafnode handshake error"));
    assert_eq!((links(&leaf), leaf.readyz().unwrap().0), (0, 200), "{}", leaf.log());
    assert_eq!(leaf.stop(), 0);
    assert_eq!(hub.stop(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_of_another_authority_is_refused_and_the_leaf_stays_ready() {
    let (authority, other) = (Authority::new("fleet"), Authority::new("other"));
    other.issue("hub");
    let proxy = Proxy::start().await;
    let leaf_place = leaf(&proxy, &format!("ca = {:?}\n", authority.file("ca.pem")));
    let leaf = leaf_place.start(&["dev"]);
    let (_hub_place, hub) = start_hub(&leaf_place, &other.listener("leaf", "hub", false));
    proxy.heal(hub.address("leaf"));
    eventually("the leaf refuses the hub", || leaf.log().contains("certificate signed by unknown authority"));
    assert_eq!((links(&leaf), links(&hub)), (0, 0));
    assert_eq!(leaf.readyz().unwrap().0, 200, "{}", leaf.log());
    assert_commands_work(&leaf_place);
    assert_eq!(leaf.stop(), 0);
    assert_eq!(hub.stop(), 0);
}
