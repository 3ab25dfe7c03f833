//! Marks: set, taken back by whoever relies on the record, and left by a pass that was cut short.

use std::sync::Arc;

use registry::{
    Digest, Key, Repository, Storage,
    chunks::Runs,
    collect::Policy,
    index::Versioned,
    records::{BlobRecord, LinkRecord, Seconds, now},
};

use super::{at_once, image, manifest, pass};
use crate::harness::{Node, content, push, read, repository, until_only};

const HOUR: Seconds = 3600;

fn patient() -> Policy {
    Policy { grace: HOUR, ..Policy::default() }
}

/// Lets the mark of a link be as old as if so many seconds had passed.
async fn age(storage: &Storage, repository: &Repository, digest: &Digest, seconds: Seconds) {
    let link = storage.index().link(repository, digest).unwrap();
    let idle = link.idle.map(|idle| idle - seconds);
    assert!(idle.is_some(), "it has a mark");
    let older = LinkRecord { idle, ..(*link.record).clone() };
    let key = Key::Link(repository.clone(), digest.clone());
    storage.ledger().update(&key, link.revision, &older).await.unwrap();
}

async fn write_blob(storage: &Storage, digest: &Digest, change: impl FnOnce(&mut BlobRecord)) {
    let Versioned { revision, record } = storage.index().blob(digest).unwrap();
    let mut record = Arc::unwrap_or_clone(record);
    change(&mut record);
    storage.ledger().update(&Key::Blob(digest.clone()), revision, &record).await.unwrap();
}

/// A blob that a repository has, and that no manifest mentions.
async fn loose_blob() -> (Node, Storage, Repository, Digest) {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let digest = push(&storage, &team, &content(1, 1_000)).await.unwrap();
    until_only(&storage, 1).await;
    (node, storage, team, digest)
}

/// Leaves a blob as a pass that is cut short right before its purge does.
async fn forsake(storage: &Storage, digest: &Digest) {
    write_blob(storage, digest, |blob| {
        blob.dying = true;
        blob.runs = Runs::default();
    })
    .await;
}

#[tokio::test]
async fn a_link_goes_when_its_mark_is_as_old_as_the_grace_time() {
    let (_node, storage, team, digest) = loose_blob().await;
    assert_eq!(pass(&storage, patient()).await.marked, 1);
    age(&storage, &team, &digest, HOUR - 60).await;
    assert!(pass(&storage, patient()).await.is_empty());
    age(&storage, &team, &digest, 60).await;
    // The blob was touched a moment ago, by its push: it has a grace time of its own.
    let report = pass(&storage, patient()).await;
    assert_eq!((report.links, report.blobs), (1, 0));
    write_blob(&storage, &digest, |blob| blob.touched -= HOUR).await;
    assert_eq!(pass(&storage, patient()).await.blobs, 1);
}

#[tokio::test]
async fn a_look_by_a_pusher_takes_the_mark_away() {
    let (_node, storage, team, digest) = loose_blob().await;
    pass(&storage, patient()).await;
    age(&storage, &team, &digest, HOUR).await;
    assert_eq!(storage.touch_blob(&team, &digest).await.unwrap(), Some(1_000));
    assert_eq!(storage.index().link(&team, &digest).unwrap().idle, None);
    let report = pass(&storage, patient()).await;
    assert_eq!((report.links, report.marked), (0, 1));
}

#[tokio::test]
async fn a_manifest_takes_the_marks_of_its_blobs_away_and_a_stale_one_is_cleared() {
    let (_node, storage, team, digest) = loose_blob().await;
    pass(&storage, patient()).await;
    age(&storage, &team, &digest, 2 * HOUR).await;
    storage.put_manifest(manifest(&team, &["1"], &image(std::slice::from_ref(&digest)))).await.unwrap();
    let link = storage.index().link(&team, &digest).unwrap();
    assert_eq!(link.idle, None);

    // A daemon that died between its manifest and its last look.
    let marked = LinkRecord { idle: Some(now() - 2 * HOUR), ..(*link.record).clone() };
    let key = Key::Link(team.clone(), digest.clone());
    storage.ledger().update(&key, link.revision, &marked).await.unwrap();
    assert!(pass(&storage, patient()).await.is_empty());
    assert_eq!(storage.index().link(&team, &digest).unwrap().idle, None);
}

#[tokio::test]
async fn a_mark_of_a_clock_that_was_wrong_is_made_again() {
    let (_node, storage, team, digest) = loose_blob().await;
    let link = storage.index().link(&team, &digest).unwrap();
    let future = LinkRecord { idle: Some(now() + 1_000_000), ..(*link.record).clone() };
    storage.ledger().update(&Key::Link(team.clone(), digest.clone()), link.revision, &future).await.unwrap();
    assert_eq!(pass(&storage, patient()).await.marked, 1);
    assert!(storage.index().link(&team, &digest).unwrap().idle.unwrap() <= now());
}

