//! What takes the space.

use registry::collect::{self, NamespaceSpace};
use settings::{ByteSize, fleet};

use super::push_image;
use crate::harness::{Node, body, content, push, repository, until_only};

#[tokio::test]
async fn bytes_are_told_by_repository_by_namespace_and_in_all() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let (one, two, other) = (repository("team/one"), repository("team/two"), repository("other"));
    let digest = push_image(&storage, &one, 1, &["1", "2"]).await;
    let manifest = storage.index().manifest(&one, &digest).unwrap();
    assert!(storage.mount(&two, &manifest.blobs[1], Some(&one)).await.unwrap());
    push(&storage, &other, &content(9, 700)).await.unwrap();
    until_only(&storage, 4).await;
    let id = storage.begin(&other, registry::Algorithm::Sha256, 0).await.unwrap();
    storage.append(&other, id, None, body(&content(10, 300))).await.unwrap();

    let registry = fleet::Registry {
        quotas: [("team".parse().unwrap(), ByteSize::mib(1))].into(),
        ..fleet::Registry::default()
    };
    let space = collect::space(&storage, &registry).await.unwrap();
    let rows: Vec<_> = space
        .repositories
        .iter()
        .map(|row| (row.repository.as_str(), row.tags, row.manifests, row.bytes, row.shared))
        .collect();
    let all = 5_200 + manifest.size;
    assert_eq!(
        rows,
        [("other", 0, 0, 700, 0), ("team/one", 2, 1, all, 5_000), ("team/two", 0, 0, 5_000, 5_000)]
    );
    assert_eq!(
        space.namespaces,
        [
            NamespaceSpace { namespace: "other".into(), bytes: 700, reserved: 300, quota: None },
            NamespaceSpace { namespace: "team".into(), bytes: all, reserved: 0, quota: Some(1 << 20) },
        ]
    );
    assert_eq!((space.blobs, space.blob_bytes), (4, all + 700));
    assert_eq!((space.uploads, space.upload_bytes), (1, 300));
    assert!(space.stream_bytes > all + 1_000, "with what nats-server keeps beside each chunk");
    assert_eq!(space.stream_limit, None);
    let waiting = &space.collectable;
    assert_eq!((waiting.bytes, waiting.waiting), (0, 2));
    assert_eq!(waiting.waiting_bytes, 700, "what team/two mentions nowhere, team/one still has");
}
