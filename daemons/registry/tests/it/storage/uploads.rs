//! Uploads, part by part.

use registry::{Algorithm, StorageError, UploadId};

use crate::harness::{
    Node, body, broken_body, collect, content, digest_of, make_streams, push, read, repository, sha256,
    until, until_only, uploads_with_chunks,
};

#[tokio::test]
async fn a_blob_in_parts_is_read_whole_and_in_any_range() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let bytes = content(1, 3_000_000);
    let id = storage.begin(&team, Algorithm::Sha256, 0).await.unwrap();
    assert_eq!(storage.upload(&team, id).await.unwrap(), 0);
    let mut at = 0;
    for part in [0..1, 1..1_500_000, 1_500_000..2_999_999] {
        let stored = storage.append(&team, id, Some(at), body(&bytes.slice(part.clone()))).await.unwrap();
        assert_eq!(stored, part.end as u64);
        at = stored;
        assert_eq!(storage.upload(&team, id).await.unwrap(), at);
    }
    let digest = sha256(&bytes);
    storage.finish(&team, id, &digest, Some(at), body(&bytes.slice(2_999_999..))).await.unwrap();
    assert_eq!(storage.blob(&team, &digest).await.unwrap(), Some(bytes.len() as u64));
    assert_eq!(read(&storage, &digest).await.unwrap(), bytes);
    for range in [0..0, 0..1, 1_047_551..1_047_553, 2_999_999..3_000_000, 3_000_000..3_000_000] {
        let found = collect(storage.read(&digest, range.clone()).await.unwrap()).await.unwrap();
        assert_eq!(found, bytes.slice(range.start as usize..range.end as usize), "{range:?}");
    }
    let beyond = storage.read(&digest, 0..3_000_001).await.err().unwrap();
    assert!(matches!(beyond, StorageError::RangeNotSatisfiable { size: 3_000_000 }), "{beyond}");
    until_only(&storage, 1).await;
    let over = storage.upload(&team, id).await.unwrap_err();
    assert!(matches!(over, StorageError::UploadUnknown), "{over}");
}

#[tokio::test]
async fn the_empty_blob_is_one_too() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let digest = push(&storage, &repository("a"), &content(1, 0)).await.unwrap();
    assert_eq!(storage.blob(&repository("a"), &digest).await.unwrap(), Some(0));
    assert!(read(&storage, &digest).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_part_that_begins_elsewhere_is_refused_with_the_place_to_go_on() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let bytes = content(2, 1000);
    let id = storage.begin(&team, Algorithm::Sha256, 0).await.unwrap();
    storage.append(&team, id, Some(0), body(&bytes.slice(..400))).await.unwrap();
    for start in [0, 399, 401] {
        let refused = storage.append(&team, id, Some(start), body(&bytes)).await.unwrap_err();
        assert!(matches!(refused, StorageError::OutOfOrder { offset: 400 }), "{refused}");
        let digest = sha256(&bytes);
        let refused = storage.finish(&team, id, &digest, Some(start), body(&bytes)).await.unwrap_err();
        assert!(matches!(refused, StorageError::OutOfOrder { offset: 400 }), "{refused}");
    }
    let other = storage.append(&repository("team/other"), id, None, body(&bytes)).await.unwrap_err();
    assert!(matches!(other, StorageError::UploadUnknown), "{other}");
    storage.finish(&team, id, &sha256(&bytes), Some(400), body(&bytes.slice(400..))).await.unwrap();
}

#[tokio::test]
async fn other_bytes_than_the_digests_are_purged() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let wrong = sha256(b"something else");
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let id = storage.begin(&team, algorithm, 0).await.unwrap();
        storage.append(&team, id, None, body(&content(3, 5000))).await.unwrap();
        let refused = storage.commit(&team, id, &wrong).await.unwrap_err();
        let found = sha256(&content(3, 5000));
        assert!(
            matches!(&refused, StorageError::DigestMismatch { found: other, .. } if *other == found),
            "{refused}"
        );
        let over = storage.upload(&team, id).await.unwrap_err();
        assert!(matches!(over, StorageError::UploadUnknown), "{over}");
    }
    until_only(&storage, 0).await;
    assert_eq!(storage.index().counts().blobs, 0);
    assert_eq!(storage.blob(&team, &wrong).await.unwrap(), None);
}

#[tokio::test]
async fn the_digest_may_be_of_another_algorithm_than_the_upload_was_begun_with() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let bytes = content(4, 2_500_000);
    for (begun, named) in [(Algorithm::Sha256, Algorithm::Sha512), (Algorithm::Sha512, Algorithm::Sha256)] {
        let digest = digest_of(named, &bytes);
        let id = storage.begin(&team, begun, 0).await.unwrap();
        storage.finish(&team, id, &digest, None, body(&bytes)).await.unwrap();
        assert_eq!(read(&storage, &digest).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn what_arrived_before_the_body_broke_is_kept() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let bytes = content(5, 2_000_000);
    let id = storage.begin(&team, Algorithm::Sha256, 0).await.unwrap();
    let broken = storage.append(&team, id, None, broken_body(&bytes.slice(..700_000))).await.unwrap_err();
    assert!(matches!(broken, StorageError::Body(_)), "{broken}");
    assert_eq!(storage.upload(&team, id).await.unwrap(), 700_000);
    let broken = broken_body(&bytes.slice(700_000..1_500_000));
    let broken = storage.finish(&team, id, &sha256(&bytes), None, broken).await.unwrap_err();
    assert!(matches!(broken, StorageError::Body(_)), "{broken}");
    let rest = bytes.slice(1_500_000..);
    storage.finish(&team, id, &sha256(&bytes), Some(1_500_000), body(&rest)).await.unwrap();
    assert_eq!(read(&storage, &sha256(&bytes)).await.unwrap(), bytes);
}

#[tokio::test]
async fn what_arrived_is_kept_when_nobody_waits_for_it_any_more() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let bytes = content(6, 1_200_000);
    let id = storage.begin(&team, Algorithm::Sha256, 0).await.unwrap();
    let (taken, mut all_taken) = tokio::sync::watch::channel(false);
    let pieces = body(&bytes);
    let endless = async_body(pieces, taken);
    let appended = tokio::select! {
        appended = storage.append(&team, id, None, endless) => Some(appended),
        _ = all_taken.wait_for(|taken| *taken) => None,
    };
    assert!(appended.is_none());
    until("kept", async || storage.upload(&team, id).await.ok() == Some(bytes.len() as u64)).await;
    storage.commit(&team, id, &sha256(&bytes)).await.unwrap();
}

