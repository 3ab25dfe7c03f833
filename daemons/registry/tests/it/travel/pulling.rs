//! A leaf pulls through from its hub what it does not have.

use futures::{StreamExt, future::join_all};
use registry::{Storage, travel::TravelError};

use super::{
    relay::Relay,
    site::{Image, Site, fleet, get, layers},
};
use crate::harness::{self, collect, sha256};

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_the_hub_is_pulled_through_by_tag_and_kept() {
    let fleet = fleet("travel = { down = [\"team/**\"] }");
    let mut hub = Site::hub(&fleet).await;
    let leaf = Site::leaf(&fleet, Some(hub.leaf_address())).await;
    let image = hub.push("team/app", "v1", &layers(1, &[3_000_000, 200_000, 0])).await;
    let other = hub.push("private/app", "v1", &layers(2, &[1000])).await;
    leaf.until_fetched("team/app", "v1").await;

    assert_eq!(
        leaf.tagged("team/app", "v1").unwrap(),
        (image.digest.clone(), registry::records::Origin::Hub)
    );
    for blob in &image.blobs {
        assert_eq!(leaf.get("team/app", &sha256(blob)).await.unwrap().as_ref(), Some(blob));
    }
    leaf.until_has("team/app", &image).await;

    assert!(!leaf.fetch("team/app", "v2").await.unwrap(), "the hub answers that it has none");
    assert!(leaf.get("team/app", &sha256(b"none")).await.unwrap().is_none());
    assert!(!leaf.fetch("private/app", "v1").await.unwrap(), "it does not travel down");
    assert!(leaf.get("private/app", &sha256(&other.blobs[0])).await.unwrap().is_none());

    hub.close().await;
    hub.kill_server().await;
    for blob in &image.blobs {
        let digest = sha256(blob);
        let bytes = leaf.storage().read(&digest, 0..blob.len() as u64).await.unwrap();
        assert_eq!(collect(bytes).await.unwrap(), blob);
    }
    assert_eq!(leaf.storage().manifest_bytes(&image.digest).await.unwrap(), image.bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_asked_for_follows_in_the_background_and_only_the_platform_that_was_asked_for() {
    let fleet = fleet("");
    let hub = Site::hub(&fleet).await;
    let leaf = Site::leaf(&fleet, Some(hub.leaf_address())).await;
    let arm = hub.push("team/app", "", &layers(1, &[300_000, 20_000])).await;
    let amd = hub.push("team/app", "", &layers(2, &[300_000])).await;
    let index = Image::index(&[("arm64", &arm), ("amd64", &amd)]);
    hub.put("team/app", vec![harness::tag("v1")], &index).await;
    // What refers to an image comes along: a box must be able to verify it offline.
    let signature = Image::new(&layers(3, &[700]), Some(&arm));
    hub.put("team/app", Vec::new(), &signature).await;

    leaf.until_fetched("team/app", "v1").await;
    assert!(leaf.fetch("team/app", &arm.digest.to_string()).await.unwrap());
    leaf.until_has("team/app", &arm).await;
    leaf.until_has("team/app", &signature).await;
    assert!(!leaf.has("team/app", &amd));
    assert_eq!(leaf.travel().status().missing, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_too_long_for_one_answer_comes_as_a_blob() {
    let fleet = fleet("");
    let hub = Site::hub(&fleet).await;
    let leaf = Site::leaf(&fleet, Some(hub.leaf_address())).await;
    let image = hub.push("team/app", "", &layers(1, &[10])).await;
    let platforms: Vec<String> = (0..8000).map(|number| format!("platform-{number:0>40}")).collect();
    let images: Vec<(&str, &Image)> = platforms.iter().map(|platform| (&**platform, &image)).collect();
    let index = Image::index(&images);
    assert!(index.bytes.len() > 1024 * 1024, "{}", index.bytes.len());
    hub.put("team/app", vec![harness::tag("many")], &index).await;
    leaf.until_fetched("team/app", "many").await;
    assert_eq!(leaf.storage().manifest_bytes(&index.digest).await.unwrap(), index.bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_want_a_blob_share_one_fetch() {
    let fleet = fleet("");
    let hub = Site::hub(&fleet).await;
    let leaf = Site::leaf(&fleet, Some(hub.leaf_address())).await;
    let image = hub.push("team/app", "v1", &layers(1, &[9_000_000])).await;
    let blob = &image.blobs[1];
    hub.put("other/app", Vec::new(), &image).await;
    let digest = sha256(blob);
    harness::until("the link is up", async || {
        leaf.travel().size(&harness::repository("team/app"), &digest).await.is_ok()
    })
    .await;
    let before = hub.travel().counters().now().sent;
    let repositories = ["team/app", "other/app"];
    let pulls = (0..12).map(|number| leaf.get(repositories[number % 2], &digest));
    for pulled in join_all(pulls).await {
        assert!(pulled.unwrap().unwrap() == *blob);
    }
    assert_eq!(hub.travel().counters().now().sent - before, blob.len() as u64);
    for repository in repositories {
        let repository = harness::repository(repository);
        harness::until("both have it", async || {
            leaf.storage().blob(&repository, &digest).await.unwrap().is_some()
        })
        .await;
    }
    let stranger = leaf.get("third/app", &digest).await.unwrap();
    assert!(stranger.is_none(), "the hub has it in other repositories only");
}

/// A regression test: as both called themselves by the node's name, each took the other's upload for its
/// own, and both threw away half of what they fetched.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_and_a_command_of_a_node_fetch_a_blob_once_between_them() {
    let fleet = fleet("");
    let hub = Site::hub(&fleet).await;
    let relay = Relay::start().await;
    relay.lead_to(hub.leaf_address());
    let leaf = Site::leaf(&fleet, Some(relay.address)).await;
    let image = hub.push("team/app", "", &layers(1, &[16 << 20, 15 << 20])).await;
    let (storage, command) = leaf.command().await;
    let repository = harness::repository("team/app");
    harness::until("the link is up", async || {
        let one = sha256(&image.blobs[1]);
        leaf.travel().size(&repository, &one).await.is_ok() && command.size(&repository, &one).await.is_ok()
    })
    .await;
    relay.slow_down();
    for (blob, first, second, fetcher) in [
        (&image.blobs[1], leaf.travel(), &command, "shop-1"),
        (&image.blobs[2], &command, leaf.travel(), "shop-1 command"),
    ] {
        let digest = sha256(blob);
        let before = hub.travel().counters().now().sent;
        let joins = async {
            let is_begun = |storage: &Storage| {
                let mut uploads = storage.index().uploads().into_iter();
                uploads.any(|(_, upload)| upload.travels.as_ref().unwrap().fetcher == fetcher)
            };
            harness::until("both know of the upload", async || {
                is_begun(leaf.storage()) && is_begun(&storage)
            })
            .await;
            get(second, "team/app", &digest).await
        };
        let (got, joined) = tokio::join!(get(first, "team/app", &digest), joins);
        assert!(got.unwrap().unwrap() == *blob && joined.unwrap().unwrap() == *blob);
        let sent = hub.travel().counters().now().sent - before;
        assert_eq!(sent, blob.len() as u64, "what {fetcher} fetches is fetched by nobody else");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_way_to_the_hub_nothing_is_waited_for() {
    let fleet = fleet("");
    let alone = Site::leaf(&fleet, None).await;
    assert!(!alone.fetch("team/app", "v1").await.unwrap());
    assert!(!alone.travel().comes_from_elsewhere(&harness::repository("team/app")));
    assert!(alone.get("team/app", &sha256(b"none")).await.unwrap().is_none());

    let relay = Relay::start().await;
    let cut = Site::leaf(&fleet, Some(relay.address)).await;
    for _ in 0..20 {
        let answer = cut.fetch("team/app", "v1").await;
        assert!(matches!(answer, Err(TravelError::NobodyAnswers { .. })), "{answer:?}");
    }
    let answer = cut.get("team/app", &sha256(b"none")).await;
    assert!(matches!(answer, Err(TravelError::NobodyAnswers { .. })), "{answer:?}");
    let hub = cut.travel().status().hub.unwrap();
    assert!(hub.answered.is_none() && hub.error.unwrap().contains("cannot be reached"));
}

/// A regression test: each of them waited for its own three seconds, one after another.
#[tokio::test(flavor = "multi_thread")]
async fn many_who_want_a_manifest_of_a_silent_hub_share_one_question() {
    let fleet = fleet("");
    let leaf = Site::leaf(&fleet, Some("127.0.0.1:1".parse().unwrap())).await;
    let client = leaf.client().await;
    // It hears the questions, and says nothing.
    let mut asked = client.subscribe("leafbox.registry.hub.shop-1.resolve").await.unwrap();
    client.flush().await.unwrap();
    for answer in join_all((0..10).map(|_| leaf.fetch("team/app", "v1"))).await {
        assert!(matches!(answer, Err(TravelError::Silent { .. })), "{answer:?}");
    }
    let answer = leaf.fetch("team/app", "v2").await;
    assert!(matches!(answer, Err(TravelError::Silent { .. })), "{answer:?}");
    for tag in ["v1", "v2"] {
        let request = asked.next().await.unwrap();
        let request: serde_json::Value = serde_json::from_slice(&request.payload).unwrap();
        assert_eq!(request["reference"], tag);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_whose_chunks_are_lost_is_fetched_again() {
    let fleet = fleet("");
    let hub = Site::hub(&fleet).await;
    let leaf = Site::leaf(&fleet, Some(hub.leaf_address())).await;
    let image = hub.push("team/app", "v1", &layers(1, &[2_000_000])).await;
    leaf.until_fetched("team/app", "v1").await;
    leaf.until_has("team/app", &image).await;
    let digest = sha256(&image.blobs[0]);
    let upload = leaf.storage().index().blob(&digest).unwrap().upload;
    leaf.storage().chunks().purge(upload).await.unwrap();
    let bytes = leaf.storage().read(&digest, 0..image.blobs[0].len() as u64).await.unwrap();
    collect(bytes).await.unwrap_err();
    let there = async || leaf.storage().blob(&harness::repository("team/app"), &digest).await.unwrap();
    harness::until("given up", async || there().await.is_none()).await;
    assert_eq!(leaf.get("team/app", &digest).await.unwrap().as_ref(), Some(&image.blobs[0]));
    harness::until("here again", async || there().await.is_some()).await;
    let bytes = leaf.storage().read(&digest, 0..image.blobs[0].len() as u64).await.unwrap();
    assert!(collect(bytes).await.unwrap() == image.blobs[0]);
}
