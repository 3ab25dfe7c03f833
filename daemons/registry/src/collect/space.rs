//! Where the bytes are, as the records and JetStream tell it. What the files take on the disk is for
//! whoever can see them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use settings::fleet;

use super::{Policy, Report, pass};
use crate::{
    Digest, Repository, Storage, StorageError,
    records::{Seconds, now},
};

/// Where the bytes of a registry are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// Every repository, in order.
    pub repositories: Vec<RepositorySpace>,
    /// Every namespace, in order: those with a quota, and the first component of all others.
    pub namespaces: Vec<NamespaceSpace>,
    /// Blobs, those of manifests among them; each counts once, whoever has it.
    pub blobs: u64,
    /// Bytes of these.
    pub blob_bytes: u64,
    /// Uploads under way.
    pub uploads: u64,
    /// Bytes of these so far.
    pub upload_bytes: u64,
    /// Messages of the stream of chunks, with those of the ballast.
    pub chunks: u64,
    /// Bytes of the stream, with what nats-server keeps beside each chunk.
    pub stream_bytes: u64,
    /// `registry.max_bytes`, as the stream has it.
    pub stream_limit: Option<u64>,
    /// What the collector would free now, and what waits for its grace time.
    pub collectable: Report,
}

/// What a repository takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositorySpace {
    /// Its name.
    pub repository: Repository,
    /// Its tags.
    pub tags: u64,
    /// Its manifests.
    pub manifests: u64,
    /// Bytes of its blobs and manifests, each counted once.
    pub bytes: u64,
    /// Bytes of these that another repository has too, and that deletions here would not free.
    pub shared: u64,
    /// When a tag of it last changed.
    pub changed: Option<Seconds>,
}

/// What a namespace takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceSpace {
    /// The beginning of its repositories.
    pub namespace: String,
    /// Bytes of its distinct blobs and manifests.
    pub bytes: u64,
    /// Bytes that its uploads under way have reserved.
    pub reserved: u64,
    /// What it may take, when it has a quota.
    pub quota: Option<u64>,
}

/// Every repository and what it takes.
pub fn repositories(storage: &Storage) -> Vec<RepositorySpace> {
    let index = storage.index();
    let mut holders: HashMap<Digest, u32> = HashMap::new();
    let mut held = Vec::new();
    for repository in index.repositories() {
        let mut sizes: BTreeMap<Digest, u64> =
            index.links(&repository).into_iter().map(|(digest, link)| (digest, link.size)).collect();
        let manifests = index.manifests(&repository);
        let count = manifests.len() as u64;
        sizes.extend(manifests.into_iter().map(|(digest, manifest)| (digest, manifest.size)));
        sizes.keys().for_each(|digest| *holders.entry(digest.clone()).or_default() += 1);
        held.push((repository, count, sizes));
    }
    let space = held.into_iter().map(|(repository, manifests, sizes)| {
        let tags = index.tags(&repository).unwrap_or_default();
        let shared = sizes.iter().filter(|(digest, _)| holders.get(*digest).is_some_and(|count| *count > 1));
        RepositorySpace {
            tags: tags.len() as u64,
            manifests,
            bytes: sizes.values().sum(),
            shared: shared.map(|(_, size)| size).sum(),
            changed: tags.iter().map(|(_, entry)| entry.at).max(),
            repository,
        }
    });
    space.collect()
}

/// Where the bytes are. `registry` says which namespaces have quotas and what may be collected.
pub async fn space(storage: &Storage, registry: &fleet::Registry) -> Result<Space, StorageError> {
    let collectable = pass::rehearse(storage, &Policy::from(registry), now()).await?;
    let stream = storage.chunks().state().await?;
    let index = storage.index();
    let (blobs, uploads) = (index.blobs(), index.uploads());
    Ok(Space {
        repositories: repositories(storage),
        namespaces: namespaces(storage, registry),
        blobs: blobs.len() as u64,
        blob_bytes: blobs.iter().map(|(_, blob)| blob.size).sum(),
        uploads: uploads.len() as u64,
        upload_bytes: uploads.iter().map(|(_, upload)| upload.offset).sum(),
        chunks: stream.messages,
        stream_bytes: stream.bytes,
        stream_limit: stream.limit,
        collectable,
    })
}

fn namespaces(storage: &Storage, registry: &fleet::Registry) -> Vec<NamespaceSpace> {
    let namespace = |repository: &Repository| match registry.quota_of(repository.as_str()) {
        Some((prefix, quota)) => (prefix.to_string(), Some(quota.bytes())),
        None => (repository.as_str().split('/').next().unwrap_or_default().to_owned(), None),
    };
    let declared = registry.quotas.iter().map(|(prefix, quota)| (prefix.to_string(), Some(quota.bytes())));
    let mut all: BTreeSet<(String, Option<u64>)> = declared.collect();
    all.extend(storage.index().repositories().iter().map(namespace));
    let space = all.into_iter().map(|(name, quota)| {
        let (bytes, reserved) =
            storage.index().bytes_of(|repository| namespace(repository) == (name.clone(), quota));
        NamespaceSpace { namespace: name, bytes, reserved, quota }
    });
    space.collect()
}
