//! Many clients and two daemons at once.

use futures::future::join_all;
use registry::{StorageError, records::Origin, storage::PutManifest};

use crate::harness::{Node, content, push, read, repository, tag, until_only};

#[tokio::test(flavor = "multi_thread")]
async fn twenty_pushes_of_one_blob_end_with_one_and_the_chunks_of_the_others_purged() {
    let node = Node::start().await;
    let (one, other) = (node.storage().await, node.storage().await);
    let bytes = content(1, 2_000_000);
    let pushes = (0..20).map(|number| {
        let (storage, bytes) = (if number % 2 == 0 { one.clone() } else { other.clone() }, bytes.clone());
        async move { push(&storage, &repository(&format!("team/{}", number % 5)), &bytes).await }
    });
    let digests: Vec<_> = join_all(pushes).await.into_iter().collect::<Result<_, _>>().unwrap();
    assert!(digests.iter().all(|digest| *digest == digests[0]));
    one.index().caught_up().await.unwrap();
    assert_eq!(one.index().repositories_with(&digests[0]).len(), 5);
    assert_eq!(one.index().counts().blobs, 1);
    until_only(&one, 1).await;
    for storage in [&one, &other] {
        assert_eq!(read(storage, &digests[0]).await.unwrap(), bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_and_deletions_of_one_tag_by_two_daemons_leave_a_tag_that_stands_for_something() {
    let node = Node::start().await;
    let (one, other) = (node.storage().await, node.storage().await);
    let team = repository("team/app");
    let index = |note: usize| {
        let index = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [],
            "annotations": { "note": note.to_string() },
        });
        bytes::Bytes::from(index.to_string())
    };
    let work = (0..40).map(|number| {
        let (storage, team) = (if number % 2 == 0 { one.clone() } else { other.clone() }, team.clone());
        async move {
            let put = PutManifest {
                repository: team.clone(),
                digest: None,
                tags: vec![tag("latest")],
                media_type: String::new(),
                bytes: index(number % 3),
                by: "test".to_owned(),
                origin: Origin::Pushed,
            };
            let stored = match storage.put_manifest(put).await {
                Ok(stored) => stored,
                // Deleted by another in the same moment.
                Err(StorageError::ManifestUnknown { .. }) => return,
                Err(error) => panic!("{error}"),
            };
            if number % 4 == 1 {
                match storage.delete_manifest(&team, &stored.digest, "test").await {
                    Ok(()) | Err(StorageError::ManifestUnknown { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
    join_all(work).await;
    for storage in [&one, &other] {
        storage.index().caught_up().await.unwrap();
        for (_, entry) in storage.index().tags(&team).unwrap_or_default() {
            assert!(storage.index().manifest(&team, &entry.digest).is_some());
        }
    }
    let manifests = |storage: &registry::Storage| {
        let mut all = storage.index().manifests(&team);
        all.sort_by(|left, right| left.0.cmp(&right.0));
        all.into_iter().map(|(digest, entry)| (digest, entry.revision)).collect::<Vec<_>>()
    };
    assert_eq!(manifests(&one), manifests(&other));
    assert_eq!(one.index().tags(&team), other.index().tags(&team));
}
