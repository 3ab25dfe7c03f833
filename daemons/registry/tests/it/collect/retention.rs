//! Rules that take tags, and what goes with them.

use async_nats::jetstream;
use futures::TryStreamExt;
use registry::{
    Digest, Key, Reference, Repository, Storage,
    audit::{self, What},
    collect::{Collector, Policy},
    records::{TAGS_BUCKET, TagRecord},
};
use serde_json::json;
use settings::{builtin::AUDIT_STREAM, fleet::Retain};
use tokio_util::sync::CancellationToken;

use super::{IMAGE, index_of, manifest, pass, push_image};
use crate::{
    audit::events,
    harness::{Node, repository, tag},
};

fn policy(grace: u64, newest: u32) -> Policy {
    let rule = Retain { repositories: "team/*".parse().unwrap(), tags: "v*".parse().unwrap(), newest };
    Policy { grace, retain: vec![rule], ..Policy::default() }
}

fn tags(storage: &Storage, repository: &Repository) -> Vec<String> {
    let tags = storage.index().tags(repository).unwrap_or_default();
    tags.into_iter().map(|(tag, _)| tag.to_string()).collect()
}

async fn is_there(storage: &Storage, repository: &Repository, digest: &Digest) -> bool {
    storage.manifest(repository, &Reference::Digest(digest.clone())).await.unwrap().is_some()
}

#[tokio::test]
async fn old_tags_go_with_all_that_only_they_led_to_and_each_is_an_event() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let (team, other) = (repository("team/app"), repository("other"));
    let mut images = Vec::new();
    for number in 1..=3 {
        images.push(push_image(&storage, &team, number, &[&format!("v{number}")]).await);
    }
    let latest = push_image(&storage, &team, 4, &["latest"]).await;
    let elsewhere = push_image(&storage, &other, 5, &["v1"]).await;
    let untagged = push_image(&storage, &other, 6, &[]).await;

    let report = pass(&storage, policy(0, 2)).await;
    assert_eq!((report.tags, report.manifests, report.links, report.blobs), (1, 1, 2, 3));
    assert_eq!(tags(&storage, &team), ["latest", "v2", "v3"]);
    assert_eq!(tags(&storage, &other), ["v1"]);
    assert!(!is_there(&storage, &team, &images[0]).await);
    for (repository, digest) in [
        (&team, &images[1]),
        (&team, &images[2]),
        (&team, &latest),
        (&other, &elsewhere),
        (&other, &untagged),
    ] {
        assert!(is_there(&storage, repository, digest).await);
    }
    assert!(pass(&storage, policy(0, 2)).await.is_empty());

    let bucket = jetstream::new(node.client().await).get_key_value(TAGS_BUCKET).await.unwrap();
    let events: Vec<_> = bucket
        .history(Key::Tag(team.clone(), tag("v1")).to_string())
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let last: TagRecord = serde_json::from_slice(&events.last().unwrap().value).unwrap();
    assert_eq!((last.by.as_str(), last.digest, last.previous), ("retention", None, Some(images[0].clone())));
}

#[tokio::test]
async fn each_tag_and_manifest_that_goes_by_retention_is_in_the_audit_stream() {
    let node = Node::start().await;
    node.make_store(AUDIT_STREAM).await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let old = push_image(&storage, &team, 1, &["v1"]).await;
    push_image(&storage, &team, 2, &["v2"]).await;

    let (audit, publisher) = audit::channel(&node.client().await, "shop-1");
    let collector = Collector::new(storage, policy(0, 1), "test".to_owned()).audited_by(audit);
    collector.pass(&|_| {}).await.unwrap();
    drop(collector);
    publisher.run(CancellationToken::new()).await;
    let events = events(&node).await;
    let told: Vec<_> = events
        .iter()
        .map(|(subject, event)| {
            assert_eq!(subject, "leafbox.audit.shop-1.registry.deleted");
            assert_eq!((event.what, event.who.as_str(), event.peer), (What::Deleted, "retention", None));
            assert_eq!(event.about.repository.as_ref(), Some(&team));
            event.about.reference.clone().unwrap()
        })
        .collect();
    assert_eq!(told, ["v1".to_owned(), old.to_string()]);
}

#[tokio::test]
async fn an_index_takes_its_manifests_along_and_all_take_what_refers_to_them() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let shared = push_image(&storage, &team, 1, &[]).await;
    let own = push_image(&storage, &team, 2, &[]).await;
    let old = manifest(&team, &["v1"], &index_of(&[shared.clone(), own.clone()]));
    let old = storage.put_manifest(old).await.unwrap().digest;
    let new = manifest(&team, &["v2"], &index_of(std::slice::from_ref(&shared)));
    let new = storage.put_manifest(new).await.unwrap().digest;
    let mut signatures = Vec::new();
    for subject in [&old, &own, &shared, &new] {
        let record = storage.index().manifest(&team, &shared).unwrap();
        let descriptor = |digest: &Digest| json!({ "mediaType": IMAGE, "digest": digest, "size": 1 });
        let body = json!({
            "schemaVersion": 2, "mediaType": IMAGE, "artifactType": "application/sig",
            "config": descriptor(&record.blobs[0]), "layers": [], "subject": descriptor(subject),
        });
        signatures.push(storage.put_manifest(manifest(&team, &[], &body)).await.unwrap().digest);
    }
    let report = pass(&storage, policy(0, 1)).await;
    assert_eq!((report.tags, report.manifests), (1, 4));
    let mut left = Vec::new();
    for digest in [&old, &own, &shared, &new].into_iter().chain(&signatures) {
        left.push(is_there(&storage, &team, digest).await);
    }
    assert_eq!(left, [false, false, true, true, false, false, true, true]);
}

#[tokio::test]
async fn an_image_without_a_tag_has_the_grace_time_and_a_tag_takes_the_mark_away() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let digest = push_image(&storage, &team, 1, &["v1"]).await;
    let first = pass(&storage, policy(3600, 0)).await;
    assert_eq!((first.tags, first.manifests, first.marked), (1, 0, 1));
    let marked = storage.index().manifest(&team, &digest).unwrap();
    assert!(marked.idle.is_some());
    // Pushed again, under a name that no rule speaks of.
    let bytes = storage.manifest_bytes(&digest).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    storage.put_manifest(manifest(&team, &["stable"], &body)).await.unwrap();
    assert_eq!(storage.index().manifest(&team, &digest).unwrap().idle, None);
    assert!(pass(&storage, policy(0, 0)).await.is_empty());
    assert!(is_there(&storage, &team, &digest).await);
}

#[tokio::test]
async fn without_rules_nothing_goes_by_itself() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let digest = push_image(&storage, &team, 1, &[]).await;
    assert!(pass(&storage, Policy { grace: 0, ..Policy::default() }).await.is_empty());
    assert!(is_there(&storage, &team, &digest).await);
}
