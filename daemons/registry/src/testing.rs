//! A nats-server with the registry's stream of chunks, for tests.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use async_nats::{Client, jetstream};
use settings::{ByteSize, Fleet};
use supervisor::{
    Addresses, NatsServer,
    testing::{listen_at, start_in, store_in},
};
use tempfile::TempDir;

use crate::{
    chunks::Lane,
    chunks::{Budget, ChunkConnections, ChunkStore},
};

/// How long a condition may take that is met in seconds.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// What a server is started with.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Of one message.
    pub(crate) payload: usize,
    /// Of the streams of chunks together.
    pub(crate) stream: Option<ByteSize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { payload: 1 << 20, stream: None }
    }
}

/// Encrypted and flushed as leafbox's are.
pub(crate) struct Server {
    folder: TempDir,
    limits: Limits,
    bound: Addresses,
    server: Option<NatsServer>,
}

impl Server {
    pub(crate) async fn start(limits: Limits) -> Self {
        let (folder, bound) = (tempfile::tempdir().unwrap(), Addresses::default());
        let mut server = Self { folder, limits, bound, server: None };
        server.run().await;
        server.make_chunks().await;
        server
    }

    /// Starts it; again at the same address, with what is on its disk.
    pub(crate) async fn run(&mut self) {
        let text = format!(
            "listen: \"{}\"\nhttp: \"127.0.0.1:-1\"\nserver_name: node\nmax_payload: {}\n\
             jetstream {{ store_dir: \"{}\", sync_interval: always, cipher: aes, key: test }}\n",
            listen_at(self.bound.client),
            self.limits.payload,
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

    pub(crate) async fn make_chunks(&self) {
        let mut fleet: Fleet = toml::from_str("name = \"fleet\"").unwrap();
        fleet.registry.max_bytes = self.limits.stream;
        let node = toml::from_str("name = \"shop-1\"").unwrap();
        stores::testing::make(&self.client().await, &fleet, &node, &Lane::ALL.map(Lane::stream)).await;
    }

    pub(crate) async fn lose_chunks(&self) {
        let jetstream = jetstream::new(self.client().await);
        for lane in Lane::ALL {
            jetstream.delete_stream(lane.stream()).await.unwrap();
        }
    }

    /// A connection that lasts, as a daemon's.
    pub(crate) async fn client(&self) -> Client {
        let options =
            runtime::ConnectOptions::plain(format!("nats://{}", self.bound.client.unwrap()), "test");
        let client = runtime::connect(&options).await.unwrap();
        client.flush().await.unwrap();
        client
    }

    pub(crate) async fn connections(&self) -> ChunkConnections {
        ChunkConnections { write: self.client().await, read: vec![self.client().await, self.client().await] }
    }

    pub(crate) async fn chunks(&self) -> ChunkStore {
        ChunkStore::open(self.connections().await, Budget::default())
    }
}
