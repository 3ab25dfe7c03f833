//! Bytes of an upload into chunks of the stream.

use std::{collections::VecDeque, future::ready, sync::Arc, time::Duration};

use bytes::{Buf, Bytes};
use futures::FutureExt;
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;

use super::{Buffer, ChunkError, ChunkStore, Hasher, Lane, Runs};
use crate::{Algorithm, UploadId};

/// Chunks of one upload that are sent and not acknowledged.
const IN_FLIGHT: usize = 16;
/// Bytes that are gathered before they take a chunk's room from the budget: a manifest or a
/// configuration needs none.
const SMALL: usize = 64 << 10;
/// How long a chunk may be filled while others wait for its room.
const FILLING: Duration = Duration::from_secs(2);
/// How long it may be held while nothing comes and others wait for its room.
const IDLE: Duration = Duration::from_millis(200);

/// What of an upload is stored and flushed: enough to go on from.
#[derive(Clone, Debug)]
pub struct Written {
    /// Bytes.
    pub offset: u64,
    /// Where they are.
    pub runs: Runs,
    /// The digest after them.
    pub hasher: Hasher,
}

impl Written {
    /// Nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self { offset: 0, runs: Runs::default(), hasher: Hasher::new(algorithm) }
    }
}

/// Has a look at each chunk on a blocking thread, in their order.
pub type Tee = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Stores the bytes of one upload. Dropped, it sends nothing more; what is in flight may still arrive
/// in the stream, which the upload's purge removes.
pub struct Writer {
    store: ChunkStore,
    upload: UploadId,
    /// Chunks that were sent.
    count: usize,
    filling: Filling,
    /// Since when this chunk is filled.
    since: Instant,
    /// When bytes last came.
    fed: Instant,
    /// What the next chunk takes from the budget. A writer that held up others begins again with
    /// little: a crowd of slow clients would else hold all of it, and the quick ones wait at each chunk.
    room: usize,
    sent: VecDeque<Sent>,
    /// Hashes the last chunk of `sent`.
    hashing: Option<JoinHandle<Hasher>>,
    tee: Option<Tee>,
    /// After all chunks but that one.
    hasher: Hasher,
    written: Written,
    failed: bool,
}

enum Filling {
    Small(Vec<u8>),
    Chunk(Buffer),
}

/// A chunk on its way.
struct Sent {
    size: u64,
    stored: AbortOnDropHandle<Result<(Lane, u64), ChunkError>>,
    /// The digest after it, once it is known.
    hasher: Option<Hasher>,
}

impl Writer {
    pub(super) fn new(store: ChunkStore, upload: UploadId, written: Written) -> Self {
        let (now, room) = (Instant::now(), store.chunk_size());
        Self {
            store,
            upload,
            count: 0,
            filling: Filling::Small(Vec::new()),
            since: now,
            fed: now,
            room,
            sent: VecDeque::new(),
            hashing: None,
            tee: None,
            hasher: written.hasher.clone(),
            written,
            failed: false,
        }
    }

    /// Gives each chunk to `tee` as well. It may have seen more than is stored in the end.
    #[must_use]
    pub fn copied_to(self, tee: Option<Tee>) -> Self {
        Self { tee, ..self }
    }

