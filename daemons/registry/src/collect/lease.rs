//! Which of several collectors works: a record that says until when, so that the work is not done
//! twice. Nothing depends on it but that.

use std::{future::Future, pin::Pin, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    Key, Storage, StorageError,
    records::{Seconds, now},
    storage::{CasError, won},
};

/// A collector that is not heard of for this long is taken to be dead.
const TERM: Seconds = 120;
/// How often the one at work says that it is.
const RENEWAL: Duration = Duration::from_secs(30);

/// Who collects, or did last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The collector.
    pub holder: String,
    /// Until when it is at work, unless it says so again; 0 when it has finished.
    pub until: Seconds,
    /// When a pass last came to an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Seconds>,
}

impl Lease {
    fn is_held(&self, now: Seconds) -> bool {
        // A clock that was wrong must not keep all collectors away for ever.
        self.until > now && self.until - now <= TERM
    }
}

/// A lease that this process has.
pub(super) struct Held {
    lease: Lease,
    revision: tokio::sync::Mutex<Option<u64>>,
}

/// The lease as it stands.
pub async fn current(storage: &Storage) -> Result<Option<Lease>, StorageError> {
    let stored = storage.ledger().fetch::<Lease>(&Key::Collector).await?;
    Ok(stored.map(|stored| (*stored.record).clone()))
}

/// Takes the lease; `None` when another has it.
pub(super) async fn take(
    storage: &Storage,
    holder: &str,
    now: Seconds,
) -> Result<Option<Held>, StorageError> {
    let ledger = storage.ledger();
    let stored = ledger.fetch::<Lease>(&Key::Collector).await?;
    if stored.as_ref().is_some_and(|stored| stored.is_held(now)) {
        return Ok(None);
    }
    let finished = stored.as_ref().and_then(|stored| stored.finished);
    let lease = Lease { holder: holder.to_owned(), until: now + TERM, finished };
    let written = match &stored {
        Some(stored) => ledger.update(&Key::Collector, stored.revision, &lease).await,
        None => ledger.create(&Key::Collector, &lease).await,
    };
    Ok(won(written)?.map(|revision| Held { lease, revision: Some(revision).into() }))
}

/// Does the work, and says from time to time that it goes on.
pub(super) async fn while_held<T>(
    storage: &Storage,
    held: &Held,
    mut work: Pin<&mut (impl Future<Output = T> + Send)>,
) -> T {
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(RENEWAL) => drop(held.renew(storage).await),
        }
    }
}

impl Held {
    /// Says that the work goes on, and gives the revision that says so; `None` when another collector has
    /// taken over, or it could not be written.
    pub(super) async fn renew(&self, storage: &Storage) -> Option<u64> {
        self.write(storage, now() + TERM, self.lease.finished).await
    }

    /// Ends the lease, so that nobody waits for it.
    pub(super) async fn give_back(self, storage: &Storage, finished: bool) {
        let finished = if finished { Some(now()) } else { self.lease.finished };
        self.write(storage, 0, finished).await;
    }

    /// A lease that was lost is no reason to stop: two collectors do no harm.
    async fn write(&self, storage: &Storage, until: Seconds, finished: Option<Seconds>) -> Option<u64> {
        let mut revision = self.revision.lock().await;
        let lease = Lease { until, finished, ..self.lease.clone() };
        match storage.ledger().update(&Key::Collector, (*revision)?, &lease).await {
            Ok(written) => *revision = Some(written),
            Err(CasError::Conflict) => *revision = None,
            Err(CasError::Failed(error)) => {
                tracing::debug!("the collector's lease was not renewed: {error}");
                return None;
            }
        }
        *revision
    }
}
