//! A blob on its way into the cache.

use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use super::{Shared, UNFINISHED, path, remove};
use crate::{Digest, UploadId, chunks::Hasher};

/// Takes the bytes of a blob, in order, and makes it a cached one when they are all there and right.
/// Dropped before that, it leaves nothing behind.
pub struct Admission(Option<Step>);

/// Files are written by blocking threads, one step after the other.
enum Step {
    Idle(Box<Draft>),
    Busy(JoinHandle<io::Result<Box<Draft>>>),
}

struct Draft {
    shared: Arc<Shared>,
    digest: Digest,
    size: u64,
    evicted: Vec<PathBuf>,
    path: PathBuf,
    file: Option<File>,
    hasher: Hasher,
    written: u64,
    kept: bool,
}

impl Admission {
    pub(super) fn new(shared: Arc<Shared>, digest: Digest, size: u64, evicted: Vec<PathBuf>) -> Self {
        let path = shared.folder.join(UNFINISHED).join(UploadId::random().to_string());
        let hasher = Hasher::new(digest.algorithm());
        let draft =
            Draft { shared, digest, size, evicted, path, file: None, hasher, written: 0, kept: false };
        Self(Some(Step::Idle(Box::new(draft))))
    }

    /// Adds bytes; waits only until those before them are written. After a failure, which is logged, it
    /// does nothing.
    pub async fn write(&mut self, bytes: Bytes) {
        if let Some(draft) = self.settle().await {
            self.0 = Some(Step::Busy(spawn_blocking(move || draft.write(&bytes))));
        }
    }

    /// Verifies and flushes the file and gives it its name; whether it did. The flush may take a while:
    /// spawn this rather than have a client wait for it.
    pub async fn finish(mut self) -> bool {
        let Some(draft) = self.settle().await else { return false };
        self.0 = Some(Step::Busy(spawn_blocking(|| draft.finish())));
        self.settle().await.is_some()
    }

    /// Waits for the step under way. The draft stays in place while it waits, so that a caller that
    /// gives up loses nothing.
    async fn settle(&mut self) -> Option<Box<Draft>> {
        if let Some(Step::Busy(step)) = &mut self.0 {
            let step = step.await;
            self.0 = None;
            match step.unwrap_or_else(|stopped| Err(stopped.into())) {
                Ok(draft) => return Some(draft),
                Err(error) => tracing::warn!(%error, "a blob is not cached: {error}"),
            }
        }
        match self.0.take()? {
            Step::Idle(draft) => Some(draft),
            Step::Busy(_) => None,
        }
    }
}

impl Draft {
    fn write(mut self: Box<Self>, bytes: &[u8]) -> io::Result<Box<Self>> {
        for evicted in self.evicted.drain(..) {
            remove(&evicted);
        }
        self.written += bytes.len() as u64;
        if self.written > self.size {
            return Err(io::Error::other(format!("{} has more than {} bytes", self.digest, self.size)));
        }
        if self.file.is_none() {
            self.file = Some(File::create_new(&self.path)?);
        }
        if let Some(file) = &mut self.file {
            file.write_all(bytes)?;
        }
        self.hasher.update(bytes);
        Ok(self)
    }

    fn finish(self: Box<Self>) -> io::Result<Box<Self>> {
        // An empty blob has a file too.
        let mut draft = self.write(&[])?;
        let found = draft.hasher.clone().digest();
        if draft.written != draft.size || found != draft.digest {
            return Err(io::Error::other(format!(
                "{} of {} bytes came as {found} of {} bytes",
                draft.digest, draft.size, draft.written
            )));
        }
        if let Some(file) = draft.file.take() {
            // Else a power cut may leave the name on other bytes.
            file.sync_data()?;
        }
        std::fs::rename(&draft.path, path(&draft.shared.folder, &draft.digest))?;
        draft.kept = true;
        draft.shared.index().keep(&draft.digest, draft.size);
        Ok(draft)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // What was evicted for it is out of the index, so it must go either way.
        for evicted in self.evicted.drain(..) {
            remove(&evicted);
        }
        if !self.kept {
            if self.file.is_some() || self.path.exists() {
                remove(&self.path);
            }
            self.shared.index().release(&self.digest, self.size);
        }
    }
}
