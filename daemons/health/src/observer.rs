//! Looks at the node: every part at once, each with a deadline.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_nats::Client;
use runtime::{Disk, Monitoring};
use serde::Deserialize;
use tokio::{sync::Mutex, time::Instant};

use crate::{
    checks,
    config::Config,
    report::{JetStreamUse, Report, now, seconds_between},
    uplink::{self, Leafz},
};

/// How long an answer of nats-server may take.
const DEADLINE: Duration = Duration::from_secs(2);
/// Requests within this time share one look at the node.
const FRESH: Duration = Duration::from_millis(200);

/// Looks at one node.
pub(crate) struct Observer {
    pub(crate) config: Config,
    pub(crate) nats: Client,
    sequence: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    uplink: uplink::Watch,
    report: Option<(Instant, Report)>,
    /// Why the last heartbeat was not stored, if JetStream is to blame.
    last_write: Option<String>,
}

/// `/varz`, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Varz {
    version: String,
    start: String,
    now: String,
    connections: u64,
    #[serde(default)]
    leaf: LeafOptions,
    #[serde(default)]
    jetstream: JetStreamVarz,
}

#[derive(Debug, Default, Deserialize)]
struct LeafOptions {
    #[serde(default)]
    remotes: Vec<serde::de::IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
struct JetStreamVarz {
    config: Option<JetStreamLimits>,
    stats: Option<JetStreamStats>,
}

#[derive(Debug, Deserialize)]
struct JetStreamLimits {
    #[serde(default)]
    max_memory: u64,
    #[serde(default)]
    max_storage: u64,
}

#[derive(Debug, Deserialize)]
struct JetStreamStats {
    #[serde(default)]
    memory: u64,
    #[serde(default)]
    storage: u64,
}

impl Observer {
    pub(crate) fn new(config: Config, nats: Client) -> Self {
        Self { config, nats, sequence: AtomicU64::new(0), seen: Mutex::default() }
    }

    /// The report of this moment.
    pub(crate) async fn report(&self) -> Report {
        // Held while looking, so that many who ask at once cause one look.
        let mut seen = self.seen.lock().await;
        if let Some((at, report)) = &seen.report
            && at.elapsed() < FRESH
        {
            return report.clone();
        }
        let report = self.look(&mut seen).await;
        seen.report = Some((Instant::now(), report.clone()));
        report
    }

    /// Counts a heartbeat.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Takes in whether JetStream stored the last heartbeat.
    pub(crate) async fn wrote(&self, problem: Option<String>) {
        let mut seen = self.seen.lock().await;
        if seen.last_write != problem {
            seen.last_write = problem;
            seen.report = None;
        }
    }

    async fn look(&self, seen: &mut Seen) -> Report {
        let config = &self.config;
        let monitoring = Monitoring::new(config.monitoring).within(DEADLINE);
        let jetstream =
            tokio::time::timeout(DEADLINE, checks::jetstream(&self.nats, seen.last_write.as_deref()));
        let (server, jetstream, varz, leafz) = tokio::join!(
            checks::nats_server(&monitoring),
            jetstream,
            monitoring.json::<Varz>("/varz"),
            monitoring.json::<Leafz>("/leafz"),
        );
        let jetstream = jetstream.unwrap_or_else(|_| checks::jetstream_is_silent(DEADLINE));
        let (varz, leafz) = (varz.ok(), leafz.ok());
        let disk = Disk::of(&config.data);
        let stores = checks::stores(&config.data);
        let checks =
            vec![server, jetstream, stores, checks::disk(disk.as_ref(), config.reserve, &config.data)];
        let at = now();
        let links = leafz.as_ref().zip(varz.as_ref().map(|varz| varz.leaf.remotes.len()));
        let uplink = seen.uplink.see(links, &at);
        Report {
            node: config.node.clone(),
            role: config.role,
            region: config.region.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            nats_version: varz.as_ref().map(|varz| varz.version.clone()),
            uptime_seconds: varz.as_ref().and_then(|varz| seconds_between(&varz.start, &varz.now)),
            ready: checks.iter().all(|check| check.ok),
            checks,
            uplink,
            jetstream: varz.as_ref().and_then(|varz| use_of(&varz.jetstream)),
            connections: varz.as_ref().map(|varz| varz.connections),
            disk_free: disk.ok().map(|disk| disk.available),
            sequence: self.sequence.load(Ordering::Relaxed),
            at,
        }
    }
}

fn use_of(varz: &JetStreamVarz) -> Option<JetStreamUse> {
    let (config, stats) = (varz.config.as_ref()?, varz.stats.as_ref()?);
    Some(JetStreamUse {
        memory: stats.memory,
        max_memory: config.max_memory,
        storage: stats.storage,
        max_storage: config.max_storage,
    })
}
