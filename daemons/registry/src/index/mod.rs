//! All records of both buckets, in memory: what metadata is answered from, also while nats-server
//! restarts.
//!
//! - A task for each bucket follows it (`watch.rs`). What this daemon writes itself is known at once;
//!   of two revisions of a key, the higher one wins, whoever brings it.
//! - What another daemon wrote arrives a moment later. Who needs to know that it did asks
//!   [`Index::caught_up`], or [`Index::reached`] with the revision of an own write: all writes to the
//!   bucket before it are known then.
//! - An answer is a copy: no lock is held while it is used.

mod query;
mod state;
#[cfg(test)]
mod tests;
mod watch;

use std::{
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use async_nats::jetstream;
use tokio::{sync::watch as channel, task::JoinSet};

pub use query::Counts;
pub use runtime::follow::FollowError;
pub use state::{Tagged, Versioned};

pub(crate) use runtime::follow::{is_marker, stream_info};

use crate::{Bucket, Key};
use state::State;

/// How long a state of the index is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The records of both buckets. A clone is the same index.
#[derive(Clone)]
pub struct Index(Arc<Shared>);

struct Shared {
    state: RwLock<State>,
    /// How far each bucket is known; `None` until it was listed once.
    progress: [channel::Sender<Option<u64>>; 2],
    context: jetstream::Context,
}

/// The index does not know what it should in time.
#[derive(Debug, thiserror::Error)]
pub enum Behind {
    /// The bucket's state is not to be had.
    #[error(transparent)]
    Unknown(#[from] FollowError),
    /// The watch is interrupted, or slow.
    #[error(
        "the registry's index is behind its bucket `{}` at {applied} of {wanted}: it goes on by itself when nats-server does",
        bucket.name()
    )]
    Late {
        /// The bucket.
        bucket: Bucket,
        /// What it knows.
        applied: u64,
        /// What it should.
        wanted: u64,
    },
}

impl Index {
    /// An empty index, and the tasks that fill it for as long as they are held.
    pub(crate) fn follow(context: jetstream::Context) -> (Self, JoinSet<()>) {
        let shared = Shared {
            state: RwLock::default(),
            progress: [channel::Sender::new(None), channel::Sender::new(None)],
            context,
        };
        let index = Self(Arc::new(shared));
        let mut tasks = JoinSet::new();
        for bucket in [Bucket::Records, Bucket::Tags] {
            tasks.spawn(watch::follow(index.clone(), bucket));
        }
        (index, tasks)
    }

    /// Waits until all is known that was in both buckets at the time of the call.
    pub async fn caught_up(&self) -> Result<(), Behind> {
        tokio::try_join!(self.caught_up_with(Bucket::Records), self.caught_up_with(Bucket::Tags))?;
        Ok(())
    }

    /// Waits until all is known that was in a bucket at the time of the call.
    pub async fn caught_up_with(&self, bucket: Bucket) -> Result<(), Behind> {
        let info = stream_info(self.context(), bucket.name()).await?;
        self.reached(bucket, info.state.last_seq).await
    }

    /// Waits until a revision of a bucket is known, and with it all before.
    pub async fn reached(&self, bucket: Bucket, revision: u64) -> Result<(), Behind> {
        let mut progress = self.progress(bucket);
        let reached = progress.wait_for(|applied| applied.is_some_and(|applied| applied >= revision));
        match tokio::time::timeout(PATIENCE, reached).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Behind::Late { bucket, applied: self.applied(bucket), wanted: revision }),
        }
    }

    /// How far a bucket is known, `None` until it was listed, and a notice of each change of it.
    pub fn progress(&self, bucket: Bucket) -> channel::Receiver<Option<u64>> {
        self.0.progress[bucket as usize].subscribe()
    }

    /// Waits until both buckets were listed once, for as long as that takes.
    pub(crate) async fn ready(&self) {
        for bucket in [Bucket::Records, Bucket::Tags] {
            // The sender is in `self`, so that it is there.
            let _ = self.progress(bucket).wait_for(Option::is_some).await;
        }
    }

    fn applied(&self, bucket: Bucket) -> u64 {
        self.state().applied(bucket)
    }

    fn context(&self) -> &jetstream::Context {
        &self.0.context
    }

    /// Takes over what this daemon wrote or read itself.
    pub(crate) fn own(&self, key: Key, revision: u64, value: Option<&[u8]>) {
        self.change().apply_own(key, revision, value);
    }

    /// Takes over what the watch delivered; `complete` says that all before it is known too.
    fn watched(&self, bucket: Bucket, key: Option<Key>, sequence: u64, value: Option<&[u8]>, complete: bool) {
        let mut state = self.change();
        if let Some(key) = key {
            state.apply_watched(key, sequence, value);
        }
        if complete {
            state.set_applied(bucket, sequence);
            drop(state);
            self.0.progress[bucket as usize].send_replace(Some(sequence));
        }
    }

    /// A listing is complete, which began when the stream was at `snapshot` and ended with `last`.
    fn listed(&self, bucket: Bucket, seen: &std::collections::HashSet<u64>, snapshot: u64, last: u64) {
        let sequence = snapshot.max(last);
        let mut state = self.change();
        state.sweep(bucket, seen, snapshot);
        state.set_applied(bucket, sequence);
        drop(state);
        self.0.progress[bucket as usize].send_replace(Some(sequence));
    }

    fn forget(&self, bucket: Bucket) {
        self.change().forget(bucket);
        self.0.progress[bucket as usize].send_replace(None);
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, State> {
        self.0.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}
