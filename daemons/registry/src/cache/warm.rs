//! Copies of uploads while they come, for the pull that often follows a push at once.
//!
//! A copy is a file that nobody flushes. It lives in the kernel's memory, and not for as long as the
//! kernel keeps written bytes from the disk, so that next to nothing of it is ever written: flash
//! wears no faster. Copies have what room hot blobs leave. A blob that is read twice meanwhile is
//! flushed and stays.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{runtime::Handle, task::spawn_blocking, time::Instant};

use super::{Cache, Cached, Shared, UNFINISHED, index::BLOCK, path, remove};
use crate::{Digest, UploadId, chunks::Tee};

/// From its first byte. Linux writes out what is 30 s old (`vm.dirty_expire_centisecs`).
const LIFE: Duration = Duration::from_secs(25);
/// Copies may have this part of the machine's memory: Linux begins to write out at a tenth.
const PART_OF_MEMORY: u64 = 16;
/// Less than this is read from the chunks as quickly.
const SMALLEST: usize = 64 << 10;

/// The copies that there are.
pub(super) struct Copies {
    by_upload: HashMap<UploadId, Copy>,
    /// Bytes of all, and how many they may be.
    bytes: u64,
    most: u64,
    /// Whether a task looks after them.
    swept: bool,
}

struct Copy {
    path: PathBuf,
    since: Instant,
    /// Bytes that count against the room of the cache.
    taken: u64,
    length: u64,
    /// Until its next bytes come.
    file: Option<File>,
    /// What it became, verified by the upload.
    digest: Option<Digest>,
    /// It is being flushed.
    stays: bool,
}

impl Copies {
    pub(super) fn new(limit: u64) -> Self {
        let system = rustix::system::sysinfo();
        let memory = system.totalram.saturating_mul(u64::from(system.mem_unit));
        let most = limit.min(memory / PART_OF_MEMORY);
        Self { by_upload: HashMap::new(), bytes: 0, most, swept: false }
    }

    fn of(&self, digest: &Digest) -> Option<(UploadId, &Copy)> {
        let mut copies = self.by_upload.iter();
        copies.find(|(_, copy)| copy.digest.as_ref() == Some(digest)).map(|(upload, copy)| (*upload, copy))
    }
}

impl Cache {
    /// Takes the bytes of an upload that follow its first `offset`, of which there must be a copy.
    /// Where there is no room, nothing is copied.
    pub fn copy(&self, upload: UploadId, offset: u64) -> Option<Tee> {
        let shared = self.0.as_ref()?;
        let runtime = Handle::try_current().ok()?;
        let mut copies = shared.copies();
        let goes_on = copies.by_upload.get(&upload).is_some_and(|copy| copy.length == offset);
        if !goes_on {
            shared.drop_copy(&mut copies, upload);
            if offset > 0 {
                return None;
            }
        }
        if !copies.swept {
            copies.swept = true;
            runtime.spawn(sweep(Arc::downgrade(shared)));
        }
        drop(copies);
        let shared = Arc::clone(shared);
        Some(Arc::new(move |bytes: &[u8]| shared.append(upload, bytes)))
    }

    /// The copy of an upload is a blob now, of which the upload verified `size` bytes.
    pub fn copied(&self, upload: UploadId, digest: &Digest, size: u64) {
        let Some(shared) = &self.0 else { return };
        let mut copies = shared.copies();
        let Some(copy) = copies.by_upload.get_mut(&upload) else { return };
        if copy.length == size && copy.file.take().is_some() {
            copy.digest = Some(digest.clone());
        } else {
            shared.drop_copy(&mut copies, upload);
        }
    }

    /// The upload came to nothing.
    pub fn uncopied(&self, upload: UploadId) {
        if let Some(shared) = &self.0 {
            shared.drop_copy(&mut shared.copies(), upload);
        }
    }

    /// Has a blob stay that is here as a copy.
    pub fn keep(&self, digest: &Digest) {
        let Some(shared) = self.0.clone() else { return };
        let digest = digest.clone();
        spawn_blocking(move || {
            if let Err(error) = shared.keep(&digest) {
                tracing::warn!(%error, "a blob is not cached: {error}");
            }
        });
    }
}

