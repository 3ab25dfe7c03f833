//! A nats-server with the stores of the console.

use std::{fs, path::Path, time::Duration};

use async_nats::{
    Client,
    jetstream::{self, kv, stream},
};
use supervisor::{Launch, LogSink, NatsServer, testing::nats_server_binary};
use tempfile::TempDir;

/// How long a condition may take that is met in milliseconds on a quiet machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// It ends with this value.
pub(crate) struct Server {
    url: String,
    _server: NatsServer,
    folder: TempDir,
}

impl Server {
    /// Starts one with the bucket of users and the audit stream.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("nats-server.conf");
        let store = folder.path().join("jetstream");
        let text = format!(
            "listen: \"127.0.0.1:-1\"\nhttp: \"127.0.0.1:-1\"\nserver_name: node\njetstream {{ store_dir: \"{}\" }}\n",
            store.display()
        );
        fs::write(&config, text).unwrap();
        let launch = Launch {
            binary: nats_server_binary().await,
            config,
            store: Some(store),
            environment: Vec::new(),
            run_dir: folder.path().join("run"),
            log: LogSink::Tracing { server: "node".to_owned() },
            ready_timeout: DEADLINE,
            routes: false,
            keys: Vec::new(),
        };
        let server = NatsServer::start(&launch).await.unwrap();
        let url = format!("nats://{}", server.addresses().client.unwrap());
        let server = Self { url, _server: server, folder };
        make_stores(&server.client().await).await;
        server
    }

    /// Where it takes clients, as node.toml has it.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("nats://")
    }

    /// A folder that ends with it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A connection of its own.
    pub(crate) async fn client(&self) -> Client {
        async_nats::connect(&self.url).await.unwrap()
    }
}

/// Makes the bucket of users and the audit stream.
pub(crate) async fn make_stores(client: &Client) {
    let jetstream = jetstream::new(client.clone());
    let users = kv::Config { bucket: "leafbox_users".to_owned(), history: 8, ..Default::default() };
    jetstream.create_key_value(users).await.unwrap();
    let audit = stream::Config {
        name: "LEAFBOX_AUDIT".to_owned(),
        subjects: vec!["leafbox.audit.>".to_owned()],
        allow_direct: true,
        ..Default::default()
    };
    jetstream.create_stream(audit).await.unwrap();
}
