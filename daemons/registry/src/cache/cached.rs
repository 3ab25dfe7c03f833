//! A cached blob being read.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::task::spawn_blocking;

use crate::chunks::Pool;

/// Bytes that one read gives: few enough to stay in the processor's cache until they are sent.
const READ: usize = 256 << 10;
/// The same when memory is short.
const SMALL_READ: usize = 32 << 10;
/// Reads under way ahead of the consumer.
const AHEAD: usize = 2;
/// How exact the time of the last use is on disk.
const USED: Duration = Duration::from_secs(60);

/// A cached blob. Eviction takes its name, never its bytes from who reads it.
#[derive(Clone, Debug)]
pub struct Cached {
    file: Arc<File>,
    size: u64,
    memory: Pool,
}

impl Cached {
    /// Fails when it has not the size that it had when it was verified.
    pub(super) fn open(path: &Path, size: u64, memory: Pool) -> io::Result<Self> {
        let file = File::open(path)?;
        let found = file.metadata()?.len();
        if found != size {
            return Err(io::Error::other(format!("it has {found} bytes instead of {size}")));
        }
        Ok(Self { file: Arc::new(file), size, memory })
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes of `range`, cut to the blob. After an error, which the file's disk caused, the stream
    /// ends: the chunks have the rest.
    pub fn read(&self, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static {
        let (cached, end) = (self.clone(), range.end.min(self.size));
        let (mut at, mut under_way) = (range.start, VecDeque::with_capacity(AHEAD));
        futures::stream::unfold((), move |()| {
            // Only what starts a read is done here; the future awaits no borrow of this closure.
            while under_way.len() < AHEAD && at < end {
                let (read, length) = cached.start(at, end);
                at += length;
                under_way.push_back(read);
            }
            let next = under_way.pop_front();
            async move { Some((next?.await.unwrap_or_else(|stopped| Err(stopped.into())), ())) }
        })
        .boxed()
    }

    /// Reads what comes at `at`, and tells how much that is.
    fn start(&self, at: u64, end: u64) -> (tokio::task::JoinHandle<io::Result<Bytes>>, u64) {
        let left = usize::try_from(end - at).unwrap_or(usize::MAX);
        let buffer = self.memory.try_buffer(READ.min(left));
        let length = if buffer.is_some() { READ } else { SMALL_READ }.min(left);
        let file = Arc::clone(&self.file);
        let read = spawn_blocking(move || match buffer {
            Some(mut buffer) => {
                file.read_exact_at(buffer.fill(length), at)?;
                Ok(buffer.freeze())
            }
            None => {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, at)?;
                Ok(bytes.into())
            }
        });
        (read, length as u64)
    }

    pub(super) fn mark_used(&self, now: SystemTime) {
        let marked = self.file.metadata().and_then(|metadata| metadata.modified());
        let recent = marked.is_ok_and(|at| now.duration_since(at).is_ok_and(|since| since < USED));
        if !recent && let Err(error) = self.file.set_modified(now) {
            tracing::debug!(%error, "the time of a cached blob's use is not kept: {error}");
        }
    }
}
