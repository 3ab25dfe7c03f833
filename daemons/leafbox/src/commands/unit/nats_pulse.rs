//! `leafbox unit nats-pulse`: tells systemd of the nats-server that it is a child of.
//!
//! - `READY=1` when nats-server is healthy. One that has recovered its stores and is still not
//!   healthy some time later is let through as well, so that the health daemon is started and can
//!   say what is wrong: no restart would mend it.
//! - `WATCHDOG=1` whenever monitoring answers at all, whatever it answers: a hung server does not,
//!   and one that is not healthy is not to be killed for it.
//! - `WATCHDOG=trigger` when a write has failed and there is room now: nats-server then writes no more
//!   to that stream until it is started again, and nobody may be at the box to do it.
//! - `STATUS=` for `systemctl status`.
//! - `EXTEND_TIMEOUT_USEC=` while it answers and recovers its stores: the start of a full disk takes
//!   minutes, and to be killed for it would begin anew.
//!
//! It ends with nats-server. It has no connection to NATS and no credentials of its own.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{sys::signal::Signal, unistd::getppid};
use runtime::{Backoff, Disk, Monitoring, MonitoringError, notify};
use serde::Deserialize;

use crate::{cli::NatsPulse, confinement};

/// How long the next sign of a start that goes on may take.
const EXTENSION: Duration = Duration::from_secs(60);
/// How long a server that has its stores may stay unhealthy before it is called ready all the same.
const PATIENCE: Duration = Duration::from_secs(60);
const FIRST_POLL: Duration = Duration::from_millis(20);
const LONGEST_POLL: Duration = Duration::from_secs(2);
/// How often a server that is ready is asked whether it lives, unless the watchdog is in more hurry.
const BEAT: Duration = Duration::from_secs(5);
/// How often the status line is made anew.
const STATUS: Duration = Duration::from_secs(30);
/// Bytes that must be free before a server whose write failed is started again: some blocks of its
/// stores.
const ROOM: u64 = 64 << 20;
/// How long a server runs at least before it is started again for a failed write, which a broken
/// disk would have fail again.
const SPACING: Duration = Duration::from_secs(60);
/// nats-server listens: the cheapest question that it answers.
const LISTENS: &str = "/healthz?js-server-only=true";

pub(super) fn run(arguments: &NatsPulse) -> Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).context("the end of nats-server cannot be watched")?;
    confinement::of_pulse(arguments.monitoring);
    let pulse = Pulse {
        server: arguments.server,
        monitoring: Monitoring::new(arguments.monitoring),
        stores: arguments.stores.clone(),
        clustered: arguments.clustered,
        told: String::new(),
    };
    super::one_thread()?.block_on(pulse.beat())
}

struct Pulse {
    server: i32,
    monitoring: Monitoring,
    stores: PathBuf,
    clustered: bool,
    told: String,
}

/// How nats-server is.
enum Health {
    Healthy,
    /// It takes clients, and lacks this.
    Listening(String),
    /// It answers, and is recovering its stores.
    Starting(String),
    Silent(String),
}

impl Pulse {
    async fn beat(mut self) -> Result<()> {
        if !self.is_child() {
            bail!(
                "process {} is not the parent of this one: systemd starts it by `leafbox unit nats`",
                self.server
            );
        }
        self.until_ready().await;
        let beat = notify::watchdog_limit().map_or(BEAT, |limit| (limit / 4).min(BEAT));
        let monitoring = self.monitoring.within(beat);
        let started = Instant::now();
        let mut next_status = started;
        while self.is_child() {
            let asked = Instant::now();
            match monitoring.get(LISTENS).await {
                Ok(_) => {
                    notify::alive();
                    if asked >= next_status {
                        let health = self.health().await;
                        if started.elapsed() >= SPACING && self.writes_no_more(&health) {
                            tracing::warn!(
                                "a write failed, there is room now, and nats-server goes on only after a restart: restarting it"
                            );
                            notify::restart_me();
                        }
                        let status = self.describe(health).await;
                        self.tell(status);
                        next_status = asked + STATUS;
                    }
                }
                Err(error) => {
                    self.tell(format!("{error}; systemd's watchdog restarts it if this goes on"));
                    next_status = asked;
                }
            }
            tokio::time::sleep(beat.saturating_sub(asked.elapsed())).await;
        }
        Ok(())
    }

