//! Tags are events.

use async_nats::jetstream::{self, kv::Operation};
use futures::StreamExt;
use registry::{
    Digest, Storage, StorageError,
    records::{Origin, TAGS_BUCKET, TagRecord},
    storage::{Policy, PutManifest},
};
use serde_json::json;

use crate::harness::{Node, repository, tag};

async fn put(storage: &Storage, note: &str, name: &str, origin: Origin) -> Digest {
    let body = json!({ "schemaVersion": 2, "manifests": [], "annotations": { "note": note } });
    let put = PutManifest {
        repository: repository("team/app.web"),
        digest: None,
        tags: vec![tag(name)],
        media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
        bytes: body.to_string().into(),
        by: "ci".to_owned(),
        origin,
    };
    storage.put_manifest(put).await.unwrap().digest
}

#[tokio::test]
async fn each_change_of_a_tag_is_watched_and_replayed_its_deletion_too() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app.web");
    let bucket = jetstream::new(node.client().await).get_key_value(TAGS_BUCKET).await.unwrap();
    let mut watched = bucket.watch("team/app=web.*").await.unwrap();
    let first = put(&storage, "1", "1.0", Origin::Pushed).await;
    let second = put(&storage, "2", "1.0", Origin::Pushed).await;
    put(&storage, "2", "1.0", Origin::Pushed).await;
    storage.delete_tag(&team, &tag("1.0"), "admin").await.unwrap();
    let third = put(&storage, "3", "1.0", Origin::Pushed).await;

    let expected = [
        (Operation::Put, Some(&first), None, "ci"),
        (Operation::Put, Some(&second), Some(&first), "ci"),
        (Operation::Delete, None, Some(&second), "admin"),
        (Operation::Put, Some(&third), None, "ci"),
    ];
    let mut replayed = bucket.history("team/app=web.1=0").await.unwrap();
    for (operation, digest, previous, by) in expected {
        for entry in [watched.next().await.unwrap().unwrap(), replayed.next().await.unwrap().unwrap()] {
            assert_eq!(entry.key, "team/app=web.1=0");
            assert_eq!(entry.operation, operation);
            let event: TagRecord = serde_json::from_slice(&entry.value).unwrap();
            assert_eq!((event.repository, event.tag), (team.clone(), tag("1.0")));
            assert_eq!((event.digest.as_ref(), event.previous.as_ref()), (digest, previous));
            assert_eq!(event.by, by);
        }
    }
    assert!(replayed.next().await.is_none(), "what changes nothing is no event");
}

#[tokio::test]
async fn deleting_a_manifest_is_an_event_of_each_of_its_tags() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app.web");
    let digest = put(&storage, "1", "a", Origin::Pushed).await;
    put(&storage, "1", "b", Origin::Pushed).await;
    storage.delete_manifest(&team, &digest, "admin").await.unwrap();
    let bucket = jetstream::new(node.client().await).get_key_value(TAGS_BUCKET).await.unwrap();
    for name in ["a", "b"] {
        let entry = bucket.entry(format!("team/app=web.{name}")).await.unwrap().unwrap();
        assert_eq!(entry.operation, Operation::Delete);
        let event: TagRecord = serde_json::from_slice(&entry.value).unwrap();
        assert_eq!((event.previous, &*event.by), (Some(digest.clone()), "admin"));
    }
}

#[tokio::test]
async fn a_tag_that_is_not_there_is_not_deleted() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app.web");
    put(&storage, "1", "a", Origin::Pushed).await;
    let refused = storage.delete_tag(&team, &tag("b"), "ci").await.unwrap_err();
    assert!(matches!(refused, StorageError::ManifestUnknown { .. }), "{refused}");
    storage.delete_tag(&team, &tag("a"), "ci").await.unwrap();
    let refused = storage.delete_tag(&team, &tag("a"), "ci").await.unwrap_err();
    assert!(matches!(refused, StorageError::ManifestUnknown { .. }), "{refused}");
    assert_eq!(storage.index().manifests(&team).len(), 1, "its manifest stays");
}

#[tokio::test]
async fn what_comes_down_changes_only_tags_that_came_down() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app.web");
    let digest = |name: &str| storage.index().tag(&team, &tag(name)).unwrap().digest;
    put(&storage, "1", "a", Origin::Hub).await;
    let newer = put(&storage, "2", "a", Origin::Hub).await;
    assert_eq!(digest("a"), newer);
    let own = put(&storage, "3", "a", Origin::Pushed).await;
    put(&storage, "4", "a", Origin::Hub).await;
    assert_eq!(digest("a"), own);
    let from_a_leaf = put(&storage, "5", "a", Origin::Leaf("shop-1".to_owned())).await;
    assert_eq!(digest("a"), from_a_leaf);
}

#[tokio::test]
async fn tags_that_are_to_travel_are_announced_until_the_hub_has_them() {
    let node = Node::start().await;
    let policy = Policy { announce: vec!["team/*".parse().unwrap()], ..Policy::default() };
    let storage = node.storage_with(policy, registry::cache::Cache::none()).await;
    put(&storage, "0", "down", Origin::Hub).await;
    assert!(storage.index().announcements().is_empty());
    put(&storage, "1", "a", Origin::Pushed).await;
    let second = put(&storage, "2", "a", Origin::Pushed).await;
    let announced = storage.index().announcements();
    let [(team, name, record)] = &announced[..] else { panic!("{announced:?}") };
    assert_eq!(record.digest, second);
    assert!(!storage.announced(team, name, record.revision - 1).await.unwrap());
    assert!(storage.announced(team, name, record.revision).await.unwrap());
    assert!(storage.index().announcements().is_empty());
}
