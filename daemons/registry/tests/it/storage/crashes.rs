//! Daemons that stop between any two steps, and a nats-server that is killed.

use bytes::Bytes;
use registry::{
    Algorithm, Digest, Key, Repository, Storage, UploadId,
    records::{BlobRecord, UploadRecord, now},
};

use crate::harness::{
    Node, body, content, push, read, repository, sha256, until, until_only, uploads_with_chunks,
};

/// An upload whose bytes are all stored.
async fn stored(storage: &Storage, repository: &Repository, bytes: &Bytes) -> (UploadId, Digest) {
    let id = storage.begin(repository, Algorithm::Sha256, 0).await.unwrap();
    storage.append(repository, id, None, body(bytes)).await.unwrap();
    (id, sha256(bytes))
}

/// The step of a commit that claims the upload, and then the daemon stops.
async fn claim(storage: &Storage, id: UploadId, digest: &Digest) -> UploadRecord {
    let upload = storage.index().upload(&id).unwrap();
    let claimed = UploadRecord { claimed: Some(digest.clone()), ..(*upload.record).clone() };
    storage.ledger().update(&Key::Upload(id), upload.revision, &claimed).await.unwrap();
    claimed
}

/// The next step, and then the daemon stops.
async fn write_blob(storage: &Storage, id: UploadId, digest: &Digest, upload: &UploadRecord) {
    let blob = BlobRecord {
        size: upload.offset,
        upload: id,
        runs: upload.runs.clone(),
        touched: now(),
        dying: false,
    };
    storage.ledger().create(&Key::Blob(digest.clone()), &blob).await.unwrap();
}

#[tokio::test]
async fn a_commit_is_repeated_by_another_daemon_after_each_of_its_steps() {
    let node = Node::start().await;
    let team = repository("team/app");
    for steps in 0..3 {
        let one = node.storage().await;
        let bytes = content(steps, 1_200_000);
        let (id, digest) = stored(&one, &team, &bytes).await;
        if steps > 0 {
            let upload = claim(&one, id, &digest).await;
            if steps > 1 {
                write_blob(&one, id, &digest, &upload).await;
            }
        }
        drop(one);
        let other = node.storage().await;
        other.commit(&team, id, &digest).await.unwrap();
        assert_eq!(other.blob(&team, &digest).await.unwrap(), Some(1_200_000));
        until_only(&other, usize::try_from(steps).unwrap() + 1).await;
        assert_eq!(read(&other, &digest).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_claimed_upload_takes_nothing_more_and_is_not_cancelled() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let bytes = content(9, 1000);
    let (id, digest) = stored(&storage, &team, &bytes).await;
    claim(&storage, id, &digest).await;
    for refused in [
        storage.append(&team, id, None, body(&bytes)).await.unwrap_err(),
        storage.commit(&team, id, &sha256(b"other")).await.unwrap_err(),
        storage.cancel(&team, id).await.unwrap_err(),
        storage.upload(&team, id).await.unwrap_err(),
    ] {
        assert!(matches!(refused, registry::StorageError::UploadUnknown), "{refused}");
    }
    assert_eq!(uploads_with_chunks(&storage).await, [id]);
    // Save for the client that repeats its last request, whose bytes are not looked at any more.
    storage.finish(&team, id, &digest, Some(0), body(&bytes)).await.unwrap();
    assert_eq!(read(&storage, &digest).await.unwrap(), bytes);
}

#[tokio::test]
async fn a_blob_whose_chunks_the_collector_has_is_not_committed() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let bytes = content(15, 1000);
    let (id, digest) = stored(&storage, &team, &bytes).await;
    let upload = claim(&storage, id, &digest).await;
    write_blob(&storage, id, &digest, &upload).await;
    let blob = storage.index().blob(&digest).unwrap();
    let dying = BlobRecord { dying: true, ..(*blob.record).clone() };
    storage.ledger().update(&Key::Blob(digest.clone()), blob.revision, &dying).await.unwrap();
    let refused = storage.commit(&team, id, &digest).await.unwrap_err();
    assert!(matches!(refused, registry::StorageError::UploadUnknown), "{refused}");
    assert_eq!(storage.blob(&team, &digest).await.unwrap(), None);
    assert_eq!(push(&storage, &team, &bytes).await.unwrap(), digest);
}

#[tokio::test]
async fn an_expired_upload_is_purged_unless_a_blob_has_its_chunks() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let (plain, _) = stored(&storage, &team, &content(10, 1000)).await;
    let (claimed, digest) = stored(&storage, &team, &content(11, 1000)).await;
    claim(&storage, claimed, &digest).await;
    let (committed, digest) = stored(&storage, &team, &content(12, 1000)).await;
    let upload = claim(&storage, committed, &digest).await;
    write_blob(&storage, committed, &digest, &upload).await;
    for id in [plain, claimed, committed] {
        let upload = storage.index().upload(&id).unwrap();
        assert!(storage.expire(id, &upload).await.unwrap());
        assert!(!storage.expire(id, &upload).await.unwrap(), "it is over");
    }
    assert_eq!(uploads_with_chunks(&storage).await, [committed]);
    assert_eq!(read(&storage, &digest).await.unwrap(), content(12, 1000));

    let (went_on, _) = stored(&storage, &team, &content(13, 1000)).await;
    let seen = storage.index().upload(&went_on).unwrap();
    storage.append(&team, went_on, None, body(&content(14, 1000))).await.unwrap();
    assert!(!storage.expire(went_on, &seen).await.unwrap());
    assert_eq!(storage.upload(&team, went_on).await.unwrap(), 2000);
}

