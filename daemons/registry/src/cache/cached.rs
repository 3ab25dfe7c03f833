//! A cached blob being read.

use std::{
    fs::File,
    io::{self, IoSliceMut},
    num::NonZeroU64,
    ops::Range,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use rustix::{
    fs::{Advice, fadvise},
    io::{ReadWriteFlags, preadv2},
};
use tokio::task::spawn_blocking;

use crate::chunks::{Buffer, Pool};

/// Bytes that one read gives: few enough to stay in the processor's cache until they are sent.
const READ: usize = 256 << 10;
/// The same when memory is short.
const SMALL_READ: usize = 32 << 10;
/// What the kernel is told to read ahead when it had to read at all.
const READ_AHEAD: u64 = 4 << 20;
/// How exact the time of the last use is on disk.
const USED: Duration = Duration::from_secs(60);

/// A cached blob. Eviction takes its name, never its bytes from who reads it.
#[derive(Clone, Debug)]
pub struct Cached {
    file: Arc<File>,
    size: u64,
    memory: Pool,
    flushed: bool,
}

enum Piece {
    Counted(Buffer),
    Small(Vec<u8>),
}

impl Piece {
    fn fill(&mut self) -> &mut [u8] {
        match self {
            Self::Counted(buffer) => buffer.fill(),
            Self::Small(bytes) => bytes,
        }
    }
}

/// Reads as much as the kernel has in memory. None of it where the file system cannot tell.
fn read_in_memory(file: &File, into: &mut [u8], at: u64) -> usize {
    preadv2(file, &mut [IoSliceMut::new(into)], at, ReadWriteFlags::NOWAIT).unwrap_or(0)
}

impl Cached {
    /// Fails when it has not the size that it had when it was verified.
    pub(super) fn open(path: &Path, size: u64, memory: Pool) -> io::Result<Self> {
        let file = File::open(path)?;
        let found = file.metadata()?.len();
        if found != size {
            return Err(io::Error::other(format!("it has {found} bytes instead of {size}")));
        }
        Ok(Self { file: Arc::new(file), size, memory, flushed: true })
    }

    /// The same, of a file that nobody flushed.
    pub(super) fn unflushed(self) -> Self {
        Self { flushed: false, ..self }
    }

    /// It stays here; else it goes soon, unless somebody has it stay.
    pub fn is_flushed(&self) -> bool {
        self.flushed
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes of `range`, cut to the blob. After an error, which the file's disk caused, the stream
    /// ends: the chunks have the rest.
    pub fn read(&self, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static {
        let range = range.start..range.end.min(self.size);
        // With all of its memory free, the pool would give its buffers up between two pieces.
        let user = self.memory.try_acquire(1);
        futures::stream::try_unfold((self.clone(), range, user), |(cached, mut range, user)| async move {
            if range.is_empty() {
                return Ok(None);
            }
            let bytes = cached.next(range.clone()).await?;
            range.start += bytes.len() as u64;
            Ok(Some((bytes, (cached, range, user))))
        })
        .boxed()
    }

    /// What comes first in a range.
    async fn next(&self, range: Range<u64>) -> io::Result<Bytes> {
        let left = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let mut piece = match self.memory.try_buffer(READ.min(left)) {
            Some(buffer) => Piece::Counted(buffer),
            None => Piece::Small(vec![0; SMALL_READ.min(left)]),
        };
        // What the kernel has in memory costs no change of threads, which takes longer than the copy.
        let found = read_in_memory(&self.file, piece.fill(), range.start);
        if found < piece.fill().len() {
            let (file, at) = (Arc::clone(&self.file), range.start + found as u64);
            let read = spawn_blocking(move || {
                file.read_exact_at(&mut piece.fill()[found..], at)?;
                // The next ones are read while this one is sent.
                let _ = fadvise(&file, at, NonZeroU64::new(READ_AHEAD), Advice::WillNeed);
                io::Result::Ok(piece)
            });
            piece = read.await.unwrap_or_else(|stopped| Err(stopped.into()))?;
        }
        Ok(match piece {
            Piece::Counted(buffer) => buffer.freeze(),
            Piece::Small(bytes) => bytes.into(),
        })
    }

    /// The time of modification is that of the last use.
    pub(super) fn mark_used(&self, now: SystemTime) {
        let marked = self.file.metadata().and_then(|metadata| metadata.modified());
        let recent = marked.is_ok_and(|at| now.duration_since(at).is_ok_and(|since| since < USED));
        if !recent && let Err(error) = self.file.set_modified(now) {
            tracing::debug!(%error, "the time of a cached blob's use is not kept: {error}");
        }
    }
}