/// All pieces, then a notice that they were taken, then nothing for ever.
fn async_body<E>(
    pieces: impl futures::Stream<Item = Result<bytes::Bytes, E>> + Send,
    taken: tokio::sync::watch::Sender<bool>,
) -> impl futures::Stream<Item = Result<bytes::Bytes, E>> + Send {
    use futures::StreamExt;
    let end = futures::stream::once(async move {
        taken.send_replace(true);
        std::future::pending().await
    });
    pieces.chain(end)
}

#[tokio::test]
async fn an_upload_takes_one_request_at_a_time() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let bytes = content(7, 100_000);
    let id = storage.begin(&team, Algorithm::Sha256, 0).await.unwrap();
    let (taken, mut all_taken) = tokio::sync::watch::channel(false);
    let first = storage.append(&team, id, None, async_body(body(&bytes), taken));
    tokio::select! {
        ended = first => panic!("{ended:?}"),
        _ = async {
            all_taken.wait_for(|taken| *taken).await.unwrap();
            let second = storage.append(&team, id, None, body(&bytes)).await.unwrap_err();
            assert!(matches!(second, StorageError::Busy), "{second}");
            let cancelled = storage.cancel(&team, id).await.unwrap_err();
            assert!(matches!(cancelled, StorageError::Busy), "{cancelled}");
            assert_eq!(storage.upload(&team, id).await.unwrap(), 0, "what is flushed is told");
        } => {}
    }
}

#[tokio::test]
async fn a_cancelled_upload_leaves_nothing_and_is_unknown() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let id = storage.begin(&team, Algorithm::Sha256, 0).await.unwrap();
    storage.append(&team, id, None, body(&content(8, 1_500_000))).await.unwrap();
    assert_eq!(uploads_with_chunks(&storage).await, [id]);
    storage.cancel(&team, id).await.unwrap();
    until_only(&storage, 0).await;
    for refused in [
        storage.cancel(&team, id).await.unwrap_err(),
        storage.append(&team, id, None, body(&content(8, 1))).await.unwrap_err(),
        storage.commit(&team, id, &sha256(b"")).await.unwrap_err(),
        storage.upload(&team, id).await.unwrap_err(),
    ] {
        assert!(matches!(refused, StorageError::UploadUnknown), "{refused}");
    }
    assert!(!storage.index().exists(&team));
}

#[tokio::test]
async fn a_full_stream_is_told_and_what_fitted_is_kept() {
    let node = Node::start_empty().await;
    make_streams(&node.client().await, "max_bytes = \"3MiB\"").await;
    let storage = node.storage().await;
    assert!(!storage.ballast().restore().await, "it is no reason to be full");
    storage.chunks().purge(UploadId::BALLAST).await.unwrap();
    let team = repository("team/app");
    let small = push(&storage, &team, &content(9, 500_000)).await.unwrap();
    let id = storage.begin(&team, Algorithm::Sha256, 0).await.unwrap();
    let full = storage.append(&team, id, None, body(&content(10, 4 << 20))).await.unwrap_err();
    assert!(matches!(full, StorageError::Full { .. }), "{full}");
    assert!(full.to_string().contains("registry.max_bytes"), "{full}");
    let stored = storage.upload(&team, id).await.unwrap();
    assert!(stored > 1 << 20, "{stored}");
    assert!(!storage.chunks().room().is_full(), "there is room for records, and in other streams");
    assert_eq!(read(&storage, &small).await.unwrap(), content(9, 500_000));
    storage.cancel(&team, id).await.unwrap();
    push(&storage, &team, &content(11, 2 << 20)).await.unwrap();
}

/// A regression test: it was told that the upload was interrupted, and to try again.
#[tokio::test]
async fn the_end_of_a_long_upload_is_told_that_the_stream_is_full() {
    let node = Node::start_empty().await;
    make_streams(&node.client().await, "max_bytes = \"3MiB\"").await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let bytes = content(13, 24 << 20);
    let full = push(&storage, &team, &bytes).await.unwrap_err();
    assert!(matches!(full, StorageError::Full { .. }), "{full}");
}

#[tokio::test]
async fn of_a_long_part_the_record_tells_how_far_it_is() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let id = storage.begin(&team, Algorithm::Sha256, 0).await.unwrap();
    let piece = content(12, 4 << 20);
    // Some 18 MiB may be unacknowledged when the last one is taken.
    let pieces = futures::stream::iter((0..23).map(|_| Ok(piece.clone())));
    let (taken, mut all_taken) = tokio::sync::watch::channel(false);
    tokio::select! {
        ended = storage.append(&team, id, None, async_body(pieces, taken)) => panic!("{ended:?}"),
        _ = all_taken.wait_for(|taken| *taken) => {}
    }
    // The session saves the rest in the background; this is what a crash would leave.
    let noted = storage.index().upload(&id).unwrap();
    assert!(noted.offset >= 64 << 20, "{}", noted.offset);
}
