//! Plan and apply on one node.

use serde_json::{Value, json};
use stores::Action;

use crate::servers::{Site, fleet, name};

const EVERYTHING: &str = r#"
name = "school"

[accounts.APP.streams.EVENTS]
description = "everything that happened"
subjects = ["events.>", "more.*"]
retention = "interest"
discard = "new"
discard_new_per_subject = true
max_messages = 1000
max_messages_per_subject = 100
max_bytes = "16MiB"
max_age = "1h"
max_message_size = "64KiB"
max_consumers = 10
duplicate_window = "30s"
compression = "s2"
republish = { source = "events.>", destination = "live.>", headers_only = true }
subject_transform = { source = "more.*", destination = "events.more.{{wildcard(1)}}" }
allow_direct = false
allow_rollup = true
allow_message_ttl = true
deny_delete = true
metadata = { team = "a" }

[accounts.APP.streams.EVENTS.consumers.reader]
description = "reads"
filter = ["events.a"]
ack_wait = "10s"
max_deliver = 5
max_ack_pending = 50
max_waiting = 20
max_batch = 10
max_expires = "30s"
max_pull_bytes = "1MiB"
sample_frequency = "10%"
inactive_threshold = "1d"
headers_only = true
metadata = { team = "b" }

[accounts.APP.streams.EVENTS.consumers.pusher]
filter = ["events.b.>", "more.*"]
deliver = "by_start_time"
start_time = "2026-01-01T01:00:00.50+01:00"
ack = "none"
replay = "original"
deliver_subject = "pushed.here"
deliver_group = "group"
flow_control = false
idle_heartbeat = "5s"
rate_limit_bits = 100000

[accounts.APP.streams.EVENTS.consumers.slow]
backoff = ["1s", "5s", "10s"]
max_deliver = 4
memory_storage = true
replicas = 3
deliver = "by_start_sequence"
start_sequence = 7

[accounts.APP.streams.PLAIN]
[accounts.APP.streams.MEMORY]
subjects = ["memory"]
storage = "memory"
max_age = "10s"
[accounts.APP.streams.QUEUE]
subjects = ["queue.*"]
retention = "workqueue"
[accounts.APP.streams.COPY]
mirror = { stream = "EVENTS", filter = "events.>" }
[accounts.APP.streams.GATHERED]
sources = [
  { stream = "EVENTS", transforms = [{ source = "events.*", destination = "gathered.{{wildcard(1)}}" }] },
  { stream = "PLAIN", start_time = "2026-01-01T00:00:00Z" },
]

[accounts.APP.kv.plain]
[accounts.APP.kv.full]
description = "all fields"
history = 5
max_age = "1m"
max_value_size = "1KiB"
max_bytes = "1MiB"
limit_marker_ttl = "10s"
storage = "memory"
compression = "s2"
republish = { source = ">", destination = "kv.full.>" }
metadata = { team = "c" }
[accounts.APP.objects.photos]
description = "pictures"
max_age = "1h"
max_bytes = "8MiB"
compression = "s2"
"#;

#[tokio::test]
async fn every_kind_is_made_and_a_second_plan_is_empty() {
    let fleet = fleet(EVERYTHING);
    let leaf = Site::leaf(&fleet, "edge-1", None).await;
    let plan = leaf.apply(&fleet).await;
    assert!(plan.items.iter().all(|item| item.action == Action::Add), "{plan}");
    // 9 stores and 3 consumers here, 7 of the appliance's own.
    assert_eq!(plan.items.len(), 19, "{plan}");
    // The server took the fields for what they say.
    let events = config(&leaf, "APP", "EVENTS").await;
    assert_eq!(events["duplicate_window"], json!(30_000_000_000_i64));
    assert_eq!(events["republish"], json!({ "src": "events.>", "dest": "live.>", "headers_only": true }));
    assert_eq!(events["metadata"]["leafbox.owner"], "school");
}

