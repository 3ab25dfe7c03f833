//! A client comes at the worst moment of a pass: between a look and the mark, and between the mark and
//! the deletion.

use std::sync::atomic::{AtomicUsize, Ordering};

use registry::{
    Bucket, Digest, Key, Repository, Storage, StorageError,
    collect::{Collector, Outcome, Policy, Report, Step},
    records::{LinkRecord, now},
};
use settings::fleet::Retain;

use super::{at_once, image, manifest, push_image};
use crate::harness::{Node, content, push, read, repository, until, until_only};

/// A pass, in the course of which `client` comes when `moment` is said for the `time`th time, 0 first.
async fn pass_with(
    storage: &Storage,
    policy: Policy,
    moment: fn(Step) -> bool,
    time: usize,
    client: impl AsyncFn() + Sync,
) -> Report {
    let said = AtomicUsize::new(0);
    let collector = Collector::new(storage.clone(), policy, "test".to_owned());
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (go_on, wait) = std::sync::mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    let step = move |step| {
        if moment(step) && said.fetch_add(1, Ordering::Relaxed) == time {
            tell.send(()).unwrap();
            tokio::task::block_in_place(|| wait.lock().unwrap().recv().unwrap());
        }
    };
    let running = tokio::spawn(async move { collector.pass(&step).await.unwrap() });
    told.recv().await.expect("the moment came");
    client().await;
    go_on.send(()).unwrap();
    match running.await.unwrap() {
        Outcome::Done(report) => report,
        Outcome::Busy(lease) => panic!("{lease:?}"),
    }
}

const LINKS: fn(Step) -> bool = |step| step == Step::Links;
const MANIFESTS: fn(Step) -> bool = |step| step == Step::Manifests;
const BLOBS: fn(Step) -> bool = |step| matches!(step, Step::Blobs { .. });