impl Shared {
    fn copies(&self) -> MutexGuard<'_, Copies> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drop_copy(&self, copies: &mut Copies, upload: UploadId) {
        if let Some(copy) = copies.by_upload.remove(&upload) {
            copies.bytes -= copy.taken;
            self.index().give_back(copy.taken);
            remove(&copy.path);
        }
    }

    /// Has copies go, the oldest first, until `size` bytes have room or none is left.
    pub(super) fn make_room(&self, size: u64) {
        let mut copies = self.copies();
        while !self.index().has_room(size) && self.drop_oldest(&mut copies) {}
    }

    fn drop_oldest(&self, copies: &mut Copies) -> bool {
        let done = copies.by_upload.iter().filter(|(_, copy)| copy.digest.is_some() && !copy.stays);
        let oldest = done.min_by_key(|(_, copy)| copy.since).map(|(upload, _)| *upload);
        if let Some(upload) = oldest {
            self.drop_copy(copies, upload);
        }
        oldest.is_some()
    }

    fn append(&self, upload: UploadId, bytes: &[u8]) {
        let Some((path, file)) = self.take_room(upload, bytes.len()) else { return };
        let written = file.map_or_else(|| File::create_new(&path), Ok).and_then(|mut file| {
            file.write_all(bytes)?;
            Ok(file)
        });
        let mut copies = self.copies();
        match (written, copies.by_upload.get_mut(&upload)) {
            (Ok(file), Some(copy)) => {
                copy.file = Some(file);
                copy.length += bytes.len() as u64;
            }
            (Ok(_), None) => {
                drop(copies);
                remove(&path);
            }
            (Err(error), _) => {
                tracing::debug!(%error, "an upload is not copied into the cache: {error}");
                self.drop_copy(&mut copies, upload);
            }
        }
    }

    /// The file that the next bytes go to, and its path. Without room for them, the copy is given up.
    fn take_room(&self, upload: UploadId, length: usize) -> Option<(PathBuf, Option<File>)> {
        let mut copies = self.copies();
        let begins = !copies.by_upload.contains_key(&upload);
        if begins && length < SMALLEST {
            return None;
        }
        let takes = length as u64 + if begins { BLOCK } else { 0 };
        while copies.bytes + takes > copies.most || !self.index().take(takes) {
            if !self.drop_oldest(&mut copies) {
                self.drop_copy(&mut copies, upload);
                return None;
            }
        }
        copies.bytes += takes;
        let copy = copies.by_upload.entry(upload).or_insert_with(|| Copy {
            path: self.folder.join(UNFINISHED).join(upload.to_string()),
            since: Instant::now(),
            taken: 0,
            length: 0,
            file: None,
            digest: None,
            stays: false,
        });
        copy.taken += takes;
        Some((copy.path.clone(), copy.file.take()))
    }

    /// A blob that is here as a copy.
    pub(super) fn open_copy(&self, digest: &Digest) -> Option<Cached> {
        let copies = self.copies();
        // One that stays may have got its name since the index was asked.
        let Some((_, copy)) = copies.of(digest) else { return self.open_file(digest) };
        Cached::open(&copy.path, copy.length, self.memory.clone()).ok().map(Cached::unflushed)
    }

    fn keep(&self, digest: &Digest) -> io::Result<()> {
        let (upload, from) = {
            let mut copies = self.copies();
            let Some((upload, _)) = copies.of(digest).filter(|(_, copy)| !copy.stays) else { return Ok(()) };
            let copy = copies.by_upload.get_mut(&upload).map(|copy| {
                copy.stays = true;
                copy.path.clone()
            });
            (upload, copy.unwrap_or_default())
        };
        let flushed = File::open(&from).and_then(|file| file.sync_data());
        let mut copies = self.copies();
        let Some(copy) = copies.by_upload.get(&upload) else { return Ok(()) };
        let (taken, size) = (copy.taken, copy.length);
        if let Err(error) = flushed {
            self.drop_copy(&mut copies, upload);
            return Err(error);
        }
        copies.by_upload.remove(&upload);
        copies.bytes -= taken;
        let evicted = {
            let mut index = self.index();
            index.give_back(taken);
            index.reserve(digest, size)
        };
        let Some(evicted) = evicted else {
            remove(&from);
            return Ok(());
        };
        evicted.iter().for_each(|digest| remove(&path(&self.folder, digest)));
        match std::fs::rename(&from, path(&self.folder, digest)) {
            Ok(()) => self.index().keep(digest, size),
            Err(error) => {
                self.index().release(digest, size);
                remove(&from);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Forgets the copy of a blob.
    pub(super) fn forget_copy(&self, digest: &Digest) {
        let mut copies = self.copies();
        if let Some((upload, _)) = copies.of(digest) {
            self.drop_copy(&mut copies, upload);
        }
    }

    /// Removes what is too old, and tells when the next one will be.
    fn sweep(&self) -> Option<Instant> {
        let mut copies = self.copies();
        let now = Instant::now();
        let old = copies.by_upload.iter().filter(|(_, copy)| copy.since + LIFE <= now && !copy.stays);
        let old: Vec<_> = old.map(|(upload, _)| *upload).collect();
        old.into_iter().for_each(|upload| self.drop_copy(&mut copies, upload));
        let next = copies.by_upload.values().map(|copy| copy.since + LIFE).min();
        copies.swept = next.is_some();
        next
    }
}

/// Has copies end at their age, until there are none.
async fn sweep(shared: Weak<Shared>) {
    let mut next = Some(Instant::now() + LIFE);
    while let Some(at) = next {
        tokio::time::sleep_until(at.max(Instant::now() + LIFE / 25)).await;
        let Some(shared) = shared.upgrade() else { return };
        // Freeing a large file takes a while.
        next = spawn_blocking(move || shared.sweep()).await.ok().flatten();
    }
}