#[tokio::test]
async fn clients_accept_the_buckets_as_their_own() {
    let fleet = fleet(EVERYTHING);
    let leaf = Site::leaf(&fleet, "edge-1", None).await;
    leaf.apply(&fleet).await;
    let kv = leaf.jetstream("APP").get_key_value("full").await.unwrap();
    for value in ["1", "2", "3"] {
        kv.put("key", value.into()).await.unwrap();
    }
    assert_eq!(kv.get("key").await.unwrap().unwrap(), "3");
    assert_eq!(kv.status().await.unwrap().history(), 5);
    let photos = leaf.jetstream("APP").get_object_store("photos").await.unwrap();
    photos.put("cat", &mut vec![7_u8; 300_000].as_slice()).await.unwrap();
    assert_eq!(photos.info("cat").await.unwrap().size, 300_000);
    assert!(leaf.plan(&fleet).await.is_empty(), "use is no drift");
}

#[tokio::test]
async fn drift_by_hand_is_shown_and_repaired() {
    let fleet = fleet(EVERYTHING);
    let leaf = Site::leaf(&fleet, "edge-1", None).await;
    leaf.apply(&fleet).await;
    update(&leaf, "PLAIN", "max_msgs", json!(77)).await;
    update(&leaf, "KV_full", "max_msg_size", json!(9)).await;
    edit_consumer(&leaf, "EVENTS", "reader", "max_ack_pending", json!(9)).await;
    let plan = leaf.plan(&fleet).await;
    let drifted: Vec<_> = plan.items.iter().map(|item| (item.name.as_str(), fields(&item.action))).collect();
    assert_eq!(
        drifted,
        [("reader", vec!["max_ack_pending"]), ("PLAIN", vec!["max_msgs"]), ("full", vec!["max_msg_size"])],
        "{plan}"
    );
    assert!(plan.items.iter().all(|item| matches!(item.action, Action::Drift { .. })), "{plan}");
    leaf.apply(&fleet).await;
    assert_eq!(config(&leaf, "APP", "PLAIN").await["max_msgs"], json!(-1));
}

#[tokio::test]
async fn a_changed_declaration_is_a_change_and_no_drift() {
    let before = fleet(EVERYTHING);
    let leaf = Site::leaf(&before, "edge-1", None).await;
    leaf.apply(&before).await;
    let after = fleet(&EVERYTHING.replace("max_messages = 1000", "max_messages = 2000"));
    let plan = leaf.apply(&after).await;
    let [item] = plan.items.as_slice() else { panic!("{plan}") };
    assert!(matches!(&item.action, Action::Change { .. }), "{plan}");
    assert!(fields(&item.action).contains(&"max_msgs"), "{plan}");
}

#[tokio::test]
async fn a_stream_made_by_hand_is_adopted_when_declared_and_left_alone_when_not() {
    let fleet = fleet("name = \"f\"\n[accounts.APP.streams.MINE]\nsubjects = [\"mine.>\"]");
    let leaf = Site::leaf(&fleet, "edge-1", None).await;
    let jetstream = leaf.jetstream("APP");
    for (name, subject) in [("MINE", "mine.>"), ("THEIRS", "theirs.>")] {
        let config = async_nats::jetstream::stream::Config {
            name: name.into(),
            subjects: vec![subject.into()],
            ..Default::default()
        };
        jetstream.create_stream(config).await.unwrap();
    }
    jetstream.publish("mine.a", "kept".into()).await.unwrap().await.unwrap();
    let theirs = config(&leaf, "APP", "THEIRS").await;
    let plan = leaf.apply(&fleet).await;
    let action = |name: &str| plan.items.iter().find(|item| item.name == name).map(|item| &item.action);
    assert!(matches!(action("MINE"), Some(Action::Adopt { .. })), "{plan}");
    assert!(matches!(action("THEIRS"), Some(Action::Unmanaged { messages: 0 })), "{plan}");
    assert_eq!(leaf.payloads("APP", "MINE").await, ["kept"]);
    assert_eq!(config(&leaf, "APP", "THEIRS").await, theirs);
}

