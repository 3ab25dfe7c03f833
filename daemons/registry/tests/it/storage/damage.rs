//! Chunks that the stream lost.

use bytes::Bytes;
use registry::{Reference, StorageError, records::Origin, storage::PutManifest};
use serde_json::json;

use crate::harness::{Node, content, push, read, repository, sha256, tag, until};

#[tokio::test]
async fn a_blob_whose_chunks_are_gone_is_told_as_damaged_and_comes_back_by_a_push() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let (one, other, bytes) = (repository("one"), repository("other"), content(6, 3_000_000));
    let digest = push(&storage, &one, &bytes).await.unwrap();
    assert!(storage.mount(&other, &digest, Some(&one)).await.unwrap());
    storage.chunks().purge(storage.index().blob(&digest).unwrap().upload).await.unwrap();
    let damaged = read(&storage, &digest).await.unwrap_err();
    assert!(matches!(damaged, StorageError::Damaged { .. }), "{damaged}");

    // From then on clients are told to push it: everywhere, since it is the same blob.
    until("told as absent", async || storage.blob(&one, &digest).await.unwrap().is_none()).await;
    assert_eq!(storage.touch_blob(&other, &digest).await.unwrap(), None);
    assert!(!storage.mount(&repository("third"), &digest, Some(&other)).await.unwrap());
    let unknown = storage.read(&digest, 0..0).await.err().unwrap();
    assert!(matches!(unknown, StorageError::BlobUnknown { .. }), "{unknown}");

    push(&storage, &one, &bytes).await.unwrap();
    for repository in [&one, &other] {
        assert_eq!(storage.blob(repository, &digest).await.unwrap(), Some(3_000_000));
    }
    assert_eq!(read(&storage, &digest).await.unwrap(), bytes);
}

#[tokio::test]
async fn a_read_that_a_replica_could_not_answer_costs_nothing() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let bytes = content(7, 2_000_000);
    let digest = push(&storage, &repository("app"), &bytes).await.unwrap();
    // Its record names chunks that were never there, but none is missing of those that are its own.
    let blob = storage.index().blob(&digest).unwrap();
    let mut runs = registry::chunks::Runs::default();
    for run in blob.runs.as_slice() {
        (0..run.count).for_each(|number| runs.push(run.lane, run.first + number + 1_000, run.size));
    }
    let wrong = registry::records::BlobRecord { runs, ..(*blob.record).clone() };
    let key = registry::Key::Blob(digest.clone());
    storage.ledger().update(&key, blob.revision, &wrong).await.unwrap();
    let fresh = node.storage().await;
    let damaged = read(&fresh, &digest).await.unwrap_err();
    assert!(matches!(damaged, StorageError::Damaged { .. }), "{damaged}");
    // As many as there should be: nothing is given up by a guess.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(fresh.index().blob(&digest).unwrap().runs, wrong.runs);
}

#[tokio::test]
async fn a_manifest_whose_chunks_are_gone_comes_back_by_a_push() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let app = repository("app");
    let manifest = Bytes::from(json!({ "schemaVersion": 2, "manifests": [] }).to_string());
    let put = || PutManifest {
        repository: app.clone(),
        digest: None,
        tags: vec![tag("v1")],
        media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
        bytes: manifest.clone(),
        by: "test".to_owned(),
        origin: Origin::Pushed,
    };
    let digest = storage.put_manifest(put()).await.unwrap().digest;
    assert_eq!(digest, sha256(&manifest));
    // Another daemon, which does not have its bytes in memory.
    let fresh = node.storage().await;
    fresh.chunks().purge(fresh.index().blob(&digest).unwrap().upload).await.unwrap();
    let damaged = fresh.manifest_bytes(&digest).await.unwrap_err();
    assert!(matches!(damaged, StorageError::Damaged { .. }), "{damaged}");
    let reference = Reference::Tag(tag("v1"));
    until("told as absent", async || fresh.manifest(&app, &reference).await.unwrap().is_none()).await;
    fresh.put_manifest(put()).await.unwrap();
    assert_eq!(node.storage().await.manifest_bytes(&digest).await.unwrap(), manifest);
    assert!(fresh.manifest(&app, &reference).await.unwrap().is_some());
}
