//! Byte quotas of namespaces.

use bytes::Bytes;
use futures::future::join_all;
use registry::{
    Algorithm, Repository, Storage, StorageError,
    cache::Cache,
    records::Origin,
    storage::{Policy, PutManifest},
};
use serde_json::json;

use crate::harness::{Node, body, broken_body, content, push, repository, sha256, tag, until, until_only};

const MIB: usize = 1 << 20;

async fn storage(node: &Node) -> Storage {
    let quotas = [("team".parse().unwrap(), "10MiB".parse().unwrap())];
    let quotas = quotas.into_iter().chain([("team/ci".parse().unwrap(), "2MiB".parse().unwrap())]);
    node.storage_with(Policy { quotas: quotas.collect(), ..Policy::default() }, Cache::none()).await
}

#[tokio::test]
async fn what_is_too_much_is_refused_before_its_first_byte() {
    let node = Node::start().await;
    let storage = storage(&node).await;
    let team = repository("team/app");
    push(&storage, &team, &content(1, 6 * MIB)).await.unwrap();
    let refused = storage.begin(&team, Algorithm::Sha256, 5 << 20).await.unwrap_err();
    let StorageError::OverQuota { namespace, quota, used, wanted } = &refused else { panic!("{refused}") };
    assert_eq!((&**namespace, *quota, *used, *wanted), ("team", 10 << 20, 6 << 20, 5 << 20));
    until_only(&storage, 1).await;

    // Elsewhere, and what is there already, costs nothing.
    push(&storage, &repository("other"), &content(2, 5 * MIB)).await.unwrap();
    push(&storage, &repository("teams"), &content(2, 5 * MIB)).await.unwrap();
    assert!(storage.mount(&repository("team/web"), &sha256(&content(1, 6 * MIB)), None).await.unwrap());
    let over = storage.mount(&team, &sha256(&content(2, 5 * MIB)), None).await.unwrap_err();
    assert!(matches!(over, StorageError::OverQuota { .. }), "{over}");
    assert!(storage.index().link(&team, &sha256(&content(2, 5 * MIB))).is_none());

    // The longest prefix counts, and only it.
    let ci = repository("team/ci/a");
    push(&storage, &ci, &content(3, 2 * MIB)).await.unwrap();
    assert_eq!(storage.usage(&ci).unwrap().left(), 0);
    assert_eq!(storage.usage(&team).unwrap().left(), 4 << 20);

    // What is deleted is free again.
    for name in [&team, &repository("team/web")] {
        assert!(storage.unlink(name, &sha256(&content(1, 6 * MIB))).await.unwrap());
    }
    push(&storage, &team, &content(4, 10 * MIB)).await.unwrap();
}

