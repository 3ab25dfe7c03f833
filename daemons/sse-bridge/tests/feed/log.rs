//! Streams: ids, resuming, and what is told when something is lost.

use std::time::Duration;

use async_nats::jetstream::{self, stream};
use sse_bridge::feed::FeedConfig;

use crate::{
    event_source::{Request, watch},
    site::{Bridge, Nats, quick},
};

async fn make(jetstream: &jetstream::Context) -> stream::Stream {
    let subjects = vec!["orders.>".to_owned()];
    let config = stream::Config { name: "ORDERS".to_owned(), subjects, ..Default::default() };
    jetstream.create_stream(config).await.unwrap()
}

async fn publish(jetstream: &jetstream::Context, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let subject = format!("orders.{}", number % 10);
        jetstream.publish(subject, number.to_string().into()).await.unwrap().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_resumes_after_the_last_id_by_header_and_by_query() {
    let nats = Nats::start().await;
    let jetstream = nats.jetstream().await;
    make(&jetstream).await;
    publish(&jetstream, 1..=5).await;
    let bridge = Bridge::start(&nats, quick()).await;
    let mut events = watch(bridge.address, "stream=ORDERS&since=all").await;
    let mut last = String::new();
    for number in 1..=3 {
        let event = events.message().await;
        assert_eq!(event.payload(), number.to_string());
        assert_eq!(event.json()["sequence"], number);
        assert!(event.json()["time"].as_str().unwrap().ends_with('Z'));
        last = event.id;
    }
    assert!(last.starts_with("ORDERS:") && last.ends_with(":3"), "{last}");
    drop(events);
    let mut by_header =
        Request::new(bridge.address, "stream=ORDERS").with("last-event-id", &last).events().await;
    let query = format!("stream=ORDERS&lastEventId={last}");
    let mut by_query = watch(bridge.address, &query).await;
    let newer = last.replace(":3", ":4");
    let mut by_both = Request::new(bridge.address, &query).with("last-event-id", &newer).events().await;
    publish(&jetstream, 6..=7).await;
    for number in 4..=7 {
        assert_eq!(by_header.payload().await, number.to_string());
        assert_eq!(by_query.payload().await, number.to_string());
    }
    for number in 5..=7 {
        assert_eq!(by_both.payload().await, number.to_string());
    }
    assert_eq!(bridge.metric("feeds"), 1);
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_cut_before_its_first_event_misses_nothing() {
    let nats = Nats::start().await;
    let jetstream = nats.jetstream().await;
    make(&jetstream).await;
    publish(&jetstream, 1..=5).await;
    let bridge = Bridge::start(&nats, quick()).await;
    let id = watch(bridge.address, "stream=ORDERS").await.id().await;
    assert!(id.ends_with(":5"), "{id}");
    publish(&jetstream, 6..=6).await;
    let mut events = Request::new(bridge.address, "stream=ORDERS").with("last-event-id", &id).events().await;
    assert_eq!(events.payload().await, "6");
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn since_begins_so_many_messages_or_so_long_ago() {
    let nats = Nats::start().await;
    let jetstream = nats.jetstream().await;
    make(&jetstream).await;
    publish(&jetstream, 1..=40).await;
    let bridge = Bridge::start(&nats, FeedConfig { ring_warm: 0, ..quick() }).await;
    for (query, first) in [
        ("stream=ORDERS&since=3", "38"),
        ("stream=ORDERS&since=1000", "1"),
        ("stream=ORDERS&since=1h", "1"),
        ("stream=ORDERS&subject=orders.3&since=2", "23"),
        ("stream=ORDERS&subject=orders.3&subject=orders.4&since=3", "24"),
        ("stream=ORDERS&subject=orders.7&since=all", "7"),
    ] {
        assert_eq!(watch(bridge.address, query).await.payload().await, first, "{query}");
    }
    let mut none = watch(bridge.address, "stream=ORDERS&since=0").await;
    none.id().await;
    publish(&jetstream, 41..=41).await;
    assert_eq!(none.payload().await, "41");
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_ring_has_not_is_replayed_and_joined_with_what_comes() {
    let nats = Nats::start().await;
    let jetstream = nats.jetstream().await;
    make(&jetstream).await;
    publish(&jetstream, 1..=300).await;
    let config = FeedConfig { ring_messages: 20, ring_warm: 10, ..quick() };
    let bridge = Bridge::start(&nats, config).await;
    let publishing = tokio::spawn({
        let jetstream = jetstream.clone();
        async move { publish(&jetstream, 301..=900).await }
    });
    // Those that read while it is published may be too slow for so small a ring: they resume.
    let mut following = Vec::new();
    for _ in 0..4 {
        following.push(tokio::spawn(follow(bridge.address, 900)));
    }
    for follower in following {
        follower.await.unwrap();
    }
    publishing.await.unwrap();
    assert!(bridge.metric("replays_total") >= 4);
    assert_eq!(bridge.metric("gaps_total"), 0);
    bridge.stop().await;
}

/// Reads each number once and in order, from the first one to `last`, connecting again where it is cut.
async fn follow(address: std::net::SocketAddr, last: u64) {
    let (mut next, mut id) = (1, String::new());
    while next <= last {
        let mut request = Request::new(address, "stream=ORDERS&since=all");
        if !id.is_empty() {
            request = request.with("last-event-id", &id);
        }
        let mut events = request.events().await;
        while next <= last
            && let Some(event) = events.next().await
        {
            if event.name == "end" {
                assert_eq!(event.json()["reason"], "slow");
                break;
            }
            assert_eq!(event.payload(), next.to_string());
            (next, id) = (next + 1, event.id);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_is_told_and_the_rest_is_sent() {
    let nats = Nats::start().await;
    let jetstream = nats.jetstream().await;
    let stream = make(&jetstream).await;
    publish(&jetstream, 1..=10).await;
    let bridge = Bridge::start(&nats, quick()).await;
    let mut events = watch(bridge.address, "stream=ORDERS&since=all").await;
    let second = [events.message().await.id, events.message().await.id][1].clone();
    drop(events);
    bridge.until("feeds", |feeds| feeds == 0).await;
    stream.purge().sequence(6).await.unwrap();
    let mut events =
        Request::new(bridge.address, "stream=ORDERS").with("last-event-id", &second).events().await;
    let gap = events.next().await.unwrap();
    assert_eq!(gap.name, "gap");
    assert_eq!(gap.data, "{\"stream\":\"ORDERS\",\"from\":3,\"to\":5,\"reason\":\"expired\"}");
    assert!(gap.id.ends_with(":5"), "{}", gap.id);
    for number in 6..=10 {
        assert_eq!(events.payload().await, number.to_string());
    }
    assert_eq!(bridge.metric("gaps_total"), 1);
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_made_anew_is_told_and_sent_from_its_beginning() {
    let nats = Nats::start().await;
    let jetstream = nats.jetstream().await;
    make(&jetstream).await;
    publish(&jetstream, 1..=10).await;
    let bridge = Bridge::start(&nats, quick()).await;
    let mut watching = watch(bridge.address, "stream=ORDERS&since=1").await;
    let last = watching.message().await;
    assert_eq!(last.payload(), "10");
    jetstream.delete_stream("ORDERS").await.unwrap();
    make(&jetstream).await;
    publish(&jetstream, 101..=120).await;
    let mut resuming =
        Request::new(bridge.address, "stream=ORDERS").with("last-event-id", &last.id).events().await;
    for events in [&mut watching, &mut resuming] {
        let gap = events.next().await.unwrap();
        assert_eq!((gap.name.as_str(), &gap.json()["reason"]), ("gap", &"remade".into()), "{gap:?}");
        assert_eq!(gap.json()["from"], 11);
        for number in 101..=120 {
            assert_eq!(events.payload().await, number.to_string());
        }
    }
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_beyond_the_end_of_the_stream_is_a_gap() {
    let nats = Nats::start().await;
    let jetstream = nats.jetstream().await;
    make(&jetstream).await;
    publish(&jetstream, 1..=10).await;
    let bridge = Bridge::start(&nats, quick()).await;
    let id = watch(bridge.address, "stream=ORDERS").await.id().await;
    let id = id.replace(":10", ":50");
    let mut events = Request::new(bridge.address, "stream=ORDERS").with("last-event-id", &id).events().await;
    let gap = events.next().await.unwrap();
    assert_eq!(gap.data, "{\"stream\":\"ORDERS\",\"from\":11,\"to\":50,\"reason\":\"rewound\"}");
    publish(&jetstream, 11..=11).await;
    assert_eq!(events.payload().await, "11");
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_is_replayed_is_a_gap_by_messages_and_by_bytes() {
    let nats = Nats::start().await;
    let jetstream = nats.jetstream().await;
    make(&jetstream).await;
    publish(&jetstream, 1..=500).await;
    let config = FeedConfig { replay_messages: 100, ring_warm: 0, ..quick() };
    let bridge = Bridge::start(&nats, config).await;
    let mut events = watch(bridge.address, "stream=ORDERS&since=all").await;
    let gap = events.next().await.unwrap();
    assert_eq!(gap.data, "{\"stream\":\"ORDERS\",\"from\":1,\"to\":400,\"reason\":\"too_many\"}");
    assert_eq!(events.payload().await, "401");
    // A hundred of five hundred match: what others there are does not count.
    let rare = "stream=ORDERS&subject=orders.3&subject=orders.4&since=all";
    assert_eq!(watch(bridge.address, rare).await.payload().await, "3");
    bridge.stop().await;

    let config = FeedConfig { replay_bytes: 600, ring_warm: 0, ..quick() };
    let bridge = Bridge::start(&nats, config).await;
    let mut events = watch(bridge.address, "stream=ORDERS&since=all").await;
    let mut next = 1;
    let gap = loop {
        let event = events.next().await.unwrap();
        if event.name == "gap" {
            break event;
        }
        assert_eq!(event.payload(), next.to_string());
        next += 1;
    };
    let json = gap.json();
    assert_eq!((&json["from"], &json["to"]), (&next.into(), &500.into()), "{gap:?}");
    publish(&jetstream, 501..=501).await;
    assert_eq!(events.payload().await, "501");
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_streams_resume_by_one_id() {
    let nats = Nats::start().await;
    let jetstream = nats.jetstream().await;
    make(&jetstream).await;
    let config =
        stream::Config { name: "PAY".to_owned(), subjects: vec!["pay.>".to_owned()], ..Default::default() };
    jetstream.create_stream(config).await.unwrap();
    let bridge = Bridge::start(&nats, quick()).await;
    let mut events = watch(bridge.address, "stream=ORDERS&stream=PAY").await;
    events.id().await;
    publish(&jetstream, 1..=2).await;
    events.message().await;
    jetstream.publish("pay.a", "paid".into()).await.unwrap().await.unwrap();
    let mut last = events.message().await;
    while last.payload() != "paid" {
        last = events.message().await;
    }
    assert_eq!(last.id.split(',').count(), 2, "{}", last.id);
    drop(events);
    publish(&jetstream, 3..=3).await;
    jetstream.publish("pay.a", "again".into()).await.unwrap().await.unwrap();
    let query = "stream=ORDERS&stream=PAY";
    let mut events = Request::new(bridge.address, query).with("last-event-id", &last.id).events().await;
    let mut payloads = [events.payload().await, events.payload().await];
    payloads.sort();
    assert_eq!(payloads, ["3", "again"]);
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_ended_and_resumes_where_it_was() {
    let nats = Nats::start().await;
    let jetstream = nats.jetstream().await;
    make(&jetstream).await;
    let config = FeedConfig { ring_messages: 8, ..quick() };
    let bridge = Bridge::start(&nats, config).await;
    let mut slow = watch(bridge.address, "stream=ORDERS").await;
    slow.id().await;
    // More than the sockets' buffers hold.
    let payload = "x".repeat(256 << 10);
    for _ in 0..80 {
        jetstream.publish("orders.1", payload.clone().into()).await.unwrap().await.unwrap();
    }
    let (mut count, mut last) = (0, String::new());
    loop {
        let event = slow.next().await.expect("an end");
        if event.name == "end" {
            assert_eq!(event.json()["reason"], "slow");
            break;
        }
        count += 1;
        assert_eq!(event.json()["sequence"], count);
        last = event.id;
    }
    assert!(slow.next().await.is_none());
    assert!(count < 80);
    let mut again = Request::new(bridge.address, "stream=ORDERS").with("last-event-id", &last).events().await;
    while count < 80 {
        count += 1;
        assert_eq!(again.message().await.json()["sequence"], count);
    }
    bridge.until("slow_clients_total", |slow| slow >= 1).await;
    tokio::time::timeout(Duration::from_secs(60), bridge.stop()).await.unwrap();
}
