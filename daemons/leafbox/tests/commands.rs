//! The commands beside `dev` and `run`, on a running node, as a user types them.
#![allow(clippy::unwrap_used)]

mod harness;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use async_nats::{ConnectOptions, Event};
use harness::{Node, Place, client};
use serde_json::Value;
use tokio::{sync::mpsc, time::timeout};

const NODE: &str = include_str!("../../../examples/school/node.toml");
const FLEET: &str = include_str!("../../../examples/school/fleet.toml");

fn start() -> (Place, Node) {
    let place = Place::new(NODE, FLEET);
    let node = place.start(&["dev", "--any-port"]);
    (place, node)
}

fn keys(place: &Place, name: &str) -> PathBuf {
    place.path(".data/keys").join(name)
}

/// A connection that tells when the server ends it, and that does not come back.
async fn watched(node: &Node, creds: &Path) -> (async_nats::Client, mpsc::UnboundedReceiver<()>) {
    let (sender, ended) = mpsc::unbounded_channel();
    let options = ConnectOptions::with_credentials_file(creds).await.unwrap().max_reconnects(1);
    let options = options.event_callback(move |event| {
        if matches!(event, Event::Disconnected | Event::Closed) {
            // The receiver is gone once the test has seen enough.
            let _ = sender.send(());
        }
        std::future::ready(())
    });
    (options.connect(node.url()).await.unwrap(), ended)
}

