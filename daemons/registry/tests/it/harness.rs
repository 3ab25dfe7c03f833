//! A nats-server with the registry's streams, as `leafbox apply` makes them.

use std::{future::Future, time::Duration};

use async_nats::Client;
use bytes::Bytes;
use futures::stream;
use registry::{
    Algorithm, Digest, Repository, Storage, StorageError, Tag, UploadId,
    cache::Cache,
    chunks::Lane,
    chunks::{Budget, ChunkConnections, ChunkStore},
    records::{RECORDS_BUCKET, TAGS_BUCKET},
    storage::{Backend, BodyError, Policy},
};
use settings::ByteSize;
use supervisor::{
    Addresses, NatsServer,
    testing::{listen_at, start_in, store_in},
};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::client;

/// How long a condition may take that is met in seconds.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A nats-server, flushed as leafbox's is.
pub(crate) struct Node {
    pub(crate) folder: TempDir,
    bound: Addresses,
    server: Option<NatsServer>,
    /// Bytes that JetStream may have, where it is limited.
    max_file: Option<ByteSize>,
}

impl Node {
    /// One with the registry's streams.
    pub(crate) async fn start() -> Self {
        let node = Self::start_empty().await;
        node.make_streams().await;
        node
    }

    pub(crate) async fn start_empty() -> Self {
        Self::begin(None).await
    }

    /// One with the registry's streams, whose JetStream may have no more bytes than these.
    pub(crate) async fn start_limited(max_file: ByteSize) -> Self {
        let node = Self::begin(Some(max_file)).await;
        node.make_streams().await;
        node
    }

    async fn begin(max_file: Option<ByteSize>) -> Self {
        let (folder, bound) = (tempfile::tempdir().unwrap(), Addresses::default());
        let mut node = Self { folder, bound, server: None, max_file };
        node.run().await;
        node
    }

    /// Starts it; again at the same address, with what is on its disk.
    pub(crate) async fn run(&mut self) {
        let limit = self.max_file.map_or_else(String::new, |most| format!(", max_file: {}", most.bytes()));
        let text = format!(
            "listen: \"{}\"\nhttp: \"127.0.0.1:-1\"\nserver_name: node\n\
             jetstream {{ store_dir: \"{}\", sync_interval: always{limit} }}\n",
            listen_at(self.bound.client),
            store_in(self.folder.path()).display()
        );
        let server = start_in(self.folder.path(), &text).await;
        self.bound = server.addresses().clone();
        self.server = Some(server);
    }

    /// As a power cut would, except that the disk keeps what it was given.
    pub(crate) async fn kill(&mut self) {
        self.server.take().unwrap().kill().await;
    }

    /// The URL of its client listener.
    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.bound.client.unwrap())
    }

    /// A connection that lasts, as a daemon's.
    pub(crate) async fn client(&self) -> Client {
        client_of(self.url()).await
    }

    pub(crate) async fn make_streams(&self) {
        make_streams(&self.client().await, "").await;
    }

    /// Makes one of the stores of leafbox's own account.
    pub(crate) async fn make_store(&self, name: &str) {
        make_stores(&self.client().await, "", &[name]).await;
    }

    /// A storage as a daemon opens it, without a cache.
    pub(crate) async fn storage(&self) -> Storage {
        self.storage_with(Policy::default(), Cache::none()).await
    }

    pub(crate) async fn storage_with(&self, policy: Policy, cache: Cache) -> Storage {
        storage_of(&self.url(), policy, cache).await
    }
}

/// A connection that lasts, as a daemon's.
pub(crate) async fn client_of(url: String) -> Client {
    let client = runtime::connect(&runtime::ConnectOptions::plain(url, "test")).await.unwrap();
    client.flush().await.unwrap();
    client
}

/// A storage as a daemon beside a nats-server opens it.
pub(crate) async fn storage_of(url: &str, policy: Policy, cache: Cache) -> Storage {
    let client = async || client_of(url.to_owned()).await;
    let connections = ChunkConnections { write: client().await, read: vec![client().await] };
    let chunks = ChunkStore::open(connections, Budget::default());
    let backend = Backend { client: client().await, chunks, cache };
    tokio::time::timeout(DEADLINE, Storage::open(backend, policy)).await.unwrap().unwrap()
}