#[tokio::test]
async fn bytes_of_unknown_number_are_refused_where_the_quota_ends_and_may_be_cancelled() {
    let node = Node::start().await;
    let storage = storage(&node).await;
    let team = repository("team/app");
    let bytes = content(5, 11 * MIB);
    let id = storage.begin(&team, Algorithm::Sha256, 0).await.unwrap();
    let refused = storage.append(&team, id, None, body(&bytes)).await.unwrap_err();
    assert!(matches!(refused, StorageError::OverQuota { .. }), "{refused}");
    let stored = storage.upload(&team, id).await.unwrap();
    assert!(stored > 9 << 20 && stored <= 10 << 20, "{stored}");
    assert_eq!(storage.usage(&team).unwrap().reserved, stored);
    let other = storage.begin(&team, Algorithm::Sha256, 0).await.unwrap();
    storage.reserve(&team, other, None, (10 << 20) - stored).await.unwrap();
    let refused = storage.reserve(&team, other, None, (10 << 20) - stored + 1).await.unwrap_err();
    assert!(matches!(refused, StorageError::OverQuota { wanted: 1, .. }), "{refused}");
    for id in [id, other] {
        storage.cancel(&team, id).await.unwrap();
    }
    push(&storage, &team, &bytes.slice(..10 * MIB)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_never_exceed_a_quota_together() {
    let node = Node::start().await;
    let (one, other) = (storage(&node).await, storage(&node).await);
    let pushes = (0..12).map(|number| {
        let storage = if number % 2 == 0 { one.clone() } else { other.clone() };
        async move {
            let team = repository(&format!("team/{number}"));
            let bytes = content(100 + number, 3 * MIB);
            // Half of them say how much will come.
            let reserve = if number % 3 == 0 { bytes.len() as u64 } else { 0 };
            let id = storage.begin(&team, Algorithm::Sha256, reserve).await?;
            let committed = storage.finish(&team, id, &sha256(&bytes), None, body(&bytes)).await;
            if committed.is_err() {
                storage.cancel(&team, id).await?;
            }
            committed
        }
    });
    let results = join_all(pushes).await;
    let stored = results.iter().filter(|result| result.is_ok()).count();
    for error in results.into_iter().filter_map(Result::err) {
        assert!(matches!(error, StorageError::OverQuota { .. }), "{error}");
    }
    assert!(stored <= 3, "{stored}");
    until_only(&one, stored).await;
    assert_eq!(one.usage(&repository("team/0")).unwrap().used(), (stored * 3 * MIB) as u64);
    // Nothing is left behind that would keep the next one out.
    for number in stored..3 {
        push(&one, &repository("team/after"), &content(200 + number as u64, 3 * MIB)).await.unwrap();
        until_only(&one, number + 1).await;
    }
}

#[tokio::test]
async fn manifests_count_too_also_those_whose_content_is_there_already() {
    let node = Node::start().await;
    let storage = storage(&node).await;
    let (ci, other) = (repository("team/ci"), repository("other"));
    push(&storage, &ci, &content(6, 2 * MIB - 1000)).await.unwrap();
    let manifest = |to: &Repository, length: usize| PutManifest {
        repository: to.clone(),
        digest: None,
        tags: vec![tag("latest")],
        media_type: String::new(),
        bytes: json!({ "schemaVersion": 2, "manifests": [], "padding": "x".repeat(length) })
            .to_string()
            .into(),
        by: "test".to_owned(),
        origin: Origin::Pushed,
    };
    storage.put_manifest(manifest(&other, 900)).await.unwrap();
    storage.put_manifest(manifest(&ci, 900)).await.unwrap();
    storage.put_manifest(manifest(&other, 901)).await.unwrap();
    for length in [901, 902] {
        let refused = storage.put_manifest(manifest(&ci, length)).await.unwrap_err();
        assert!(matches!(refused, StorageError::OverQuota { .. }), "{refused}");
    }
    assert_eq!(storage.index().manifests(&ci).len(), 1);
    assert_eq!(storage.index().manifests(&other).len(), 2);
}

/// A regression test: the reservation was written before it was refused, where it came in turn with
/// others to more than can be counted, so that everything fitted.
#[tokio::test]
async fn more_than_the_whole_quota_is_not_even_reserved() {
    let node = Node::start().await;
    let storage = storage(&node).await;
    let team = repository("team/app");
    let first = storage.begin(&team, Algorithm::Sha256, 16).await.unwrap();
    let second = storage.begin(&team, Algorithm::Sha256, 0).await.unwrap();
    for length in [(10 << 20) + 1, u64::MAX - 16, u64::MAX] {
        for refused in [
            storage.reserve(&team, second, None, length).await.unwrap_err(),
            storage.begin(&team, Algorithm::Sha256, length).await.unwrap_err(),
        ] {
            assert!(matches!(refused, StorageError::OverQuota { .. }), "{refused}");
        }
        assert_eq!(storage.usage(&team).unwrap().reserved, 16);
    }
    for id in [first, second] {
        storage.cancel(&team, id).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_part_does_not_bring_is_not_kept_reserved() {
    let node = Node::start().await;
    let storage = storage(&node).await;
    let team = repository("team/app");
    let reserved = || storage.usage(&team).unwrap().reserved;
    let id = storage.begin(&team, Algorithm::Sha256, 0).await.unwrap();
    // Elsewhere than where it goes on.
    let refused = storage.reserve(&team, id, Some(5), 8 << 20).await.unwrap_err();
    assert!(matches!(refused, StorageError::OutOfOrder { offset: 0 }), "{refused}");
    assert_eq!(reserved(), 0);
    // Of a client that dies before its first byte, and of one that is dropped there.
    storage.reserve(&team, id, Some(0), 8 << 20).await.unwrap();
    assert!(reserved() >= 8 << 20);
    storage.append(&team, id, Some(0), broken_body(&Bytes::new())).await.unwrap_err();
    assert_eq!(reserved(), 0);
    storage.reserve(&team, id, Some(0), 8 << 20).await.unwrap();
    let never = futures::stream::pending();
    let dropped = tokio::time::timeout(
        std::time::Duration::from_millis(200),
        storage.append(&team, id, Some(0), never),
    );
    dropped.await.unwrap_err();
    until("given back", async || reserved() == 0).await;
}
