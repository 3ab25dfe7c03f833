//! The blobs on their way here, each once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Semaphore, time::Instant};

use super::{
    Core,
    error::TravelError,
    fetch::{Fetch, Shared, Urgency},
    source::Source,
};
use crate::{Digest, Repository};

/// Blobs that clients wait for, at a time.
const CLIENTS: usize = 16;
/// How long what cannot come is not asked for again by itself.
const REFUSED: Duration = Duration::from_secs(600);

/// The blobs on their way here.
#[derive(Debug)]
pub(crate) struct Fetches {
    table: Mutex<HashMap<Digest, Shared>>,
    pub(crate) clients: Arc<Semaphore>,
    refused: Mutex<HashMap<Digest, (Instant, TravelError)>>,
}

impl Default for Fetches {
    fn default() -> Self {
        Self {
            table: Mutex::default(),
            clients: Arc::new(Semaphore::new(CLIENTS)),
            refused: Mutex::default(),
        }
    }
}

impl Fetches {
    /// The fetch of a blob, when it is on its way.
    pub(crate) fn get(&self, digest: &Digest) -> Option<Shared> {
        self.table().get(digest).cloned()
    }

    /// All fetches under way.
    pub(crate) fn all(&self) -> Vec<Shared> {
        self.table().values().cloned().collect()
    }

    /// What cannot come, and why.
    pub(crate) fn refused(&self) -> Vec<(Digest, TravelError)> {
        let mut refused = self.refusals();
        refused.retain(|_, (since, _)| since.elapsed() < REFUSED);
        refused.iter().map(|(digest, (_, error))| (digest.clone(), error.clone())).collect()
    }

    /// Whether a blob could not come a while ago, so that nothing asks for it by itself.
    pub(crate) fn is_refused(&self, digest: &Digest) -> bool {
        self.refusals().get(digest).is_some_and(|(since, _)| since.elapsed() < REFUSED)
    }

    /// The fetch of a blob into a repository: the one under way, or a new one. One under way for other
    /// repositories is given as it is: who joins it asks the source first.
    pub(crate) fn want(
        core: &Arc<Core>,
        repository: &Repository,
        digest: &Digest,
        source: &Source,
        urgency: Urgency,
    ) -> Shared {
        let mut table = core.fetches.table();
        if let Some(fetch) = table.get(digest) {
            fetch.want(urgency);
            return Arc::clone(fetch);
        }
        let fetch = Arc::new(Fetch::new(digest.clone(), source.clone(), repository.clone()));
        fetch.want(urgency);
        table.insert(digest.clone(), Arc::clone(&fetch));
        let (core, running) = (Arc::clone(core), Arc::clone(&fetch));
        let tracker = core.tracker.clone();
        tracker.spawn(async move {
            let outcome = running.run(&core).await;
            core.fetches.table().remove(&running.digest);
            let mut refusals = core.fetches.refusals();
            match &outcome {
                Err(error) if error.is_final() => {
                    tracing::warn!(blob.digest = %running.digest, "{} does not come: {error}", running.digest);
                    refusals.insert(running.digest.clone(), (Instant::now(), error.clone()));
                }
                _ => drop(refusals.remove(&running.digest)),
            }
            drop(refusals);
            running.progress.send_modify(|progress| {
                progress.flows = false;
                progress.ended = Some(outcome);
            });
            core.arrived.notify_waiters();
        });
        fetch
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Digest, Shared>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refusals(&self) -> MutexGuard<'_, HashMap<Digest, (Instant, TravelError)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
