//! Snapshots of the configuration of each kind of node. With a nats-server at hand, every one of
//! them is also given to `nats-server -t`, so that a snapshot nobody can start never lands.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use nats_conf::{Input, JETSTREAM_KEY_VARIABLE, Link, Trust, TrustedAccount, render};
use settings::{ByteSize, Fleet, Node};

const OPERATOR: &str = include_str!("fixtures/operator.jwt");
const SYS: (&str, &str) =
    ("ABNXFOIA63EEILVBKJQ7GN7ZZCS4NIAEQUWEHMI7FGGAW4BRNCLJZRSM", include_str!("fixtures/SYS.jwt"));
const LEAFBOX: (&str, &str) =
    ("ADYGNIKYRCE2NJZ5O6Z2TQ2W4TVLEVOACI457GMRMSN7PSN5Q2HXHRWB", include_str!("fixtures/LEAFBOX.jwt"));
const SHOP: (&str, &str) =
    ("ABJOQ3W5AJAZ3T7ZAY6BEHA75G24NTBPSYXX4LS7B7JJWPRLAX6BOXMX", include_str!("fixtures/SHOP.jwt"));

const FLEET: &str = r#"
name = "fixture"
[nodes]
hub = ["hub-1", "hub-2", "hub-3"]
leaves = ["shop-1"]
[accounts.SHOP]
"#;

/// Renders with the folders of a machine that is nobody's, so that snapshots are the same
/// everywhere.
fn configuration(fleet: &str, node: &str) -> String {
    render_in(fleet, node, Path::new("/var/lib/leafbox"), Path::new("/run/credentials"))
}

fn render_in(fleet: &str, node: &str, data: &Path, credentials: &Path) -> String {
    let fleet: Fleet = toml::from_str(fleet).unwrap();
    let node: Node = toml::from_str(node).unwrap();
    let accounts = [("SYS", SYS), ("LEAFBOX", LEAFBOX), ("SHOP", SHOP)]
        .map(|(name, (public_key, jwt))| TrustedAccount { name, public_key, jwt: jwt.trim_end() });
    let link = |name: &str, account: (&str, &str), denied: &[&str]| Link {
        name: name.parse().unwrap(),
        account: account.0.to_owned(),
        credentials: credentials.join(format!("leaf-{name}.creds")),
        deny_imports: denied.iter().map(ToString::to_string).collect(),
        deny_exports: denied.iter().map(ToString::to_string).collect(),
    };
    let links = [link("SYS", SYS, &[]), link("SHOP", SHOP, &["orders.>", "$KV.stock.>"])];
    render(&Input {
        node: &node,
        fleet: &fleet,
        trust: Trust { operator: OPERATOR.trim_end(), system_account: SYS.0, accounts: &accounts },
        links: &links,
        data,
        credentials,
        max_storage: ByteSize::gib(10),
    })
}

const ALONE: &str = "name = \"shop-1\"";

const EVERYTHING: &str = r#"
name = "shop-1"
region = "eu-west"
tags = ["van", "quo\"ted"]
[nats]
client = "0.0.0.0:4222"
client_advertise = "shop-1.example.net:4222"
websocket = "[::]:9222"
websocket_origins = ["https://app.example.net", "http://localhost:3000"]
mqtt = "127.0.0.1:0"
max_connections = 500
max_payload = "2MiB"
ping_interval = "20s"
ping_max = 3
write_deadline = "5s"
[nats.tls.client]
cert = "client.crt"
key = "client.key"
ca = "ca.crt"
verify = true
own_cert = "own.crt"
own_key = "own.key"
[nats.tls.websocket]
cert = "client.crt"
key = "client.key"
min_version = "1.2"
[nats.tls.mqtt]
cert = "client.crt"
key = "client.key"
[jetstream]
max_memory = "16MiB"
max_storage = "2GiB"
encryption = "chacha"
[uplink]
urls = ["tls://hub-1.example.net:7422", "tls://hub-2.example.net:7422"]
ca = "ca.crt"
cert = "client.crt"
key = "client.key"
min_version = "1.2"
"#;

const HUB: &str = r#"
name = "hub-1"
role = "hub"
region = "ams"
[nats]
client = "[::]:4222"
leaf = "[::]:7422"
leaf_advertise = "hub.example.net:7422"
route = "[::]:6222"
websocket = "off"
[nats.tls.leaf]
cert = "client.crt"
key = "client.key"
[nats.tls.route]
cert = "client.crt"
key = "client.key"
ca = "ca.crt"
verify = true
[cluster]
routes = ["nats-route://hub-2.example.net:6222", "nats-route://hub-3.example.net:6222"]
advertise = "hub-1.example.net:6222"
[jetstream]
encryption = "off"
"#;

const LONE_HUB: &str = "name = \"hub-1\"\nrole = \"hub\"";
const LONE_HUB_FLEET: &str = "name = \"fixture\"\n[nodes]\nhub = [\"hub-1\"]\nleaves = [\"shop-1\"]";

