//! Bytes of memory that are handed out, waited for and given back.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Buffers kept for the next chunk: an allocation of this size costs a page fault for each 4 KiB.
const SPARE_BUFFERS: usize = 8;

/// Bytes of memory. Clones share them. Who asks first is served first.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    bytes: usize,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    spare: Mutex<Vec<Vec<u8>>>,
}

/// Bytes of a pool, given back when it is dropped.
pub struct Permit {
    permit: Option<OwnedSemaphorePermit>,
    shared: Arc<Shared>,
}

/// A chunk in the making, which counts against its pool until it, or the
/// [`Bytes`](bytes::Bytes) made of it, is dropped.
pub struct Buffer {
    /// As long as the buffer, so that none of it is cleared before each use.
    bytes: Vec<u8>,
    filled: usize,
    permit: Permit,
}

impl Pool {
    /// A pool of this many bytes.
    pub fn new(bytes: usize) -> Self {
        let bytes = bytes.clamp(1, u32::MAX as usize);
        Self(Arc::new(Shared {
            bytes,
            free: Arc::new(Semaphore::new(bytes)),
            waiting: AtomicUsize::new(0),
            spare: Mutex::default(),
        }))
    }

    /// Waits for `bytes`; for all there are when that is more.
    pub async fn acquire(&self, bytes: usize) -> Permit {
        /// Counts a waiting one out, also when it is dropped while it waits.
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        if let Some(permit) = self.try_acquire(bytes) {
            return permit;
        }
        self.0.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.0.waiting);
        let permit = Arc::clone(&self.0.free).acquire_many_owned(self.permits(bytes)).await;
        // The semaphore is never closed; without a permit the bytes would just not be counted.
        Permit { permit: permit.ok(), shared: Arc::clone(&self.0) }
    }

    /// `bytes`, when they are free and nobody waits for them.
    pub fn try_acquire(&self, bytes: usize) -> Option<Permit> {
        let permit = Arc::clone(&self.0.free).try_acquire_many_owned(self.permits(bytes)).ok()?;
        Some(Permit { permit: Some(permit), shared: Arc::clone(&self.0) })
    }

    /// Waits for a buffer of `limit` bytes.
    pub async fn buffer(&self, limit: usize) -> Buffer {
        let permit = self.acquire(limit).await;
        self.buffer_with(limit, permit)
    }

    /// A buffer of `limit` bytes, when they are free and nobody waits for them.
    pub fn try_buffer(&self, limit: usize) -> Option<Buffer> {
        Some(self.buffer_with(limit, self.try_acquire(limit)?))
    }

    fn buffer_with(&self, limit: usize, permit: Permit) -> Buffer {
        // A much larger one would hold more memory than is counted.
        let fits = |bytes: &Vec<u8>| bytes.len() >= limit && bytes.capacity() / 2 <= limit;
        let spare = {
            let mut spare = self.0.spare();
            spare.iter().rposition(fits).map(|at| spare.swap_remove(at))
        };
        let mut bytes = spare.unwrap_or_else(|| vec![0; limit]);
        bytes.truncate(limit);
        Buffer { bytes, filled: 0, permit }
    }

    /// Somebody waits for bytes that others hold.
    pub fn pressed(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed) > 0
    }

    /// Bytes that nobody holds.
    pub fn free(&self) -> usize {
        self.0.free.available_permits()
    }

    /// Bytes in all.
    pub fn bytes(&self) -> usize {
        self.0.bytes
    }

    fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.0.bytes)).unwrap_or(u32::MAX)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Pool({} of {} bytes free)", self.free(), self.0.bytes)
    }
}

impl Shared {
    fn spare(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Gives back all but `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        if let Some(permit) = &mut self.permit {
            let surplus = permit.num_permits().saturating_sub(bytes);
            drop(permit.split(surplus));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permit = None;
        // With no transfer under way, the memory goes back to the system.
        if self.shared.free.available_permits() == self.shared.bytes {
            *self.shared.spare() = Vec::new();
        }
    }
}

impl Buffer {
    /// How many more bytes it takes.
    pub fn room(&self) -> usize {
        self.bytes.len() - self.filled
    }

    /// Bytes in it.
    pub fn len(&self) -> usize {
        self.filled
    }

    /// It has no bytes.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Adds bytes as far as it has room, and tells how many.
    pub fn extend(&mut self, bytes: &[u8]) -> usize {
        let fits = bytes.len().min(self.room());
        self.bytes[self.filled..][..fits].copy_from_slice(&bytes[..fits]);
        self.filled += fits;
        fits
    }

    /// All of it, to be written over: it counts as filled.
    pub fn fill(&mut self) -> &mut [u8] {
        self.filled = self.bytes.len();
        &mut self.bytes
    }

    /// What it holds, without a copy.
    pub fn freeze(mut self) -> bytes::Bytes {
        self.permit.shrink(self.filled);
        bytes::Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut spare = self.permit.shared.spare();
        if spare.len() < SPARE_BUFFERS {
            spare.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_dropped_is_free_again_and_the_first_to_wait_is_served_first() {
        let pool = Pool::new(100);
        let first = pool.acquire(60).await;
        assert!(pool.try_acquire(60).is_none() && !pool.pressed());
        let mut large = Box::pin(pool.acquire(100));
        assert!(futures::poll!(&mut large).is_pending());
        assert!(pool.pressed());
        assert!(pool.try_acquire(10).is_none(), "who waits is not overtaken");
        drop(first);
        let large = large.await;
        assert!(!pool.pressed());
        assert_eq!(pool.free(), 0);
        drop(large);
        assert_eq!(pool.free(), 100);
    }

    #[tokio::test]
    async fn who_gives_up_waiting_waits_no_more_and_more_than_all_is_all() {
        let pool = Pool::new(100);
        let all = pool.acquire(1000).await;
        assert_eq!(pool.free(), 0);
        let mut given_up = Box::pin(pool.acquire(1));
        assert!(futures::poll!(&mut given_up).is_pending());
        drop(given_up);
        assert!(!pool.pressed());
        drop(all);
        assert_eq!(pool.free(), 100);
    }

    #[tokio::test]
    async fn a_buffer_counts_as_long_as_its_bytes_live() {
        let pool = Pool::new(100);
        let mut buffer = pool.buffer(80).await;
        buffer.extend(b"0123456789");
        assert_eq!((buffer.room(), pool.free()), (70, 20));
        let bytes = buffer.freeze();
        assert_eq!(pool.free(), 90, "what it did not need is given back");
        let part = bytes.slice(2..4);
        drop(bytes);
        assert_eq!((&part[..], pool.free()), (&b"23"[..], 90));
        drop(part);
        assert_eq!(pool.free(), 100);
        assert!(pool.0.spare().is_empty(), "nothing is kept while nothing goes on");
    }

    #[tokio::test]
    async fn buffers_are_used_again_while_transfers_go_on() {
        let pool = Pool::new(300);
        let _other = pool.acquire(1).await;
        drop(pool.buffer(100).await);
        assert_eq!(pool.0.spare().len(), 1);
        let again = pool.buffer(100).await;
        assert!(again.is_empty() && pool.0.spare().is_empty());
    }
}
