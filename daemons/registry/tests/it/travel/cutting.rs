//! The link breaks while a blob travels.

use bytes::Bytes;
use futures::StreamExt;
use registry::travel::TravelError;

use super::{
    relay::Relay,
    site::{Image, Site, fleet, layers},
};
use crate::harness::{self, sha256};

const LENGTH: usize = 24 << 20;
/// What may have been on its way, or stored and not yet counted, when the link broke.
const LOST: u64 = 10 << 20;

/// A hub with an image of one large layer, and a leaf behind a relay that reaches it.
async fn pair() -> (Site, Site, Relay, Image) {
    let fleet = fleet("");
    let hub = Site::hub(&fleet).await;
    let relay = Relay::start().await;
    relay.lead_to(hub.leaf_address());
    let leaf = Site::leaf(&fleet, Some(relay.address)).await;
    let image = hub.push("team/app", "v1", &layers(1, &[LENGTH])).await;
    let size = async || leaf.travel().size(&harness::repository("team/app"), &sha256(&image.blobs[1])).await;
    harness::until("the link is up", async || size().await.is_ok_and(|size| size.is_some())).await;
    (hub, leaf, relay, image)
}

fn stored(leaf: &Site) -> u64 {
    leaf.storage().index().uploads().iter().map(|(_, upload)| upload.offset).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_goes_on_where_the_link_broke() {
    let (hub, leaf, relay, image) = pair().await;
    let (blob, digest) = (&image.blobs[1], sha256(&image.blobs[1]));
    relay.cut_after(LENGTH as u64 / 2);
    let pull = leaf.get("team/app", &digest);
    let heal = async {
        relay.until_cut().await;
        relay.heal();
    };
    let (pulled, ()) = tokio::join!(pull, heal);
    assert!(pulled.unwrap().unwrap() == *blob, "the client that waited has all of it");
    let sent = hub.travel().counters().now().sent;
    assert!(sent < LENGTH as u64 + LOST, "{sent} bytes were sent of {LENGTH}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_goes_on_where_it_stopped_after_a_restart_of_everything() {
    let (mut hub, mut leaf, relay, image) = pair().await;
    let (blob, digest) = (&image.blobs[1], sha256(&image.blobs[1]));
    assert!(leaf.fetch("team/app", "v1").await.unwrap());
    relay.cut_after(LENGTH as u64 / 2);
    relay.until_cut().await;
    harness::until("something is stored", async || stored(&leaf) > 0).await;
    leaf.close().await;
    leaf.kill_server().await;
    hub.kill_server().await;
    hub.run_server().await;
    leaf.run_server().await;
    leaf.open().await;
    let half = stored(&leaf);
    assert!(half > 0 && half < LENGTH as u64, "{half}");
    let before = hub.travel().counters().now().sent;
    relay.heal();
    // Nobody asks for it: its manifest is here, and needs it.
    leaf.until_has("team/app", &image).await;
    let again = hub.travel().counters().now().sent - before;
    assert!(again <= LENGTH as u64 - half + 1000, "{again} bytes came after {half} of {LENGTH}");
    assert!(harness::read(leaf.storage(), &digest).await.unwrap() == *blob);
    let uploads = async || leaf.storage().index().uploads().is_empty();
    harness::until("no upload is left", uploads).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_falls_silent_hangs_nobody() {
    let (_hub, leaf, relay, image) = pair().await;
    let digest = sha256(&image.blobs[1]);
    relay.swallow();
    let answer = leaf.fetch("team/app", "v1").await;
    assert!(matches!(answer, Err(TravelError::Silent { .. })), "{answer:?}");
    let answer = tokio::time::timeout(harness::DEADLINE, leaf.get("team/app", &digest)).await.unwrap();
    assert!(matches!(answer, Err(TravelError::Silent { .. })), "{answer:?}");
    // The fetch goes on by itself, since somebody wanted it.
    relay.heal();
    let here =
        async || leaf.storage().blob(&harness::repository("team/app"), &digest).await.unwrap().is_some();
    harness::until("the blob is here", here).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_a_blob_that_stops_half_way_is_told_and_what_came_is_kept() {
    let (_hub, leaf, relay, image) = pair().await;
    let digest = sha256(&image.blobs[1]);
    relay.cut_after(LENGTH as u64 / 2);
    let following = leaf.travel().blob(&harness::repository("team/app"), &digest).await.unwrap().unwrap();
    assert_eq!(following.size, LENGTH as u64);
    let mut stream = following.stream(0..LENGTH as u64);
    let mut got: Vec<Bytes> = Vec::new();
    let error = loop {
        match tokio::time::timeout(harness::DEADLINE, stream.next()).await.unwrap() {
            Some(Ok(bytes)) => got.push(bytes),
            Some(Err(error)) => break error,
            None => panic!("it cannot have come whole"),
        }
    };
    assert!(matches!(error, TravelError::Stalled { .. }), "{error}");
    let got = got.concat();
    assert!(!got.is_empty() && got == image.blobs[1][..got.len()], "{}", got.len());
    let status = leaf.travel().status();
    let fetch = &status.fetches[0];
    assert!(fetch.done > 0 && fetch.total == Some(LENGTH as u64) && !fetch.flows && fetch.error.is_some());
}
