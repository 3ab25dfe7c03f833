//! Hot blobs on this node's disk: files named by their digest, served without nats-server.
//!
//! Everything here may be deleted at any time. A file has its name only after its bytes were hashed
//! and flushed, so that what bears a digest's name is that digest's content also after a power cut.
//! Whatever fails here (a full disk, a file that cannot be read) means "not cached": it is logged, and
//! the chunks serve instead.
//!
//! Files are read, not mapped: a bad sector under a mapping ends the whole process, and a mapping counts
//! against its memory.

mod admission;
mod cached;
mod doorkeeper;
mod index;
mod warm;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use crate::{Algorithm, Digest, chunks::Pool};

pub use admission::Admission;
pub use cached::Cached;
use doorkeeper::Doorkeeper;
pub use index::CacheUse;
use index::Index;
use warm::Copies;

/// Where files grow, until they are verified.
const UNFINISHED: &str = "unfinished";
/// Memory of reads under way. Reads that find none go on in small pieces.
const READ_MEMORY: usize = 8 << 20;

/// The cache, or none. Clones share it.
#[derive(Clone)]
pub struct Cache(Option<Arc<Shared>>);

struct Shared {
    folder: PathBuf,
    index: Mutex<Index>,
    doorkeeper: Mutex<Doorkeeper>,
    /// Locked before the index, where both are.
    copies: Mutex<Copies>,
    memory: Pool,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Cache {
    /// No cache: nothing is ever found or admitted.
    pub fn none() -> Self {
        Self(None)
    }

    /// The cache in `folder`, of `limit` bytes on disk; none when the limit is 0 or the folder cannot be
    /// used. It is this daemon's alone. Files that are over the limit, or unfinished, are removed.
    pub fn open(folder: &Path, limit: u64) -> Self {
        if limit == 0 {
            return Self::none();
        }
        match Self::scan(folder, limit) {
            Ok(index) => Self(Some(Arc::new(Shared {
                folder: folder.to_owned(),
                index: Mutex::new(index),
                doorkeeper: Mutex::default(),
                copies: Mutex::new(Copies::new(limit)),
                memory: Pool::new(READ_MEMORY),
                hits: AtomicU64::new(0),
                misses: AtomicU64::new(0),
            }))),
            Err(error) => {
                let folder = folder.display();
                tracing::warn!(%folder, %error, "the cache of blobs in {folder} cannot be used: {error}");
                Self::none()
            }
        }
    }

    fn scan(folder: &Path, limit: u64) -> io::Result<Index> {
        let unfinished = folder.join(UNFINISHED);
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished)?;
        }
        std::fs::create_dir_all(&unfinished)?;
        let mut found = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let folder = folder.join(algorithm.name());
            std::fs::create_dir_all(&folder)?;
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                let name = entry.file_name();
                let digest = name.to_str().and_then(|hex| format!("{}:{hex}", algorithm.name()).parse().ok());
                match (digest, entry.metadata()?) {
                    (Some(digest), metadata) if metadata.is_file() => {
                        found.push((metadata.modified()?, digest, metadata.len()));
                    }
                    _ => remove(&entry.path()),
                }
            }
        }
        // The time of modification is that of the last use.
        found.sort_by_key(|(used, ..)| *used);
        let mut index = Index::new(limit);
        for (_, digest, size) in found {
            match index.reserve(&digest, size) {
                Some(evicted) => {
                    evicted.iter().for_each(|digest| remove(&path(folder, digest)));
                    index.keep(&digest, size);
                }
                None => remove(&path(folder, &digest)),
            }
        }
        Ok(index)
    }

    /// The blob, if it is here. From then on it can be read to its end, evicted or not.
    pub fn get(&self, digest: &Digest) -> Option<Cached> {
        let shared = self.0.as_ref()?;
        let found = shared.open_file(digest).or_else(|| shared.open_copy(digest));
        let counter = if found.is_some() { &shared.hits } else { &shared.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Whether the blob is read often enough to be worth its place: it was read before, not long ago.
    /// Every call counts as a read.
    pub fn is_hot(&self, digest: &Digest) -> bool {
        let Some(shared) = &self.0 else { return false };
        shared.doorkeeper.lock().unwrap_or_else(PoisonError::into_inner).knows(digest)
    }

    /// A place for a blob of `size` bytes, which whoever reads all of it from the chunks fills. `None`
    /// when it is here, is being admitted, or is too large.
    pub fn admit(&self, digest: &Digest, size: u64) -> Option<Admission> {
        let shared = self.0.as_ref()?;
        shared.make_room(size);
        let evicted = shared.index().reserve(digest, size)?;
        let evicted = evicted.iter().map(|digest| path(&shared.folder, digest)).collect();
        Some(Admission::new(Arc::clone(shared), digest.clone(), size, evicted))
    }

    /// Forgets a blob, such as one that was deleted.
    pub fn remove(&self, digest: &Digest) {
        if let Some(shared) = &self.0 {
            shared.forget(digest);
            shared.forget_copy(digest);
        }
    }

    /// How full it is, and how useful.
    pub fn usage(&self) -> CacheUse {
        let Some(shared) = &self.0 else { return CacheUse::default() };
        CacheUse {
            hits: shared.hits.load(Ordering::Relaxed),
            misses: shared.misses.load(Ordering::Relaxed),
            ..shared.index().usage()
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => formatter.write_str("Cache(none)"),
            Some(shared) => write!(formatter, "Cache({})", shared.folder.display()),
        }
    }
}

impl Shared {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_file(&self, digest: &Digest) -> Option<Cached> {
        let size = self.index().touch(digest)?;
        let path = path(&self.folder, digest);
        match Cached::open(&path, size, self.memory.clone()) {
            Ok(cached) => {
                // For the next start; a minute more or less is no matter, and no write for each read.
                cached.mark_used(SystemTime::now());
                Some(cached)
            }
            Err(error) => {
                let path = path.display();
                tracing::warn!(%path, %error, "{path} of the cache cannot be served: {error}");
                self.forget(digest);
                None
            }
        }
    }

    fn forget(&self, digest: &Digest) {
        if self.index().forget(digest) {
            remove(&path(&self.folder, digest));
        }
    }
}

fn path(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join(digest.algorithm().name()).join(digest.hex())
}

fn remove(path: &Path) {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    if let Err(error) = removed
        && error.kind() != io::ErrorKind::NotFound
    {
        let path = path.display();
        tracing::warn!(%path, %error, "{path} of the cache cannot be removed: {error}");
    }
}

#[cfg(test)]
mod tests;
