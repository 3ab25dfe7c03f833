//! The collector: takes away what nothing relies on, while clients push and pull.
//!
//! A pass (`pass.rs`) does, in this order: tags by retention; manifests to which no tag leads any more,
//! where a rule speaks of the repository; links that no manifest mentions; blobs that no repository
//! has; chunks that no record knows; uploads to which nothing was added for long. `foresee.rs` says
//! beforehand what that would be, from the index alone.
//!
//! No lock is held against clients. A record is marked, and deleted a grace time later by the revision
//! of the mark; [`crate::records`] says why no interleaving loses anything. The grace time is a
//! courtesy to pushes and pulls under way, not what makes it safe: with none at all, the worst is a
//! push that is refused and has to be repeated.
//!
//! Several daemons may collect at once, for the same reason. A lease (`lease.rs`) spares the work.

mod foresee;
mod lease;
mod pass;
mod report;
mod retention;
mod space;
mod verdict;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use settings::fleet::Retain;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use lease::{Lease, current as lease};
pub use report::{Report, Totals};
pub use space::{NamespaceSpace, RepositorySpace, Space, repositories, space};

use self::pass::Watch;
use crate::{
    Storage, StorageError,
    audit::Audit,
    records::{Seconds, now},
};

/// How often a daemon collects, and by how much that differs between daemons.
const INTERVAL: Duration = Duration::from_secs(3600);
const JITTER: Duration = Duration::from_secs(600);
/// The first pass comes this long after a start, when clients have had what they waited for.
const FIRST: Duration = Duration::from_secs(120);
/// After a failure, the next attempt.
const RETRY: Duration = Duration::from_secs(300);
const STRAY: Seconds = 3600;
/// When another daemon has collected within this, the own pass is left out.
const RECENT: Seconds = 1800;

/// How long things are kept, in seconds, and which tags.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// What nothing relies on is kept this long. With 0, one pass does all, and a push or pull under
    /// way may have to be repeated.
    pub grace: Seconds,
    /// An upload to which nothing is added is kept this long.
    pub upload_expiry: Seconds,
    /// How old the last chunk must be of an upload that no record knows. Records are written first and
    /// go last, so that this only covers chunks that arrive after their upload was cancelled.
    pub stray: Seconds,
    /// Rules by which tags go.
    pub retain: Vec<Retain>,
}

impl Default for Policy {
    fn default() -> Self {
        Self::from(&settings::fleet::Registry::default())
    }
}

impl From<&settings::fleet::Registry> for Policy {
    fn from(registry: &settings::fleet::Registry) -> Self {
        Self {
            grace: registry.grace.0.as_secs(),
            upload_expiry: registry.upload_expiry.0.as_secs(),
            stray: STRAY,
            retain: registry.retain.clone(),
        }
    }
}

/// What a pass is at, for whoever waits for it: said before marks are made, and again before what has
/// them is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Tags, by retention.
    Tags,
    /// Manifests that no tag leads to.
    Manifests,
    /// Links that no manifest mentions.
    Links,
    /// Blobs that no repository has.
    Blobs {
        /// Of these,
        done: u64,
        /// so many.
        all: u64,
    },
    /// Uploads that have expired.
    Uploads,
    /// Chunks that no record knows.
    Stray,
}

/// What a call for a pass came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done(Report),
    /// Another collector is at work.
    Busy(Lease),
}

/// Collects what is in one storage.
pub struct Collector {
    storage: Storage,
    policy: Policy,
    /// Who it is, in the lease.
    name: String,
    audit: Option<Audit>,
    wanted: Notify,
    done: Mutex<(Totals, Option<Report>)>,
}

impl Collector {
    /// A collector that calls itself `name`, which says the node and the process, such as
    /// `shop-1 daemon`.
    pub fn new(storage: Storage, policy: Policy, name: String) -> Self {
        Self { storage, policy, name, audit: None, wanted: Notify::new(), done: Mutex::default() }
    }

    /// Tells `audit` of each tag and manifest that goes by retention.
    #[must_use]
    pub fn audited_by(self, audit: Audit) -> Self {
        Self { audit: Some(audit), ..self }
    }

    /// Collects every hour and whenever [`Collector::wake`] says so, until `shutdown`. Failures are
    /// logged, and tried again.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut wait = FIRST;
        loop {
            let woken = tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.wanted.notified() => true,
                () = tokio::time::sleep(wait) => false,
            };
            let worked = shutdown.run_until_cancelled(self.turn(woken)).await;
            wait = match worked {
                None => return,
                Some(true) => until_next(rand::random_range(0.0..=1.0)),
                Some(false) => RETRY,
            };
        }
    }

    /// Has [`Collector::run`] begin a pass now.
    pub fn wake(&self) {
        self.wanted.notify_one();
    }

    /// What was done since the start, and the last pass that came to an end.
    pub fn totals(&self) -> (Totals, Option<Report>) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One pass, unless another collector is at work.
    pub async fn pass(&self, step: &(dyn Fn(Step) + Send + Sync)) -> Result<Outcome, StorageError> {
        let Some(held) = lease::take(&self.storage, &self.name, now()).await? else {
            return Ok(Outcome::Busy(lease::current(&self.storage).await?.unwrap_or_default()));
        };
        let worked = {
            let watch = Watch { step, audit: self.audit.as_ref() };
            let work = pass::pass(&self.storage, &held, &self.policy, now(), watch);
            tokio::pin!(work);
            lease::while_held(&self.storage, &held, work).await
        };
        held.give_back(&self.storage, worked.is_ok()).await;
        worked.map(Outcome::Done)
    }

    /// What a pass would do now.
    pub async fn rehearse(&self) -> Result<Report, StorageError> {
        pass::rehearse(&self.storage, &self.policy, now()).await
    }

    /// A pass of the loop; says whether it went well.
    async fn turn(&self, woken: bool) -> bool {
        if !woken && self.is_done_already().await {
            return true;
        }
        let outcome = self.pass(&|_| {}).await;
        // It may have freed what the ballast lacks.
        self.storage.ballast().restore().await;
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(Outcome::Done(report)) => {
                if report.is_empty() {
                    tracing::debug!("collected nothing, {} wait for their grace time", report.waiting);
                } else {
                    tracing::info!(
                        blobs = report.blobs,
                        bytes = report.bytes,
                        uploads = report.uploads,
                        "collected {report}"
                    );
                }
                done.0 += &report;
                done.1 = Some(report);
                true
            }
            Ok(Outcome::Busy(lease)) => {
                tracing::debug!("{} collects already", lease.holder);
                true
            }
            Err(error) => {
                tracing::warn!("the registry could not collect: {error}; tried again in {RETRY:?}");
                done.0.failures += 1;
                false
            }
        }
    }

    async fn is_done_already(&self) -> bool {
        let lease = lease::current(&self.storage).await.ok().flatten();
        lease.and_then(|lease| lease.finished).is_some_and(|finished| {
            let now = now();
            finished <= now && now - finished < RECENT
        })
    }
}

/// The wait for the next pass, by a draw between 0 and 1. No step of it is below zero, which a `Duration`
/// cannot be.
fn until_next(draw: f64) -> Duration {
    INTERVAL - JITTER + (2 * JITTER).mul_f64(draw)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A regression test: every other draw panicked, and with the collector ended travel and audit.
    #[test]
    fn each_draw_is_a_wait_around_the_interval() {
        assert_eq!([0.0, 0.5, 1.0].map(until_next), [INTERVAL - JITTER, INTERVAL, INTERVAL + JITTER]);
    }
}
