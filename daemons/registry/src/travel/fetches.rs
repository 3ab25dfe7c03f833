//! The blobs on their way here, each once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};

use super::{
    Core,
    error::TravelError,
    fetch::{Fetch, Shared},
    progress::Urgency,
    wants::Want,
};
use crate::Digest;

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
    /// A fetch ended.
    pub(crate) arrived: Notify,
}

/// Ends a fetch when it is dropped: after a panic too, or all who want the blob would wait for ever.
struct Ending {
    fetches: Arc<Fetches>,
    fetch: Shared,
    outcome: Result<(), TravelError>,
}

impl Ending {
    fn new(fetches: &Arc<Fetches>, fetch: &Shared) -> Self {
        let outcome = Err(TravelError::Stopping);
        Self { fetches: Arc::clone(fetches), fetch: Arc::clone(fetch), outcome }
    }

    fn with(&mut self, outcome: Result<(), TravelError>) {
        self.outcome = outcome;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.fetches.end(&self.fetch, &self.outcome);
    }
}

impl Default for Fetches {
    fn default() -> Self {
        Self {
            table: Mutex::default(),
            clients: Arc::new(Semaphore::new(CLIENTS)),
            refused: Mutex::default(),
            arrived: Notify::new(),
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

    /// The fetch of a blob that somebody wants: the one under way, or a new one.
    pub(crate) fn want(core: &Arc<Core>, digest: &Digest, want: Want, urgency: Urgency) -> Shared {
        let mut table = core.fetches.table();
        if let Some(fetch) = table.get(digest) {
            fetch.add(want);
            fetch.want(urgency);
            return Arc::clone(fetch);
        }
        let fetch = Arc::new(Fetch::new(digest.clone()));
        fetch.add(want);
        fetch.want(urgency);
        table.insert(digest.clone(), Arc::clone(&fetch));
        let core = Arc::clone(core);
        let mut ending = Ending::new(&core.fetches, &fetch);
        core.tracker.clone().spawn(async move {
            let outcome = ending.fetch.run(&core).await;
            ending.with(outcome);
        });
        fetch
    }

    /// A fetch ended: the next who wants the blob begins anew.
    fn end(&self, fetch: &Fetch, outcome: &Result<(), TravelError>) {
        self.table().remove(&fetch.digest);
        let mut refusals = self.refusals();
        match outcome {
            Err(error) if error.is_final() => {
                tracing::warn!(blob.digest = %fetch.digest, "{} does not come: {error}", fetch.digest);
                refusals.insert(fetch.digest.clone(), (Instant::now(), error.clone()));
            }
            _ => drop(refusals.remove(&fetch.digest)),
        }
        drop(refusals);
        fetch.progress.send_modify(|progress| {
            progress.flows = false;
            progress.ended = Some(outcome.clone());
        });
        self.arrived.notify_waiters();
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Digest, Shared>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refusals(&self) -> MutexGuard<'_, HashMap<Digest, (Instant, TravelError)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A regression test: who wanted the blob waited for ever, and nobody fetched it again.
    #[tokio::test]
    async fn a_fetch_that_panics_is_over() {
        let fetches = Arc::new(Fetches::default());
        let digest: Digest = format!("sha256:{}", "0a".repeat(32)).parse().unwrap();
        let fetch = Arc::new(Fetch::new(digest.clone()));
        fetches.table().insert(digest.clone(), Arc::clone(&fetch));
        let ending = Ending::new(&fetches, &fetch);
        let task = tokio::spawn(async move {
            let _ending = ending;
            panic!("as a fetch may");
        });
        task.await.unwrap_err();
        assert!(fetches.get(&digest).is_none() && !fetches.is_refused(&digest));
        assert!(matches!(fetch.progress.borrow().ended, Some(Err(TravelError::Stopping))));
    }
}
