//! What the registry stores: uploads, blobs, manifests and tags, over records and chunks.
//!
//! # A push, step by step
//!
//! A crash between any two steps leaves nothing but what the collector mends.
//!
//! 1. The upload record is created, with what it reserves of a quota.
//! 2. Chunks are stored. After each part, and every 64 MiB of a long one, the upload record tells what
//!    is stored and the state of the digest. A crash: the client goes on there, or the upload expires.
//! 3. The digest matches: the upload is claimed for it. (It does not: the upload record is deleted,
//!    then the chunks are purged.)
//! 4. The blob record is created; or, where there is one that is not dying, that one is relied on.
//! 5. The link is written, waited for in the index, and the blob looked at again (see
//!    [`crate::records`]). Now the push is acknowledged.
//! 6. Where the content was there before, the own chunks are purged. Then the upload record is deleted.
//!    A crash before: the upload expires, and chunks that no record names are purged as strays.
//!
//! All of 3 to 6 may be repeated. A manifest is stored like a blob, its record in place of the link;
//! tags come after it, since they are in another bucket.
//!
//! Deliberately absent: what clients may do (`access`), how they say it (`http`), and what is deleted
//! by itself (`collect`).

mod announcements;
mod ballast;
mod blobs;
mod commit;
mod damage;
mod document;
mod error;
mod ledger;
mod manifests;
mod quota;
mod reading;
mod recent;
mod session;
mod tags;
mod tokens;
mod uploads;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_nats::{Client, jetstream};
use runtime::Backoff;
use settings::{ByteSize, NodeRole, Pattern, Prefix, fleet};
use tokio::task::JoinSet;

pub use ballast::Ballast;
pub(crate) use document::is_elsewhere;
pub use document::{Document, LARGEST_MANIFEST, annotations_of, is_manifest_type};
pub use error::{BodyError, StorageError, Unavailable};
pub(crate) use ledger::won;
pub use ledger::{CasError, Ledger};
pub use manifests::{ManifestInfo, PutManifest, StoredManifest};
pub use quota::Usage;
pub use reading::BlobStream;

use crate::{
    Bucket, Index, UploadId,
    cache::Cache,
    chunks::ChunkStore,
    records::{Seconds, now},
};

/// How long a record is waited for at most.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What storage is made of.
pub struct Backend {
    /// The connection that records are written and watched by.
    pub client: Client,
    /// Where the bytes are.
    pub chunks: ChunkStore,
    /// Where hot bytes are too.
    pub cache: Cache,
}

/// What fleet.toml says about storage.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long what nothing mentions is kept.
    pub grace: Duration,
    /// How long an upload is kept to which nothing is added.
    pub upload_expiry: Duration,
    /// Bytes by namespace. The longest that covers a repository counts.
    pub quotas: BTreeMap<Prefix, ByteSize>,
    /// The repositories whose tags, pushed here, are to travel to the hub.
    pub announce: Vec<Pattern>,
}

impl Policy {
    /// What fleet.toml says, at a node of this role: for the daemon and for commands alike.
    pub fn of(role: NodeRole, registry: &fleet::Registry) -> Self {
        Self {
            grace: registry.grace.0,
            upload_expiry: registry.upload_expiry.0,
            quotas: registry.quotas.clone(),
            // Nobody would ever take back an announcement of the hub's.
            announce: match role {
                NodeRole::Leaf => registry.travel.up.clone(),
                NodeRole::Hub => Vec::new(),
            },
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self { grace: day, upload_expiry: day, quotas: BTreeMap::new(), announce: Vec::new() }
    }
}

/// The registry's storage. A clone is the same storage.
#[derive(Clone)]
pub struct Storage(Arc<Inner>);

struct Inner {
    ledger: Ledger,
    index: Index,
    chunks: ChunkStore,
    ballast: Ballast,
    cache: Cache,
    policy: Policy,
    recent: recent::Recent,
    /// Uploads that a request of this daemon uses at the moment.
    busy: Arc<Mutex<HashSet<UploadId>>>,
    /// Follow the buckets until they are dropped.
    _followers: JoinSet<()>,
}

impl Storage {
    /// Waits for nats-server and the registry's streams, for as long as that takes, telling in the log
    /// what is missing; then for the index.
    pub async fn open(backend: Backend, policy: Policy) -> Result<Self, StorageError> {
        let Backend { client, chunks, cache } = backend;
        let context = jetstream::ContextBuilder::new().timeout(TIMEOUT).build(client);
        let (index, followers) = Index::follow(context.clone());
        index.ready().await;
        wait_for(&chunks).await;
        let ballast = Ballast::new(chunks.clone());
        let storage = Self(Arc::new(Inner {
            ledger: Ledger::new(context, index.clone(), ballast.clone()),
            index,
            chunks,
            ballast,
            cache,
            policy,
            recent: recent::Recent::default(),
            busy: Arc::default(),
            _followers: followers,
        }));
        Ok(storage)
    }

    /// All records, in memory.
    pub fn index(&self) -> &Index {
        &self.0.index
    }

    /// Records, written one by one by compare-and-set: for the collector and the command.
    pub fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// The stream of chunks.
    pub fn chunks(&self) -> &ChunkStore {
        &self.0.chunks
    }

    /// What makes room for records when JetStream is full.
    pub fn ballast(&self) -> &Ballast {
        &self.0.ballast
    }

    /// The hot blobs on disk.
    pub fn cache(&self) -> &Cache {
        &self.0.cache
    }

    /// What it was opened with.
    pub fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// Refuses what brings new bytes while JetStream is full: what is deleted, cancelled or collected
    /// takes the room that there is for records.
    fn has_room(&self) -> Result<(), StorageError> {
        Ok(self.chunks().room().check()?)
    }

    /// Whether what was relied on at that time needs no write to be kept for the grace time.
    fn is_fresh(&self, touched: Seconds) -> bool {
        now().saturating_sub(touched) < self.0.policy.grace.as_secs() / 2
    }

    /// Waits until the index has a revision of the bucket of records, and so all before it.
    async fn settled(&self, revision: u64) -> Result<(), StorageError> {
        self.0.ledger.settled(Bucket::Records, revision).await
    }
}

async fn wait_for(chunks: &ChunkStore) {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
    let mut told = String::new();
    while let Err(error) = chunks.state().await {
        let text = error.to_string();
        if told != text {
            tracing::info!("the registry waits for its stream of chunks: {text}; `leafbox apply` makes it");
            told = text;
        }
        tokio::time::sleep(backoff.wait()).await;
    }
}
