//! Clients and collectors at the same time, without any grace time.

use std::collections::BTreeMap;

use bytes::Bytes;
use registry::{
    Digest, Key, Reference, Repository, Storage, StorageError,
    collect::{Collector, Outcome, Policy},
    storage::CasError,
};
use settings::fleet::Retain;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{at_once, image, index_of, manifest, pass};
use crate::harness::{Node, content, push, read, repository, sha256, until, uploads_with_chunks};

/// Clients, each with repositories of its own, so that it knows what it has.
const CLIENTS: u64 = 4;
/// Operations of each.
const OPERATIONS: u64 = 120;
/// Contents that all of them push, mount and delete.
const CONTENTS: u64 = 8;

/// What a client did, and what must be there in the end.
struct Client {
    storage: Storage,
    number: u64,
    random: u64,
    /// Images that were acknowledged and not deleted, with what they need.
    images: BTreeMap<Digest, Vec<Digest>>,
    refused: u64,
}

impl Client {
    fn choose(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn own(&self) -> Repository {
        repository(&format!("client{}/app", self.number))
    }

    /// Has the blob in the own repository, in one of the ways that clients have.
    async fn bring(&mut self, number: u64) -> Result<Digest, StorageError> {
        let bytes = blob(number);
        let (digest, own) = (sha256(&bytes), self.own());
        match self.choose(3) {
            0 if self.storage.touch_blob(&own, &digest).await?.is_some() => return Ok(digest),
            1 => {
                let from = repository(&format!("client{}/app", self.choose(CLIENTS)));
                let from = (self.choose(2) == 0).then_some(from);
                if self.storage.mount(&own, &digest, from.as_ref()).await? {
                    return Ok(digest);
                }
            }
            _ => {}
        }
        push(&self.storage, &own, &bytes).await
    }

    async fn push_image(&mut self) -> Result<(), StorageError> {
        let mut blobs = Vec::new();
        for _ in 0..=self.choose(3) {
            let number = self.choose(CONTENTS);
            blobs.push(self.bring(number).await?);
        }
        let body = image(&blobs);
        let tags = ["latest", "v1", "v2"];
        let tags = &tags[..self.choose(3) as usize];
        let stored = self.storage.put_manifest(manifest(&self.own(), tags, &body)).await?;
        self.images.insert(stored.digest, blobs);
        Ok(())
    }

    /// In a repository where retention takes what is not tagged: what is there in the end is looked at.
    async fn push_governed(&mut self) -> Result<(), StorageError> {
        let governed = repository(&format!("governed/{}", self.choose(2)));
        let mut blobs = Vec::new();
        for _ in 0..2 {
            let bytes = blob(self.choose(CONTENTS));
            blobs.push(push(&self.storage, &governed, &bytes).await?);
        }
        let version = format!("v{}", self.choose(5));
        let child = self.storage.put_manifest(manifest(&governed, &[], &image(&blobs))).await?;
        let index = index_of(std::slice::from_ref(&child.digest));
        self.storage.put_manifest(manifest(&governed, &[&version], &index)).await.map(drop)
    }

    async fn delete_one(&mut self) -> Result<(), StorageError> {
        let Some(digest) = self.images.keys().nth(self.random as usize % self.images.len().max(1)).cloned()
        else {
            return Ok(());
        };
        // It has been beside the collectors for a while.
        check(&self.storage, &self.own(), &digest).await;
        self.images.remove(&digest);
        self.storage.delete_manifest(&self.own(), &digest, "ci").await
    }

    async fn work(mut self) -> Self {
        for operation in 0..OPERATIONS {
            let done = match self.choose(10) {
                // Few images at a time, so that blobs lose their last holder all the time.
                0..6 if self.images.len() < 3 => self.push_image().await,
                6..8 => self.push_governed().await,
                8 => {
                    let digest = sha256(&blob(self.choose(CONTENTS)));
                    self.storage.touch_blob(&self.own(), &digest).await.map(drop)
                }
                _ => self.delete_one().await,
            };
            match done {
                Ok(()) => {}
                // What a client without a grace time must live with: it pushes again.
                Err(StorageError::ManifestBlobUnknown { .. } | StorageError::ManifestUnknown { .. }) => {
                    self.refused += 1;
                }
                Err(error) => panic!("client {} in operation {operation}: {error}", self.number),
            }
        }
        self
    }
}

fn blob(number: u64) -> Bytes {
    content(number + 1, 1 + (number * number * 500) as usize)
}

/// Passes without a pause, also beside those of others: the lease is taken away from them.
async fn collect_until(storage: Storage, stop: CancellationToken) -> (u64, u64) {
    let rule = Retain { repositories: "governed/*".parse().unwrap(), tags: "v*".parse().unwrap(), newest: 2 };
    let policy = Policy { retain: vec![rule], ..at_once() };
    let collector = Collector::new(storage.clone(), policy, "test".to_owned());
    let (mut passes, mut purged) = (0, 0);
    while !stop.is_cancelled() {
        if let Some(lease) = storage.ledger().fetch::<serde_json::Value>(&Key::Collector).await.unwrap()
            && let Err(CasError::Failed(error)) =
                storage.ledger().delete(&Key::Collector, lease.revision).await
        {
            panic!("{error}");
        }
        if let Outcome::Done(report) = collector.pass(&|_| {}).await.unwrap() {
            passes += 1;
            purged += report.blobs;
        }
    }
    (passes, purged)
}

/// Everything that an image needs is there, and is what its digest says.
async fn check(storage: &Storage, repository: &Repository, digest: &Digest) {
    let bytes = storage.manifest_bytes(digest).await.unwrap();
    assert_eq!(sha256(&bytes), *digest);
    let record = storage.index().manifest(repository, digest).unwrap();
    for blob in &record.blobs {
        let size = storage.blob(repository, blob).await.unwrap();
        assert!(size.is_some(), "{repository}@{digest} lost {blob}");
        let bytes = read(storage, blob).await.unwrap_or_else(|error| panic!("{repository}: {blob}: {error}"));
        assert_eq!((sha256(&bytes), Some(bytes.len() as u64)), (blob.clone(), size));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_whole_whatever_the_collectors_do() {
    let node = Node::start().await;
    let daemons = [node.storage().await, node.storage().await];
    let stop = CancellationToken::new();
    let mut collectors = JoinSet::new();
    for daemon in &daemons {
        collectors.spawn(collect_until(daemon.clone(), stop.clone()));
    }
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let storage = daemons[number as usize % 2].clone();
        let random = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        clients.spawn(Client { storage, number, random, images: BTreeMap::new(), refused: 0 }.work());
    }
    let clients = clients.join_all().await;
    stop.cancel();
    let collected = collectors.join_all().await;
    let purged: u64 = collected.iter().map(|(_, purged)| purged).sum();
    assert!(purged > 0, "the collectors were in nobody's way: {collected:?}");
    assert!(clients.iter().all(|client| client.refused < OPERATIONS / 2), "hardly a push went through");

    for storage in &daemons {
        storage.index().caught_up().await.unwrap();
        for client in &clients {
            let own = client.own();
            for (digest, blobs) in &client.images {
                let reference = Reference::Digest(digest.clone());
                assert!(storage.manifest(&own, &reference).await.unwrap().is_some(), "{own} lost {digest}");
                assert_eq!(storage.index().manifest(&own, digest).unwrap().blobs.len(), distinct(blobs));
                check(storage, &own, digest).await;
            }
        }
        for repository in storage.index().repositories() {
            for (tag, entry) in storage.index().tags(&repository).unwrap() {
                let reference = Reference::Tag(tag.clone());
                let found = storage.manifest(&repository, &reference).await.unwrap();
                assert!(found.is_some(), "{repository}:{tag} stands for {}, which is gone", entry.digest);
                check(storage, &repository, &entry.digest).await;
            }
        }
    }

    // And nothing is left over.
    let storage = &daemons[0];
    until("no upload is under way", async || storage.index().uploads().is_empty()).await;
    let sweep = Policy { stray: 0, ..at_once() };
    pass(storage, sweep.clone()).await;
    pass(storage, sweep).await;
    let index = storage.index();
    assert!(index.blobs().iter().all(|(digest, blob)| index.is_held(digest) && !blob.dying));
    assert_eq!(uploads_with_chunks(storage).await.len(), index.blobs().len());
    let expected: u64 =
        index.blobs().iter().flat_map(|(_, blob)| blob.runs.as_slice().to_vec()).map(|run| run.count).sum();
    assert_eq!(storage.chunks().state().await.unwrap().messages, expected);
}

fn distinct(blobs: &[Digest]) -> usize {
    blobs.iter().collect::<std::collections::BTreeSet<_>>().len()
}