    /// Waits until nats-server is ready, and says so.
    async fn until_ready(&mut self) {
        let mut polls = Backoff::new(FIRST_POLL, LONGEST_POLL);
        let mut listening_since = None;
        while self.is_child() {
            match self.health().await {
                Health::Healthy => break,
                Health::Listening(_) if self.clustered => break,
                Health::Listening(lacks) => {
                    let since = *listening_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= PATIENCE {
                        tracing::warn!("nats-server takes clients and is not healthy: {lacks}");
                        break;
                    }
                    notify::extend_start(EXTENSION);
                    self.tell(format!("takes clients, and is not healthy yet: {lacks}"));
                }
                Health::Starting(lacks) => {
                    notify::extend_start(EXTENSION);
                    self.tell(format!("recovering its stores: {lacks}"));
                }
                // What does not even answer is not known to go on: systemd's own deadline holds.
                Health::Silent(_) => self.tell("starting".to_owned()),
            }
            tokio::time::sleep(polls.wait()).await;
        }
        notify::ready();
    }

    async fn health(&self) -> Health {
        let lacks = match self.monitoring.healthz().await {
            Ok(()) => return Health::Healthy,
            Err(MonitoringError::Refused { body, .. }) => reason(&body),
            Err(error) => return Health::Silent(error.to_string()),
        };
        match self.monitoring.get(LISTENS).await {
            Ok((200, _)) => Health::Listening(lacks),
            Ok(_) => Health::Starting(lacks),
            Err(error) => Health::Silent(error.to_string()),
        }
    }

    /// Whether a restart would mend what it lacks.
    fn writes_no_more(&self, health: &Health) -> bool {
        let (Health::Listening(lacks) | Health::Starting(lacks)) = health else { return false };
        is_write_error(lacks) && Disk::of(&self.stores).is_ok_and(|disk| disk.available >= ROOM)
    }

    /// What `systemctl status` shows of a server that answers.
    async fn describe(&self, health: Health) -> String {
        match health {
            Health::Healthy => match self.monitoring.json::<Varz>("/varz").await {
                Ok(varz) => varz.describe(),
                Err(error) => error.to_string(),
            },
            Health::Listening(lacks) | Health::Starting(lacks) => {
                format!("not healthy: {lacks} (`leafbox health` says what to do)")
            }
            Health::Silent(error) => error,
        }
    }

    fn tell(&mut self, status: String) {
        if status != self.told {
            notify::status(&status);
            self.told = status;
        }
    }

    /// An orphan has another parent.
    fn is_child(&self) -> bool {
        getppid().as_raw() == self.server
    }
}

#[derive(Deserialize)]
struct Healthz {
    error: String,
}

/// As nats-server tells it of a stream, a consumer or the cluster (`healthz`, monitor.go).
fn is_write_error(lacks: &str) -> bool {
    lacks.contains("write error")
}

fn reason(body: &str) -> String {
    serde_json::from_str::<Healthz>(body).map_or_else(|_| body.to_owned(), |healthz| healthz.error)
}

/// `/varz`, as far as it is shown.
#[derive(Deserialize)]
struct Varz {
    connections: u64,
    #[serde(default)]
    leafnodes: u64,
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Default, Deserialize)]
struct JetStream {
    config: Option<Limits>,
    stats: Option<Use>,
}

#[derive(Deserialize)]
struct Limits {
    #[serde(default)]
    max_storage: u64,
}

#[derive(Deserialize)]
struct Use {
    #[serde(default)]
    storage: u64,
}

impl Varz {
    fn describe(&self) -> String {
        let mut text = format!("healthy: {} clients, {} leaf node links", self.connections, self.leafnodes);
        if let (Some(limits), Some(used)) = (&self.jetstream.config, &self.jetstream.stats) {
            let mib = |bytes: u64| bytes >> 20;
            text += &format!(", {} of {} MiB stored", mib(used.storage), mib(limits.max_storage));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_is_told_from_what_a_restart_does_not_mend() {
        let full = r#"{"status":"unavailable","error":"JetStream stream 'A > KV_x' write error: write x.blk: no space left on device"}"#;
        assert!(is_write_error(&reason(full)));
        let recovering =
            r#"{"status":"unavailable","error":"JetStream has not established contact with a meta leader"}"#;
        assert!(!is_write_error(&reason(recovering)));
    }
}
