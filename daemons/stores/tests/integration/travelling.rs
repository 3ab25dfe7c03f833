//! Streams that travel up and down across a link that is cut.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::jetstream;
use futures::StreamExt;
use settings::Fleet;
use stores::Healthy;
use tokio::{task::JoinHandle, time::timeout};

use crate::{
    proxy::Proxy,
    servers::{Site, eventually, eventually_or_tell, fleet},
};

pub(crate) const SHOPS: &str = r#"
name = "shops"
nodes = { hub = ["hub-1"], leaves = ["shop-1", "shop-2", "shop-3"] }

[accounts.SHOP.streams.SALES]
subjects = ["sales.>"]
travel = "up"
outbox = { max_bytes = "64MiB" }
consumers = { books = {} }

[accounts.SHOP.streams.PRICES]
subjects = ["prices.>"]
travel = "down"
consumers = { till = {} }
"#;

/// A hub and leaves, each leaf behind a proxy of its own.
pub(crate) struct Shops {
    pub(crate) fleet: Fleet,
    pub(crate) hub: Site,
    pub(crate) leaves: Vec<(Site, Proxy)>,
}

impl Shops {
    pub(crate) async fn open(fleet: Fleet, leaves: usize) -> Self {
        let hub = Site::hub(&fleet).await;
        hub.apply(&fleet).await;
        let mut shops = Self { fleet, hub, leaves: Vec::new() };
        for number in 1..=leaves {
            let proxy = Proxy::start().await;
            proxy.lead_to(shops.hub.leaf_address());
            let leaf = Site::leaf(&shops.fleet, &format!("shop-{number}"), Some(proxy.address)).await;
            leaf.apply(&shops.fleet).await;
            shops.leaves.push((leaf, proxy));
        }
        shops
    }

    /// Wakes what sleeps on every node until both `done` and nothing is asleep.
    pub(crate) async fn nudge(&self) {
        for site in [&self.hub].into_iter().chain(self.leaves.iter().map(|(leaf, _)| leaf)) {
            let (_, errors) = stores::nudge(&self.fleet, &site.node, &site.clients).await;
            assert!(errors.is_empty(), "{errors:?}");
        }
    }

    /// A stream as every node has it.
    pub(crate) async fn state(&self, stream: &str) -> String {
        let mut told = self.hub.state("SHOP", stream).await;
        for (leaf, _) in &self.leaves {
            told += &leaf.state("SHOP", stream).await;
        }
        told
    }
}

/// Publishes numbered messages one after the other and remembers which were acknowledged.
pub(crate) struct Publisher {
    acknowledged: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Publisher {
    pub(crate) fn start(site: &Site, subject: &str, tag: &str) -> Self {
        let mut context = jetstream::new(site.client("SHOP").clone());
        context.set_timeout(Duration::from_millis(500));
        let (subject, tag) = (subject.to_owned(), tag.to_owned());
        let (acknowledged, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (told, stopped) = (acknowledged.clone(), stop.clone());
        let task = tokio::spawn(async move {
            for number in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let payload = format!("{tag}-{number}");
                // Never sent twice: what was stored without an acknowledgement may arrive or not.
                if let Ok(sent) = context.publish(subject.clone(), payload.clone().into()).await
                    && sent.await.is_ok()
                {
                    told.lock().unwrap().push(payload);
                }
            }
        });
        Self { acknowledged, stop, task }
    }

    pub(crate) fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Waits until this many more messages were acknowledged.
    pub(crate) async fn more(&self, messages: usize) {
        let until = self.count() + messages;
        eventually("acknowledgements", || async { (self.count() >= until).then_some(()) }).await;
    }

    /// Stops and gives what was acknowledged.
    pub(crate) async fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        Arc::into_inner(self.acknowledged).unwrap().into_inner().unwrap()
    }
}

/// Everything acknowledged is there, and nothing twice.
pub(crate) fn assert_once(acknowledged: &[String], arrived: &[String]) {
    let distinct: BTreeSet<&String> = arrived.iter().collect();
    assert_eq!(distinct.len(), arrived.len(), "something arrived twice");
    let lost: Vec<_> = acknowledged.iter().filter(|payload| !distinct.contains(payload)).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), acknowledged.len());
}

async fn arrived(shops: &Shops, acknowledged: &[String], stream: &str) -> Vec<String> {
    let condition = || async {
        // As a running node does: left alone, nats-server may wait two minutes between two tries. A
        // server that was killed may not answer yet.
        let _ = stores::nudge(&shops.fleet, &shops.hub.node, &shops.hub.clients).await;
        (shops.hub.count("SHOP", stream).await >= acknowledged.len() as u64).then_some(())
    };
    let what = format!("{} messages in {stream} of the hub", acknowledged.len());
    eventually_or_tell(&what, condition, async || shops.state(stream).await).await;
    for (leaf, _) in &shops.leaves {
        leaf.holds("SHOP", stream, 0).await;
    }
    shops.hub.payloads("SHOP", stream).await
}

