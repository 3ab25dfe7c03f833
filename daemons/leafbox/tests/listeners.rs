//! A node in every shape that node.toml gives its listeners: each starts, applies, and finds itself
//! well.
#![allow(clippy::unwrap_used)]

mod harness;

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::PathBuf,
};

use async_nats::ConnectOptions;
use harness::{Node, Place, client, eventually, proxy::Proxy};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

const FLEET: &str = include_str!("../../../examples/school/fleet.toml");

/// Two authorities, as companies have them: one signs servers, the other clients, and no
/// certificate serves as both. The files are in the keys directory of a node.
struct Pki {
    place: Place,
}

impl Pki {
    /// A node with these authorities and the certificates `server`, `own` and `till`.
    fn new(node: &str) -> Self {
        let pki = Self { place: Place::new(node, FLEET) };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(pki.file("")).unwrap();
        let (servers, clients) = (pki.authority("servers"), pki.authority("clients"));
        pki.issue("server", &servers, ExtendedKeyUsagePurpose::ServerAuth);
        for name in ["own", "till"] {
            pki.issue(name, &clients, ExtendedKeyUsagePurpose::ClientAuth);
        }
        pki.issue("foreign", &servers, ExtendedKeyUsagePurpose::ClientAuth);
        pki
    }

    fn authority(&self, name: &str) -> Issuer<'static, KeyPair> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self.write(&format!("{name}-ca.pem"), &params.self_signed(&key).unwrap().pem());
        Issuer::new(params, key)
    }

    fn issue(&self, name: &str, issuer: &Issuer<'static, KeyPair>, usage: ExtendedKeyUsagePurpose) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        self.write(&format!("{name}.pem"), &params.signed_by(&key, issuer).unwrap().pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    fn write(&self, name: &str, pem: &str) {
        fs::write(self.file(name), pem).unwrap();
        fs::set_permissions(self.file(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.path(".data/keys").join(name)
    }

    /// A client that knows the servers' authority, and shows a certificate if it has one.
    fn client(&self, certificate: Option<&str>) -> ConnectOptions {
        let creds = fs::read_to_string(self.file("services/SCHOOL/teacher-service.creds")).unwrap();
        let options = ConnectOptions::with_credentials(&creds)
            .unwrap()
            .require_tls(true)
            .add_root_certificates(self.file("servers-ca.pem"));
        match certificate {
            Some(name) => options
                .add_client_certificate(self.file(&format!("{name}.pem")), self.file(&format!("{name}.key"))),
            None => options,
        }
    }
}

const TLS: &str = "[nats.tls.client]\ncert = \"server.pem\"\nkey = \"server.key\"\n";
const VERIFY: &str =
    "ca = \"clients-ca.pem\"\nverify = true\nown_cert = \"own.pem\"\nown_key = \"own.key\"\n";
const ANY_PORTS: &str = "nats.client = \"127.0.0.1:0\"\nnats.monitoring = \"127.0.0.1:0\"\n\
                         nats.websocket = \"off\"\nhealth.listen = \"127.0.0.1:0\"\n\
                         registry.listen = \"127.0.0.1:0\"\nconsole.listen = \"127.0.0.1:0\"\n";

/// Starts twice, since the second start meets what the first one wrote.
fn runs(what: &str, node: &str, has: &[&str], lacks: &[&str]) {
    let pki = Pki::new(&format!("name = \"school-1\"\n{node}"));
    for _ in 0..2 {
        let ran = pki.place.run(&["dev", "--once", "--any-port"]);
        assert_eq!(ran.code, 0, "{what}\nstdout:\n{}\nstderr:\n{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("checked: ready, and nothing differs"), "{what}:\n{}", ran.stdout);
        for word in has {
            assert!(ran.stdout.contains(word), "{what}: no `{word}` in\n{}", ran.stdout);
        }
        for word in lacks {
            assert!(!ran.stdout.contains(word), "{what}: `{word}` in\n{}", ran.stdout);
        }
    }
}

#[test]
fn a_node_runs_with_tls_for_its_clients() {
    runs("tls, no certificates asked for", TLS, &["tls://127.0.0.1:"], &["nats://"]);
    runs("tls, certificates asked for", &format!("{TLS}{VERIFY}"), &["tls://127.0.0.1:"], &["nats://"]);
}

#[test]
fn a_node_runs_with_any_listener_off_that_may_be() {
    let off = [
        ("health off", "health.listen = \"off\"", "/readyz"),
        ("registry off", "registry.listen = \"off\"", "docker"),
        ("websocket off", "nats.websocket = \"off\"", "ws://"),
        ("encryption off", "jetstream.encryption = \"off\"", "mqtt://"),
    ];
    for (what, node, lacks) in off {
        runs(what, node, &["nats://127.0.0.1:"], &[lacks]);
    }
    runs("mqtt on", "nats.mqtt = \"127.0.0.1:0\"", &["mqtt://127.0.0.1:", "ws://127.0.0.1:"], &[]);
}

#[test]
fn a_node_runs_on_ipv6() {
    if let Err(error) = TcpListener::bind("[::1]:0") {
        runtime::testing::skipped(&format!("this machine has no IPv6 loopback ({error})"));
        return;
    }
    let node = "nats.client = \"[::1]:0\"\nnats.monitoring = \"[::1]:0\"\nnats.websocket = \"[::1]:0\"\n\
                health.listen = \"[::1]:0\"\nregistry.listen = \"[::1]:0\"\nconsole.listen = \"[::1]:0\"\n";
    runs("ipv6", node, &["nats://[::1]:", "http://[::1]:", "ws://[::1]:"], &["127.0.0.1"]);
}

/// leafbox's daemons showed the server's certificate, which is none for clients, and were refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_asks_for_certificates_takes_leafbox_by_its_own() {
    let pki = Pki::new(&format!("name = \"school-1\"\n{ANY_PORTS}{TLS}{VERIFY}"));
    let node = pki.place.start(&["dev"]);
    for command in [&["plan"][..], &["apply"], &["auth", "test"], &["status"], &["health"]] {
        pki.place.run(command).expect(0);
    }
    let url = format!("tls://{}", node.address("client"));
    let till = pki.client(Some("till")).connect(&url).await.unwrap();
    client::publish(&till, "events.teacher.marks", "event", 0..10).await;
    // No certificate, one of the servers' authority, and the server's own.
    for refused in [None, Some("foreign"), Some("server")] {
        assert!(pki.client(refused).connect(&url).await.is_err(), "{refused:?} was let in");
    }

    pki.place.run(&["context", "--account", "SCHOOL", "--service", "teacher-service"]).expect(0);
    let context = pki.place.read("config/nats/context/school-1-SCHOOL-teacher-service.json");
    let context: serde_json::Value = serde_json::from_str(&context).unwrap();
    for (key, file) in [("ca", "server.pem"), ("cert", "own.pem"), ("key", "own.key")] {
        assert_eq!(context[key].as_str().map(PathBuf::from), Some(pki.file(file)), "{context}");
    }
    assert_eq!(context["url"], url);
    pki.client(Some("own")).connect(&url).await.unwrap();
    assert_eq!(node.stop(), 0);
}

#[test]
fn an_own_certificate_that_does_not_serve_is_told_with_its_file() {
    let node = |own: &str| format!("name = \"school-1\"\n{ANY_PORTS}{TLS}{}", VERIFY.replace("own.pem", own));
    let pki = Pki::new(&node("till.pem"));
    pki.place.run(&["dev", "--once"]).says(1, &["own.key"]);
    pki.place.write("node.toml", &node("missing.pem"));
    pki.place.run(&["dev", "--once"]).says(1, &["missing.pem"]);
    pki.place.write("node.toml", &node("own.pem"));
    fs::set_permissions(pki.file("own.key"), fs::Permissions::from_mode(0o644)).unwrap();
    pki.place.run(&["dev", "--once"]).says(1, &["own.key", "chmod 600"]);
}

fn links(node: &Node) -> u64 {
    node.monitoring("/leafz").and_then(|leafz| leafz["leafnodes"].as_u64()).unwrap_or(0)
}

/// nats-server takes `tls://` of a leaf's URL for no promise: without a `tls` block it joined
/// whoever answered in clear.
#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_that_is_told_tls_does_not_join_in_clear() {
    let proxy = Proxy::start().await;
    let uplink = |scheme: &str| {
        format!("name = \"school-1\"\n{ANY_PORTS}uplink.urls = [\"{scheme}://{}\"]\n", proxy.address())
    };
    let leaf_place = Place::new(&uplink("tls"), FLEET);
    let leaf = leaf_place.start(&["dev"]);
    let jwts = leaf_place.path(".data/jwts");
    let hub = Place::new(
        &format!(
            "name = \"hub-1\"\nrole = \"hub\"\njwts = {jwts:?}\n{ANY_PORTS}nats.leaf = \"127.0.0.1:0\"\n"
        ),
        FLEET,
    );
    let mut command = hub.command(&["run"]);
    command.env("CREDENTIALS_DIRECTORY", leaf_place.path(".data/keys"));
    let hub = hub.start_command(command);
    proxy.heal(hub.address("leaf"));
    eventually("the leaf insists on TLS", || {
        leaf_place.read(".data/run/leafbox.log").contains("TLS Handshake Failure")
    });
    assert_eq!((links(&leaf), links(&hub)), (0, 0));
    assert_eq!(leaf.stop(), 0);

    // What is declared in clear joins in clear.
    leaf_place.write("node.toml", &uplink("nats-leaf"));
    let leaf = leaf_place.start(&["dev"]);
    eventually("the link is up", || links(&leaf) >= 3);
    assert_eq!(leaf.stop(), 0);
    assert_eq!(hub.stop(), 0);
}

#[test]
fn check_asks_for_the_own_certificate() {
    let pki = Pki::new(&format!("name = \"school-1\"\n{TLS}ca = \"clients-ca.pem\"\nverify = true\n"));
    let told = pki.place.run(&["check"]).expect(2);
    for word in ["node.toml:6  nats.tls.client.verify", "locked out", "`own_cert` and `own_key`"] {
        assert!(told.contains(word), "no `{word}` in:\n{told}");
    }
    pki.place.write("node.toml", &format!("name = \"school-1\"\n{TLS}{VERIFY}"));
    pki.place.run(&["check"]).expect(0);
}
