//! JetStream without room for anything.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use registry::{Algorithm, Digest, Repository, Storage, StorageError, UploadId, collect::Policy};
use settings::ByteSize;
use tokio::task::JoinSet;

use crate::{
    collect::{at_once, image, manifest, pass},
    harness::{Node, body, content, push, read, repository, uploads_with_chunks},
};

const ROOM: ByteSize = ByteSize::mib(64);
const LAYER: usize = 2_500_000;
/// Clients that push at once: what they have under way is more than the ballast.
const CLIENTS: usize = 8;

/// Pushes an image with a layer of its own; gives manifest and layer.
async fn push_image(
    storage: &Storage,
    repository: &Repository,
    number: u64,
) -> Result<(Digest, Digest), StorageError> {
    let config = push(storage, repository, &content(number, 200)).await?;
    let layer = push(storage, repository, &content(number + 1_000_000, LAYER)).await?;
    let image = image(&[config, layer.clone()]);
    let stored = storage.put_manifest(manifest(repository, &[&format!("v{number}")], &image)).await?;
    Ok((stored.digest, layer))
}

/// Pushes images by way of these daemons until each client was refused for want of room.
async fn fill(storages: &[&Storage], repository: &Repository) -> Vec<(Digest, Digest)> {
    let (mut clients, numbers) = (JoinSet::new(), Arc::new(AtomicU64::new(1)));
    for storage in storages.iter().copied().cycle().take(CLIENTS) {
        let (storage, repository, numbers) = (storage.clone(), repository.clone(), Arc::clone(&numbers));
        clients.spawn(async move {
            let mut pushed = Vec::new();
            loop {
                match push_image(&storage, &repository, numbers.fetch_add(1, Ordering::Relaxed)).await {
                    Ok(image) => pushed.push(image),
                    Err(StorageError::Full { .. }) => return pushed,
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    clients.join_all().await.concat()
}

/// A regression test: nats-server refused the records of deletions too, so that what was full stayed so.
#[tokio::test(flavor = "multi_thread")]
async fn when_jetstream_is_full_deletions_and_the_collector_make_room() {
    let node = Node::start_limited(ROOM).await;
    let (storage, other) = (node.storage().await, node.storage().await);
    assert!(storage.ballast().restore().await);
    let team = repository("team/app");
    let open = storage.begin(&team, Algorithm::Sha256, 0).await.unwrap();
    storage.append(&team, open, None, body(&content(1, 1_500_000))).await.unwrap();
    let images = fill(&[&storage, &other], &team).await;
    assert!(images.len() > 4, "{}", images.len());
    assert!(storage.chunks().room().is_full() && other.chunks().room().is_full());
    let (_, layer) = &images[0];
    assert_eq!(read(&storage, layer).await.unwrap().len(), LAYER);
    for refused in [
        storage.begin(&team, Algorithm::Sha256, 0).await.err(),
        storage.append(&team, open, None, body(&content(2, 10))).await.err(),
        storage.put_manifest(manifest(&team, &["new"], &image(std::slice::from_ref(layer)))).await.err(),
    ] {
        assert!(matches!(refused, Some(StorageError::Full { .. })), "{refused:?}");
    }
    storage.cancel(&team, open).await.unwrap();
    for (manifest, _) in &images {
        storage.delete_manifest(&team, manifest, "ci").await.unwrap();
    }
    let report = pass(&storage, Policy { upload_expiry: 0, ..at_once() }).await;
    assert!(report.bytes > (images.len() * LAYER) as u64, "{report}");
    assert!(uploads_with_chunks(&storage).await.is_empty(), "{report}");
    assert!(storage.ballast().restore().await);
    assert!(storage.ballast().is_complete().await.unwrap());
    assert!(storage.chunks().room().is_full(), "until nothing was refused for some seconds");
}

/// Nobody puts it there again for a daemon that is not told that it is gone: it looks.
#[tokio::test]
async fn the_ballast_is_no_stray_and_is_completed() {
    let node = Node::start().await;
    let storage = node.storage().await;
    assert!(!storage.ballast().is_complete().await.unwrap());
    assert!(storage.ballast().restore().await);
    let there = storage.chunks().state().await.unwrap();
    assert_eq!(there.messages, 8);
    let report = pass(&storage, Policy { stray: 0, ..at_once() }).await;
    assert!(report.is_empty(), "{report}");
    assert_eq!(storage.chunks().state().await.unwrap(), there);
    storage.chunks().purge(UploadId::BALLAST).await.unwrap();
    assert!(!storage.ballast().is_complete().await.unwrap());
    assert!(storage.ballast().restore().await && storage.ballast().restore().await);
    assert_eq!(storage.chunks().state().await.unwrap(), there);
}
