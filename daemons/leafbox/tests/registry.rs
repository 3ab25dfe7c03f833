//! `leafbox registry` on a running node, as a user types it; images come over HTTP, as clients send them.
#![allow(clippy::unwrap_used)]

mod harness;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use data_encoding::BASE64;
use harness::{DEADLINE, Node, PORTS, Place, Ran, client, eventually, proxy::Proxy};
use registry::{Algorithm, chunks::Hasher};
use serde_json::{Value, json};

const NODE: &str = include_str!("../../../examples/school/node.toml");
const FLEET: &str = include_str!("../../../examples/school/fleet.toml");
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A node whose registry takes pushes without a token, from this machine.
fn place(registry: &str) -> Place {
    Place::new(&format!("{NODE}\n[registry]\n{registry}\n"), FLEET)
}

/// Status and body of a request.
fn http(address: SocketAddr, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n{headers}\r\n"
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn digest(bytes: &[u8]) -> String {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    hasher.digest().to_string()
}

/// Pushes an image of one layer, and gives its digest.
fn push(node: &Node, repository: &str, tag: &str, layer: &[u8]) -> String {
    let address = node.address("registry");
    eventually("the registry answers", || http(address, "GET", "/v2/", "", b"").0 < 500);
    let configuration = json!({ "os": "linux", "architecture": "arm64", "config": {} }).to_string();
    let descriptor = |media_type: &str, bytes: &[u8]| {
        let path = format!("/v2/{repository}/blobs/uploads/?digest={}", digest(bytes));
        let headers = "Content-Type: application/octet-stream\r\n";
        assert_eq!(http(address, "POST", &path, headers, bytes).0, 201);
        json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": descriptor("application/vnd.oci.image.config.v1+json", configuration.as_bytes()),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    });
    let manifest = manifest.to_string();
    let path = format!("/v2/{repository}/manifests/{tag}");
    let headers = format!("Content-Type: {IMAGE}\r\n");
    assert_eq!(http(address, "PUT", &path, &headers, manifest.as_bytes()).0, 201);
    digest(manifest.as_bytes())
}

fn names(rows: &Value, field: &str) -> Vec<String> {
    rows.as_array().unwrap().iter().map(|row| row[field].as_str().unwrap().to_owned()).collect()
}

#[test]
fn images_are_listed_copied_deleted_and_their_space_comes_back() {
    let place = place("anonymous = \"push\"");
    let node = place.start(&["dev", "--any-port"]);
    let empty = place.run(&["registry", "ls"]).expect(0);
    assert!(empty.contains("the first push to one makes it"), "{empty}");

    let (old, new) = (vec![1; 300_000], vec![2; 200_000]);
    push(&node, "team/app", "1.0", &old);
    let latest = push(&node, "team/app", "latest", &new);
    let rows = place.run(&["registry", "ls", "--json"]).json(0);
    assert_eq!(names(&rows, "repository"), ["team/app"]);
    assert_eq!((&rows[0]["tags"], &rows[0]["manifests"]), (&json!(2), &json!(2)));
    assert!(place.run(&["registry", "ls", "other/**"]).expect(0).contains("no repository is named like"));
    let rows = place.run(&["registry", "tags", "team/app", "--json"]).json(0);
    assert_eq!(names(&rows, "tag"), ["1.0", "latest"]);
    assert_eq!((&rows[1]["digest"], &rows[1]["by"]), (&json!(latest), &json!("anonymous")));

    // A repository alone is its tag `latest`.
    let shown = place.run(&["registry", "inspect", "team/app"]).expect(0);
    for word in [&*latest, "linux/arm64", "by anonymous", "pushed here", &digest(&new), "Changes of the tag"]
    {
        assert!(shown.contains(word), "no {word} in:\n{shown}");
    }
    let image = format!("team/app@{latest}");
    let shown = place.run(&["registry", "inspect", &image, "--json"]).json(0);
    assert_eq!(shown["manifest"]["layers"][0]["digest"], json!(digest(&new)));
    assert_eq!((&shown["tags"], &shown["platform"]), (&json!(["latest"]), &json!("linux/arm64")));

    let said = place.run(&["registry", "copy", "team/app:latest", "prod/app:stable"]).expect(0);
    assert!(said.contains(&format!("prod/app:stable is {latest}")), "{said}");
    let du = place.run(&["registry", "du", "--json"]).json(0);
    assert_eq!(names(&du["repositories"], "repository"), ["prod/app", "team/app"]);
    assert!(du["repositories"][0]["shared"].as_u64() > Some(200_000), "{du}");
    assert!(du["blob_bytes"].as_u64() < Some(510_000), "stored once: {du}");
    assert!(du["disk_bytes"].as_u64() >= du["stream_bytes"].as_u64(), "{du}");

    // Nobody can be asked, and nothing is deleted by a default.
    place.run(&["registry", "rm", "team/app"]).says(1, &["team/app:TAG"]);
    place.run(&["registry", "rm", "team/app:1.0"]).says(1, &["--yes"]);
    place.run(&["registry", "rm", "team/app:1.0", "--yes"]).says(0, &["can be pulled by digest"]);
    assert_eq!(names(&place.run(&["registry", "tags", "team/app", "--json"]).json(0), "tag"), ["latest"]);
    place
        .run(&["registry", "rm", &image, "--yes"])
        .says(0, &["its tags go too: latest", "no space comes back"]);
    let foreseen = place.run(&["registry", "gc", "--now", "--dry-run", "--json"]).json(0);
    assert_eq!((&foreseen["links"], &foreseen["blobs"]), (&json!(1), &json!(0)), "prod/app has it");
    place.run(&["registry", "rm", &format!("prod/app@{latest}"), "--yes"]).expect(0);

    let waits = place.run(&["registry", "gc"]).expect(0);
    assert!(waits.contains("nothing to delete") && waits.contains("--now does not wait"), "{waits}");
    let freed = place.run(&["registry", "gc", "--now", "--json"]).json(0);
    assert!(freed["bytes"].as_u64() > Some(200_000), "{freed}");
    assert!(place.run(&["registry", "gc", "--now"]).expect(0).contains("there is nothing to delete"));
    let left = place.run(&["registry", "ls", "--json"]).json(0);
    assert_eq!(names(&left, "repository"), ["team/app"], "without a tag, its first image is still there");
    assert_eq!(node.stop(), 0);
}

/// What the audit stream tells, as who did what to which repository and reference.
async fn audited(place: &Place, node: &Node) -> Vec<[String; 4]> {
    let creds = identity::layout::apply_creds(&place.path(".data/keys"), &"LEAFBOX".parse().unwrap());
    let client = client::connect(&node.url(), &creds).await;
    let events = client::payloads(&client, "LEAFBOX_AUDIT").await.into_iter();
    let told = events.map(|event| {
        let event: Value = serde_json::from_str(&event).unwrap();
        ["who", "what", "repository", "reference"]
            .map(|field| event[field].as_str().unwrap_or_default().to_owned())
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_command_and_retention_change_is_in_the_audit_stream() {
    let rule = "[[registry.retain]]\nrepositories = \"old/*\"\ntags = \"**\"\nnewest = 1\n";
    let node_file = format!("{NODE}\n[registry]\nanonymous = \"push\"\n");
    let place = Place::new(&node_file, &format!("{FLEET}\n{rule}"));
    let node = place.start(&["dev", "--any-port"]);
    let digest = push(&node, "team/app", "v1", b"layer");
    push(&node, "old/app", "v1", b"older");
    push(&node, "old/app", "v2", b"newer");
    place.run(&["registry", "copy", "team/app:v1", "prod/app:v2"]).expect(0);
    place.run(&["registry", "rm", "team/app:v1", "--yes"]).expect(0);
    place.run(&["registry", "rm", &format!("prod/app@{digest}"), "--yes"]).expect(0);
    place.run(&["registry", "rm", "team/app:v1", "--yes"]).says(1, &["no tag v1"]);
    place.run(&["registry", "gc"]).expect(0);
    let told = audited(&place, &node).await;
    let of = |who: &str| told.iter().filter(|[name, ..]| name == who).collect::<Vec<_>>();
    assert_eq!(of("anonymous").len(), 3, "{told:?}");
    assert_eq!(
        of("command"),
        [
            &["command", "pushed", "prod/app", "v2"].map(str::to_owned),
            &["command", "deleted", "team/app", "v1"].map(str::to_owned),
            &["command", "deleted", "prod/app", &digest].map(str::to_owned),
        ]
    );
    assert_eq!(of("retention"), [&["retention", "deleted", "old/app", "v1"].map(str::to_owned)]);
    assert_eq!(node.stop(), 0);
}

/// A hub on another "machine", which has the keys and JWTs of `operator`.
struct Hub<'a> {
    place: Place,
    operator: &'a Place,
}

impl<'a> Hub<'a> {
    fn new(operator: &'a Place, listeners: &str, fleet: &str) -> Self {
        let jwts = operator.path(".data/jwts");
        let node =
            format!("name = \"hub-1\"\nrole = \"hub\"\njwts = {jwts:?}\n{listeners}leaf = \"127.0.0.1:0\"\n");
        Self { place: Place::new(&node, fleet), operator }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.place.command(arguments);
        command.env("CREDENTIALS_DIRECTORY", self.operator.path(".data/keys"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }
}

/// Bytes that no link can compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let bytes = (0..length).map(|_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    });
    bytes.collect()
}

/// The images that a node's status says are still to come to the hub.
fn waiting(status: Ran) -> Vec<String> {
    names(&status.json(0)["waiting_for_hub"], "repository")
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_copied_from_the_hub_and_what_waits_for_it_is_told() {
    let proxy = Proxy::start().await;
    let fleet = format!("{FLEET}\n[registry]\ntravel = {{ up = [\"sites/**\"] }}\n");
    let listeners = PORTS.replace("[registry]", "[registry]\nanonymous = \"push\"");
    let uplink =
        format!("name = \"school-1\"\n{listeners}\n[uplink]\nurls = [\"nats-leaf://{}\"]\n", proxy.address());
    let leaf_place = Place::new(&uplink, &fleet);
    let leaf = leaf_place.start(&["dev"]);
    push(&leaf, "sites/app", "v1", b"of the site");
    let status = leaf_place.run(&["registry", "status"]).expect(0);
    assert!(status.contains("On their way to the hub") && status.contains("sites/app:v1"), "{status}");
    assert_eq!(waiting(leaf_place.run(&["registry", "status", "--json"])), ["sites/app"]);
    leaf_place.run(&["registry", "copy", "hub://team/app:v1", "team/app:v1"]).says(1, &["hub"]);

    let hub = Hub::new(&leaf_place, &listeners, &fleet);
    hub.run(&["registry", "copy", "a:v1", "hub://a:v1"]).says(1, &["this is the hub", "without `hub://`"]);
    let node = hub.place.start_command(hub.command(&["run"]));
    let layer = noise(16 << 20);
    let digest = push(&node, "team/app", "v1", &layer);
    proxy.heal(node.address("leaf"));
    eventually("nothing waits", || waiting(leaf_place.run(&["registry", "status", "--json"])).is_empty());
    assert_eq!(names(&hub.run(&["registry", "tags", "sites/app", "--json"]).json(0), "tag"), ["v1"]);

    proxy.slow_down();
    let mut copying = leaf_place.command(&["registry", "copy", "hub://team/app:v1", "team/app:v1"]);
    let copying = copying.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("its progress is told", || {
        let status = leaf_place.run(&["registry", "status", "--json"]).json(0);
        let upload = &status["uploads"][0];
        upload["repository"] == "team/app" && upload["size"] == layer.len()
    });
    let copied = Ran::of(copying.wait_with_output().unwrap()).expect(0);
    assert!(copied.contains(&format!("team/app:v1 is {digest}")), "{copied}");
    let shown = leaf_place.run(&["registry", "inspect", "team/app:v1", "--json"]).json(0);
    assert_eq!((&shown["digest"], &shown["origin"]), (&json!(digest), &json!("hub")));
    // A regression test: the command promised what the daemon does not do.
    let back = leaf_place.run(&["registry", "copy", "team/app:v1", "hub://team/app:v1"]);
    back.says(1, &["came from the hub", "registry copy team/app:v1 REPOSITORY:TAG"]);

    // A regression test: it waited for ever, as at the hub nobody takes an announcement back.
    hub.run(&["registry", "copy", "sites/app:v1", "sites/app:v2"]).expect(0);
    assert_eq!(waiting(hub.run(&["registry", "status", "--json"])), [""; 0]);
    assert_eq!((leaf.stop(), node.stop()), (0, 0));
}

#[test]
fn a_token_lets_in_until_it_is_revoked() {
    let place = place("anonymous = \"none\"");
    let node = place.start(&["dev", "--any-port"]);
    let address = node.address("registry");
    let may = |secret: &str| {
        let login = BASE64.encode(format!("ci:{secret}").as_bytes());
        http(address, "GET", "/v2/", &format!("Authorization: Basic {login}\r\n"), b"").0
    };
    eventually("the registry answers", || http(address, "GET", "/v2/", "", b"").0 == 401);

    let arguments = ["registry", "token", "add", "ci", "--repo", "team/*", "--push", "--expires", "90d"];
    let added = place.run(&arguments);
    added.says(0, &["may pull push in team/*", &format!("docker login -u ci {address}")]);
    let secret = added.stdout.trim();
    assert!(secret.starts_with("lbr_") && !added.stderr.contains(secret), "the secret is all of stdout");
    assert_eq!((may(secret), may("lbr_else")), (200, 401));
    place.run(&arguments).says(1, &["there is a token `ci`"]);

    let listed = place.run(&["registry", "token", "list"]).expect(0);
    assert!(listed.contains("team/*") && listed.contains(" days)"), "{listed}");
    let rows = place.run(&["registry", "token", "list", "--json"]).json(0);
    // A regression test: docker asks with HEAD before it pushes, and was refused.
    assert_eq!((&rows[0]["push"], &rows[0]["pull"]), (&json!(true), &json!(true)));
    let head = |secret: &str| {
        let login = BASE64.encode(format!("ci:{secret}").as_bytes());
        let path = format!("/v2/team/app/blobs/sha256:{}", "0".repeat(64));
        http(address, "HEAD", &path, &format!("Authorization: Basic {login}\r\n"), b"").0
    };
    assert_eq!(head(secret), 404);
    assert!(rows[0].get("hash").is_none(), "{rows}");

    place.run(&["registry", "token", "revoke", "ci"]).expect(0);
    eventually("the revoked token is refused", || may(secret) == 401);
    place.run(&["registry", "token", "revoke", "ci"]).says(1, &["no token `ci`", "token list"]);
    let json = ["registry", "token", "add", "ro", "--repo", "**", "--json"];
    let made = place.run(&json).json(0);
    assert_eq!((&made["pull"], &made["push"]), (&json!(true), &json!(false)), "pull is the default");
}

#[test]
fn everything_but_the_daemons_own_state_is_told_without_the_daemon() {
    let place = place("listen = \"off\"");
    let _node = place.start(&["dev", "--any-port"]);
    let status = place.run(&["registry", "status"]).expect(0);
    assert!(status.contains("the daemon does not run") && status.contains("collected  not yet"), "{status}");
    let status = place.run(&["registry", "status", "--json"]).json(0);
    assert!(status["daemon"].is_null() && status["error"].is_string(), "{status}");
    place.run(&["registry", "gc"]).expect(0);
    assert!(place.run(&["registry", "status", "--json"]).json(0)["collected"].is_u64());
    place.run(&["registry", "token", "add", "ci", "--repo", "**"]).expect(0);
}

#[test]
fn a_mistake_is_answered_with_what_to_do() {
    let place = place("");
    place.run(&["registry", "ls"]).says(1, &["no node runs", "leafbox dev"]);
    place
        .run(&["registry", "inspect", "localhost:5000/team/app:1"])
        .says(2, &["leave out the host: `team/app`"]);
    place.run(&["registry", "inspect", "Team/app"]).says(2, &["lower-case"]);
    place.run(&["registry", "copy", "docker://a/b:1", "c"]).says(2, &["hub://team/app:1.2", "skopeo copy"]);
    place.run(&["registry", "token", "add", "ci"]).says(2, &["--repo"]);
    place.run(&["registry", "token", "add", "ci", "--repo", "a//b"]).says(2, &["empty path component"]);

    let node = place.start(&["dev", "--any-port"]);
    place.run(&["registry", "tags", "team/app"]).says(1, &["no repository team/app", "registry ls"]);
    place.run(&["registry", "copy", "hub://team/app:1", "x"]).says(1, &["no uplink to a hub"]);
    place.run(&["registry", "copy", "team/app:1", "x"]).says(1, &["no repository team/app"]);
    let status = place.run(&["registry", "status"]).expect(0);
    assert!(status.contains("ready") && status.contains("0 repositories"), "{status}");
    assert_eq!(node.stop(), 0);
}
