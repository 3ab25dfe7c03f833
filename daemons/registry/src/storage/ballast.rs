//! Filler in JetStream that makes way for records.
//!
//! Whatever frees space writes a record first: that a blob is dying, that a manifest or an upload is
//! deleted, that a collector is at work. nats-server refuses these too when JetStream is full, and it
//! would stay full for ever. So some chunks of zeros are kept, and purged one after the other as records
//! are refused; a purge needs no room. Each makes room for thousands of records.
//!
//! They are under an upload id of their own, [`UploadId::BALLAST`], so that they need no stream and no
//! permission. Deliberately absent: memory of what is there, since the hub's daemons and commands
//! release and restore the same chunks; JetStream is asked.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use crate::{
    UploadId,
    chunks::{ChunkError, ChunkStore, Lane},
};

/// Chunks of it. nats-server looks at its limit before it stores a message, so that each stream may be
/// one over it; and daemons that do not know yet that JetStream is full send a chunk into what was
/// released. Two daemons with 8 pushes under way cost up to 3 chunks.
const CHUNKS: u64 = 8;
/// How often a daemon looks whether it is complete.
const LOOK: Duration = Duration::from_secs(60);
/// The same, while JetStream is full.
const RETRY: Duration = Duration::from_secs(5);

/// The ballast of a storage. A clone is the same.
#[derive(Clone)]
pub struct Ballast {
    chunks: ChunkStore,
    /// When this process last released some.
    released: Arc<Mutex<Option<Instant>>>,
}

impl Ballast {
    pub(super) fn new(chunks: ChunkStore) -> Self {
        Self { chunks, released: Arc::default() }
    }

    /// Puts there what is missing of it, as far as there is room. Whether it is complete.
    pub async fn restore(&self) -> bool {
        match self.complete().await {
            Ok(()) => {
                self.chunks.room().found();
                true
            }
            Err(error) => {
                tracing::debug!("the room that is kept for records is not complete: {error}");
                false
            }
        }
    }

    /// Whether all of it is there.
    pub async fn is_complete(&self) -> Result<bool, ChunkError> {
        Ok(self.count().await? >= CHUNKS)
    }

    /// Keeps it complete, and calls `collect` when JetStream is found full, and each minute while it is.
    /// It does not return.
    pub(crate) async fn keep(&self, collect: impl Fn()) {
        let room = self.chunks.room();
        let mut collected = None::<Instant>;
        loop {
            if !room.is_full() {
                self.restore().await;
                tokio::select! {
                    () = sleep(LOOK) => {}
                    () = room.found_full() => {}
                }
                continue;
            }
            if collected.is_none_or(|at| at.elapsed() >= LOOK) {
                collect();
                collected = Some(Instant::now());
            }
            // What is released meanwhile is for the records of that.
            sleep(RETRY).await;
            self.restore().await;
        }
    }

    /// Makes room after nats-server refused a record with these words, which was sent at `attempted`.
    /// False when nothing is left to make room with.
    pub(super) async fn make_room(&self, refused: &str, attempted: Instant) -> bool {
        self.chunks.room().refused(refused);
        match self.release(attempted).await {
            Ok(released) => released,
            Err(error) => {
                tracing::warn!("no room could be made for records: {error}");
                false
            }
        }
    }

    async fn release(&self, attempted: Instant) -> Result<bool, ChunkError> {
        let mut released = self.released.lock().await;
        // Others were refused at the same time, and one of them made room for all.
        if released.is_some_and(|at| at > attempted) {
            return Ok(true);
        }
        self.chunks.room().settled().await;
        let most = self.chunks.count(UploadId::BALLAST).await?.into_iter().max().unwrap_or_default();
        let Some(fewer) = most.checked_sub(1) else { return Ok(false) };
        self.chunks.truncate(UploadId::BALLAST, fewer).await?;
        tracing::debug!("room for records was made, {fewer} times more can be");
        *released = Some(Instant::now());
        Ok(true)
    }

    async fn complete(&self) -> Result<(), ChunkError> {
        let there = self.count().await?;
        let filler = Bytes::from(vec![0; self.chunks.chunk_size()]);
        for _ in there..CHUNKS {
            self.chunks.put(UploadId::BALLAST, Lane::default(), filler.clone()).await?;
        }
        // Several daemons of a hub may have put it there at once.
        if there > CHUNKS {
            self.chunks.truncate(UploadId::BALLAST, CHUNKS).await?;
        }
        Ok(())
    }

    async fn count(&self) -> Result<u64, ChunkError> {
        Ok(self.chunks.count(UploadId::BALLAST).await?.into_iter().sum())
    }
}
