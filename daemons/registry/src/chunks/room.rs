//! Whether JetStream as a whole has room, as its refusals tell.
//!
//! When it has none, nats-server refuses each message to each file stream, and so the records by which
//! something is deleted too. From then on this daemon sends no chunk: the room that a purge makes is for
//! records, until there is enough again.
//!
//! Deliberately absent: how much room there is. nats-server tells an account its own limits, not those of
//! the server or what other accounts use.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{ChunkError, Limit};

/// After its last refusal, JetStream is taken to be full for this long at least.
const QUIET: Duration = Duration::from_secs(10);
/// How long chunks may be on their way that were sent before JetStream was found full.
const UNDER_WAY: Duration = Duration::from_millis(200);

/// What is known of JetStream's room. A clone knows the same.
#[derive(Clone, Default)]
pub struct Room(Arc<Known>);

#[derive(Default)]
struct Known {
    full: Mutex<Option<Full>>,
    found: Notify,
}

#[derive(Clone)]
struct Full {
    since: Instant,
    /// When something was last refused.
    last: Instant,
    detail: String,
}

impl Room {
    /// Whether JetStream was found full, and not since then to have room again.
    pub fn is_full(&self) -> bool {
        self.full().is_some()
    }

    /// Refuses what would take room while there is none.
    pub fn check(&self) -> Result<(), ChunkError> {
        match self.full().as_ref() {
            None => Ok(()),
            Some(full) => Err(ChunkError::Full { limit: Limit::JetStream, detail: full.detail.clone() }),
        }
    }

    /// Waits until JetStream is found full. Only one may wait.
    pub(crate) async fn found_full(&self) {
        self.0.found.notified().await;
    }

    /// Notes that nats-server refused a message with these words.
    pub(crate) fn refused(&self, detail: &str) {
        let (mut known, now) = (self.full(), Instant::now());
        if let Some(full) = known.as_mut() {
            full.last = now;
            return;
        }
        *known = Some(Full { since: now, last: now, detail: detail.to_owned() });
        drop(known);
        tracing::warn!(
            "JetStream is full ({detail}): the registry takes nothing new until there is room; `leafbox registry gc --now` \
             frees what nothing needs, more can be deleted before that with `leafbox registry rm`, and \
             `jetstream.max_storage` in node.toml raises the limit"
        );
        self.0.found.notify_one();
    }

    /// Notes that there is room, which counts when nothing was refused for some seconds.
    pub(crate) fn found(&self) {
        let mut known = self.full();
        if known.take_if(|full| full.last.elapsed() >= QUIET).is_some() {
            drop(known);
            tracing::info!("JetStream has room again: the registry takes what is pushed");
        }
    }

    /// Waits until what was sent before JetStream was found full has been refused, and cannot take the
    /// room that is made now.
    pub(crate) async fn settled(&self) {
        let since = self.full().as_ref().map(|full| full.since);
        if let Some(since) = since {
            sleep_until(since + UNDER_WAY).await;
        }
    }

    fn full(&self) -> MutexGuard<'_, Option<Full>> {
        self.0.full.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn full_ends_some_seconds_after_the_last_refusal() {
        let room = Room::default();
        room.found();
        assert!(!room.is_full() && room.check().is_ok());
        room.refused("insufficient resources");
        room.found_full().await;
        for _ in 0..2 {
            room.found();
            assert!(matches!(room.check(), Err(ChunkError::Full { limit: Limit::JetStream, .. })));
            tokio::time::advance(QUIET / 2).await;
            room.refused("insufficient resources");
            tokio::time::advance(QUIET / 2).await;
        }
        room.found();
        assert!(room.is_full(), "half of the time is not over");
        tokio::time::advance(QUIET / 2).await;
        assert!(room.is_full(), "nobody found room yet");
        room.found();
        assert!(!room.is_full());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_under_way_is_waited_for_once() {
        let (room, begin) = (Room::default(), Instant::now());
        room.settled().await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
        room.refused("insufficient resources");
        room.settled().await;
        assert!(begin.elapsed() >= UNDER_WAY);
        let again = Instant::now();
        room.refused("insufficient resources");
        room.settled().await;
        assert_eq!(again.elapsed(), Duration::ZERO);
    }
}