    /// Takes bytes; waits while too many are unacknowledged, or the budget is spent. After an error,
    /// or when its future is dropped halfway, only [`Writer::written`] counts: go on from there with a
    /// new writer.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), ChunkError> {
        self.guarded(async move |writer| {
            while !bytes.is_empty() {
                writer.take(&mut bytes).await?;
            }
            writer.fed = Instant::now();
            writer.make_room().await?;
            writer.settle_what_arrived().await
        })
        .await
    }

    /// Sends what is gathered when others wait for its room for too long. To be called now and then
    /// while no bytes come, so that clients that stop halfway do not hold up those that go on.
    pub async fn relieve(&mut self) -> Result<(), ChunkError> {
        self.guarded(Self::make_room).await
    }

    /// Sends what is left and waits until all is acknowledged. More may be written afterwards.
    pub async fn flush(&mut self) -> Result<Written, ChunkError> {
        self.guarded(async |writer| {
            writer.send_filled().await?;
            while !writer.sent.is_empty() {
                writer.settle().await?;
            }
            Ok(writer.written.clone())
        })
        .await
    }

    /// What is acknowledged so far without a gap, also after an error.
    pub fn written(&self) -> &Written {
        &self.written
    }

    /// Bytes that were taken and are not acknowledged yet.
    pub fn pending(&self) -> u64 {
        let filling = match &self.filling {
            Filling::Small(bytes) => bytes.len(),
            Filling::Chunk(buffer) => buffer.len(),
        };
        self.sent.iter().map(|sent| sent.size).sum::<u64>() + filling as u64
    }

    async fn guarded<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Self) -> Result<T, ChunkError>,
    ) -> Result<T, ChunkError> {
        // Set while it works, so that a dropped future leaves it set.
        if std::mem::replace(&mut self.failed, true) {
            return Err(ChunkError::Interrupted);
        }
        let result = work(self).await;
        match &result {
            Ok(_) => self.failed = false,
            Err(_) => {
                self.sent.clear();
                self.filling = Filling::Small(Vec::new());
            }
        }
        result
    }

    /// Moves bytes into what is being filled, and sends it when it is full.
    async fn take(&mut self, bytes: &mut Bytes) -> Result<(), ChunkError> {
        let size = self.store.chunk_size();
        let buffer = match &mut self.filling {
            Filling::Small(small) if small.len() + bytes.len() <= SMALL.min(size) => {
                small.extend_from_slice(&std::mem::take(bytes));
                return Ok(());
            }
            Filling::Small(small) => {
                let small = std::mem::take(small);
                // What is acknowledged meanwhile gives its room back by itself.
                let mut buffer = self.store.budget().writing.buffer(self.room.max(small.len())).await;
                buffer.extend(&small);
                self.since = Instant::now();
                self.filling = Filling::Chunk(buffer);
                return Ok(());
            }
            Filling::Chunk(buffer) => buffer,
        };
        let taken = buffer.extend(bytes);
        bytes.advance(taken);
        if buffer.room() == 0 {
            self.room = self.room.saturating_mul(2).min(size);
            self.send_filled().await?;
        }
        Ok(())
    }

    async fn make_room(&mut self) -> Result<(), ChunkError> {
        let Filling::Chunk(buffer) = &self.filling else { return Ok(()) };
        let dawdles = self.since.elapsed() > FILLING || self.fed.elapsed() > IDLE;
        if dawdles && self.store.budget().writing.pressed() {
            self.room = (2 * buffer.len().max(SMALL)).min(self.store.chunk_size());
            self.send_filled().await?;
        }
        Ok(())
    }

    async fn send_filled(&mut self) -> Result<(), ChunkError> {
        let chunk = match std::mem::replace(&mut self.filling, Filling::Small(Vec::new())) {
            Filling::Small(bytes) => Bytes::from(bytes),
            Filling::Chunk(buffer) => buffer.freeze(),
        };
        if chunk.is_empty() {
            return Ok(());
        }
        while self.sent.len() >= IN_FLIGHT {
            self.settle().await?;
        }
        self.hashed().await?;
        let (mut hasher, bytes) = (self.hasher.clone(), chunk.clone());
        let tee = self.tee.clone();
        self.hashing = Some(spawn_blocking(move || {
            hasher.update(&bytes);
            if let Some(tee) = tee {
                tee(&bytes);
            }
            hasher
        }));
        let (lane, size) = (Lane::of(self.upload, self.count), chunk.len() as u64);
        self.count += 1;
        self.sent.push_back(Sent { size, stored: self.send(chunk, lane), hasher: None });
        Ok(())
    }

    /// Stores it, and tells where.
    fn send(&self, chunk: Bytes, lane: Lane) -> AbortOnDropHandle<Result<(Lane, u64), ChunkError>> {
        let (store, upload) = (self.store.clone(), self.upload);
        let mut ask = Box::pin(async move {
            store.room().check()?;
            store.put(upload, lane, chunk).await
        });
        // Polled once here, which hands it to the connection: tasks would start in any order, and
        // chunks out of order make long runs.
        let task = match (&mut ask).now_or_never() {
            Some(result) => tokio::spawn(ready(result)),
            None => tokio::spawn(ask),
        };
        AbortOnDropHandle::new(task)
    }

    /// Waits for the digest after the chunk that was sent last.
    async fn hashed(&mut self) -> Result<(), ChunkError> {
        if let Some(hashing) = &mut self.hashing {
            let hasher = hashing.await;
            self.hashing = None;
            self.hasher = hasher?;
            if let Some(last) = self.sent.back_mut() {
                last.hasher = Some(self.hasher.clone());
            }
        }
        Ok(())
    }

    /// Waits for the acknowledgement of the oldest chunk.
    async fn settle(&mut self) -> Result<(), ChunkError> {
        if self.sent.len() == 1 {
            self.hashed().await?;
        }
        let Some(mut oldest) = self.sent.pop_front() else { return Ok(()) };
        let (lane, sequence) = (&mut oldest.stored).await??;
        self.written.runs.push(lane, sequence, oldest.size);
        self.written.offset += oldest.size;
        if let Some(hasher) = oldest.hasher {
            self.written.hasher = hasher;
        }
        Ok(())
    }

    /// Counts what is acknowledged, without waiting.
    async fn settle_what_arrived(&mut self) -> Result<(), ChunkError> {
        while self.sent.len() > 1 && self.sent.front().is_some_and(|oldest| oldest.stored.is_finished()) {
            self.settle().await?;
        }
        Ok(())
    }
}
