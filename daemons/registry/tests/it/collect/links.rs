//! Blobs that nothing mentions, or nothing mentions any more.

use registry::collect::{Collector, Policy};

use super::{at_once, image, manifest, pass, push_image};
use crate::harness::{Node, content, push, read, repository, until_only, uploads_with_chunks};

#[tokio::test]
async fn a_blob_without_a_manifest_goes_and_one_with_stays() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let kept = push_image(&storage, &team, 1, &["1"]).await;
    let alone = push(&storage, &team, &content(7, 2_500_000)).await.unwrap();
    until_only(&storage, 4).await;

    let foreseen = Collector::new(storage.clone(), at_once(), "test".to_owned()).rehearse().await.unwrap();
    assert_eq!((foreseen.links, foreseen.blobs, foreseen.bytes), (1, 1, 2_500_000));
    assert!(storage.blob(&team, &alone).await.unwrap().is_some(), "a rehearsal changes nothing");

    let report = pass(&storage, at_once()).await;
    assert_eq!((report.links, report.blobs, report.bytes), (1, 1, 2_500_000));
    assert_eq!((report.tags, report.manifests, report.uploads, report.stray), (0, 0, 0, 0));
    assert_eq!(storage.blob(&team, &alone).await.unwrap(), None);
    assert!(storage.index().blob(&alone).is_none());
    assert_eq!(uploads_with_chunks(&storage).await.len(), 3);
    let record = storage.index().manifest(&team, &kept).unwrap();
    for blob in &record.blobs {
        read(&storage, blob).await.unwrap();
    }
    assert!(pass(&storage, at_once()).await.is_empty());
}

#[tokio::test]
async fn a_blob_goes_with_the_last_repository_that_has_it() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let (one, other) = (repository("one"), repository("other"));
    let digest = push_image(&storage, &one, 1, &["1"]).await;
    let record = storage.index().manifest(&one, &digest).unwrap();
    for blob in &record.blobs {
        assert!(storage.mount(&other, blob, Some(&one)).await.unwrap());
    }
    storage.put_manifest(manifest(&other, &["1"], &image(&record.blobs))).await.unwrap();

    storage.delete_manifest(&one, &digest, "ci").await.unwrap();
    let report = pass(&storage, at_once()).await;
    assert_eq!((report.links, report.blobs), (2, 0));
    assert!(!storage.index().exists(&one));
    assert_eq!(read(&storage, &record.blobs[1]).await.unwrap(), content(1_000_001, 5_000));

    storage.delete_manifest(&other, &digest, "ci").await.unwrap();
    let report = pass(&storage, at_once()).await;
    assert_eq!((report.links, report.blobs), (2, 3), "the manifest's own bytes are a blob");
    assert!(uploads_with_chunks(&storage).await.is_empty());
    let state = storage.chunks().state().await.unwrap();
    assert_eq!((state.messages, state.bytes), (0, 0));
}

#[tokio::test]
async fn the_grace_time_begins_when_the_last_manifest_goes_however_old_the_blob_is() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let digest = push_image(&storage, &team, 1, &["1"]).await;
    storage.delete_manifest(&team, &digest, "ci").await.unwrap();
    let policy = Policy { grace: 3600, ..Policy::default() };
    let report = pass(&storage, policy.clone()).await;
    assert!(report.is_empty(), "{report:?}");
    assert_eq!((report.marked, report.waiting), (2, 2));
    assert!(report.waiting_bytes > 5_200, "{report:?}");
    let end = report.next.unwrap();
    assert!((report.at..=report.at + 3600).contains(&end));
    // A second look makes no other time of it.
    let again = pass(&storage, policy).await;
    assert_eq!((again.marked, again.waiting, again.next), (0, 2, Some(end)));
}

#[tokio::test]
async fn a_push_of_what_was_purged_stores_it_anew() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let bytes = content(3, 40_000);
    for _ in 0..3 {
        let digest = push(&storage, &team, &bytes).await.unwrap();
        until_only(&storage, 1).await;
        assert_eq!(read(&storage, &digest).await.unwrap(), bytes);
        assert_eq!(pass(&storage, at_once()).await.blobs, 1);
    }
}

#[tokio::test]
async fn an_empty_blob_is_collected_too() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let digest = push(&storage, &team, &content(0, 0)).await.unwrap();
    until_only(&storage, 0).await;
    let report = pass(&storage, at_once()).await;
    assert_eq!((report.links, report.blobs, report.bytes), (1, 1, 0));
    assert!(storage.index().blob(&digest).is_none());
}