/// A daemon of clients, another one of the collector, and a blob of `team/app` in no manifest.
async fn place() -> (Node, Storage, Storage, Repository, Digest) {
    let node = Node::start().await;
    let (clients, collector) = (node.storage().await, node.storage().await);
    let team = repository("team/app");
    let digest = push(&clients, &team, &content(1, 10_000)).await.unwrap();
    until_only(&clients, 1).await;
    (node, clients, collector, team, digest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_that_comes_before_or_after_the_mark_of_a_link_keeps_it() {
    for time in [0, 1] {
        let (_node, clients, collector, team, digest) = place().await;
        let report = pass_with(&collector, at_once(), LINKS, time, async || {
            let body = image(std::slice::from_ref(&digest));
            clients.put_manifest(manifest(&team, &["1"], &body)).await.unwrap();
        })
        .await;
        assert_eq!((report.links, report.blobs), (0, 0), "{time}");
        assert_eq!(clients.blob(&team, &digest).await.unwrap(), Some(10_000));
        assert_eq!(clients.index().link(&team, &digest).unwrap().idle, None);
        assert_eq!(read(&clients, &digest).await.unwrap(), content(1, 10_000));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_between_the_look_at_a_blob_and_its_mark_relies_on_it_and_keeps_it() {
    let (_node, clients, collector, team, digest) = place().await;
    let other = repository("other");
    clients.unlink(&team, &digest).await.unwrap();
    let report = pass_with(&collector, at_once(), BLOBS, 0, async || {
        push(&clients, &other, &content(1, 10_000)).await.unwrap();
    })
    .await;
    assert_eq!(report.blobs, 0);
    assert!(!clients.index().blob(&digest).unwrap().dying);
    assert_eq!(clients.blob(&other, &digest).await.unwrap(), Some(10_000));
    assert_eq!(read(&clients, &digest).await.unwrap(), content(1, 10_000));
    until_only(&clients, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_after_the_mark_of_a_blob_has_chunks_of_its_own() {
    let (_node, clients, collector, team, digest) = place().await;
    clients.unlink(&team, &digest).await.unwrap();
    let before = clients.index().blob(&digest).unwrap().upload;
    let report = pass_with(&collector, at_once(), BLOBS, 1, async || {
        push(&clients, &team, &content(1, 10_000)).await.unwrap();
    })
    .await;
    assert_eq!((report.blobs, report.touched), (0, 1));
    let after = clients.index().blob(&digest).unwrap();
    assert!(after.upload != before && !after.dying);
    assert_eq!(read(&clients, &digest).await.unwrap(), content(1, 10_000));
    // What the blob had before belongs to nobody, and goes when it is old.
    let sweep = Policy { stray: 0, ..Policy::default() };
    assert_eq!(super::pass(&collector, sweep).await.stray, 1);
    until_only(&clients, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_that_comes_before_or_after_the_mark_of_a_manifest_keeps_it() {
    for time in [0, 1] {
        let node = Node::start().await;
        let (clients, collector) = (node.storage().await, node.storage().await);
        let team = repository("team/app");
        let digest = push_image(&clients, &team, 1, &[]).await;
        until_only(&clients, 3).await;
        let body = serde_json::from_slice(&clients.manifest_bytes(&digest).await.unwrap()).unwrap();
        let rule = Retain { repositories: "team/*".parse().unwrap(), tags: "v*".parse().unwrap(), newest: 1 };
        let policy = Policy { retain: vec![rule], ..at_once() };
        let report = pass_with(&collector, policy, MANIFESTS, time, async || {
            clients.put_manifest(manifest(&team, &["v1"], &body)).await.unwrap();
        })
        .await;
        assert_eq!((report.manifests, report.links, report.blobs), (0, 0, 0), "{time}");
        let record = clients.index().manifest(&team, &digest).unwrap();
        assert_eq!(record.idle, None);
        for blob in &record.blobs {
            read(&clients, blob).await.unwrap();
        }
    }
}

/// The collector's deletion of a link, done as soon as a manifest that needs it begins to be stored: after
/// the look at its blobs, and mostly before its record is written.
async fn take_link_while_storing(storage: &Storage, repository: &Repository, digest: &Digest) {
    let mut changes = storage.index().progress(Bucket::Records);
    while !storage.index().uploads().iter().any(|(_, upload)| upload.claimed.is_some()) {
        changes.changed().await.unwrap();
    }
    let key = Key::Link(repository.clone(), digest.clone());
    let link = storage.index().link(repository, digest).unwrap();
    let marked = LinkRecord { idle: Some(now()), ..(*link.record).clone() };
    let Ok(revision) = storage.ledger().update(&key, link.revision, &marked).await else { return };
    storage.ledger().settled(Bucket::Records, revision).await.unwrap();
    if storage.index().manifests(repository).is_empty() {
        let _ = storage.ledger().delete(&key, revision).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_whose_blob_goes_while_it_is_stored_is_refused_or_has_it() {
    let node = Node::start().await;
    let (clients, collector) = (node.storage().await, node.storage().await);
    let mut refused = 0;
    for number in 0..20 {
        let team = repository(&format!("team/app{number}"));
        let digest = push(&clients, &team, &content(number, 100)).await.unwrap();
        until_only(&collector, clients.index().blobs().len()).await;
        let wanted = manifest(&team, &["1"], &image(std::slice::from_ref(&digest)));
        let (stored, ()) =
            tokio::join!(clients.put_manifest(wanted), take_link_while_storing(&collector, &team, &digest));
        clients.index().caught_up().await.unwrap();
        match stored {
            Ok(_) => assert_eq!(clients.blob(&team, &digest).await.unwrap(), Some(100), "{number}"),
            Err(StorageError::ManifestBlobUnknown { .. }) => {
                refused += 1;
                assert!(clients.index().manifests(&team).is_empty(), "{number}");
                assert!(clients.index().tags(&team).unwrap_or_default().is_empty(), "{number}");
            }
            Err(error) => panic!("{error}"),
        }
        until("its upload ended", async || clients.index().uploads().is_empty()).await;
    }
    assert!(refused > 0, "the deletion never came in time");
}
