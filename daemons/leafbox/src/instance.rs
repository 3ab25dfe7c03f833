//! One node, from its start to its stop: nats-server first, then apply, then the daemons; the
//! reverse at the end.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use runtime::{ConnectOptions, Credentials, Pulse, reachable};
use supervisor::{
    daemons::Daemons,
    log::LogSink,
    process::Launch,
    supervise::{Leave, Ready, State, Stop, Supervised, supervise},
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::{
    addresses::Addresses,
    applying::{Outcome, keep_applied},
    data::RunLock,
    listeners::Listeners,
    session::Session,
    setup::Setup,
    signer, uplink,
};

/// How long nats-server may take until it listens.
const LISTEN_DEADLINE: Duration = Duration::from_secs(60);
/// How long a daemon may drain: the registry gives requests under way 10 s.
const DRAIN_DEADLINE: Duration = Duration::from_secs(15);

/// A node whose nats-server listens.
#[derive(Debug)]
pub struct Instance {
    setup: Arc<Setup>,
    server: Supervised,
    stop: CancellationToken,
    daemons: Daemons,
    listeners: Listeners,
    logs_in: bool,
    addresses: Addresses,
    applied: watch::Sender<Option<Outcome>>,
    _lock: RunLock,
}

impl Instance {
    /// Starts nats-server and waits until it listens, which a hub node does before its cluster has
    /// a leader.
    pub async fn launch(setup: Setup, binary: PathBuf, leave: Leave, deadline: Duration) -> Result<Self> {
        let lock = setup.data.lock()?;
        // An earlier run's answer is not this one's.
        let _ = std::fs::remove_file(health::Applied::path(setup.data.root()));
        let listeners = Listeners::bind(&setup).await?;
        let own = listeners.addresses()?;
        let setup = Arc::new(setup);
        let stop = CancellationToken::new();
        let server =
            supervise(configure(Arc::clone(&setup), binary), Stop { leave, deadline }, stop.clone()).await?;
        let applied = watch::Sender::new(None);
        let addresses = Addresses::default();
        let daemons = Daemons::new();
        let mut instance =
            Self { setup, server, stop, daemons, listeners, logs_in: false, addresses, applied, _lock: lock };
        instance.addresses = Addresses::bound(&instance.bound(), own);
        instance.addresses.write(&instance.setup.data)?;
        Ok(instance)
    }

    /// What the node listens on.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Whoever comes to the console from this machine is an admin there, without a login: for
    /// development, and only where nobody else comes. To be called before the daemons start.
    pub fn log_in_by_itself(&mut self) {
        let console = &self.setup.settings.node.console;
        self.logs_in = console.origin.is_none()
            && console.listen.address().is_some_and(|address| address.ip().to_canonical().is_loopback());
    }

    /// What the node was started from.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// A session on the running node.
    pub fn session(&self) -> Session {
        Session {
            settings: self.setup.settings.clone(),
            data: self.setup.data.clone(),
            keys: self.setup.keys.clone(),
            addresses: self.addresses.clone(),
        }
    }

    /// Tells whether nats-server is still supervised, for systemd's watchdog.
    pub fn pulse(&self) -> impl Fn() -> bool + Send + 'static {
        let state = self.server.state();
        move || state.has_changed().is_ok()
    }

    /// Waits until nats-server is healthy.
    pub async fn ready(&self, within: Duration) -> Result<()> {
        self.server.ready(within).await?;
        Ok(())
    }

    /// Has the running nats-server use other routes.
    pub async fn reroute(&self, routes: Vec<String>) -> Result<()> {
        self.setup.set_routes(routes);
        self.setup.write_configuration()?;
        self.server.reload().await?;
        Ok(())
    }

    fn bound(&self) -> supervisor::Addresses {
        match &*self.server.state().borrow() {
            State::Starting { addresses, .. } | State::Ready(Ready { addresses, .. }) => addresses.clone(),
            State::Backoff { .. } | State::Stopped { .. } => Default::default(),
        }
    }

    /// Starts what goes on beside nats-server: apply, uplink, health, registry, console. None of them
    /// ends the node.
    pub fn start_daemons(&mut self) -> Result<()> {
        let session = Arc::new(self.session());
        let (state, applied) = (self.server.state(), self.applied.clone());
        let for_apply = Arc::clone(&session);
        self.daemons.start("apply", move |stop| {
            keep_applied(Arc::clone(&for_apply), state.clone(), applied.clone(), stop)
        });
        self.daemons.start("uplink", move |stop| uplink::watch(Arc::clone(&session), Pulse::new(), stop));
        if let Some(listener) = self.listeners.health.take() {
            self.start_health(listener)?;
        }
        if let Some(listener) = self.listeners.registry.take() {
            self.start_registry(listener)?;
        }
        if let Some(listener) = self.listeners.console.take() {
            self.start_console(listener)?;
        }
        if signer::is_here(&self.setup.settings, &self.setup.keys) {
            self.start_signer()?;
        }
        Ok(())
    }

    fn start_health(&mut self, listener: TcpListener) -> Result<()> {
        let setup = &self.setup;
        let monitoring = self.addresses.monitoring.context("node.toml turns the monitoring listener off")?;
        let config = health::Config::new(&setup.settings, reachable(monitoring));
        let connect = self.connect_as(health::SERVICE, identity::layout::health_creds(&setup.keys))?;
        // Kept, so that the daemon can be started again on the same port.
        let listener = listener.into_std()?;
        self.daemons.start("health", move |stop| {
            let (config, connect, listener) = (config.clone(), connect.clone(), listener.try_clone());
            async move {
                let listener = TcpListener::from_std(listener?)?;
                let nats = runtime::connect(&connect).await?;
                health::run(config, listener, nats, stop).await?;
                anyhow::Ok(())
            }
        });
        Ok(())
    }

    fn start_registry(&mut self, listener: TcpListener) -> Result<()> {
        let setup = &self.setup;
        let credentials = Credentials::in_directory(&setup.keys);
        let config = registry::Config::new(&setup.settings, credentials);
        let connect = self.connect_as(registry::SERVICE, identity::layout::registry_creds(&setup.keys))?;
        let listener = listener.into_std()?;
        self.daemons.start("registry", move |stop| {
            let (config, connect, listener) = (config.clone(), connect.clone(), listener.try_clone());
            async move {
                let listener = TcpListener::from_std(listener?)?;
                let connections = registry::RegistryConnections::open(&connect).await?;
                registry::run(config, listener, connections, stop).await?;
                anyhow::Ok(())
            }
        });
        Ok(())
    }

    fn start_console(&mut self, listener: TcpListener) -> Result<()> {
        let setup = &self.setup;
        let config = sse_bridge::Config::new(&setup.settings, Credentials::in_directory(&setup.keys));
        let config = if self.logs_in { config.in_development() } else { config };
        let base = self.connect_as(sse_bridge::SERVICE, PathBuf::new())?;
        let plan = sse_bridge::ConnectPlan::of(&config, |creds| ConnectOptions {
            credentials: Some(creds),
            ..base.clone()
        })?;
        let listener = listener.into_std()?;
        self.daemons.start("console", move |stop| {
            let (config, plan, listener) = (config.clone(), plan.clone(), listener.try_clone());
            async move {
                let listener = TcpListener::from_std(listener?)?;
                sse_bridge::run(config, listener, plan.open().await?, stop).await?;
                anyhow::Ok(())
            }
        });
        Ok(())
    }

    /// Signs what admins of the console ask for.
    fn start_signer(&mut self) -> Result<()> {
        let session = Arc::new(self.session());
        let connect = self.connect_as(sse_bridge::signing::SERVICE, signer::creds(&self.setup.keys))?;
        self.daemons.start("signer", move |stop| {
            let (session, connect) = (Arc::clone(&session), connect.clone());
            async move { signer::run(session, runtime::connect(&connect).await?, stop).await }
        });
        Ok(())
    }

    /// How a daemon reaches this node's nats-server.
    fn connect_as(&self, service: &str, credentials: PathBuf) -> Result<ConnectOptions> {
        let session = self.session();
        Ok(ConnectOptions {
            urls: vec![session.client_url()?],
            credentials: Some(credentials),
            tls: session.client_tls(),
            name: format!("{service} {}", session.settings.node.name),
            from: session.addresses.client.and_then(runtime::from_loopback),
            inbox: None,
        })
    }

    /// Waits until the stores were applied once, whatever came of it.
    pub async fn applied(&self) -> Outcome {
        let mut state = self.applied.subscribe();
        let settled = state.wait_for(Option::is_some).await;
        settled.ok().and_then(|settled| settled.clone()).expect("this node holds the sender")
    }

    /// Waits until the stores were applied with success, and gives the last failure when they were
    /// not in time. Hub nodes that make the same store at once are refused, and try again.
    pub async fn applied_within(&self, within: Duration) -> Outcome {
        let mut state = self.applied.subscribe();
        let applied = state.wait_for(|outcome| *outcome == Some(Outcome::Applied));
        match tokio::time::timeout(within, applied).await {
            Ok(_) => Outcome::Applied,
            Err(_) => self.applied().await,
        }
    }

    /// Stops the daemons, then nats-server.
    pub async fn stop(self) {
        runtime::notify::stopping();
        self.daemons.stop(DRAIN_DEADLINE).await;
        self.stop.cancel();
        self.server.join().await;
        // What it says is no longer true.
        let _ = std::fs::remove_file(self.setup.data.addresses_file());
    }
}

/// Renders the configuration before each start.
fn configure(
    setup: Arc<Setup>,
    binary: PathBuf,
) -> impl FnMut(Option<&supervisor::Addresses>) -> Result<Launch, supervisor::supervise::ConfigureError>
+ Send
+ 'static {
    move |bound| {
        setup.set_bound(bound);
        setup.write_configuration()?;
        Ok(launch(&setup, &binary))
    }
}

/// What is started once the configuration is written.
pub fn launch(setup: &Setup, binary: &Path) -> Launch {
    Launch {
        binary: binary.to_owned(),
        config: setup.data.configuration_file(),
        store: Some(setup.data.jetstream()),
        environment: setup.environment(),
        run_dir: setup.data.run(),
        log: LogSink::Tracing { server: setup.settings.node.name.to_string() },
        ready_timeout: LISTEN_DEADLINE,
        routes: setup.settings.is_clustered(),
        keys: setup.listener_keys(),
    }
}