/// In the very second that it expires, the server still lets a user in.
async fn assert_refused(node: &Node, creds: &Path) {
    let give_up = tokio::time::Instant::now() + harness::DEADLINE;
    let error = loop {
        let options = ConnectOptions::with_credentials_file(creds).await.unwrap();
        match options.connect(node.url()).await {
            Err(error) => break error.to_string().to_lowercase(),
            Ok(_) => assert!(tokio::time::Instant::now() < give_up, "{} is let in", creds.display()),
        }
    };
    let reasons = ["authorization violation", "authentication expired"];
    assert!(reasons.iter().any(|reason| error.contains(reason)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_added_planned_and_applied() {
    let (place, node) = start();
    let added = place
        .run(&[
            "service",
            "add",
            "SCHOOL",
            "office",
            "--publish",
            "events.office.*",
            "--subscribe",
            "_INBOX.>",
        ])
        .expect(0);
    for words in ["added office to SCHOOL", "role office publish", "events.office.*", "`leafbox apply`"] {
        assert!(added.contains(words), "no `{words}` in:\n{added}");
    }
    let edited = place.read("fleet.toml");
    for line in FLEET.lines() {
        assert!(edited.lines().any(|found| found == line), "the line `{line}` is gone:\n{edited}");
    }
    assert!(place.run(&["plan"]).expect(2).contains("role office"));
    assert!(!keys(&place, "roles/SCHOOL/office.nk").exists(), "a plan made a key");
    place.run(&["apply"]).expect(0);
    place.run(&["plan"]).expect(0);

    let printed = place.run(&["service", "creds", "SCHOOL", "office"]).expect(0);
    let creds = PathBuf::from(printed.trim());
    assert!(creds.ends_with("services/SCHOOL/office.creds") && creds.exists(), "{printed}");
    let office = client::connect(&node.url(), &creds).await;
    client::publish(&office, "events.office.opened", "event", 0..3).await;
    place.run(&["auth", "test"]).expect(0);

    let again = place.run(&["service", "add", "SCHOOL", "office", "--publish", "a.b"]);
    again.says(1, &["already has a service `office`", "use another name"]);
    let unknown = place.run(&["service", "add", "SCHOL", "office", "--publish", "a.b"]);
    unknown.says(1, &["no account `SCHOL`", "SCHOOL"]);
    let wrong = place.run(&["service", "add", "SCHOOL", "porter", "--publish", "a..b"]);
    wrong.says(1, &["`a..b`", "empty token"]);
    assert_eq!(place.read("fleet.toml"), edited);
    assert_eq!(node.stop(), 0);
}

#[test]
fn a_new_account_is_planned_and_applied_with_its_stores() {
    let (place, node) = start();
    let more = "[accounts.SHOP.services.till]\npublish = [\"orders.>\"]\n\
                [accounts.SHOP.streams.ORDERS]\nsubjects = [\"orders.>\"]\nmax_bytes = \"1MiB\"\n";
    place.write("fleet.toml", &format!("{FLEET}\n{more}"));
    let planned = place.run(&["plan"]).expect(2);
    assert!(
        planned.contains("+ SHOP account: new")
            && planned.contains("the stores of SHOP are made once the account is"),
        "{planned}"
    );
    place.run(&["apply"]).expect(0);
    place.run(&["plan"]).expect(0);
    place.run(&["auth", "test", "--account", "SHOP"]).expect(0);
    assert_eq!(node.stop(), 0);
}

#[test]
fn services_are_listed_with_their_permissions() {
    let place = Place::new(NODE, FLEET);
    let before = place.run(&["service", "list", "--json"]).json(0);
    assert!(before.as_array().unwrap().iter().all(|service| service["creds"].is_null()), "{before}");
    place.run(&["dev", "--once", "--any-port"]).expect(0);
    let listed = place.run(&["service", "list", "--json"]).json(0);
    let listed = listed.as_array().unwrap();
    let names: Vec<&str> = listed.iter().map(|service| service["service"].as_str().unwrap()).collect();
    assert_eq!(names, ["notification-service", "teacher-service", "user-service"]);
    let teacher = &listed[1];
    assert_eq!(teacher["account"], "SCHOOL");
    assert_eq!(teacher["permissions"]["publish"], serde_json::json!(["teacher.*", "events.teacher.*"]));
    assert!(Path::new(teacher["creds"].as_str().unwrap()).is_file());
    let table = place.run(&["service", "list"]).expect(0);
    assert!(table.contains("teacher-service") && table.contains("events.teacher.*"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minted_user_has_its_roles_permissions() {
    let (place, node) = start();
    let mint = ["user", "mint", "SCHOOL", "teacher-service", "--name", "guest"];
    let minted = place.run(&[&mint[..], &["-o", "guest.creds"]].concat()).expect(0);
    assert!(minted.contains("guest.creds") && minted.contains("(U"), "{minted}");
    let guest = client::connect(&node.url(), &place.path("guest.creds")).await;
    client::publish(&guest, "events.teacher.marks", "event", 0..3).await;

    let text = place.read("guest.creds");
    let again = place.run(&[&mint[..], &["-o", "guest.creds"]].concat());
    again.says(1, &["guest.creds is there already", "nothing was minted"]);
    assert_eq!(place.read("guest.creds"), text);
    place
        .run(&["user", "mint", "SCHOL", "teacher-service", "--name", "guest", "-o", "b.creds"])
        .says(1, &["no account SCHOL", "SCHOOL"]);
    place
        .run(&["user", "mint", "SCHOOL", "nobody", "--name", "guest", "-o", "b.creds"])
        .says(1, &["role nobody in the account SCHOOL"]);
    place
        .run(&[&mint[..], &["--expires", "30x", "-o", "b.creds"]].concat())
        .says(1, &["`30x` is not a length of time"]);
    assert!(!place.path("b.creds").exists());
    assert_eq!(node.stop(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_own_key_is_signed_without_its_seed() {
    let (place, node) = start();
    let key = nkeys::KeyPair::new_user();
    let public = key.public_key();
    let mint = ["user", "mint", "SCHOOL", "teacher-service", "--name", "device", "--public-key"];
    place.run(&[&mint[..], &[&public, "-o", "device.jwt"]].concat()).expect(0);
    let jwt = place.read("device.jwt").trim().to_owned();
    assert_eq!(jwt.split('.').count(), 3, "{jwt}");
    let key = std::sync::Arc::new(key);
    let options = ConnectOptions::with_jwt(jwt, move |nonce| {
        let key = std::sync::Arc::clone(&key);
        async move { key.sign(&nonce).map_err(async_nats::AuthError::new) }
    });
    let device = options.connect(node.url()).await.unwrap();
    client::publish(&device, "events.teacher.marks", "event", 0..3).await;

    let printed = place.run(&[&mint[..], &[&public, "-o", "-"]].concat()).expect(0);
    assert!(printed.starts_with("ey"), "{printed}");
    let account = nkeys::KeyPair::new_account().public_key();
    let wrong = place.run(&[&mint[..], &[&account, "-o", "b.jwt"]].concat());
    wrong.says(1, &["is not the public key of a user", "starts with `U`"]);
    assert_eq!(node.stop(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_user_is_dropped() {
    let (place, node) = start();
    let mint = ["user", "mint", "SCHOOL", "teacher-service", "--name", "guest"];
    place.run(&[&mint[..], &["--expires", "10s", "-o", "guest.creds"]].concat()).expect(0);
    let (guest, mut ended) = watched(&node, &place.path("guest.creds")).await;
    client::publish(&guest, "events.teacher.marks", "event", 0..3).await;
    timeout(harness::DEADLINE, ended.recv()).await.expect("the connection was not dropped");
    assert_refused(&node, &place.path("guest.creds")).await;
    assert_eq!(node.stop(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_user_is_dropped_and_others_stay() {
    let (place, node) = start();
    for name in ["one", "two"] {
        let file = format!("{name}.creds");
        place.run(&["user", "mint", "SCHOOL", "teacher-service", "--name", name, "-o", &file]).expect(0);
    }
    let (_one, mut ended) = watched(&node, &place.path("one.creds")).await;
    let two = client::connect(&node.url(), &place.path("two.creds")).await;
    let connected = |creds: &str| identity::Creds::read(&place.path(creds)).unwrap().claims.subject;
    let wrong = place.run(&["user", "revoke", "SCHOOL", "UNOBODY"]);
    wrong.says(1, &["`UNOBODY` is not the public key of a user"]);
    place.run(&["user", "revoke", "SCHOOL", &connected("one.creds")]).expect(0);
    assert!(ended.try_recv().is_err(), "a revocation takes effect at the next apply");
    assert!(place.run(&["plan"]).expect(2).contains("SCHOOL"));
    place.run(&["apply"]).expect(0);
    timeout(harness::DEADLINE, ended.recv()).await.expect("the connection was not dropped");
    assert_refused(&node, &place.path("one.creds")).await;
    client::publish(&two, "events.teacher.marks", "event", 0..3).await;
    place.run(&["plan"]).expect(0);
    // A later start does not forget it.
    assert_eq!(node.stop(), 0);
    let node = place.start(&["dev", "--any-port"]);
    assert_refused(&node, &place.path("one.creds")).await;
    assert_eq!(node.stop(), 0);
}

#[test]
fn contexts_are_what_the_nats_command_reads() {
    let (place, node) = start();
    let written = place.run(&["context"]).expect(0);
    for service in ["teacher-service", "user-service", "notification-service"] {
        let name = format!("school-1-SCHOOL-{service}");
        assert!(written.contains(&name), "{written}");
        let context: Value =
            serde_json::from_str(&place.read(&format!("config/nats/context/{name}.json"))).unwrap();
        assert_eq!(context["url"], node.url());
        let creds = Path::new(context["creds"].as_str().unwrap());
        assert!(creds.is_absolute() && creds.is_file(), "{context}");
    }
    assert!(!place.path("config/nats/context.txt").exists());
    place.run(&["context", "--account", "SCHOOL", "--service", "user-service", "--select"]).expect(0);
    assert_eq!(place.read("config/nats/context.txt"), "school-1-SCHOOL-user-service");
    place
        .run(&["context", "--account", "SHOP"])
        .says(1, &["no creds file here matches", "`leafbox service list`"]);
    assert_eq!(node.stop(), 0);
}

#[test]
fn prune_removes_what_is_empty_and_more_only_by_name() {
    let stream = |name: &str| {
        let low = name.to_lowercase();
        format!("[accounts.SCHOOL.streams.{name}]\nsubjects = [\"{low}.>\"]\nmax_bytes = \"1MiB\"\n")
    };
    let writer = "[accounts.SCHOOL.services.writer]\npublish = [\"full.>\"]\nsubscribe = [\"_INBOX.>\"]\n";
    let full_fleet = format!("{FLEET}\n{}{}{writer}", stream("EMPTY"), stream("FULL"));
    let place = Place::new(NODE, &full_fleet);
    let node = place.start(&["dev", "--any-port"]);
    let threads = tokio::runtime::Runtime::new().unwrap();
    let count = |stream: &str| {
        threads.block_on(async {
            let apply = client::connect(&node.url(), &keys(&place, "apply-SCHOOL.creds")).await;
            client::state(&apply, stream).await.and_then(|state| state["messages"].as_u64())
        })
    };
    threads.block_on(async {
        let writer = client::connect(&node.url(), &keys(&place, "services/SCHOOL/writer.creds")).await;
        client::publish(&writer, "full.all", "event", 0..20).await;
    });
    place.write("fleet.toml", &format!("{FLEET}\n{writer}"));

    let planned = place.run(&["plan"]).expect(2);
    assert!(
        planned.contains("EMPTY") && planned.contains("FULL") && planned.contains("--prune"),
        "{planned}"
    );
    place.run(&["apply"]).expect(0);
    assert_eq!((count("EMPTY"), count("FULL")), (Some(0), Some(20)), "apply alone removed something");

    let kept = place.run(&["apply", "--prune"]);
    assert_eq!((count("EMPTY"), count("FULL")), (None, Some(20)), "{}{}", kept.stdout, kept.stderr);
    assert!(kept.stdout.contains("FULL") && kept.stdout.contains("--delete"), "{}", kept.stdout);
    let unknown = place.run(&["apply", "--prune", "--delete", "OTHER"]);
    unknown.says(1, &["`OTHER` is no store that leafbox owns", "`leafbox plan`"]);
    assert_eq!(count("FULL"), Some(20));
    let removed = place.run(&["apply", "--prune", "--delete", "FULL"]).expect(0);
    assert!(removed.contains("FULL"), "{removed}");
    assert_eq!(count("FULL"), None);
    place.run(&["plan"]).expect(0);
    assert!(place.run(&["apply", "--delete", "EVENTS"]).stderr.contains("--prune"));
    place.run(&["apply", "--prune", "--delete", "EVENTS"]).says(1, &["`EVENTS`", "no longer declared"]);
    assert_eq!(count("EVENTS"), Some(0), "what is declared is never removed");
    assert_eq!(node.stop(), 0);
}

#[test]
fn logs_are_the_last_lines_of_the_node() {
    let (place, node) = start();
    let all = place.run(&["logs", "-n", "100000"]).expect(0);
    assert!(all.contains("nats-server is ready"), "{all}");
    let last = place.run(&["logs", "-n", "2"]).expect(0);
    assert_eq!(last.lines().count(), 2, "{last}");
    assert_eq!(node.stop(), 0);
    let after = place.run(&["logs"]).expect(0);
    assert!(after.contains("nats-server is ready"), "{after}");
}

#[test]
fn init_writes_an_example_once() {
    let place = Place::empty();
    place.run(&["init"]).expect(0);
    place.run(&["check"]).expect(0);
    place.write("node.toml", &format!("# mine\n{}", place.read("node.toml")));
    place
        .run(&["init"])
        .says(1, &["node.toml", "fleet.toml is there already", "--into DIR", "nothing was written"]);
    assert!(place.read("node.toml").starts_with("# mine"));
    place.run(&["init", "shop", "--into", "shop"]).expect(0);
    place.run(&["check", "-c", "shop/node.toml"]).expect(0);
    assert!(place.read("shop/fleet.toml").contains("ORDERS"));
}

/// The lines of a configuration without those that name a port, and the one that follows the disk.
fn without_ports(text: &str) -> Vec<&str> {
    let is_port = |line: &&str| {
        let line = line.trim();
        line.starts_with("listen:") || line.starts_with("http:") || line.starts_with("max_file:")
    };
    text.trim_end().lines().filter(|line| !is_port(line)).collect()
}

#[test]
fn render_prints_the_configuration_that_runs() {
    let (place, node) = start();
    let rendered = place.run(&["render"]).expect(0);
    let running = place.read(".data/run/nats-server.conf");
    assert_eq!(without_ports(&rendered), without_ports(&running));
    assert!(rendered.contains("$LEAFBOX_JETSTREAM_KEY") && rendered.contains("127.0.0.1:4222"), "{rendered}");
    assert_eq!(node.stop(), 0);
    place.write("rendered.conf", &rendered);
    let checked = Command::new(supervisor::testing::nats_server_binary_blocking())
        .args(["-t", "-c"])
        .arg(place.path("rendered.conf"))
        .env("LEAFBOX_JETSTREAM_KEY", "\"a-key-for-the-test-of-the-syntax-only\"")
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn status_and_health_tell_the_node_as_json() {
    let (place, node) = start();
    let health = place.run(&["health", "--json"]).json(0);
    assert_eq!(
        (&health["node"], &health["role"], &health["ready"]),
        (&"school-1".into(), &"leaf".into(), &true.into())
    );
    let checks: Vec<&str> =
        health["checks"].as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert_eq!(checks, ["nats-server", "jetstream", "stores", "disk"]);
    assert_eq!(health["uplink"]["state"], "none");

    let status = place.run(&["status", "--json"]).json(0);
    assert_eq!((&status["node"], &status["domain"]), (&"school-1".into(), &"school-1".into()));
    assert_eq!(status["health"]["ready"], true);
    let find = |list: &str, name: &str| {
        let entries = status[list].as_array().unwrap();
        entries
            .iter()
            .find(|entry| entry["name"] == name)
            .unwrap_or_else(|| panic!("no {name} in {status}"))
            .clone()
    };
    assert_eq!(find("accounts", "SCHOOL")["streams"], 1);
    assert_eq!(find("stores", "EVENTS")["travel"], "up");
    assert_eq!(status["failures"], serde_json::json!([]));

    let table = place.run(&["status"]).expect(0);
    for words in ["school-1  leaf", "ready     yes", "SCHOOL", "EVENTS", "uplink"] {
        assert!(table.contains(words), "no `{words}` in:\n{table}");
    }
    let checks = place.run(&["health"]).expect(0);
    assert!(checks.contains("ok    nats-server") && checks.contains("uplink"), "{checks}");
    assert_eq!(node.stop(), 0);
}

#[test]
fn the_schema_describes_both_files() {
    let schemas = Place::empty().run(&["check", "--schema"]).json(0);
    for (file, key) in [("fleet.toml", "accounts"), ("node.toml", "jetstream")] {
        let schema = &schemas[file];
        assert!(schema["$schema"].is_string(), "{file}: {schema}");
        assert!(schema["properties"][key].is_object(), "{file} lacks {key}");
        assert_eq!(schema["additionalProperties"], false, "{file} admits any key");
    }
}

#[test]
fn shells_get_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let text = Place::empty().run(&["completions", shell]).expect(0);
        assert!(text.contains("leafbox") && text.contains("render"), "{shell}:\n{text}");
    }
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let place = Place::new(NODE, FLEET);
    let help = place.run(&["--help"]).expect(0);
    for line in
        ["0    success", "1    something failed", "2    a mistake in node.toml", "`plan`, something differs"]
    {
        assert!(help.contains(line), "no `{line}` in:\n{help}");
    }
    assert_eq!(place.run(&["check"]).code, 0);
    assert_eq!(place.run(&["status"]).code, 1);
    assert_eq!(place.run(&["no-such-command"]).code, 2);
    assert_eq!(place.run(&["dev", "--hub", "many"]).code, 2);
    place.write("node.toml", "nam = \"school-1\"");
    assert_eq!(place.run(&["check"]).code, 2);
    assert_eq!(place.run(&["run"]).code, 2);
    // 2 says that something differs, so what is wrong with the files is 1.
    assert_eq!(place.run(&["plan"]).code, 1);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new(NODE, FLEET);
    let mut child = place
        .command(&["check", "--schema"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ran = child.wait_with_output().unwrap();
    assert_eq!((ran.status.code(), String::from_utf8_lossy(&ran.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn logs_follow_a_running_node() {
    let (place, node) = start();
    let mut child = place
        .command(&["logs", "--follow", "-n", "0"])
        .stdout(fs::File::create(place.path("followed")).unwrap())
        .spawn()
        .unwrap();
    // Each tries what is not allowed, which nats-server logs.
    harness::eventually("a new line is printed", || {
        place.run(&["auth", "test"]).expect(0);
        place.read("followed").contains("Violation")
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(node.stop(), 0);
}
