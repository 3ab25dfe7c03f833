//! Audit events, in a real stream.

use async_nats::jetstream;
use registry::{
    access::{Actions, NewToken, mint, revoke},
    audit::{self, Audit, Event, What},
};
use settings::builtin::AUDIT_STREAM;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::harness::Node;

async fn open(node: &Node, shutdown: &CancellationToken) -> (Audit, JoinHandle<()>) {
    let (audit, publisher) = audit::channel(&node.client().await, "shop-1");
    (audit, tokio::spawn(publisher.run(shutdown.clone())))
}

/// All events with their subjects.
pub(crate) async fn events(node: &Node) -> Vec<(String, Event)> {
    let context = jetstream::new(node.client().await);
    let stream = context.get_stream(AUDIT_STREAM).await.unwrap();
    let mut events = Vec::new();
    for sequence in 1..=stream.cached_info().state.last_sequence {
        let message = stream.get_raw_message(sequence).await.unwrap();
        events.push((message.subject.to_string(), serde_json::from_slice(&message.payload).unwrap()));
    }
    events
}

#[tokio::test]
async fn tokens_and_failed_logins_are_told_without_their_secrets() {
    let node = Node::start().await;
    node.make_store(AUDIT_STREAM).await;
    let (audit, publisher) = open(&node, &CancellationToken::new()).await;
    let storage = node.storage().await;
    let new = NewToken {
        name: "ci".to_owned(),
        repositories: vec!["team/*".parse().unwrap()],
        actions: Actions::parse("pull,push"),
        expires: None,
    };
    let minted = mint(&storage, &audit, "command", new).await.unwrap();
    let config = registry::access::AccessConfig {
        anonymous: settings::node::Anonymous::Pull,
        listen: "127.0.0.1:5000".parse().unwrap(),
    };
    let access = registry::access::Access::new(storage.clone(), &config, audit.clone());
    let cut = &minted.secret.reveal()[..40];
    for (user, password) in [("ci", cut), (minted.secret.reveal(), "x")] {
        let pair = data_encoding::BASE64.encode(format!("{user}:{password}").as_bytes());
        let value = format!("Basic {pair}").parse().unwrap();
        let headers = [(axum::http::header::AUTHORIZATION, value)].into_iter().collect();
        assert!(access.caller(&headers, "192.0.2.1:9".parse().unwrap()).is_err());
    }
    revoke(&storage, &audit, "command", "ci").await.unwrap();
    drop((access, audit));
    // It ends by itself when nobody can make events any more, with all of them stored.
    publisher.await.unwrap();
    let events = events(&node).await;
    let subjects: Vec<_> = events.iter().map(|(subject, _)| subject.rsplit_once('.').unwrap()).collect();
    let prefix = "leafbox.audit.shop-1.registry";
    let expected =
        ["token-minted", "login-failed", "login-failed", "token-revoked"].map(|what| (prefix, what));
    assert_eq!(subjects, expected);
    let (minting, failed, pasted) = (&events[0].1, &events[1].1, &events[2].1);
    assert_eq!(
        (minting.who.as_str(), minting.detail.as_deref()),
        ("command", Some("ci: pull,push in team/*"))
    );
    assert_eq!((failed.who.as_str(), failed.peer), ("ci", Some("192.0.2.1".parse().unwrap())));
    assert!(failed.detail.as_ref().unwrap().contains("40 characters"), "{failed:?}");
    assert_eq!(pasted.who, "lbr_…");
    let all = serde_json::to_string(&events).unwrap();
    assert!(!all.contains(&minted.secret.reveal()[4..30]) && !all.contains(&minted.record.hash));
}

#[tokio::test]
async fn events_wait_for_nats_server_and_come_once() {
    let mut node = Node::start_empty().await;
    node.make_store(AUDIT_STREAM).await;
    let (audit, publisher) = open(&node, &CancellationToken::new()).await;
    node.kill().await;
    for number in 0..100 {
        audit.record(Event::new(What::Pushed, format!("{number}")));
    }
    node.run().await;
    drop(audit);
    publisher.await.unwrap();
    let who: Vec<_> = events(&node).await.into_iter().map(|(_, event)| event.who).collect();
    assert_eq!(who, (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_the_queue_cannot_take_is_counted_and_the_rest_is_stored() {
    let mut node = Node::start_empty().await;
    node.make_store(AUDIT_STREAM).await;
    let (audit, publisher) = open(&node, &CancellationToken::new()).await;
    node.kill().await;
    for number in 0..3000 {
        audit.record(Event::new(What::Pushed, format!("{number}")));
    }
    let dropped = audit.dropped();
    assert!((1900..=1976).contains(&dropped), "{dropped}");
    node.run().await;
    drop(audit);
    publisher.await.unwrap();
    assert_eq!(events(&node).await.len() as u64, 3000 - dropped);
}

#[tokio::test]
async fn the_end_stores_what_was_recorded_and_counts_what_cannot_be() {
    let mut node = Node::start_empty().await;
    node.make_store(AUDIT_STREAM).await;
    let finish = CancellationToken::new();
    let (audit, publisher) = open(&node, &finish).await;
    for number in 0..50 {
        audit.record(Event::new(What::Pushed, format!("{number}")));
    }
    finish.cancel();
    publisher.await.unwrap();
    assert_eq!((events(&node).await.len(), audit.dropped()), (50, 0));

    let finish = CancellationToken::new();
    let (audit, publisher) = open(&node, &finish).await;
    node.kill().await;
    for _ in 0..5 {
        audit.record(Event::new(What::Pushed, "lost"));
    }
    finish.cancel();
    publisher.await.unwrap();
    assert_eq!(audit.dropped(), 5);
    // Nobody takes them any more.
    audit.record(Event::new(What::Pushed, "lost"));
    assert_eq!(audit.dropped(), 6);
}
