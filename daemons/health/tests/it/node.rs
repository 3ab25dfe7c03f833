//! A plain nats-server with the health daemon beside it.

use std::{net::SocketAddr, path::Path, time::Duration};

use async_nats::{
    Client,
    jetstream::{self, kv},
};
use health::{Applied, Config, Pulse, Report};
use runtime::{ConnectOptions, Monitoring, connect, http};
use settings::{ByteSize, NodeRole};
use supervisor::{
    NatsServer,
    testing::{listen_at, start_in, store_in},
};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Node {
    pub(crate) folder: TempDir,
    pub(crate) server: Option<NatsServer>,
    pub(crate) client: SocketAddr,
    pub(crate) monitoring: SocketAddr,
}

impl Node {
    pub(crate) async fn start(more: &str) -> Self {
        let any = "127.0.0.1:0".parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut node = Self { folder, server: None, client: any, monitoring: any };
        node.start_server(more).await;
        node
    }

    /// Starts the server on the ports that it had before, if it had any.
    pub(crate) async fn start_server(&mut self, more: &str) {
        let listen = |before: SocketAddr| listen_at((before.port() != 0).then_some(before));
        let text = format!(
            "listen: \"{}\"\nhttp: \"{}\"\nserver_name: node\n{}\n",
            listen(self.client),
            listen(self.monitoring),
            more.replace("STORE", &store_in(self.folder.path()).display().to_string())
        );
        let server = start_in(self.folder.path(), &text).await;
        self.client = server.addresses().client.unwrap();
        self.monitoring = server.addresses().monitoring.unwrap();
        self.server = Some(server);
    }

    pub(crate) fn data(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn applied(&self, ok: bool, waiting: &[&str]) {
        let waiting = waiting.iter().map(|text| (*text).to_owned()).collect();
        Applied::now(ok, waiting, "digest").write(self.data()).unwrap();
    }

    pub(crate) async fn nats(&self) -> Client {
        async_nats::connect(self.client.to_string()).await.unwrap()
    }

    pub(crate) async fn make_bucket(&self) -> kv::Store {
        let config = kv::Config { bucket: "leafbox_nodes".to_owned(), ..Default::default() };
        jetstream::new(self.nats().await).create_key_value(config).await.unwrap()
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            node: "shop-1".parse().unwrap(),
            role: NodeRole::Leaf,
            region: Some("ams".parse().unwrap()),
            heartbeat: Duration::from_millis(100),
            reserve: ByteSize(0),
            data: self.data().to_owned(),
            monitoring: self.monitoring,
            pulse: Pulse::new(),
        }
    }

    pub(crate) async fn health(&self, config: Config) -> Health {
        let listener = http::bind("127.0.0.1:0".parse().unwrap(), "health.listen").await.unwrap();
        let address = listener.local_addr().unwrap();
        let options = ConnectOptions::plain(format!("nats://{}", self.client), "health");
        let nats = connect(&options).await.unwrap();
        let shutdown = CancellationToken::new();
        let daemon = tokio::spawn(health::run(config, listener, nats, shutdown.clone()));
        Health { http: Monitoring::new(address).within(DEADLINE), shutdown, daemon }
    }
}

pub(crate) const JETSTREAM: &str = "jetstream { store_dir: \"STORE\" }";

pub(crate) struct Health {
    pub(crate) http: Monitoring,
    shutdown: CancellationToken,
    daemon: JoinHandle<Result<(), runtime::micro::MicroError>>,
}

impl Health {
    pub(crate) async fn text(&self, path: &str) -> (u16, String) {
        let (status, body) = self.http.get(path).await.unwrap();
        (status, String::from_utf8(body).unwrap())
    }

    pub(crate) async fn report(&self) -> Report {
        serde_json::from_slice(&self.http.get("/readyz?format=json").await.unwrap().1).unwrap()
    }

    /// Polls until the report is as wanted.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Report) -> bool) -> Report {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let report = self.report().await;
            if wanted(&report) {
                return report;
            }
            assert!(Instant::now() < deadline, "never {what}: {report:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.daemon.await.unwrap().unwrap();
    }
}

/// What a check found.
pub(crate) fn check<'a>(report: &'a Report, name: &str) -> (bool, &'a str) {
    let check = report.checks.iter().find(|check| check.name == name).unwrap();
    (check.ok, &check.detail)
}
