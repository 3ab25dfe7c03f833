//! What was acknowledged arrives once, whatever is killed.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_nats::jetstream::{self, stream};
use futures::future::join_all;

use crate::{
    event_source::Request,
    site::{Bridge, Nats, quick},
};

const MESSAGES: u64 = 10_000;

/// Publishes each number until it is acknowledged, many at once; the stream drops what comes twice.
async fn publish(jetstream: jetstream::Context, acknowledged: Arc<AtomicU64>) {
    let one = async |number: u64| {
        loop {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Nats-Msg-Id", number.to_string());
            let sent = jetstream.publish_with_headers("orders.new", headers, number.to_string().into()).await;
            if let Ok(answer) = sent
                && answer.await.is_ok()
            {
                acknowledged.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    };
    let numbers: Vec<_> = (1..=MESSAGES).collect();
    for burst in numbers.chunks(50) {
        join_all(burst.iter().map(|number| one(*number))).await;
    }
}

/// What a client had, over all of its connections. It is cut itself after each so many events.
async fn follow(address: SocketAddr, cut_after: Option<usize>) -> Vec<(u64, u64)> {
    let (mut had, mut id) = (Vec::new(), String::new());
    while had.len() < usize::try_from(MESSAGES).unwrap() {
        let mut request = Request::new(address, "stream=ORDERS&since=all");
        if !id.is_empty() {
            request = request.with("last-event-id", &id);
        }
        let mut events = request.events().await;
        let mut count = 0;
        while had.len() < usize::try_from(MESSAGES).unwrap()
            && let Some(event) = events.next().await
        {
            if event.name == "end" {
                assert_eq!(event.json()["reason"], "slow");
                break;
            }
            let sequence = event.json()["sequence"].as_u64().unwrap();
            had.push((sequence, event.payload().parse().unwrap()));
            id = event.id;
            count += 1;
            if Some(count) == cut_after {
                break;
            }
        }
    }
    had
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_lost_or_doubled_while_nats_server_and_clients_are_killed() {
    let mut nats = Nats::start().await;
    let jetstream = nats.jetstream().await;
    let config = stream::Config {
        name: "ORDERS".to_owned(),
        subjects: vec!["orders.>".to_owned()],
        ..Default::default()
    };
    jetstream.create_stream(config).await.unwrap();
    let bridge = Bridge::start(&nats, quick()).await;
    let steady = tokio::spawn(follow(bridge.address, None));
    let cut = tokio::spawn(follow(bridge.address, Some(777)));
    let often = tokio::spawn(follow(bridge.address, Some(97)));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let publishing = tokio::spawn(publish(jetstream, Arc::clone(&acknowledged)));
    for kill_at in [2_000, 5_000, 8_000] {
        while acknowledged.load(Ordering::Relaxed) < kill_at {
            assert!(!publishing.is_finished());
            tokio::task::yield_now().await;
        }
        nats.kill().await;
        nats.run().await;
    }
    publishing.await.unwrap();
    for client in [steady, cut, often] {
        let had = client.await.unwrap();
        let sequences: Vec<_> = had.iter().map(|(sequence, _)| *sequence).collect();
        assert_eq!(sequences, (1..=MESSAGES).collect::<Vec<_>>(), "in order, without a gap, none twice");
        let mut numbers: Vec<_> = had.iter().map(|(_, number)| *number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=MESSAGES).collect::<Vec<_>>());
    }
    assert_eq!(bridge.metric("gaps_total"), 0);
    assert!(bridge.metric("feed_restarts_total") >= 3);
    bridge.stop().await;
}
