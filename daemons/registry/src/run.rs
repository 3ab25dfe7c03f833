//! One registry, from its listener to its end: the same for systemd, `leafbox run` and tests.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use async_nats::service::endpoint::Endpoint;
use futures::StreamExt;
use runtime::{
    Disk, ServerTls, ServerTlsError,
    http::{Server, Serving},
    micro::{Micro, MicroError, register},
};
use settings::{ByteSize, node::Certificate};
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, RegistryConnections, Storage, StorageError,
    access::{Access, AccessConfig, ClearText, clear_text_guard},
    audit,
    cache::Cache,
    chunks::{Budget, ChunkConnections, ChunkStore},
    collect::{self, Collector},
    http::{Parts, Service},
    metrics::{Metrics, sources},
    status,
    storage::{Backend, Policy},
    travel::{self, Travel},
};

/// The name by which it registers as a NATS micro service.
pub const SERVICE: &str = "leafbox-registry";

/// How long a request under way may take after shutdown: a chunk or two of an upload, which goes on
/// where it stopped.
const DRAIN: Duration = Duration::from_secs(10);
/// How often the daemon shows that it lives.
const BEAT: Duration = Duration::from_secs(2);

/// A registry cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It would show tokens to whoever is on the way.
    #[error(transparent)]
    ClearText(#[from] ClearText),
    /// Its certificate cannot be served.
    #[error("`registry.tls`: {0}")]
    Tls(#[from] ServerTlsError),
    /// The listener does not say where it listens.
    #[error("the registry's listener has no address: {0}")]
    Listener(#[source] io::Error),
    /// It cannot answer on NATS.
    #[error(transparent)]
    Micro(#[from] MicroError),
    /// The question for its status cannot be answered.
    #[error("{subject} cannot be answered: {source}")]
    Status {
        /// The subject.
        subject: String,
        /// What failed.
        #[source]
        source: async_nats::Error,
    },
}

/// The certificate of the registry's listener, where it has one.
///
/// # Errors
/// When it cannot be served.
pub fn tls(config: &Config) -> Result<Option<ServerTls>, ServerTlsError> {
    let Certificate { cert, key } = match &config.of_node().tls {
        Some(tls) => tls,
        None => return Ok(None),
    };
    ServerTls::load(config.credentials.directory(), cert, key).map(Some)
}

/// Answers on `listener` until `shutdown`. nats-server need not be there yet.
///
/// # Errors
/// When the listener must not or cannot be served, and when the micro service cannot be registered.
pub async fn run(
    config: Config,
    listener: TcpListener,
    connections: RegistryConnections,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let tls = tls(&config)?;
    let listen = listener.local_addr().map_err(RunError::Listener)?;
    clear_text_guard(listen, tls.is_some())?;
    let node = config.name().to_string();
    let micro = Micro {
        name: SERVICE,
        version: env!("CARGO_PKG_VERSION"),
        description: "container registry of a leafbox node",
        node: &node,
    };
    let nats = register(&connections.travel, &micro).await?;
    let subject = status::subject(&node);
    let questions = nats.endpoint(&subject).await;
    let questions = questions.map_err(|source| RunError::Status { subject, source })?;

    let metrics = Metrics::default();
    let service = Service::new(connections.records.clone(), metrics.clone());
    let mut tasks = JoinSet::new();
    tasks.spawn(beat(config.clone(), shutdown.clone()));
    let own = status::Own { node, address: listen };
    tasks.spawn(tell_status(questions, service.clone(), own, shutdown.clone()));
    // Requests under way at shutdown still make audit events.
    let answered = CancellationToken::new();
    let parts = Opening { config, connections, listen, metrics, answered: answered.clone() };
    tasks.spawn(work(parts, service.clone(), shutdown.clone()));
    Server { listener, tls, drain_deadline: DRAIN, serving: Serving::default() }
        .serve(service.router(), shutdown.clone())
        .await;
    service.finish(DRAIN).await;
    drop(service);
    answered.cancel();
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!("a task of the registry ended before its time: {error}");
        }
    }
    if let Err(error) = nats.stop().await {
        tracing::debug!("{SERVICE} could not be taken off the list of services: {error}");
    }
    Ok(())
}

/// What it takes to open the storage, and what works on it.
struct Opening {
    config: Config,
    connections: RegistryConnections,
    listen: SocketAddr,
    metrics: Metrics,
    answered: CancellationToken,
}

/// Opens the storage, has requests answered from it, and does what is done without being asked.
async fn work(opening: Opening, service: Service, shutdown: CancellationToken) {
    let Opening { config, connections, listen, metrics, answered } = opening;
    let storage = shutdown.run_until_cancelled(open(&config, &connections)).await;
    let storage = match storage {
        Some(Ok(storage)) => storage,
        Some(Err(error)) => {
            tracing::error!("the registry cannot work: {error}");
            return;
        }
        None => return,
    };
    let (audit, publisher) = audit::channel(&connections.records, config.name().as_str());
    let access = AccessConfig { anonymous: config.of_node().anonymous, listen };
    let access = Access::new(storage.clone(), &access, audit.clone());
    let of_travel = travel::Config::new(&config.node, &config.fleet, config.credentials.clone());
    let travel = match Travel::new(storage.clone(), connections.travel.clone(), of_travel) {
        Ok(travel) => travel,
        Err(error) => {
            tracing::error!("the registry cannot work: {error}");
            return;
        }
    };
    let policy = collect::Policy::from(config.of_fleet());
    let collector = Collector::new(storage.clone(), policy, format!("{} daemon", config.name()));
    let collector = Arc::new(collector.audited_by(audit.clone()));
    sources::count(&metrics, &storage, &travel, &collector);
    let (travels, collects, keeps) = (travel.clone(), Arc::clone(&collector), storage.clone());
    service.start(Parts { storage, access, travel, collector, audit });
    // The publisher ends when nobody is left who could make an event.
    drop(service);
    tracing::info!("the registry answers on {listen}");
    let kept = shutdown.run_until_cancelled(keeps.ballast().keep(|| collects.wake()));
    tokio::join!(
        kept,
        travels.serve(shutdown.clone()),
        collects.run(shutdown.clone()),
        publisher.run(answered)
    );
}

async fn open(config: &Config, connections: &RegistryConnections) -> Result<Storage, StorageError> {
    let chunks = ChunkConnections { write: connections.write.clone(), read: connections.read.clone() };
    let chunks = ChunkStore::open(chunks, Budget::default());
    let folder = config.cache();
    // Nothing where the disk does not tell its size.
    let disk = Disk::of(&folder).map_or(0, |disk| disk.total);
    let limit = config.of_node().cache_on(ByteSize(disk)).bytes();
    let cache = tokio::task::spawn_blocking(move || Cache::open(&folder, limit)).await;
    let cache = cache.unwrap_or_else(|_| Cache::none());
    let policy = Policy::of(config.node.role, config.of_fleet());
    Storage::open(Backend { client: connections.records.clone(), chunks, cache }, policy).await
}

/// Shows the watchdog that the runtime gets round to what is due.
async fn beat(config: Config, shutdown: CancellationToken) {
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        config.pulse.beat();
    }
}

async fn tell_status(
    mut questions: Endpoint,
    service: Service,
    own: status::Own,
    shutdown: CancellationToken,
) {
    while let Some(Some(question)) = shutdown.run_until_cancelled(questions.next()).await {
        status::answer(&service, &own, question).await;
    }
}
