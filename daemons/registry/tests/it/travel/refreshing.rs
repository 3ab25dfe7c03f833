//! A tag that is here is answered as it is, and looked at again in the background.

use registry::{collect::Policy, records::Origin, travel::TravelError};
use settings::fleet::Retain;

use super::{
    relay::Relay,
    site::{Image, Site, fleet, layers},
};
use crate::{collect, harness};

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moved_at_the_hub_moves_here_once_everything_is_here() {
    let fleet = fleet("");
    let hub = Site::hub(&fleet).await;
    let relay = Relay::start().await;
    relay.lead_to(hub.leaf_address());
    let leaf = Site::leaf(&fleet, Some(relay.address)).await;
    let (repository, tag) = (harness::repository("team/app"), harness::tag("v1"));
    let old = hub.push("team/app", "v1", &layers(1, &[1000])).await;
    leaf.until_fetched("team/app", "v1").await;
    leaf.until_has("team/app", &old).await;

    let new = hub.push("team/app", "v1", &layers(2, &[20_000_000])).await;
    relay.cut_after(4_000_000);
    leaf.travel().refresh(&repository, &tag);
    relay.until_cut().await;
    assert_eq!(leaf.tagged("team/app", "v1").unwrap().0, old.digest, "a part of the new one is no image");
    assert!(leaf.has("team/app", &old));
    relay.heal();
    harness::until("the tag has moved", async || leaf.tagged("team/app", "v1").unwrap().0 == new.digest)
        .await;
    assert!(leaf.has("team/app", &new));
    assert_eq!(leaf.tagged("team/app", "v1").unwrap().1, Origin::Hub);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_index_that_moved_the_platforms_come_that_were_here() {
    let fleet = fleet("");
    let hub = Site::hub(&fleet).await;
    let leaf = Site::leaf(&fleet, Some(hub.leaf_address())).await;
    let image = async |number| hub.push("team/app", "", &layers(number, &[5000])).await;
    let (old_arm, old_amd) = (image(1).await, image(2).await);
    let (new_arm, new_amd) = (image(3).await, image(4).await);
    let old = Image::index(&[("arm64", &old_arm), ("amd64", &old_amd)]);
    let new = Image::index(&[("arm64", &new_arm), ("amd64", &new_amd)]);
    hub.put("team/app", vec![harness::tag("v1")], &old).await;
    leaf.until_fetched("team/app", "v1").await;
    assert!(leaf.fetch("team/app", &old_arm.digest.to_string()).await.unwrap());
    leaf.until_has("team/app", &old_arm).await;

    hub.put("team/app", vec![harness::tag("v1")], &new).await;
    leaf.travel().refresh(&harness::repository("team/app"), &harness::tag("v1"));
    harness::until("the tag has moved", async || leaf.tagged("team/app", "v1").unwrap().0 == new.digest)
        .await;
    assert!(leaf.has("team/app", &new_arm));
    assert!(!leaf.has("team/app", &new_amd) && !leaf.has("team/app", &old_amd));
}

/// A regression test: the platform that came first was not looked at again before the tag moved.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_collector_took_of_the_new_image_meanwhile_comes_again_before_the_tag_moves() {
    let fleet = fleet("");
    let hub = Site::hub(&fleet).await;
    let relay = Relay::start().await;
    relay.lead_to(hub.leaf_address());
    let leaf = Site::leaf(&fleet, Some(relay.address)).await;
    let image = async |number, length| hub.push("team/app", "", &layers(number, &[length])).await;
    let old = [image(1, 5000).await, image(2, 5000).await];
    let new = [image(3, 5000).await, image(4, 24 << 20).await];
    let index = |[arm, amd]: &[Image; 2]| Image::index(&[("arm64", arm), ("amd64", amd)]);
    hub.put("team/app", vec![harness::tag("v1")], &index(&old)).await;
    leaf.until_fetched("team/app", "v1").await;
    for image in &old {
        assert!(leaf.fetch("team/app", &image.digest.to_string()).await.unwrap());
        leaf.until_has("team/app", image).await;
    }

    relay.slow_down();
    hub.put("team/app", vec![harness::tag("v1")], &index(&new)).await;
    leaf.travel().refresh(&harness::repository("team/app"), &harness::tag("v1"));
    let stored = async || leaf.storage().index().uploads().iter().any(|(_, upload)| upload.offset > 100_000);
    harness::until("a part of the second platform is here", stored).await;
    assert!(leaf.has("team/app", &new[0]));
    let rule = Retain { repositories: "team/*".parse().unwrap(), tags: "**".parse().unwrap(), newest: 9 };
    collect::pass(leaf.storage(), Policy { retain: vec![rule], ..collect::at_once() }).await;
    assert!(!leaf.has("team/app", &new[0]), "no tag leads to it");
    let digest = index(&new).digest;
    harness::until("the tag has moved", async || leaf.tagged("team/app", "v1").unwrap().0 == digest).await;
    assert!(new.iter().all(|image| leaf.has("team/app", image)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_was_pushed_here_is_never_changed_from_elsewhere() {
    let fleet = fleet("");
    let hub = Site::hub(&fleet).await;
    let leaf = Site::leaf(&fleet, Some(hub.leaf_address())).await;
    let theirs = hub.push("team/app", "v1", &layers(1, &[1000])).await;
    let ours = leaf.push("team/app", "v1", &layers(2, &[1000])).await;
    // Another tag shows that the hub is reached.
    hub.put("team/app", vec![harness::tag("v2")], &theirs).await;
    leaf.until_fetched("team/app", "v2").await;
    leaf.travel().refresh(&harness::repository("team/app"), &harness::tag("v1"));
    assert!(leaf.fetch("team/app", "v1").await.unwrap(), "it is here");
    assert_eq!(leaf.tagged("team/app", "v1").unwrap(), (ours.digest.clone(), Origin::Pushed));

    // One that came from the hub, and is pushed here while the hub's new one is on its way.
    leaf.until_has("team/app", &theirs).await;
    hub.push("team/app", "v2", &layers(3, &[8_000_000])).await;
    leaf.travel().refresh(&harness::repository("team/app"), &harness::tag("v2"));
    leaf.put("team/app", vec![harness::tag("v2")], &ours).await;
    harness::until("nobody looks any more", async || leaf.travel().status().renewing.is_empty()).await;
    assert_eq!(leaf.tagged("team/app", "v2").unwrap(), (ours.digest, Origin::Pushed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_stays_when_the_hub_is_gone_or_has_it_no_longer() {
    let fleet = fleet("");
    let mut hub = Site::hub(&fleet).await;
    let leaf = Site::leaf(&fleet, Some(hub.leaf_address())).await;
    let (repository, tag) = (harness::repository("team/app"), harness::tag("v1"));
    let image = hub.push("team/app", "v1", &layers(1, &[1000])).await;
    leaf.until_fetched("team/app", "v1").await;
    hub.storage().delete_tag(&repository, &tag, "test").await.unwrap();
    leaf.travel().refresh(&repository, &tag);
    harness::until("nobody looks any more", async || leaf.travel().status().renewing.is_empty()).await;
    assert_eq!(leaf.tagged("team/app", "v1").unwrap().0, image.digest);

    hub.close().await;
    hub.kill_server().await;
    leaf.travel().refresh(&repository, &tag);
    assert!(leaf.fetch("team/app", "v1").await.unwrap());
    harness::until("the hub is known to be gone", async || {
        matches!(leaf.fetch("team/app", "v2").await, Err(TravelError::NobodyAnswers { .. }))
    })
    .await;
}
