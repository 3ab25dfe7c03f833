//! The index beside what JetStream has.

use std::time::Duration;

use async_nats::jetstream;
use registry::{
    Bucket, Key,
    records::{BlobRecord, RECORDS_BUCKET, TAGS_BUCKET, TokenRecord},
    storage::CasError,
};

use crate::harness::{Node, content, push, read, repository, sha256, until};

fn token(name: &str) -> TokenRecord {
    TokenRecord {
        name: name.to_owned(),
        hash: "00".to_owned(),
        repositories: vec!["**".to_owned()],
        pull: true,
        push: false,
        delete: false,
        created: 1,
        expires: None,
    }
}

#[tokio::test]
async fn it_waits_for_the_streams_and_opens_when_they_are_made() {
    let node = Node::start_empty().await;
    let opening = node.storage();
    tokio::pin!(opening);
    tokio::select! {
        _ = &mut opening => panic!("it opened without streams"),
        () = tokio::time::sleep(Duration::from_millis(300)) => {}
    }
    node.make_streams().await;
    let storage = opening.await;
    push(&storage, &repository("a"), &content(1, 100)).await.unwrap();
}

#[tokio::test]
async fn writes_expect_the_revision_that_was_seen() {
    let node = Node::start().await;
    let (one, other) = (node.storage().await, node.storage().await);
    let key = Key::Token("ci".to_owned());
    let first = one.ledger().create(&key, &token("a")).await.unwrap();
    assert!(matches!(other.ledger().create(&key, &token("b")).await, Err(CasError::Conflict)));
    assert_eq!(other.index().token("ci").unwrap().name, "a", "who meets a conflict knows why");
    let second = other.ledger().update(&key, first, &token("b")).await.unwrap();
    assert!(matches!(one.ledger().update(&key, first, &token("c")).await, Err(CasError::Conflict)));
    assert_eq!(one.index().token("ci").unwrap().name, "b");
    assert!(matches!(one.ledger().delete(&key, first).await, Err(CasError::Conflict)));
    one.ledger().delete(&key, second).await.unwrap();
    assert!(one.index().token("ci").is_none());
    assert!(one.ledger().fetch::<TokenRecord>(&key).await.unwrap().is_none());
    // After a deletion there is one again.
    other.ledger().create(&key, &token("d")).await.unwrap();
    one.index().caught_up().await.unwrap();
    assert_eq!(one.index().token("ci").unwrap().name, "d");
}

#[tokio::test]
async fn tokens_are_added_once_and_revoked_everywhere_and_the_bearer_key_is_one() {
    let node = Node::start().await;
    let (one, other) = (node.storage().await, node.storage().await);
    assert!(one.add_token("ci", &token("ci")).await.unwrap());
    assert!(!other.add_token("ci", &token("other")).await.unwrap());
    assert!(other.revoke_token("ci").await.unwrap());
    assert!(!other.revoke_token("ci").await.unwrap());
    until("revoked", async || one.index().token("ci").is_none()).await;
    let (left, right) = tokio::join!(one.bearer_key(), other.bearer_key());
    assert_eq!(left.unwrap(), right.unwrap());
}