#[tokio::test]
async fn what_an_interrupted_pass_left_dying_is_purged_or_lives() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let (team, other) = (repository("team/app"), repository("other"));
    let held = push(&storage, &team, &content(1, 1_000)).await.unwrap();
    storage.put_manifest(manifest(&team, &["1"], &image(std::slice::from_ref(&held)))).await.unwrap();
    let free = push(&storage, &other, &content(2, 2_000)).await.unwrap();
    storage.unlink(&other, &free).await.unwrap();
    until_only(&storage, 3).await;
    for digest in [&held, &free] {
        write_blob(&storage, digest, |blob| blob.dying = true).await;
    }
    // However young it is: the pass that marked it had found it old enough.
    let report = pass(&storage, patient()).await;
    assert_eq!((report.blobs, report.bytes, report.touched), (1, 2_000, 1));
    assert!(!storage.index().blob(&held).unwrap().dying);
    assert_eq!(read(&storage, &held).await.unwrap(), content(1, 1_000));
    assert!(storage.index().blob(&free).is_none());
}

#[tokio::test]
async fn a_blob_that_forgot_its_chunks_never_lives_again_by_itself() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let bytes = content(1, 1_000);
    let digest = push(&storage, &team, &bytes).await.unwrap();
    until_only(&storage, 1).await;
    // A pass that was cut short before its purge, while a push that died later made the link.
    forsake(&storage, &digest).await;
    let report = pass(&storage, patient()).await;
    assert_eq!((report.blobs, report.marked), (0, 1));
    assert!(storage.index().blob(&digest).unwrap().dying);

    // Pushed again, it has chunks of its own; those of before belong to nobody.
    push(&storage, &team, &bytes).await.unwrap();
    until_only(&storage, 2).await;
    assert_eq!(read(&storage, &digest).await.unwrap(), bytes);
    let report = pass(&storage, Policy { stray: 0, ..patient() }).await;
    assert_eq!((report.blobs, report.stray), (0, 1));
    assert_eq!(read(&storage, &digest).await.unwrap(), bytes);

    // Not pushed again, it goes with its link.
    let other = push(&storage, &team, &content(2, 500)).await.unwrap();
    until_only(&storage, 2).await;
    forsake(&storage, &other).await;
    let report = pass(&storage, at_once()).await;
    assert_eq!((report.links, report.blobs), (2, 2));
    assert!(storage.chunks().subjects().await.unwrap().is_empty());
}

/// A look at a blob once took its link away while the blob was marked, also one that a manifest needs.
#[tokio::test]
async fn a_look_or_mount_at_a_marked_blob_leaves_the_link_that_was_there() {
    let node = Node::start().await;
    let storage = node
        .storage_with(
            registry::storage::Policy { grace: std::time::Duration::ZERO, ..Default::default() },
            registry::cache::Cache::none(),
        )
        .await;
    let team = repository("team/app");
    let digest = push(&storage, &team, &content(1, 1_000)).await.unwrap();
    storage.put_manifest(manifest(&team, &["1"], &image(std::slice::from_ref(&digest)))).await.unwrap();
    until_only(&storage, 2).await;
    // A pass marks what it found free a moment before it was linked.
    write_blob(&storage, &digest, |blob| blob.dying = true).await;
    assert_eq!(storage.touch_blob(&team, &digest).await.unwrap(), None);
    assert!(!storage.mount(&team, &digest, Some(&team)).await.unwrap());
    assert!(storage.index().link(&team, &digest).is_some());
    assert!(pass(&storage, at_once()).await.is_empty());
    assert_eq!(storage.touch_blob(&team, &digest).await.unwrap(), Some(1_000));
    assert_eq!(read(&storage, &digest).await.unwrap(), content(1, 1_000));
}

#[tokio::test]
async fn while_a_record_of_another_version_is_there_no_blob_goes() {
    let (_node, storage, team, digest) = loose_blob().await;
    // It may be of a manifest that mentions the blob.
    let key = Key::Manifest(team.clone(), crate::harness::sha256(b"a manifest"));
    let later = serde_json::json!({ "blobs": { "in": "another form" } });
    let revision = storage.ledger().create(&key, &later).await.unwrap();
    storage.index().caught_up().await.unwrap();
    let report = pass(&storage, Policy { stray: 0, ..at_once() }).await;
    assert!(report.is_empty() && report.unreadable == 1, "{report:?}");
    assert_eq!(read(&storage, &digest).await.unwrap(), content(1, 1_000));
    storage.ledger().delete(&key, revision).await.unwrap();
    assert_eq!(pass(&storage, at_once()).await.blobs, 1);
}