#[tokio::test]
async fn a_leaf_that_boots_alone_keeps_everything_until_the_hub_comes() {
    let fleet = fleet(SHOPS);
    let proxy = Proxy::start().await;
    let leaf = Site::leaf(&fleet, "shop-1", Some(proxy.address)).await;
    leaf.apply(&fleet).await;
    let publisher = Publisher::start(&leaf, "sales.till", "a");
    publisher.more(500).await;
    // The hub has never heard of its leaves, two of which will never be there.
    let hub = Site::hub(&fleet).await;
    hub.apply(&fleet).await;
    proxy.lead_to(hub.leaf_address());
    publisher.more(200).await;
    let acknowledged = publisher.stop().await;
    let shops = Shops { fleet, hub, leaves: vec![(leaf, proxy)] };
    assert_once(&acknowledged, &arrived(&shops, &acknowledged, "SALES").await);
}

#[tokio::test]
async fn a_cut_under_load_loses_and_doubles_nothing_in_either_direction() {
    let shops = Shops::open(fleet(SHOPS), 2).await;
    let up: Vec<_> = shops
        .leaves
        .iter()
        .enumerate()
        .map(|(number, (leaf, _))| Publisher::start(leaf, "sales.till", &format!("leaf{number}")))
        .collect();
    let down = Publisher::start(&shops.hub, "prices.apple", "hub");
    for publisher in up.iter().chain([&down]) {
        publisher.more(100).await;
    }
    for (_, proxy) in &shops.leaves {
        proxy.cut();
    }
    for publisher in up.iter().chain([&down]) {
        publisher.more(300).await;
    }
    for (_, proxy) in &shops.leaves {
        proxy.heal();
    }
    for publisher in up.iter().chain([&down]) {
        publisher.more(100).await;
    }
    let mut sold = Vec::new();
    for publisher in up {
        sold.extend(publisher.stop().await);
    }
    let prices = down.stop().await;
    assert_once(&sold, &arrived(&shops, &sold, "SALES").await);
    let published = shops.hub.payloads("SHOP", "PRICES").await;
    assert_once(&prices, &published);
    for (leaf, _) in &shops.leaves {
        let in_step = || async {
            shops.nudge().await;
            (leaf.count("SHOP", "PRICES").await == published.len() as u64).then_some(())
        };
        eventually_or_tell("the copy is in step", in_step, async || shops.state("PRICES").await).await;
        assert_eq!(leaf.payloads("SHOP", "PRICES").await, published, "in order");
    }
    for site in [&shops.hub, &shops.leaves[0].0, &shops.leaves[1].0] {
        let plan = site.plan(&shops.fleet).await;
        assert!(plan.is_empty(), "a nudge is no drift: {plan}");
    }
}

#[tokio::test]
async fn kill_of_leaf_and_hub_under_load_loses_and_doubles_nothing() {
    let mut shops = Shops::open(fleet(SHOPS), 1).await;
    let publisher = Publisher::start(&shops.leaves[0].0, "sales.till", "a");
    publisher.more(200).await;
    shops.leaves[0].0.kill().await;
    shops.leaves[0].0.run().await;
    publisher.more(200).await;
    shops.hub.kill().await;
    publisher.more(100).await;
    shops.hub.run().await;
    publisher.more(200).await;
    // Once more while the hub catches up.
    shops.leaves[0].0.kill().await;
    shops.leaves[0].0.run().await;
    publisher.more(100).await;
    let acknowledged = publisher.stop().await;
    assert_once(&acknowledged, &arrived(&shops, &acknowledged, "SALES").await);
}

#[tokio::test]
async fn equal_message_ids_of_two_leaves_are_two_messages() {
    let shops = Shops::open(fleet(SHOPS), 2).await;
    for (leaf, _) in &shops.leaves {
        for _ in 0..2 {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Nats-Msg-Id", "order-1");
            let payload = leaf.node.name.to_string();
            let context = leaf.jetstream("SHOP");
            let sent = context.publish_with_headers("sales.till", headers, payload.into()).await.unwrap();
            sent.await.unwrap();
        }
    }
    let both = ["shop-1".to_owned(), "shop-2".to_owned()];
    let mut arrived = arrived(&shops, &both, "SALES").await;
    arrived.sort();
    assert_eq!(arrived, both, "the retry is dropped on the leaf, the other leaf's order is not");
}

#[tokio::test]
async fn a_leaf_that_lost_its_disk_starts_again() {
    let mut shops = Shops::open(fleet(SHOPS), 1).await;
    let publisher = Publisher::start(&shops.leaves[0].0, "sales.till", "before");
    publisher.more(50).await;
    let before = publisher.stop().await;
    arrived(&shops, &before, "SALES").await;
    shops.hub.jetstream("SHOP").publish("prices.apple", "3".into()).await.unwrap().await.unwrap();
    let leaf = &mut shops.leaves[0].0;
    leaf.kill().await;
    leaf.wipe();
    leaf.run().await;
    leaf.apply(&shops.fleet).await;
    let publisher = Publisher::start(leaf, "sales.till", "after");
    publisher.more(20).await;
    let after = publisher.stop().await;
    let acknowledged = [before, after].concat();
    assert_once(&acknowledged, &arrived(&shops, &acknowledged, "SALES").await);
    shops.leaves[0].0.holds("SHOP", "PRICES", 1).await;
}