#[tokio::test]
async fn it_is_listed_anew_after_a_restart_of_nats_server() {
    let mut node = Node::start().await;
    let (one, other) = (node.storage().await, node.storage().await);
    one.add_token("gone", &token("gone")).await.unwrap();
    one.add_token("stays", &token("stays")).await.unwrap();
    until("seen", async || other.index().tokens().len() == 2).await;
    node.kill().await;
    node.run().await;
    assert!(one.revoke_token("gone").await.unwrap());
    one.add_token("new", &token("new")).await.unwrap();
    let ids = |storage: &registry::Storage| {
        storage.index().tokens().into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(ids(&one), ["new", "stays"]);
    until("listed", async || ids(&other) == ["new", "stays"]).await;
    until("caught up", async || other.index().caught_up().await.is_ok()).await;
    assert!(push(&other, &repository("a"), &content(2, 100)).await.is_ok());
}

#[tokio::test]
async fn what_was_in_a_bucket_that_was_lost_is_forgotten() {
    let node = Node::start().await;
    let storage = node.storage().await;
    storage.add_token("ci", &token("ci")).await.unwrap();
    push(&storage, &repository("a"), &content(3, 100)).await.unwrap();
    let jetstream = jetstream::new(node.client().await);
    for bucket in [RECORDS_BUCKET, TAGS_BUCKET] {
        jetstream.delete_stream(format!("KV_{bucket}")).await.unwrap();
        node.make_store(bucket).await;
    }
    until("forgotten", async || {
        storage.index().tokens().is_empty() && storage.index().counts() == Default::default()
    })
    .await;
    push(&storage, &repository("b"), &content(4, 100)).await.unwrap();
    assert_eq!(storage.index().repositories(), [repository("b")]);
}

#[tokio::test]
async fn records_of_a_newer_version_are_passed_over() {
    let node = Node::start().await;
    let jetstream = jetstream::new(node.client().await);
    for (subject, record) in [
        ("$KV.leafbox_registry.token.odd", "{\"kind\":7}"),
        ("$KV.leafbox_registry.token.new", "not JSON at all"),
        ("$KV.leafbox_registry.later.thing", "{}"),
        ("$KV.leafbox_tags.a.b.c", "{}"),
        ("$KV.leafbox_tags.a.b", "[]"),
    ] {
        jetstream.publish(subject, record.into()).await.unwrap().await.unwrap();
    }
    let storage = node.storage().await;
    assert!(storage.index().tokens().is_empty());
    let digest = push(&storage, &repository("a"), &content(5, 100)).await.unwrap();
    let mut record = serde_json::to_value(&*storage.index().blob(&digest).unwrap().record).unwrap();
    record["added_later"] = serde_json::json!({ "x": 1 });
    let revision = storage.index().blob(&digest).unwrap().revision;
    storage.ledger().update(&Key::Blob(digest.clone()), revision, &record).await.unwrap();
    assert_eq!(read(&node.storage().await, &digest).await.unwrap(), content(5, 100));
    let known = storage.ledger().fetch::<BlobRecord>(&Key::Blob(digest)).await.unwrap();
    assert_eq!(known.unwrap().size, 100);
}

#[tokio::test]
async fn markers_of_deleted_records_expire() {
    let node = Node::start().await;
    let storage = node.storage().await;
    storage.add_token("ci", &token("ci")).await.unwrap();
    storage.revoke_token("ci").await.unwrap();
    let jetstream = jetstream::new(node.client().await);
    let stream = jetstream.get_stream(Bucket::Records.stream()).await.unwrap();
    let marker = stream.get_last_raw_message_by_subject("$KV.leafbox_registry.token.ci").await.unwrap();
    let header = |name: &str| marker.headers.get(name).map(|value| value.to_string());
    assert_eq!(header("KV-Operation").as_deref(), Some("PURGE"));
    assert_eq!(header("Nats-TTL").as_deref(), Some("3600"));
}

#[tokio::test]
async fn ten_thousand_tags_are_given_in_pages() {
    let node = Node::start().await;
    let jetstream = jetstream::new(node.client().await);
    let digest = sha256(b"some manifest");
    let mut acks = Vec::new();
    for number in 0..10_000 {
        let record = serde_json::json!({
            "repository": "team/app", "tag": format!("v{number:05}"), "digest": digest, "at": 1, "by": "ci",
            "media_type": "application/vnd.oci.image.index.v1+json", "size": 100,
        });
        let subject = format!("$KV.leafbox_tags.team/app.v{number:05}");
        acks.push(jetstream.publish(subject, record.to_string().into()).await.unwrap());
        if acks.len() == 500 {
            for ack in acks.drain(..) {
                ack.await.unwrap();
            }
        }
    }
    let storage = node.storage().await;
    let team = repository("team/app");
    let (mut last, mut all) = (None, Vec::new());
    loop {
        let page = storage.tags_after(&team, last.as_ref(), 999).await.unwrap().unwrap();
        let Some((tag, _)) = page.last() else { break };
        last = Some(tag.clone());
        all.extend(page.into_iter().map(|(tag, _)| tag.to_string()));
    }
    let expected: Vec<_> = (0..10_000).map(|number| format!("v{number:05}")).collect();
    assert_eq!(all, expected);
}