/// Makes the registry's streams, with these lines of `[registry]` in fleet.toml.
pub(crate) async fn make_streams(client: &Client, registry: &str) {
    let [one, two] = Lane::ALL.map(Lane::stream);
    make_stores(client, registry, &[one, two, RECORDS_BUCKET, TAGS_BUCKET]).await;
}

/// Makes stores as leafbox does on a leaf, and so on each node that has no cluster.
async fn make_stores(client: &Client, registry: &str, names: &[&str]) {
    let fleet = toml::from_str(&format!("name = \"fleet\"\n[registry]\n{registry}\n")).unwrap();
    let node = toml::from_str("name = \"shop-1\"").unwrap();
    stores::testing::make(client, &fleet, &node, names).await;
}

pub(crate) fn repository(name: &str) -> Repository {
    name.parse().unwrap()
}

pub(crate) fn tag(name: &str) -> Tag {
    name.parse().unwrap()
}

/// Bytes that no two numbers share, and that do not compress.
pub(crate) fn content(number: u64, length: usize) -> Bytes {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// Computed apart from the registry, as a client does.
pub(crate) fn digest_of(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let text = match algorithm {
        Algorithm::Sha256 => client::sha256(bytes),
        Algorithm::Sha512 => client::sha512(bytes),
    };
    text.parse().unwrap()
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    digest_of(Algorithm::Sha256, bytes)
}

/// A body of these bytes, in pieces as HTTP brings them.
pub(crate) fn body(bytes: &Bytes) -> impl futures::Stream<Item = Result<Bytes, BodyError>> + Send + use<> {
    let pieces: Vec<_> = bytes.chunks(40_000).map(Bytes::copy_from_slice).map(Ok).collect();
    stream::iter(pieces)
}

/// A body that brings these bytes and then breaks.
pub(crate) fn broken_body(
    bytes: &Bytes,
) -> impl futures::Stream<Item = Result<Bytes, BodyError>> + Send + use<> {
    let error = BodyError(std::io::Error::other("the client is gone").into());
    futures::StreamExt::chain(body(bytes), stream::iter([Err(error)]))
}

/// Pushes a blob in one part.
pub(crate) async fn push(
    storage: &Storage,
    repository: &Repository,
    bytes: &Bytes,
) -> Result<Digest, StorageError> {
    let digest = sha256(bytes);
    let id = storage.begin(repository, Algorithm::Sha256, bytes.len() as u64).await?;
    storage.finish(repository, id, &digest, None, body(bytes)).await?;
    Ok(digest)
}

/// All bytes of a blob.
pub(crate) async fn read(storage: &Storage, digest: &Digest) -> Result<Bytes, StorageError> {
    let size = storage.index().blob(digest).map_or(0, |blob| blob.size);
    collect(storage.read(digest, 0..size).await?).await
}

pub(crate) async fn collect(
    mut bytes: impl futures::Stream<Item = Result<Bytes, StorageError>> + Unpin,
) -> Result<Bytes, StorageError> {
    let mut all = Vec::new();
    while let Some(next) = futures::StreamExt::next(&mut bytes).await {
        all.extend_from_slice(&next?);
    }
    Ok(all.into())
}

/// The uploads that have chunks in the stream.
pub(crate) async fn uploads_with_chunks(storage: &Storage) -> Vec<UploadId> {
    storage.chunks().subjects().await.unwrap().into_keys().collect()
}

/// Polls until something is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "never {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Polls until no upload is under way, and only the chunks of so many are there.
pub(crate) async fn until_only(storage: &Storage, uploads: usize) {
    until(&format!("only {uploads} uploads with chunks"), async || {
        storage.index().uploads().is_empty() && uploads_with_chunks(storage).await.len() == uploads
    })
    .await;
}
