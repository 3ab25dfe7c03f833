//! How long copies take to be in step after a cut.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use settings::Fleet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    servers::{Site, eventually, fleet},
    travelling::{Publisher, SHOPS, Shops},
};

const MORE: &str = "[accounts.SHOP.kv.list]\ntravel = \"down\"\nhistory = 64\n[accounts.SHOP.streams.RECORDS]\nsubjects = [\"records.{node}.>\"]\ntravel = \"both\"\n";

fn everything() -> Fleet {
    fleet(&format!("{SHOPS}{MORE}"))
}

#[derive(Clone, Copy)]
struct Case {
    cut: u64,
    nudged: bool,
}

async fn unlinked(leaf: &Site) {
    let monitoring = runtime::Monitoring::new(leaf.monitoring_address());
    eventually("the link is down", || async {
        let leafz: serde_json::Value = monitoring.json("/leafz").await.unwrap();
        (leafz["leafnodes"] == 0).then_some(())
    })
    .await;
}

/// How long each way took after the heal.
async fn catch_up(case: Case) -> BTreeMap<&'static str, f32> {
    let shops = Shops::open(everything(), 1).await;
    let (leaf, proxy) = &shops.leaves[0];
    // Through the outbox, a mirror, and plain sources down and up.
    let ways = [
        ("outbox", Publisher::start(leaf, "sales.till", "a"), &shops.hub, "SALES"),
        ("source down", Publisher::start(&shops.hub, "prices.apple", "b"), leaf, "PRICES"),
        ("mirror", Publisher::start(&shops.hub, "$KV.list.apple", "d"), leaf, "KV_list"),
        ("source up", Publisher::start(leaf, "records.shop-1.x", "c"), &shops.hub, "RECORDS"),
    ];
    for (_, publisher, ..) in &ways {
        publisher.more(10).await;
    }
    // Where a new outbox delivers, the hub learns from a nudge.
    eventually("the hub listens to the outbox", || async {
        shops.nudge().await;
        (shops.hub.count("SHOP", "SALES").await > 0).then_some(())
    })
    .await;
    proxy.cut();
    let cut = Instant::now();
    unlinked(leaf).await;
    for (_, publisher, ..) in &ways {
        publisher.more(300).await;
    }
    let mut waiting = Vec::new();
    for (way, publisher, site, stream) in ways {
        waiting.push((way, publisher.stop().await.len() as u64, site, stream));
    }
    sleep_until(cut + Duration::from_secs(case.cut)).await;
    proxy.heal();
    let healed = Instant::now();
    let mut took = BTreeMap::new();
    while !waiting.is_empty() {
        assert!(healed.elapsed() < Duration::from_secs(240));
        if case.nudged {
            shops.nudge().await;
        }
        let mut still = Vec::new();
        for (way, messages, site, stream) in waiting {
            // A bucket keeps one message a key: there the sequence counts.
            if site.last_sequence("SHOP", stream).await >= messages {
                took.insert(way, healed.elapsed().as_secs_f32());
            } else {
                still.push((way, messages, site, stream));
            }
        }
        waiting = still;
        sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(leaf.payloads("SHOP", "KV_list").await, shops.hub.payloads("SHOP", "KV_list").await);
    mirrored_by_one(&shops).await;
    took
}

/// Waits until the hub has one consumer for the mirror: what broken attempts left is gone.
async fn mirrored_by_one(shops: &Shops) {
    eventually("one consumer for the mirror", || async {
        let stream = shops.hub.jetstream("SHOP").get_stream("KV_list").await.unwrap();
        (stream.get_info().await.unwrap().state.consumer_count == 1).then_some(())
    })
    .await;
}

/// Prints it. Minutes long, so run by hand:
/// `cargo test -p stores --test integration -- --ignored --nocapture catch_up`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of eight minutes"]
async fn catch_up_after_a_cut() {
    let cases = [20, 60, 240].into_iter().flat_map(|cut| {
        let cases = [false, true];
        cases.map(|nudged| Case { cut, nudged })
    });
    join_all(cases.map(|case| async move {
        let took = catch_up(case).await;
        let Case { cut, nudged } = case;
        eprintln!("cut {cut} s, nudge {nudged}: {took:.1?}");
    }))
    .await;
}