#[tokio::test]
async fn an_upload_goes_on_after_nats_server_was_killed_and_the_daemon_restarted() {
    let mut node = Node::start().await;
    let one = node.storage().await;
    let team = repository("team/app");
    let bytes = content(20, 3_300_000);
    let earlier = push(&one, &team, &content(21, 50_000)).await.unwrap();
    let id = one.begin(&team, Algorithm::Sha256, 0).await.unwrap();
    one.append(&team, id, None, body(&bytes.slice(..1_700_000))).await.unwrap();
    node.kill().await;
    assert_eq!(one.blob(&team, &earlier).await.unwrap(), Some(50_000), "the index goes on");
    node.run().await;

    // The same daemon, whose connections come back.
    let offset = one.append(&team, id, Some(1_700_000), body(&bytes.slice(1_700_000..2_000_000))).await;
    assert_eq!(offset.unwrap(), 2_000_000);
    node.kill().await;
    drop(one);
    node.run().await;

    let other = node.storage().await;
    assert_eq!(other.upload(&team, id).await.unwrap(), 2_000_000);
    let digest = sha256(&bytes);
    other.finish(&team, id, &digest, Some(2_000_000), body(&bytes.slice(2_000_000..))).await.unwrap();
    assert_eq!(read(&other, &digest).await.unwrap(), bytes);
    assert_eq!(read(&other, &earlier).await.unwrap(), content(21, 50_000));
}

#[tokio::test]
async fn nats_server_killed_in_the_middle_of_a_part_loses_nothing_that_was_acknowledged() {
    let mut node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let bytes = content(22, 8_000_000);
    let id = storage.begin(&team, Algorithm::Sha256, 0).await.unwrap();
    let (half, mut is_half) = tokio::sync::watch::channel(false);
    let (go_on, mut may_go_on) = tokio::sync::watch::channel(false);
    let first = body(&bytes.slice(..4_000_000));
    let pause = futures::stream::once(async move {
        half.send_replace(true);
        may_go_on.wait_for(|go_on| *go_on).await.unwrap();
        Ok(Bytes::new())
    });
    let rest = body(&bytes.slice(4_000_000..));
    let all = futures::StreamExt::chain(futures::StreamExt::chain(first, pause), rest);
    let appending = {
        let (storage, team) = (storage.clone(), team.clone());
        tokio::spawn(async move { storage.append(&team, id, None, all).await })
    };
    is_half.wait_for(|half| *half).await.unwrap();
    node.kill().await;
    go_on.send_replace(true);
    node.run().await;
    // It may have ended with an error while nats-server was away: then the client asks and goes on.
    let _ = appending.await.unwrap();
    until("answering", async || storage.upload(&team, id).await.is_ok()).await;
    let offset = storage.upload(&team, id).await.unwrap();
    let rest = bytes.slice(usize::try_from(offset).unwrap()..);
    storage.finish(&team, id, &sha256(&bytes), Some(offset), body(&rest)).await.unwrap();
    assert_eq!(read(&storage, &sha256(&bytes)).await.unwrap(), bytes);
}
