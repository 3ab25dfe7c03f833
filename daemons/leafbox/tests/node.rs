//! One node, as a newcomer runs it: start, permissions, faults, encryption, plan and apply.
#![allow(clippy::unwrap_used)]

mod harness;

use std::fs;

use harness::{Node, Place, client, eventually, files};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;
use settings::Name;

const NODE: &str = include_str!("../../../examples/school/node.toml");
const FLEET: &str = include_str!("../../../examples/school/fleet.toml");

fn school() -> Place {
    Place::new(NODE, FLEET)
}

fn start(place: &Place) -> Node {
    place.start(&["dev", "--any-port"])
}

fn creds(place: &Place, service: &str) -> std::path::PathBuf {
    let name = |text: &str| text.parse::<Name>().unwrap();
    identity::layout::service_creds(&place.path(".data/keys"), &name("SCHOOL"), &name(service))
}

async fn as_apply(node: &Node, place: &Place) -> async_nats::Client {
    let creds = identity::layout::apply_creds(&place.path(".data/keys"), &"SCHOOL".parse().unwrap());
    client::connect(&node.url(), &creds).await
}

#[test]
fn dev_once_runs_without_any_file_twice() {
    let place = Place::empty();
    for _ in 0..2 {
        let table = place.run(&["dev", "--once", "--any-port"]).expect(0);
        assert!(table.contains("nats://127.0.0.1:"), "no address in:\n{table}");
        assert!(table.contains("teacher-service.creds"), "no creds file in:\n{table}");
    }
}

#[test]
fn dev_with_a_hub_of_three_joins_it() {
    let place = school();
    let table = place.run(&["dev", "--once", "--any-port", "--hub", "3"]).expect(0);
    assert!(table.contains("hub-3"), "no third hub node in:\n{table}");
}

