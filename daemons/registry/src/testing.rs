//! A nats-server with the registry's streams, for tests.
#![allow(clippy::unwrap_used)]

use std::{fs, net::SocketAddr, time::Duration};

use async_nats::{
    Client,
    jetstream::{self, kv, stream},
};
use supervisor::{Launch, LogSink, NatsServer, testing::nats_server_binary};
use tempfile::TempDir;

use crate::{
    chunks::{Budget, ChunkConnections, ChunkStore},
    records::{CHUNKS_STREAM, CHUNKS_SUBJECT, RECORDS_BUCKET, TAGS_BUCKET},
};

/// How long a condition may take that is met in seconds.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// What a server is started with.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Of one message.
    pub(crate) payload: usize,
    /// Of the stream of chunks; -1 is none.
    pub(crate) stream: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { payload: 1 << 20, stream: -1 }
    }
}

/// Encrypted and flushed as leafbox's are.
pub(crate) struct Server {
    folder: TempDir,
    limits: Limits,
    address: SocketAddr,
    server: Option<NatsServer>,
}

impl Server {
    pub(crate) async fn start(limits: Limits) -> Self {
        let address = "127.0.0.1:0".parse().unwrap();
        let mut server = Self { folder: tempfile::tempdir().unwrap(), limits, address, server: None };
        server.run().await;
        server.make_streams().await;
        server
    }

    /// Starts it; again at the same address, with what is on its disk.
    pub(crate) async fn run(&mut self) {
        let config = self.folder.path().join("nats-server.conf");
        let port = if self.address.port() == 0 { -1 } else { i32::from(self.address.port()) };
        let text = format!(
            "listen: \"127.0.0.1:{port}\"\nhttp: \"127.0.0.1:-1\"\nserver_name: node\nmax_payload: {}\n\
             jetstream {{ store_dir: \"{}\", sync_interval: always, cipher: aes, key: test }}\n",
            self.limits.payload,
            self.folder.path().join("jetstream").display()
        );
        fs::write(&config, text).unwrap();
        let launch = Launch {
            binary: nats_server_binary().await,
            config,
            store: Some(self.folder.path().join("jetstream")),
            environment: Vec::new(),
            run_dir: self.folder.path().join("run"),
            log: LogSink::Tracing { server: "node".to_owned() },
            ready_timeout: DEADLINE,
            routes: false,
            keys: Vec::new(),
        };
        let server = NatsServer::start(&launch).await.unwrap();
        self.address = server.addresses().client.unwrap();
        self.server = Some(server);
    }

    /// As a power cut would, except that the disk keeps what it was given.
    pub(crate) async fn kill(&mut self) {
        self.server.take().unwrap().kill().await;
    }

    async fn make_streams(&self) {
        self.make_chunks().await;
        let jetstream = jetstream::new(self.client().await);
        for (bucket, history) in [(RECORDS_BUCKET, 1), (TAGS_BUCKET, 64)] {
            let config = kv::Config { bucket: bucket.to_owned(), history, ..Default::default() };
            jetstream.create_key_value(config).await.unwrap();
        }
    }

    pub(crate) async fn make_chunks(&self) {
        let config = stream::Config {
            name: CHUNKS_STREAM.to_owned(),
            subjects: vec![format!("{CHUNKS_SUBJECT}.*")],
            max_bytes: self.limits.stream,
            discard: stream::DiscardPolicy::New,
            allow_direct: true,
            ..Default::default()
        };
        jetstream::new(self.client().await).create_stream(config).await.unwrap();
    }

    pub(crate) async fn lose_chunks(&self) {
        jetstream::new(self.client().await).delete_stream(CHUNKS_STREAM).await.unwrap();
    }

    /// A connection that lasts, as a daemon's.
    pub(crate) async fn client(&self) -> Client {
        let options = runtime::ConnectOptions {
            urls: vec![format!("nats://{}", self.address)],
            credentials: None,
            tls: None,
            name: "test".to_owned(),
            inbox: None,
            from: None,
        };
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