#[tokio::test]
async fn one_failure_is_told_with_its_remedy_and_stops_nothing_else() {
    let text = "name = \"f\"\n[accounts.APP.streams.A]\nsubjects = [\"same.>\"]\n\
                [accounts.APP.streams.B]\nsubjects = [\"same.b\"]\n[accounts.APP.streams.C]";
    let fleet = fleet(text);
    let leaf = Site::leaf(&fleet, "edge-1", None).await;
    let plan = leaf.plan(&fleet).await;
    let applied = stores::apply(&plan, &leaf.clients, leaf.healthy().await).await;
    let [(item, error)] = applied.failed.as_slice() else { panic!("{applied}") };
    assert_eq!(item.name, "B");
    assert!(error.to_string().contains("another stream takes some of these subjects"), "{error}");
    assert!(applied.done.iter().any(|item| item.name == "C"), "{applied}");
}

#[tokio::test]
async fn an_account_without_a_connection_fails_alone() {
    let fleet = fleet("name = \"f\"\n[accounts.APP.streams.A]\n[accounts.OTHER.streams.B]");
    let leaf = Site::leaf(&fleet, "edge-1", None).await;
    let mut clients = leaf.clients.clone();
    clients.remove("OTHER");
    let plan = stores::plan(&fleet, &leaf.node, &clients).await;
    assert_eq!(plan.failures.len(), 1, "{plan}");
    assert!(plan.failures[0].error.contains("leafbox-apply"), "{plan}");
    assert!(!plan.is_empty());
    assert!(plan.items.iter().any(|item| item.name == "A"), "{plan}");
}

#[tokio::test]
async fn status_tells_what_the_stores_hold() {
    let fleet = fleet(EVERYTHING);
    let leaf = Site::leaf(&fleet, "edge-1", None).await;
    leaf.apply(&fleet).await;
    leaf.jetstream("APP").publish("queue.a", "x".into()).await.unwrap().await.unwrap();
    let (stores, failures) = stores::status(&fleet, &leaf.node, &leaf.clients).await;
    assert!(failures.is_empty());
    let queue = stores.iter().find(|store| store.name == "QUEUE").unwrap();
    assert_eq!(queue.holds.as_ref().unwrap().messages, 1);
    let copy = stores.iter().find(|store| store.name == "COPY").unwrap();
    assert_eq!(copy.origins[0].stream, "EVENTS");
}

fn fields(action: &Action) -> Vec<&str> {
    action.fields().iter().map(|change| change.field.as_str()).collect()
}

pub(crate) async fn ask(site: &Site, account: &str, subject: &str, body: Value) -> Value {
    let payload = if body.is_null() { String::new() } else { body.to_string() };
    let answer =
        site.clients[&name(account)].request(format!("$JS.API.{subject}"), payload.into()).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

pub(crate) async fn config(site: &Site, account: &str, stream: &str) -> Value {
    ask(site, account, &format!("STREAM.INFO.{stream}"), Value::Null).await["config"].clone()
}

/// Changes a field by hand, as the `nats` command line would.
pub(crate) async fn update(site: &Site, stream: &str, field: &str, value: Value) {
    let mut config = config(site, "APP", stream).await;
    config[field] = value;
    let answer = ask(site, "APP", &format!("STREAM.UPDATE.{stream}"), config).await;
    assert!(answer.get("error").is_none(), "{answer}");
}

async fn edit_consumer(site: &Site, stream: &str, consumer: &str, field: &str, value: Value) {
    let info = ask(site, "APP", &format!("CONSUMER.INFO.{stream}.{consumer}"), Value::Null).await;
    let mut config = info["config"].clone();
    config[field] = value;
    let filter = config["filter_subject"].as_str().map(|filter| format!(".{filter}")).unwrap_or_default();
    let body = json!({ "stream_name": stream, "config": config, "action": "update" });
    let answer = ask(site, "APP", &format!("CONSUMER.CREATE.{stream}.{consumer}{filter}"), body).await;
    assert!(answer.get("error").is_none(), "{answer}");
}