#[test]
fn the_permission_table_is_enforced_both_ways() {
    let place = school();
    let _node = start(&place);
    let tested = place.run(&["auth", "test", "--json"]).json(0);
    let probes = tested["services"].as_array().unwrap();
    let probe = |service: &str, direction: &str, subject: &str| {
        let of_service = probes.iter().find(|entry| entry["service"] == service).unwrap();
        let found = of_service["probes"].as_array().unwrap().iter().find(|probe| {
            probe["direction"] == direction && probe["subject"].as_str().unwrap().starts_with(subject)
        });
        found.unwrap_or_else(|| panic!("{service} {direction} {subject} was not tried"))["allowed"]
            .as_bool()
            .unwrap()
    };
    for (service, direction, subject, allowed) in [
        ("teacher-service", "publish", "teacher.", true),
        ("teacher-service", "publish", "events.teacher.", true),
        ("teacher-service", "publish", "events.user.", false),
        ("teacher-service", "publish", "notifications.", false),
        ("teacher-service", "subscribe", "user.query.", true),
        ("teacher-service", "subscribe", "events.user.", true),
        ("teacher-service", "subscribe", "teacher.query.", false),
        ("user-service", "publish", "user.", true),
        ("user-service", "publish", "events.user.", true),
        ("user-service", "publish", "teacher.", false),
        ("user-service", "subscribe", "teacher.query.", true),
        ("user-service", "subscribe", "events.teacher.", true),
        ("notification-service", "publish", "notifications.", true),
        ("notification-service", "publish", "events.teacher.", false),
        ("notification-service", "subscribe", "notifications.", true),
        ("notification-service", "subscribe", "_INBOX.", false),
    ] {
        assert_eq!(probe(service, direction, subject), allowed, "{service} {direction} {subject}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_test_leaves_no_message_behind() {
    let place = school();
    let node = start(&place);
    place.run(&["auth", "test"]).expect(0);
    assert_eq!(client::count(&as_apply(&node, &place).await, "EVENTS").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_server_killed_under_load_comes_back_with_all_that_was_acknowledged() {
    let place = school();
    let node = start(&place);
    let teacher = client::connect(&node.url(), &creds(&place, "teacher-service")).await;
    let load = tokio::spawn(async move {
        client::publish(&teacher, "events.teacher.marks", "event", 0..3_000).await;
    });
    let apply = as_apply(&node, &place).await;
    for killed_at in [300, 1_500] {
        while client::count(&apply, "EVENTS").await < killed_at {}
        let pid = server_pid(&place);
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        eventually("nats-server runs again", || server_pid(&place) != pid);
    }
    load.await.unwrap();
    client::assert_exactly(&as_apply(&node, &place).await, "EVENTS", "event", 0..3_000).await;
    eventually("the node is ready again", || node.readyz().is_some_and(|(status, _)| status == 200));
}

/// A node that read fleet.toml at its start once put the older declaration back after a crash of
/// nats-server.
#[test]
fn a_crash_of_nats_server_does_not_undo_what_was_applied_since_the_start() {
    let fleet = |bytes: &str| {
        format!(
            "{FLEET}\n[accounts.SCHOOL.streams.GRADES]\nsubjects = [\"grades.>\"]\nmax_bytes = \"{bytes}\"\n"
        )
    };
    let place = Place::new(NODE, &fleet("1MiB"));
    let node = start(&place);
    place.write("fleet.toml", &fleet("2MiB"));
    place.run(&["apply"]).expect(0);
    let applied = || node.log().matches("stores applied").count();
    let before = applied();
    kill(Pid::from_raw(server_pid(&place)), Signal::SIGKILL).unwrap();
    eventually("the stores are applied again", || applied() > before);
    place.run(&["plan"]).expect(0);
}

fn server_pid(place: &Place) -> i32 {
    let text = fs::read_to_string(place.path(".data/run/nats-server.pid")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_is_empty_after_apply_and_drift_is_shown_and_repaired() {
    let place = school();
    let node = start(&place);
    for _ in 0..2 {
        place.run(&["apply"]).expect(0);
        place.run(&["plan"]).expect(0);
    }
    let apply = as_apply(&node, &place).await;
    let info = client::request(&apply, "$JS.API.STREAM.INFO.EVENTS", &json!({})).await.unwrap();
    let mut config = info["config"].clone();
    config["max_bytes"] = json!(9_999_999);
    let updated = client::request(&apply, "$JS.API.STREAM.UPDATE.EVENTS", &config).await.unwrap();
    assert!(updated["error"].is_null(), "{updated}");

    let shown = place.run(&["plan"]).expect(2);
    assert!(
        shown.contains("EVENTS") && shown.contains("changed by hand") && shown.contains("9999999"),
        "{shown}"
    );
    place.run(&["apply"]).expect(0);
    place.run(&["plan"]).expect(0);
    let info = client::request(&apply, "$JS.API.STREAM.INFO.EVENTS", &json!({})).await.unwrap();
    assert_ne!(info["config"]["max_bytes"], json!(9_999_999));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_storage_is_refused_and_changes_nothing() {
    let place = Place::new(&format!("{NODE}\n[jetstream]\nmax_memory = \"2GiB\"\n"), FLEET);
    let node = start(&place);
    let apply = as_apply(&node, &place).await;
    let before = client::request(&apply, "$JS.API.STREAM.INFO.EVENTS", &json!({})).await.unwrap();
    let changed = FLEET.replacen(
        "[accounts.SCHOOL.streams.EVENTS]",
        "[accounts.SCHOOL.streams.EVENTS]\nstorage = \"memory\"",
        1,
    );
    assert_ne!(changed, FLEET);
    place.write("fleet.toml", &changed);
    let shown = place.run(&["plan"]).expect(2);
    assert!(shown.contains("refused") && shown.contains("storage"), "{shown}");
    let refused = place.run(&["apply"]);
    assert_eq!(refused.code, 1, "{}{}", refused.stdout, refused.stderr);
    assert!(
        format!("{}{}", refused.stdout, refused.stderr).contains("nats stream"),
        "no manual way in:\n{}",
        refused.stdout
    );
    let after = client::request(&apply, "$JS.API.STREAM.INFO.EVENTS", &json!({})).await.unwrap();
    assert_eq!(before["config"], after["config"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_holds_no_plain_text() {
    const MARKER: &str = "plaintext-marker-7f3a";
    let place = school();
    let node = start(&place);
    let teacher = client::connect(&node.url(), &creds(&place, "teacher-service")).await;
    client::publish(&teacher, "events.teacher.marks", MARKER, 0..500).await;
    assert_eq!(client::count(&as_apply(&node, &place).await, "EVENTS").await, 500);
    assert_eq!(node.stop(), 0);
    let stored = files(&place.path(".data/jetstream"));
    assert!(stored.iter().any(|file| fs::metadata(file).unwrap().len() > 10_000), "nothing was stored");
    for file in stored {
        let content = fs::read(&file).unwrap();
        for plain in [MARKER.as_bytes(), b"events.teacher"] {
            let found = content.windows(plain.len()).any(|window| window == plain);
            assert!(!found, "{} holds plain text", file.display());
        }
    }
}