const ANY_PORT: &str = r#"
name = "shop-1"
[nats]
client = "127.0.0.1:0"
monitoring = "127.0.0.1:0"
websocket = "127.0.0.1:0"
[uplink]
urls = ["nats-leaf://127.0.0.1:7422"]
"#;

const ALL_OFF: &str = r#"
name = "shop-1"
nats.websocket = "off"
nats.mqtt = "off"
health.listen = "off"
jetstream.encryption = "off"
uplink.urls = ["nats-leaf://127.0.0.1:7422", "nats://127.0.0.1:7423"]
"#;

const IPV6: &str = r#"
name = "shop-1"
[nats]
client = "[::1]:4222"
monitoring = "[::1]:0"
websocket = "[fd00::1]:9222"
mqtt = "[::]:1883"
[uplink]
urls = ["wss://[fd00::2]:443"]
"#;

const HUB_ALL_OFF: &str = r#"
name = "hub-1"
role = "hub"
[nats]
websocket = "off"
leaf = "off"
route = "off"
"#;

fn cases() -> [(&'static str, &'static str, &'static str); 8] {
    [
        ("leaf_alone", FLEET, ALONE),
        ("leaf_with_everything", FLEET, EVERYTHING),
        ("leaf_any_port", FLEET, ANY_PORT),
        ("hub_of_three", FLEET, HUB),
        ("hub_alone", LONE_HUB_FLEET, LONE_HUB),
        ("leaf_with_all_off", FLEET, ALL_OFF),
        ("leaf_on_ipv6", FLEET, IPV6),
        ("hub_with_all_off", LONE_HUB_FLEET, HUB_ALL_OFF),
    ]
}

#[test]
fn snapshots() {
    for (name, fleet, node) in cases() {
        let text = configuration(fleet, node);
        // The JWTs are what they are in the fixtures: only noise in a diff.
        let short = [OPERATOR, SYS.1, LEAFBOX.1, SHOP.1]
            .iter()
            .fold(text, |text, jwt| text.replace(jwt.trim_end(), "<jwt>"));
        insta::assert_snapshot!(name, short);
    }
}

#[test]
fn no_secret_stands_in_the_text() {
    for (_, fleet, node) in cases() {
        let text = configuration(fleet, node);
        assert!(!text.contains("BEGIN"), "a creds or key file was copied in");
        let key_lines: Vec<&str> =
            text.lines().map(str::trim).filter(|line| line.starts_with("key:")).collect();
        assert!(key_lines.iter().all(|line| *line == format!("key: ${JETSTREAM_KEY_VARIABLE}")));
    }
}

/// nats-server without `listen` opens port 4222 on every address.
#[test]
fn a_client_listener_that_is_off_opens_nothing_to_others() {
    let text = configuration(FLEET, "name = \"shop-1\"\nnats.client = \"off\"");
    assert!(text.contains("\nlisten: \"127.0.0.1:-1\"\n"), "{text}");
}

/// Writes the certificate, key and creds files that a configuration names.
fn files(credentials: &Path) {
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(credentials.join("client.crt"), pair.cert.pem()).unwrap();
    std::fs::write(credentials.join("ca.crt"), pair.cert.pem()).unwrap();
    std::fs::write(credentials.join("client.key"), pair.signing_key.serialize_pem()).unwrap();
    for name in ["SYS", "SHOP"] {
        std::fs::write(credentials.join(format!("leaf-{name}.creds")), "").unwrap();
    }
}

fn accepted(binary: &Path, folder: &Path, text: &str) -> Result<(), String> {
    let file: PathBuf = folder.join("nats-server.conf");
    std::fs::write(&file, text).unwrap();
    let output = std::process::Command::new(binary)
        .arg("-t")
        .arg("-c")
        .arg(&file)
        // Quoted: the parser would read a key that starts with digits as a number.
        .env(JETSTREAM_KEY_VARIABLE, "\"12345678901234567890123456789012\"")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

#[tokio::test]
async fn nats_server_accepts_every_snapshot() {
    let binary = supervisor::testing::nats_server_binary().await;
    for (name, fleet, node) in cases() {
        let folder = tempfile::tempdir().unwrap();
        files(folder.path());
        let text = render_in(fleet, node, folder.path(), folder.path());
        accepted(&binary, folder.path(), &text).unwrap_or_else(|said| panic!("{name}: {said}\n{text}"));
    }
}

#[tokio::test]
async fn nats_server_refuses_a_snapshot_with_a_misspelt_key() {
    let binary = supervisor::testing::nats_server_binary().await;
    let folder = tempfile::tempdir().unwrap();
    files(folder.path());
    let text = render_in(FLEET, ALONE, folder.path(), folder.path()).replace("store_dir", "store_dri");
    assert!(accepted(&binary, folder.path(), &text).is_err(), "the check above would notice nothing");
}
