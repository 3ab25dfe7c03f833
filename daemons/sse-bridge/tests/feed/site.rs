//! A nats-server with the bridge beside it.

use std::{
    collections::HashMap,
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_nats::{Client, jetstream};
use axum::{Router, extract::Request, middleware, response::Response};
use runtime::http::{Server as HttpServer, Serving};
use sse_bridge::{
    Caller, Role, SessionId,
    feed::{Accounts, FeedConfig, Feeds, Policy, Rule, router},
};
use supervisor::{Launch, LogSink, NatsServer, testing::nats_server_binary};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A nats-server whose every acknowledgement is on the disk, as leafbox's.
pub(crate) struct Nats {
    folder: TempDir,
    address: SocketAddr,
    pub(crate) monitoring: SocketAddr,
    server: Option<NatsServer>,
}

impl Nats {
    pub(crate) async fn start() -> Self {
        let any = "127.0.0.1:0".parse().unwrap();
        let mut nats =
            Self { folder: tempfile::tempdir().unwrap(), address: any, monitoring: any, server: None };
        nats.run().await;
        nats
    }

    /// Starts it; again at the same address, with what is on its disk.
    pub(crate) async fn run(&mut self) {
        let config = self.folder.path().join("nats-server.conf");
        let port = |address: SocketAddr| match address.port() {
            0 => "127.0.0.1:-1".to_owned(),
            _ => address.to_string(),
        };
        let text = format!(
            "listen: \"{}\"\nhttp: \"{}\"\nserver_name: node\n\
             jetstream {{ store_dir: \"{}\", sync_interval: always }}\n\
             accounts {{\n LEAFBOX {{ jetstream: enabled, users: [ {{ user: leafbox, password: leafbox }} ] }}\n\
             SYS {{ users: [ {{ user: sys, password: sys }} ] }}\n}}\nsystem_account: SYS\nno_auth_user: leafbox\n",
            port(self.address),
            port(self.monitoring),
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
        self.monitoring = server.addresses().monitoring.unwrap();
        self.server = Some(server);
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self) {
        self.server.take().unwrap().kill().await;
    }

    pub(crate) async fn client(&self, user: &str) -> Client {
        let options = async_nats::ConnectOptions::with_user_and_password(user.to_owned(), user.to_owned())
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(|_| Duration::from_millis(50));
        let client = options.connect(format!("nats://{}", self.address)).await.unwrap();
        client.flush().await.unwrap();
        client
    }

    pub(crate) async fn jetstream(&self) -> jetstream::Context {
        jetstream::new(self.client("leafbox").await)
    }
}

/// The bridge.
pub(crate) struct Bridge {
    pub(crate) address: SocketAddr,
    pub(crate) feeds: Feeds,
    sessions: Sessions,
    shutdown: CancellationToken,
    served: JoinHandle<()>,
}

type Sessions = Arc<Mutex<HashMap<String, CancellationToken>>>;

pub(crate) fn quick() -> FeedConfig {
    FeedConfig {
        idle_heartbeat: Duration::from_millis(500),
        linger: Duration::from_millis(50),
        clients_per_user: 1000,
        ..FeedConfig::default()
    }
}

/// Everything of the bridge's account but its secrets.
pub(crate) fn open_policy() -> Policy {
    Policy::standard().and(Rule {
        from: Role::Viewer,
        account: sse_bridge::feed::LEAFBOX.to_owned(),
        subjects: ">".parse().unwrap(),
    })
}

impl Bridge {
    pub(crate) async fn start(nats: &Nats, config: FeedConfig) -> Self {
        Self::with_policy(nats, config, open_policy()).await
    }

    pub(crate) async fn with_policy(nats: &Nats, config: FeedConfig, policy: Policy) -> Self {
        let accounts = Accounts::new(nats.client("leafbox").await, Some(nats.client("sys").await));
        let shutdown = CancellationToken::new();
        let feeds = Feeds::new(config, accounts, policy, shutdown.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sessions = Sessions::default();
        let known = Arc::clone(&sessions);
        // What checks sessions stands here in the console.
        let router: Router = router(feeds.clone()).layer(middleware::from_fn(
            move |mut request: Request, next: middleware::Next| {
                let known = Arc::clone(&known);
                async move {
                    if let Some(caller) = caller(&request, &known) {
                        request.extensions_mut().insert(caller);
                    }
                    let response: Response = next.run(request).await;
                    response
                }
            },
        ));
        let serving = Serving { connections: 20_000, http2: true, answer_buffer: Some(16 << 10) };
        let server = HttpServer { listener, tls: None, drain_deadline: DEADLINE, serving };
        let served = tokio::spawn(server.serve(router, shutdown.clone()));
        Self { address, feeds, sessions, shutdown, served }
    }

    /// Ends a user's session.
    pub(crate) fn revoke(&self, user: &str) {
        self.sessions.lock().unwrap().get(user).unwrap().cancel();
    }

    /// Stops it, and waits until nothing of it is left.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.served.await.unwrap();
        self.feeds.stopped().await;
    }

    /// A counter.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.feeds.metrics();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("leafbox_sse_{name} ")));
        line.unwrap().parse().unwrap()
    }

    /// Polls until a counter is as wanted.
    pub(crate) async fn until(&self, name: &str, wanted: impl Fn(u64) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !wanted(self.metric(name)) {
            assert!(Instant::now() < deadline, "never so: {name} is {}", self.metric(name));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// `x-user: name:role`, as a session would say.
fn caller(request: &Request, sessions: &Sessions) -> Option<Caller> {
    let (name, role) = request.headers().get("x-user")?.to_str().ok()?.split_once(':')?;
    let ended = sessions.lock().unwrap().entry(name.to_owned()).or_default().clone();
    Some(Caller { name: name.into(), role: role.parse().ok()?, session: SessionId("s".into()), ended })
}