/// Publishes this many messages, all of which are acknowledged.
async fn sell(leaf: &Site, tag: &str, messages: usize) -> Vec<String> {
    let context = leaf.jetstream("SHOP");
    let mut acknowledged = Vec::new();
    for number in 0..messages {
        let payload = format!("{tag}-{number}");
        context.publish("sales.till", payload.clone().into()).await.unwrap().await.unwrap();
        acknowledged.push(payload);
    }
    acknowledged
}

/// nats-server's source keeps listening where the outbox that is gone delivered. It took the first
/// messages of the new one for old ones, by their sequences, and acknowledged them: as many as it
/// had taken from the old one were gone for good.
#[tokio::test]
async fn an_outbox_made_anew_under_a_listening_hub_loses_nothing() {
    let shops = Shops::open(fleet(SHOPS), 1).await;
    let leaf = &shops.leaves[0].0;
    let mut acknowledged = sell(leaf, "before", 20).await;
    arrived(&shops, &acknowledged, "SALES").await;
    // The consumer alone, and then all of it.
    leaf.jetstream("SHOP").delete_consumer_from_stream("leafbox-hub", "SALES").await.unwrap();
    leaf.apply(&shops.fleet).await;
    acknowledged.extend(sell(leaf, "consumer", 30).await);
    assert_once(&acknowledged, &arrived(&shops, &acknowledged, "SALES").await);
    for (tag, messages) in [("as-many", 30), ("fewer", 7), ("more", 60)] {
        leaf.jetstream("SHOP").delete_stream("SALES").await.unwrap();
        // The files of a deleted stream go a little later, and are no stream until then.
        let healthy = || async { Healthy::ask(leaf.monitoring_address()).await.ok() };
        eventually("nothing is left of the outbox", healthy).await;
        leaf.apply(&shops.fleet).await;
        acknowledged.extend(sell(leaf, tag, messages).await);
        assert_once(&acknowledged, &arrived(&shops, &acknowledged, "SALES").await);
    }
}

#[tokio::test]
async fn a_full_outbox_refuses_and_keeps_what_it_took() {
    let small = SHOPS.replace("max_bytes = \"64MiB\"", "max_messages = 10");
    let shops = Shops::open(fleet(&small), 1).await;
    let (leaf, proxy) = &shops.leaves[0];
    leaf.holds("SHOP", "SALES", 0).await;
    proxy.cut();
    eventually("the hub is out of reach", || async {
        let asked = leaf.client("SHOP").request("$JS.hub.API.INFO", "".into()).await;
        asked.is_err().then_some(())
    })
    .await;
    let mut acknowledged = Vec::new();
    for number in 0..15 {
        let payload = number.to_string();
        if leaf.jetstream("SHOP").publish("sales.till", payload.clone().into()).await.unwrap().await.is_ok() {
            acknowledged.push(payload);
        }
    }
    assert_eq!(acknowledged.len(), 10, "the outbox takes ten");
    proxy.heal();
    assert_once(&acknowledged, &arrived(&shops, &acknowledged, "SALES").await);
}

#[tokio::test]
async fn what_a_leaf_captures_is_captured_once_whoever_else_listens() {
    let shops = Shops::open(fleet(SHOPS), 2).await;
    let (first, second) = (&shops.leaves[0].0, &shops.leaves[1].0);
    // A subscription to everything opens the link for everything that is not denied.
    let mut everything = shops.hub.client("SHOP").subscribe(">").await.unwrap();
    let _everything = second.client("SHOP").subscribe(">").await.unwrap();
    let client = first.client("SHOP");
    let opened = async {
        loop {
            client.publish("free.subject", "".into()).await.unwrap();
            let heard = timeout(Duration::from_millis(100), everything.next()).await;
            if heard.is_ok_and(|message| message.unwrap().subject.as_str() == "free.subject") {
                return;
            }
        }
    };
    timeout(Duration::from_secs(30), opened).await.expect("the hub hears what is not captured");
    // From the hub, nobody takes it: the leaves' queues are theirs.
    let refused = shops.hub.jetstream("SHOP").publish("sales.hub", "x".into()).await.unwrap().await;
    assert!(refused.is_err(), "{refused:?}");
    first.jetstream("SHOP").publish("sales.till", "once".into()).await.unwrap().await.unwrap();
    // What the hub captures is written from a leaf across the link.
    first.jetstream("SHOP").publish("prices.apple", "3".into()).await.unwrap().await.unwrap();
    let sold = ["once".to_owned()];
    assert_eq!(arrived(&shops, &sold, "SALES").await, sold);
    assert_eq!(shops.hub.count("SHOP", "PRICES").await, 1);
}
