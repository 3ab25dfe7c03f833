//! One collector at a time, as far as they know of each other.

use registry::{
    Key,
    collect::{Collector, Lease, Outcome, lease},
    records::{Seconds, now},
};

use super::{at_once, pass};
use crate::harness::{Node, content, push, repository, until_only};

async fn held(storage: &registry::Storage, until: Seconds) {
    let other = Lease { holder: "hub-2".to_owned(), until, finished: None };
    storage.ledger().create(&Key::Collector, &other).await.unwrap();
}

#[tokio::test]
async fn while_another_collects_nothing_is_done() {
    let node = Node::start().await;
    let storage = node.storage().await;
    push(&storage, &repository("a"), &content(1, 100)).await.unwrap();
    until_only(&storage, 1).await;
    held(&storage, now() + 60).await;
    let collector = Collector::new(storage.clone(), at_once(), "hub-1".to_owned());
    let outcome = collector.pass(&|_| {}).await.unwrap();
    assert!(matches!(outcome, Outcome::Busy(lease) if lease.holder == "hub-2"));
    assert_eq!(storage.index().blobs().len(), 1);
}

#[tokio::test]
async fn one_that_died_or_whose_clock_was_wrong_holds_up_nobody() {
    for until in [0, now() - 1, now() + 1_000_000] {
        let node = Node::start().await;
        let storage = node.storage().await;
        push(&storage, &repository("a"), &content(1, 100)).await.unwrap();
        until_only(&storage, 1).await;
        held(&storage, until).await;
        assert_eq!(pass(&storage, at_once()).await.blobs, 1);
        let after = lease(&storage).await.unwrap().unwrap();
        assert_eq!((after.holder.as_str(), after.until), ("test", 0));
        assert!(after.finished.unwrap() <= now());
    }
}
