//! The memory that transfers take together.

use super::{Permit, Pool};

/// What a budget has when nobody says otherwise: with what the NATS client and HTTP hold beside it,
/// the daemon stays well under 96 MiB.
const DEFAULT_BYTES: usize = 32 << 20;

/// Bytes in memory of all writers and readers together; clones share them.
///
/// Writers have one half and readers the other: a client that copies from the registry into it again
/// reads in order to write, and neither side may end up waiting for what the other holds.
#[derive(Clone, Debug)]
pub struct Budget {
    pub(super) writing: Pool,
    pub(super) reading: Pool,
    /// Of the readers' half, what consumers may hold as whole chunks. What they hold cannot be taken
    /// back, so the rest is left for those that go on.
    pub(super) held: Pool,
}

impl Budget {
    /// A budget of this many bytes.
    pub fn new(bytes: usize) -> Self {
        let reading = bytes - bytes / 2;
        Self { writing: Pool::new(bytes / 2), reading: Pool::new(reading), held: Pool::new(reading / 2) }
    }

    /// Waits for `bytes` of the readers' half, for what is read by other ways than
    /// [`ChunkStore::read`](super::ChunkStore::read).
    pub async fn acquire(&self, bytes: usize) -> Permit {
        self.reading.acquire(bytes).await
    }

    /// Bytes that nobody holds.
    pub fn free(&self) -> usize {
        self.writing.free() + self.reading.free()
    }

    /// Bytes in all.
    pub fn bytes(&self) -> usize {
        self.writing.bytes() + self.reading.bytes()
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(DEFAULT_BYTES)
    }
}
