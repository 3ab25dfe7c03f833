//! What is pushed at a leaf comes to the hub, where fleet.toml says so.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::HeaderMap;
use futures::StreamExt;
use registry::{
    collect::Policy,
    records::{Origin, now},
};
use serde_json::{Value, json};
use settings::fleet::Retain;

use super::{
    relay::Relay,
    site::{Image, Site, fleet, layers},
};
use crate::{
    collect,
    harness::{self, sha256},
};

const UP: &str = "travel = { up = [\"sites/**\"] }";

async fn is_idle(leaf: &Site) -> bool {
    leaf.storage().index().announcements().is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_while_the_hub_is_away_arrives_when_it_is_back() {
    let fleet = fleet(UP);
    let hub = Site::hub(&fleet).await;
    let relay = Relay::start().await;
    let mut leaf = Site::leaf(&fleet, Some(relay.address)).await;
    let arm = Image::new(&layers(1, &[3_000_000, 5000]), None);
    leaf.put("sites/app", Vec::new(), &arm).await;
    let absent = Image::new(&layers(2, &[10]), None);
    let index = Image::index(&[("arm64", &arm), ("amd64", &absent)]);
    leaf.put("sites/app", vec![harness::tag("v1")], &index).await;
    let signature = Image::new(&layers(3, &[700]), Some(&index));
    leaf.put("sites/app", Vec::new(), &signature).await;
    leaf.push("local/app", "v1", &layers(4, &[10])).await;

    let waiting = async || leaf.travel().status().announcements.iter().any(|waiting| waiting.error.is_some());
    harness::until("the backlog says why it waits", waiting).await;
    let status = leaf.travel().status();
    assert_eq!(status.announcements.len(), 1, "local/app stays here: {status:?}");
    assert_eq!(status.announcements[0].digest, index.digest);

    // It is in the records, and not only in this daemon.
    leaf.close().await;
    leaf.open().await;
    relay.lead_to(hub.leaf_address());
    harness::until("the hub has everything", async || is_idle(&leaf).await).await;
    let (digest, origin) = hub.tagged("sites/app", "v1").unwrap();
    assert_eq!((digest, origin), (index.digest.clone(), Origin::Leaf("shop-1".to_owned())));
    for image in [&arm, &index, &signature] {
        assert!(hub.has("sites/app", image));
        for blob in &image.blobs {
            assert!(harness::read(hub.storage(), &sha256(blob)).await.unwrap() == *blob);
        }
    }
    assert!(!hub.has("sites/app", &absent) && hub.tagged("local/app", "v1").is_none());
    assert!(hub.storage().index().uploads().is_empty() || hub.travel().status().gathering.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_push_of_the_tag_takes_the_place_of_the_older_and_a_later_signature_follows() {
    let fleet = fleet(UP);
    let hub = Site::hub(&fleet).await;
    let relay = Relay::start().await;
    let leaf = Site::leaf(&fleet, Some(relay.address)).await;
    let old = leaf.push("sites/app", "v1", &layers(1, &[2_000_000])).await;
    let new = leaf.push("sites/app", "v1", &layers(2, &[2_000_000])).await;
    relay.lead_to(hub.leaf_address());
    harness::until("the hub has everything", async || is_idle(&leaf).await).await;
    assert_eq!(hub.tagged("sites/app", "v1").unwrap().0, new.digest);
    assert!(!hub.has("sites/app", &old), "nobody needs it any more");

    let signature = Image::new(&layers(3, &[700]), Some(&new));
    leaf.put("sites/app", Vec::new(), &signature).await;
    hub.until_has("sites/app", &signature).await;
    harness::until("the hub has everything", async || is_idle(&leaf).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_daemon_that_dies_on_the_way_is_followed_by_the_next() {
    let fleet = fleet(UP);
    let mut hub = Site::hub(&fleet).await;
    let relay = Relay::start().await;
    relay.lead_to(hub.leaf_address());
    relay.slow_down();
    let leaf = Site::leaf(&fleet, Some(relay.address)).await;
    let image = leaf.push("sites/app", "v1", &layers(1, &[24 << 20])).await;
    let stored = async || hub.storage().index().uploads().iter().any(|(_, upload)| upload.offset > 0);
    harness::until("a part of it is at the hub", stored).await;
    hub.close().await;
    hub.open().await;
    harness::until("the hub has everything", async || is_idle(&leaf).await).await;
    assert!(hub.has("sites/app", &image));
    assert_eq!(hub.tagged("sites/app", "v1").unwrap().0, image.digest);
    let sent = leaf.travel().counters().now().sent;
    assert!(sent < 34 << 20, "{sent} bytes were sent of {}", 24 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemons_of_a_hub_fetch_a_blob_once_between_them() {
    let fleet = fleet(UP);
    let hub = Site::hub(&fleet).await;
    let others = [hub.another("hub-2").await, hub.another("hub-3").await];
    let relay = Relay::start().await;
    let leaf = Site::leaf(&fleet, Some(relay.address)).await;
    let lengths = [20 << 20, 8 << 20];
    let image = leaf.push("sites/app", "v1", &layers(1, &lengths)).await;
    relay.lead_to(hub.leaf_address());
    // Until each of them has heard of it.
    let busy = || others.iter().filter(|other| !other.travel.status().gathering.is_empty()).count();
    let most = AtomicUsize::new(0);
    harness::until("the hub has everything", async || {
        most.fetch_max(busy(), Ordering::Relaxed);
        // More announcements than the leaf makes by itself, for some of them to come to each daemon.
        leaf.travel().pushed();
        is_idle(&leaf).await
    })
    .await;
    assert!(hub.has("sites/app", &image));
    let most = most.into_inner();
    let sent = leaf.travel().counters().now().sent;
    let all: usize = lengths.iter().sum();
    assert!(sent < all as u64 * 3 / 2, "{sent} bytes were sent of {all}, with {most} other daemons at work");
    assert!(most > 0, "only one daemon ever worked on it");
    for other in others {
        other.close().await;
    }
}

/// A regression test: what came first was not looked at again, so that the hub's tag stood for an index
/// that lacked a platform, and the leaf was told that all of it was there.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_collector_took_while_the_rest_was_on_its_way_comes_again_before_the_tag() {
    let fleet = fleet(UP);
    let hub = Site::hub(&fleet).await;
    let relay = Relay::start().await;
    relay.slow_down();
    let leaf = Site::leaf(&fleet, Some(relay.address)).await;
    let (arm, amd) = (Image::new(&layers(1, &[5000]), None), Image::new(&layers(2, &[24 << 20]), None));
    for image in [&arm, &amd] {
        leaf.put("sites/app", Vec::new(), image).await;
    }
    let index = Image::index(&[("arm64", &arm), ("amd64", &amd)]);
    leaf.put("sites/app", vec![harness::tag("v1")], &index).await;
    relay.lead_to(hub.leaf_address());
    let stored = async || hub.storage().index().uploads().iter().any(|(_, upload)| upload.offset > 100_000);
    harness::until("a part of the second platform is at the hub", stored).await;
    assert!(hub.has("sites/app", &arm), "the first platform is there");

    let rule = Retain { repositories: "sites/*".parse().unwrap(), tags: "**".parse().unwrap(), newest: 9 };
    let report = collect::pass(hub.storage(), Policy { retain: vec![rule], ..collect::at_once() }).await;
    assert!(report.manifests > 0 && !hub.has("sites/app", &arm), "{report:?}");
    harness::until("the hub has everything", async || is_idle(&leaf).await).await;
    assert_eq!(hub.tagged("sites/app", "v1").unwrap().0, index.digest);
    for image in [&arm, &amd] {
        assert!(hub.has("sites/app", image));
        for blob in &image.blobs {
            assert!(harness::read(hub.storage(), &sha256(blob)).await.unwrap() == *blob);
        }
    }
}

/// A regression test: a blob came from the leaf that first had it, or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_blob_comes_from_another_leaf_when_the_first_is_gone() {
    const LENGTH: usize = 24 << 20;
    let fleet = fleet(UP);
    let hub = Site::hub(&fleet).await;
    let relay = Relay::start().await;
    relay.slow_down();
    relay.lead_to(hub.leaf_address());
    let first = Site::leaf(&fleet, Some(relay.address)).await;
    let second = Site::leaf_named("shop-2", &fleet, Some(hub.leaf_address())).await;
    let base = layers(1, &[LENGTH]);
    let one = first.push("sites/one", "v1", &base).await;
    let stored = async || hub.storage().index().uploads().iter().any(|(_, upload)| upload.offset > 100_000);
    harness::until("a part of the layer is at the hub", stored).await;
    relay.cut();

    let two = second.push("sites/two", "v1", &[base, layers(2, &[1000])].concat()).await;
    harness::until("the hub has the other image", async || is_idle(&second).await).await;
    assert!(hub.has("sites/two", &two) && hub.tagged("sites/two", "v1").is_some());
    let sent = second.travel().counters().now().sent;
    assert!(sent < LENGTH as u64, "{sent} bytes were sent of {LENGTH}, of which a part was there");
    relay.heal();
    harness::until("the hub has everything", async || is_idle(&first).await).await;
    assert!(hub.has("sites/one", &one));
}

async fn a_second_after(site: &Site) {
    let at = site.storage().index().tag(&harness::repository("sites/app"), &harness::tag("v1")).unwrap().at;
    harness::until("the second is over", async || now() > at).await;
}

/// A regression test: a leaf that had been offline overwrote a newer tag of the hub.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_push_of_a_leaf_leaves_the_newer_tag_of_the_hub_alone() {
    let fleet = fleet(UP);
    let hub = Site::hub(&fleet).await;
    let relay = Relay::start().await;
    let leaf = Site::leaf(&fleet, Some(relay.address)).await;
    let old = leaf.push("sites/app", "v1", &layers(1, &[1_000_000])).await;
    a_second_after(&leaf).await;
    let new = hub.push("sites/app", "v1", &layers(2, &[1000])).await;
    relay.lead_to(hub.leaf_address());
    harness::until("the hub has answered", async || is_idle(&leaf).await).await;
    assert_eq!(hub.tagged("sites/app", "v1").unwrap(), (new.digest.clone(), Origin::Pushed));
    assert_eq!(leaf.tagged("sites/app", "v1").unwrap().0, old.digest, "what was pushed here stays");
    assert_eq!(leaf.travel().counters().now().sent, 0, "nobody needs it");

    a_second_after(&hub).await;
    let newest = leaf.push("sites/app", "v1", &layers(3, &[1000])).await;
    harness::until("the hub has everything", async || is_idle(&leaf).await).await;
    assert_eq!(hub.tagged("sites/app", "v1").unwrap().0, newest.digest);
}

/// A regression test: each of them took the tag from the other for as long as both were announced.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_leaves_with_the_same_tag_the_newer_push_wins_whoever_comes_first() {
    let fleet = fleet(UP);
    let hub = Site::hub(&fleet).await;
    let relays = [Relay::start().await, Relay::start().await];
    let older = Site::leaf(&fleet, Some(relays[0].address)).await;
    let newer = Site::leaf_named("shop-2", &fleet, Some(relays[1].address)).await;
    older.push("sites/app", "v1", &layers(1, &[3_000_000])).await;
    a_second_after(&older).await;
    let image = newer.push("sites/app", "v1", &layers(2, &[3_000_000])).await;
    for relay in &relays {
        relay.lead_to(hub.leaf_address());
    }
    harness::until("the hub has both", async || is_idle(&older).await && is_idle(&newer).await).await;
    assert_eq!(hub.tagged("sites/app", "v1").unwrap().0, image.digest);
    let at = |site: &Site| {
        site.storage().index().tag(&harness::repository("sites/app"), &harness::tag("v1")).unwrap().at
    };
    assert_eq!(at(&hub), at(&newer), "the time of the push");
}

/// A regression test: the leaf announced it every few seconds, and the hub asked for a window of each blob
/// every time.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_hub_has_no_room_for_is_announced_once_and_costs_nothing() {
    let hub = Site::hub(&fleet(&format!("{UP}\nquotas = {{ \"sites/small\" = \"1MiB\" }}"))).await;
    let leaf = Site::leaf(&fleet(UP), Some(hub.leaf_address())).await;
    let client = leaf.client().await;
    let mut asked = client.subscribe("leafbox.registry.hub.shop-1.announce").await.unwrap();
    client.flush().await.unwrap();
    leaf.push("sites/small/app", "v1", &layers(1, &[3_000_000])).await;
    let refused = async || {
        let status = leaf.travel().status().announcements;
        status.iter().any(|waiting| waiting.error.as_ref().is_some_and(|error| error.contains("quota")))
    };
    harness::until("the backlog says that the quota is in the way", refused).await;
    // What was announced before this came before it; it has no reply, so that the hub says nothing.
    client.publish("leafbox.registry.hub.shop-1.announce", "{}".into()).await.unwrap();
    client.flush().await.unwrap();
    for tag in ["v2", "v3"] {
        leaf.push("sites/large/app", tag, &layers(2, &[1000])).await;
        harness::until("the hub has the other", async || hub.tagged("sites/large/app", tag).is_some()).await;
    }
    let mut tags = Vec::new();
    while tags.last().is_none_or(|last| last != "v3") {
        let request: Value = serde_json::from_slice(&asked.next().await.unwrap().payload).unwrap();
        tags.push(request["tag"].as_str().unwrap_or("now").to_owned());
    }
    let later = tags.iter().skip_while(|tag| *tag != "now").filter(|tag| *tag == "v1").count();
    assert_eq!(later, 0, "{tags:?}");
    assert!(refused().await, "nothing was said since");
    let sent = leaf.travel().counters().now().sent;
    assert!(sent < 10_000, "{sent} bytes were sent for nothing");
    assert!(hub.tagged("sites/small/app", "v1").is_none());
}

/// What the hub says to a request by `node`.
pub(super) async fn ask(site: &Site, node: &str, operation: &str, request: &Value) -> Value {
    let subject = format!("leafbox.registry.hub.{node}.{operation}");
    let answer = site.client().await.request(subject, request.to_string().into()).await.unwrap();
    let head = answer.headers.as_ref().and_then(|headers: &HeaderMap| headers.get("Leafbox-Travel"));
    serde_json::from_str(head.unwrap().as_str()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_answers_its_leaves_and_only_what_travels() {
    let fleet = fleet("travel = { down = [\"team/**\"], up = [\"sites/**\"] }");
    let hub = Site::hub(&fleet).await;
    let image = hub.push("team/app", "v1", &layers(1, &[1000])).await;
    hub.push("private/app", "v1", &layers(2, &[1000])).await;
    let digest = image.digest.to_string();
    let resolve = |repository: &str| json!({ "v": 1, "repository": repository, "reference": "v1" });
    let answered = ask(&hub, "shop-1", "resolve", &resolve("team/app")).await;
    assert_eq!(answered["digest"], digest.as_str(), "{answered}");
    let code = async |node: &str, operation: &str, request: Value| {
        let answer = ask(&hub, node, operation, &request).await;
        assert!(answer["digest"].is_null() && answer["size"].is_null(), "{answer}");
        answer["refused"]["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(code("stranger", "resolve", resolve("team/app")).await, "denied");
    assert_eq!(code("shop-1", "resolve", resolve("private/app")).await, "denied");
    let window = |repository: &str, offset: u64| {
        let blob = sha256(&image.blobs[1]).to_string();
        json!({ "v": 1, "repository": repository, "digest": blob, "offset": offset, "length": 10 })
    };
    assert_eq!(code("shop-1", "blob", window("private/app", 0)).await, "denied");
    assert_eq!(code("shop-1", "blob", window("team/other", 0)).await, "unknown", "another's blob");
    assert_eq!(code("shop-1", "blob", window("team/app", 5000)).await, "malformed");
    assert_eq!(code("shop-1", "blob", json!({ "v": 1, "repository": "../x" })).await, "malformed");
    assert_eq!(code("shop-1", "erase", json!({})).await, "malformed");
    let announce =
        |repository: &str| json!({ "v": 1, "repository": repository, "tag": "v1", "digest": digest });
    assert_eq!(code("shop-1", "announce", announce("team/app")).await, "denied");
    assert_eq!(code("stranger", "announce", announce("sites/app")).await, "denied");
}
