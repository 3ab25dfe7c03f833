//! The latest of each subject.

use async_nats::jetstream::kv;
use sse_bridge::feed::FeedConfig;

use crate::{
    event_source::{EventSource, watch},
    site::{Bridge, Nats, quick},
};

/// Reads until the snapshot is whole.
async fn snapshot(events: &mut EventSource) -> (Vec<(String, String)>, serde_json::Value) {
    let mut values = Vec::new();
    loop {
        let event = events.next().await.unwrap();
        if event.name == "snapshot" {
            return (values, event.json());
        }
        let subject = event.json()["subject"].as_str().unwrap().to_owned();
        values.push((subject, event.payload()));
    }
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(subject, payload)| ((*subject).to_owned(), (*payload).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_its_latest_values_then_each_change() {
    let mut nats = Nats::start().await;
    let config = kv::Config { bucket: "prices".to_owned(), history: 5, ..Default::default() };
    let bucket = nats.jetstream().await.create_key_value(config).await.unwrap();
    for (key, value) in [("tea", "1"), ("milk", "2"), ("tea", "3")] {
        bucket.put(key, value.into()).await.unwrap();
    }
    let bridge = Bridge::start(&nats, quick()).await;
    let query = "stream=KV_prices&kind=state";
    let mut events = watch(bridge.address, query).await;
    let (values, whole) = snapshot(&mut events).await;
    assert_eq!(values, pairs(&[("$KV.prices.milk", "2"), ("$KV.prices.tea", "3")]));
    assert_eq!(whole, serde_json::json!({ "subjects": 2, "complete": true }));
    bucket.delete("milk").await.unwrap();
    let deleted = events.message().await.json();
    assert_eq!(deleted["headers"]["KV-Operation"], serde_json::json!(["DEL"]));

    // The restart takes the consumer; what changed meanwhile comes after it.
    nats.kill().await;
    nats.run().await;
    let bucket = nats.jetstream().await.get_key_value("prices").await.unwrap();
    bucket.put("tea", "4".into()).await.unwrap();
    assert_eq!(events.payload().await, "4");
    let mut late = watch(bridge.address, query).await;
    assert_eq!(snapshot(&mut late).await.0.len(), 2);
    assert_eq!(bridge.metric("feeds"), 1);
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_that_a_stream_has_lost_is_removed() {
    let mut nats = Nats::start().await;
    let config = kv::Config { bucket: "prices".to_owned(), ..Default::default() };
    let bucket = nats.jetstream().await.create_key_value(config).await.unwrap();
    for (key, value) in [("tea", "1"), ("milk", "2")] {
        bucket.put(key, value.into()).await.unwrap();
    }
    let bridge = Bridge::start(&nats, quick()).await;
    let mut events = watch(bridge.address, "stream=KV_prices&kind=state").await;
    snapshot(&mut events).await;
    // Nothing is published when a stream forgets: the next consumer does not have it.
    let stream = nats.jetstream().await.get_stream("KV_prices").await.unwrap();
    stream.purge().filter("$KV.prices.milk").await.unwrap();
    nats.kill().await;
    nats.run().await;
    let removed = events.next().await.unwrap();
    assert_eq!(
        (removed.name.as_str(), removed.data.as_str()),
        ("removed", "{\"subject\":\"$KV.prices.milk\"}")
    );
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_behind_is_sent_the_latest_only() {
    let nats = Nats::start().await;
    let config = kv::Config { bucket: "prices".to_owned(), ..Default::default() };
    let bucket = nats.jetstream().await.create_key_value(config).await.unwrap();
    let bridge = Bridge::start(&nats, quick()).await;
    let mut slow = watch(bridge.address, "stream=KV_prices&kind=state").await;
    assert_eq!(snapshot(&mut slow).await.0, []);
    // More than the sockets' buffers hold.
    let filler = "x".repeat(200 << 10);
    for number in 1..=100 {
        bucket.put("tea", format!("{number} {filler}").into()).await.unwrap();
    }
    let (mut numbers, mut last) = (0, 0);
    while last < 100 {
        let number = slow.payload().await.split(' ').next().unwrap().parse().unwrap();
        assert!(number > last, "{number} after {last}");
        (numbers, last) = (numbers + 1, number);
    }
    assert!(numbers < 100, "all {numbers} were sent to a client that did not read");
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn core_subjects_have_what_was_seen_so_far_and_are_bounded() {
    let nats = Nats::start().await;
    let bridge = Bridge::start(&nats, FeedConfig { state_subjects: 3, ..quick() }).await;
    let query = "subject=box.*&kind=state";
    let mut first = watch(bridge.address, query).await;
    assert_eq!(snapshot(&mut first).await.0, []);
    let client = nats.client("leafbox").await;
    // Until the subscription is there.
    let mut sent = 0;
    while bridge.metric("messages_total") == 0 {
        client.publish("box.a", sent.to_string().into()).await.unwrap();
        client.flush().await.unwrap();
        sent += 1;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    for subject in ["box.b", "box.c", "box.a", "box.d"] {
        client.publish(subject, "last".into()).await.unwrap();
    }
    while first.message().await.json()["subject"] != "box.d" {}
    let mut second = watch(bridge.address, query).await;
    let (values, whole) = snapshot(&mut second).await;
    assert_eq!(values, pairs(&[("box.c", "last"), ("box.a", "last"), ("box.d", "last")]));
    assert_eq!(whole, serde_json::json!({ "subjects": 3, "complete": false }));
    bridge.stop().await;
}
