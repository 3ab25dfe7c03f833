//! Several nodes that wake the copies of one stream, and one that is broken off while at it.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use async_nats::Client;
use futures::future::join_all;
use serde_json::Value;
use settings::Fleet;

use crate::{
    servers::{Site, eventually, eventually_or_tell, fleet},
    travelling::{Publisher, Shops, assert_once},
};

const SHOPS: &str = r#"
name = "shops"
nodes = { hub = ["hub-1"], leaves = ["shop-1", "shop-2", "shop-3"] }

[accounts.SHOP.streams.RECORDS]
subjects = ["records.{node}.>"]
travel = "both"

[accounts.SHOP.kv.stock]
travel = "up"
"#;

async fn sources(client: &Client, stream: &str) -> usize {
    let answer = client.request(format!("$JS.API.STREAM.INFO.{stream}"), "".into()).await.unwrap();
    let info: Value = serde_json::from_slice(&answer.payload).unwrap();
    info["config"]["sources"].as_array().map_or(0, Vec::len)
}

/// Whether every source of a stream of the hub sleeps.
async fn all_asleep(hub: &Site, fleet: &Fleet, stream: &str) -> bool {
    let (stores, failures) = stores::status(fleet, &hub.node, &hub.clients).await;
    assert!(failures.is_empty(), "{failures:?}");
    let store = stores.iter().find(|store| store.name == stream).unwrap();
    store.origins.iter().all(stores::status::Origin::is_asleep)
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nudgers_at_once_leave_every_source_and_double_nothing() {
    let shops = Shops::open(fleet(SHOPS), 3).await;
    let publishers: Vec<_> = shops
        .leaves
        .iter()
        .map(|(leaf, _)| {
            let name = &leaf.node.name;
            Publisher::start(leaf, &format!("records.{name}.x"), name)
        })
        .collect();
    for publisher in &publishers {
        publisher.more(50).await;
    }
    for (_, proxy) in &shops.leaves {
        proxy.cut();
    }
    for publisher in &publishers {
        publisher.more(200).await;
    }
    eventually("the hub's copies sleep", || async {
        all_asleep(&shops.hub, &shops.fleet, "RECORDS").await.then_some(())
    })
    .await;
    for (_, proxy) in &shops.leaves {
        proxy.heal();
    }
    let mut acknowledged = Vec::new();
    for publisher in publishers {
        publisher.more(50).await;
        acknowledged.extend(publisher.stop().await);
    }
    let condition = || async {
        let nudging = (0..3).map(|_| stores::nudge(&shops.fleet, &shops.hub.node, &shops.hub.clients));
        for (_, errors) in join_all(nudging).await {
            assert!(errors.is_empty(), "{errors:?}");
        }
        (shops.hub.count("SHOP", "RECORDS").await >= acknowledged.len() as u64).then_some(())
    };
    let state = async || shops.state("RECORDS").await;
    eventually_or_tell("everything is at the hub", condition, state).await;
    assert_once(&acknowledged, &shops.hub.payloads("SHOP", "RECORDS").await);
    let plan = shops.hub.plan(&shops.fleet).await;
    assert!(plan.is_empty(), "a source is gone: {plan}");
}

/// Polls a future this often at most, then drops it.
async fn broken_off(future: impl Future, polls: usize) {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        future.as_mut().poll(context).map(drop)
    })
    .await;
}

/// A nudge takes sources out and puts them back: what if it ends in between?
#[tokio::test]
async fn what_a_nudge_that_was_broken_off_took_out_is_put_back() {
    let fleet = fleet(SHOPS);
    let hub = Site::hub(&fleet).await;
    hub.apply(&fleet).await;
    // Leaves that are there and hold nothing: their copies at the hub sleep for good.
    let mut leaves = Vec::new();
    for number in 1..=3 {
        let leaf = Site::leaf(&fleet, &format!("shop-{number}"), Some(hub.leaf_address())).await;
        let domain = format!("$JS.shop-{number}.API.INFO");
        eventually("the hub reaches the leaf", || async {
            hub.client("SHOP").request(domain.clone(), "".into()).await.ok()
        })
        .await;
        leaves.push(leaf);
    }
    let client = hub.client("SHOP");
    let mut polls = 0;
    while sources(client, "KV_stock").await == 3 && sources(client, "RECORDS").await == 3 {
        polls += 1;
        assert!(polls < 1_000, "a nudge never takes anything out");
        broken_off(stores::nudge(&fleet, &hub.node, &hub.clients), polls).await;
        // What was sent before the end has its effect.
        client.flush().await.unwrap();
    }
    eventually("all sources are back", || async {
        let (_, errors) = stores::nudge(&fleet, &hub.node, &hub.clients).await;
        assert!(errors.is_empty(), "{errors:?}");
        hub.plan(&fleet).await.is_empty().then_some(())
    })
    .await;
    assert_eq!((sources(client, "KV_stock").await, sources(client, "RECORDS").await), (3, 3));
}
