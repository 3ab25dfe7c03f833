//! One console, from its listener to its end: the same for systemd, `leafbox run` and tests.

use std::{collections::BTreeSet, io, time::Duration};

use runtime::{
    ServerTls, ServerTlsError,
    http::{Server, Serving},
    micro::{Micro, MicroError, register},
};
use settings::{NodeRole, store::Travel};
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Connections, audit,
    console::{self, Console, Journal, Servers, Told},
    feed::{Accounts, FeedConfig, Feeds, Policy},
    login::{BadOrigin, DevLogin, Login, LoginConfig, NotLoopback, Origin, Users},
};

/// The name by which it registers as a NATS micro service.
pub const SERVICE: &str = "leafbox-sse-bridge";

/// How long a request under way may take after shutdown. Streams of events end at once.
const DRAIN: Duration = Duration::from_secs(5);
/// How often the daemon shows that it lives.
const BEAT: Duration = Duration::from_secs(2);
/// Connections at once: each page that is open has one.
const CONNECTIONS: usize = 12_000;
/// What an answer holds ahead of its client.
const ANSWER_BUFFER: usize = 16 << 10;

/// A console cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its certificate cannot be served.
    #[error("`console.tls`: {0}")]
    Tls(#[from] ServerTlsError),
    /// What browsers come to is no origin.
    #[error("`console.origin`: {0}")]
    Origin(#[from] BadOrigin),
    /// It would let strangers in.
    #[error(transparent)]
    Development(#[from] NotLoopback),
    /// The listener does not say where it listens.
    #[error("the console's listener has no address: {0}")]
    Listener(#[source] io::Error),
    /// It cannot answer on NATS.
    #[error(transparent)]
    Micro(#[from] MicroError),
}

/// The certificate of the console's listener, where it has one.
///
/// # Errors
/// When it cannot be served.
pub fn tls(config: &Config) -> Result<Option<ServerTls>, ServerTlsError> {
    let Some(tls) = &config.node.console.tls else { return Ok(None) };
    ServerTls::load(config.credentials.directory(), &tls.cert, &tls.key).map(Some)
}

/// Answers on `listener` until `shutdown`. nats-server need not be there yet.
///
/// # Errors
/// When the listener must not or cannot be served, and when the micro service cannot be registered.
pub async fn run(
    config: Config,
    listener: TcpListener,
    connections: Connections,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let tls = tls(&config)?;
    let listen = listener.local_addr().map_err(RunError::Listener)?;
    let origin = Origin::of(&config.node.console, listen.port())?;
    let dev = if config.development { Some(DevLogin::on(listen)?) } else { None };
    let node = config.node.name.to_string();
    let micro = Micro {
        name: SERVICE,
        version: env!("CARGO_PKG_VERSION"),
        description: "web console and Server-Sent Events of a leafbox node",
        node: &node,
    };
    let Connections { leafbox, sys, declared } = connections;
    let service = register(&leafbox, &micro).await?;

    let (audit, publisher) = audit::channel(&leafbox, &node);
    let (users, following) = Users::follow(&leafbox);
    let is_development = dev.is_some();
    let login =
        Login::new(LoginConfig { node: node.clone(), origin: origin.clone(), dev }, users, audit.clone());
    let feeds = FeedConfig { origin: Some(origin.as_str().to_owned()), ..FeedConfig::default() };
    let policy = Policy::standard().and_accounts(declared.keys().map(String::as_str));
    let servers = Servers::new(sys.clone(), leafbox.clone());
    let accounts = Accounts::new(leafbox, sys).and(declared);
    let feeds = Feeds::new(feeds, accounts.clone(), policy, shutdown.clone());

    let mut tasks = JoinSet::new();
    let answered = CancellationToken::new();
    tasks.spawn(publisher.run(answered.clone()));
    tasks.spawn(beat(config.clone(), shutdown.clone()));
    let sweeping = (login.clone(), shutdown.clone());
    tasks.spawn(async move { sweeping.0.run(sweeping.1).await });
    tasks.spawn(servers.clone().run(config.node.role, node.clone(), shutdown.clone()));
    let journal = Journal::new();
    tasks.spawn(journal.clone().run(accounts.clone(), servers.clone(), shutdown.clone()));
    let console = Console {
        outboxes: outboxes(&config).into(),
        fleet: config.fleet.clone().into(),
        node,
        development: is_development,
        heartbeat: config.node.health.heartbeat.0,
        accounts,
        servers,
        journal,
        feeds: feeds.clone(),
        audit,
        told: Told::default(),
    };
    let router = console::router(console, &login);
    let serving = Serving { connections: CONNECTIONS, http2: true, answer_buffer: Some(ANSWER_BUFFER) };
    Server { listener, tls, drain_deadline: DRAIN, serving }.serve(router, shutdown.clone()).await;
    feeds.stopped().await;
    // Requests under way at shutdown still made audit events.
    answered.cancel();
    drop(following);
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!("a task of the console failed: {error}");
        }
    }
    if let Err(error) = service.stop().await {
        tracing::debug!("{SERVICE} could not be taken off the list of services: {error}");
    }
    Ok(())
}

/// The streams, by account and name, that are outboxes here: fleet.toml has keys of their own for them.
fn outboxes(config: &Config) -> BTreeSet<(String, String)> {
    if config.node.role != NodeRole::Leaf {
        return BTreeSet::new();
    }
    let streams = config.fleet.accounts.iter().flat_map(|(account, declared)| {
        let up = declared.streams.iter().filter(|(_, stream)| stream.travel == Some(Travel::Up));
        up.map(move |(stream, _)| (account.to_string(), stream.to_string()))
    });
    streams.collect()
}

async fn beat(config: Config, shutdown: CancellationToken) {
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        config.pulse.beat();
    }
}
