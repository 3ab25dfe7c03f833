//! Uploads that nobody ends, and chunks that nobody knows.

use bytes::Bytes;
use registry::{
    Algorithm, Key, StorageError, UploadId, chunks::Lane, collect::Policy, records::UploadRecord,
};

use super::pass;
use crate::harness::{
    Node, body, content, push, read, repository, sha256, until, until_only, uploads_with_chunks,
};

fn impatient() -> Policy {
    Policy { upload_expiry: 0, ..Policy::default() }
}

#[tokio::test]
async fn an_upload_expires_with_its_chunks_and_cannot_be_gone_on_with() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let bytes = content(1, 1_500_000);
    let id = storage.begin(&team, Algorithm::Sha256, 0).await.unwrap();
    storage.append(&team, id, None, body(&bytes)).await.unwrap();
    assert!(pass(&storage, Policy::default()).await.is_empty(), "it is not old enough");
    let report = pass(&storage, impatient()).await;
    assert_eq!((report.uploads, report.upload_bytes), (1, 1_500_000));
    assert!(uploads_with_chunks(&storage).await.is_empty());
    let refused = storage.append(&team, id, None, body(&bytes)).await.unwrap_err();
    assert!(matches!(refused, StorageError::UploadUnknown), "{refused}");
    let refused = storage.commit(&team, id, &sha256(&bytes)).await.unwrap_err();
    assert!(matches!(refused, StorageError::UploadUnknown), "{refused}");
    assert!(!storage.index().exists(&team));
}

#[tokio::test]
async fn a_claimed_upload_that_became_a_blob_leaves_it_whole() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let bytes = content(1, 10_000);
    let digest = push(&storage, &team, &bytes).await.unwrap();
    until_only(&storage, 1).await;
    // A daemon that died after its link, before it took the upload's record away.
    let blob = storage.index().blob(&digest).unwrap();
    let left = UploadRecord {
        repository: team.clone(),
        algorithm: Algorithm::Sha256,
        hash: String::new(),
        offset: blob.size,
        runs: blob.runs.clone(),
        reserved: 0,
        touched: blob.touched,
        travels: None,
        claimed: Some(digest.clone()),
    };
    storage.ledger().create(&Key::Upload(blob.upload), &left).await.unwrap();
    for _ in 0..2 {
        pass(&storage, Policy { stray: 0, ..impatient() }).await;
    }
    assert!(storage.index().uploads().is_empty());
    assert_eq!(read(&storage, &digest).await.unwrap(), bytes);
}

#[tokio::test]
async fn a_claimed_upload_that_came_to_nothing_is_found_by_the_next_pass() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let bytes = content(1, 10_000);
    let id = storage.begin(&team, Algorithm::Sha256, 0).await.unwrap();
    storage.append(&team, id, None, body(&bytes)).await.unwrap();
    let upload = storage.index().upload(&id).unwrap();
    let claimed = UploadRecord { claimed: Some(sha256(&bytes)), ..(*upload.record).clone() };
    storage.ledger().update(&Key::Upload(id), upload.revision, &claimed).await.unwrap();
    let policy = Policy { stray: 0, ..impatient() };
    let report = pass(&storage, policy.clone()).await;
    assert_eq!((report.uploads, report.stray), (1, 0));
    assert_eq!(uploads_with_chunks(&storage).await, [id]);
    let report = pass(&storage, policy).await;
    assert_eq!((report.uploads, report.stray), (0, 1));
    assert!(uploads_with_chunks(&storage).await.is_empty());
}

#[tokio::test]
async fn chunks_of_nobody_are_purged_when_they_are_old() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let (team, client) = (repository("team/app"), node.client().await);
    let kept = push(&storage, &team, &content(1, 1_000)).await.unwrap();
    until_only(&storage, 1).await;
    let nobody = UploadId::random();
    client.publish(Lane::of(nobody, 0).subject(nobody), Bytes::from_static(b"late")).await.unwrap();
    until("stored", async || uploads_with_chunks(&storage).await.contains(&nobody)).await;

    assert_eq!(pass(&storage, Policy::default()).await.stray, 0, "it came a moment ago");
    assert_eq!(pass(&storage, Policy { stray: 0, ..Policy::default() }).await.stray, 1);
    assert_eq!(uploads_with_chunks(&storage).await.len(), 1);
    assert_eq!(read(&storage, &kept).await.unwrap(), content(1, 1_000));
}
