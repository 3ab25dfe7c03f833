//! A registry beside its nats-server, as the daemon runs it.

use std::{fs, net::SocketAddr, path::Path};

use async_nats::jetstream;
use data_encoding::BASE64;
use futures::TryStreamExt;
use registry::{
    Config, RegistryConnections, RunError, UploadId,
    access::{Actions, NewToken, mint as mint_token},
    audit::{self, Event},
    chunks::Lane,
};
use runtime::{ConnectOptions, Credentials, Pulse, http};
use settings::{ByteSize, Fleet, Node as NodeToml, Pattern, builtin::AUDIT_STREAM};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    client::Client,
    harness::{Node, until},
};

pub(crate) struct Site {
    pub(crate) node: Node,
    pub(crate) address: SocketAddr,
    of_node: String,
    of_fleet: String,
    /// The secret of the token `test`, which may do everything.
    pub(crate) secret: String,
    shutdown: CancellationToken,
    running: Option<JoinHandle<Result<(), RunError>>>,
}

impl Site {
    /// One as nobody configured it.
    pub(crate) async fn start() -> Self {
        Self::with("", "").await
    }

    /// One with these lines of `[registry]` in node.toml and in fleet.toml.
    pub(crate) async fn with(of_node: &str, of_fleet: &str) -> Self {
        Self::unready(of_node, of_fleet).await.ready().await
    }

    /// One with these lines of fleet.toml, whose JetStream may have no more bytes than these: too few for
    /// what the audit stream reserves.
    pub(crate) async fn limited(max_file: ByteSize, of_fleet: &str) -> Self {
        Self::on(Node::start_limited(max_file).await, "", of_fleet).await.ready().await
    }

    async fn ready(self) -> Self {
        self.until("ready", async |client: &Client| client.get("/readyz").await.status == 200).await;
        self
    }

    /// One that need not be ready yet, or whose listener speaks TLS.
    pub(crate) async fn unready(of_node: &str, of_fleet: &str) -> Self {
        let node = Node::start().await;
        node.make_store(AUDIT_STREAM).await;
        Self::on(node, of_node, of_fleet).await
    }

    async fn on(node: Node, of_node: &str, of_fleet: &str) -> Self {
        let secret = mint(&node).await;
        let mut site = Self {
            node,
            address: "127.0.0.1:0".parse().unwrap(),
            of_node: of_node.to_owned(),
            of_fleet: of_fleet.to_owned(),
            secret,
            shutdown: CancellationToken::new(),
            running: None,
        };
        site.run().await;
        site
    }

    /// Runs the daemon, on the address that it had before.
    pub(crate) async fn run(&mut self) {
        let listener = http::bind(self.address, "registry.listen").await.unwrap();
        self.address = listener.local_addr().unwrap();
        self.shutdown = CancellationToken::new();
        let config = self.config();
        let options = ConnectOptions::plain(self.node.url(), "registry");
        let connections = RegistryConnections::open(&options).await.unwrap();
        let shutdown = self.shutdown.clone();
        self.running = Some(tokio::spawn(registry::run(config, listener, connections, shutdown)));
    }

    fn config(&self) -> Config {
        let folder = self.folder();
        let credentials = folder.join("keys");
        fs::create_dir_all(&credentials).unwrap();
        let node = format!("name = \"shop-1\"\n[registry]\ncache = \"64MiB\"\n{}\n", self.of_node);
        let fleet = format!("name = \"fleet\"\n[registry]\n{}\n", self.of_fleet);
        Config {
            node: toml::from_str::<NodeToml>(&node).unwrap(),
            fleet: toml::from_str::<Fleet>(&fleet).unwrap(),
            data: folder.to_owned(),
            credentials: Credentials::in_directory(credentials),
            pulse: Pulse::new(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.node.folder.path()
    }

    /// A client that may do everything.
    pub(crate) fn client(&self) -> Client {
        let login = BASE64.encode(format!("test:{}", self.secret).as_bytes());
        Client { address: self.address, authorization: Some(format!("Basic {login}")) }
    }

    /// A client of this machine without a token.
    pub(crate) fn anonymous(&self) -> Client {
        Client { address: self.address, authorization: None }
    }

    /// A connection to nats-server.
    pub(crate) async fn nats(&self) -> async_nats::Client {
        self.node.client().await
    }

    /// Stops the daemon as SIGTERM does, and runs it again.
    pub(crate) async fn restart(&mut self) {
        self.stop_daemon().await;
        self.run().await;
    }

    pub(crate) async fn stop_daemon(&mut self) {
        self.shutdown.cancel();
        self.running.take().unwrap().await.unwrap().unwrap();
    }

    pub(crate) async fn stop(mut self) {
        self.stop_daemon().await;
    }

    /// Polls until something is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl AsyncFn(&Client) -> bool) {
        let client = self.client();
        until(what, async || is_so(&client).await).await;
    }

    /// A number out of the metrics.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = self.client().get("/metrics").await.is(200).text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// Uploads under way.
    pub(crate) async fn uploads(&self) -> u64 {
        self.metric("leafbox_registry_uploads_open").await
    }

    /// Messages in the streams of chunks, without the ballast.
    pub(crate) async fn chunks(&self) -> u64 {
        let context = jetstream::new(self.nats().await);
        let mut messages = 0;
        for lane in Lane::ALL {
            let stream = context.get_stream(lane.stream()).await.unwrap();
            let mut subjects = stream.info_with_subjects(lane.subjects()).await.unwrap();
            while let Some((subject, count)) = subjects.try_next().await.unwrap() {
                messages += if subject == lane.subject(UploadId::BALLAST) { 0 } else { count as u64 };
            }
        }
        messages
    }

    /// The audit events so far: what happened, and to what.
    pub(crate) async fn audited(&self) -> Vec<Event> {
        let context = jetstream::new(self.nats().await);
        let stream = context.get_stream(AUDIT_STREAM).await.unwrap();
        let mut events = Vec::new();
        for sequence in 1..=stream.cached_info().state.last_sequence {
            events.push(
                serde_json::from_slice(&stream.get_raw_message(sequence).await.unwrap().payload).unwrap(),
            );
        }
        events
    }

    /// Polls until no upload is under way, and no chunk is there but of so many blobs.
    pub(crate) async fn until_clean(&self, chunks: u64) {
        until(&format!("{chunks} chunks and no uploads"), async || {
            self.uploads().await == 0 && self.chunks().await == chunks
        })
        .await;
    }
}

/// Has a token made that may do everything, as the command does it.
async fn mint(node: &Node) -> String {
    let storage = node.storage().await;
    let (audit, _) = audit::channel(&node.client().await, "shop-1");
    let new = NewToken {
        name: "test".to_owned(),
        repositories: vec![Pattern::all()],
        actions: Actions { pull: true, push: true, delete: true },
        expires: None,
    };
    mint_token(&storage, &audit, "command", new).await.unwrap().secret.reveal().to_owned()
}
