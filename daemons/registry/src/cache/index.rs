//! Which blobs are cached, in the order of their use.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::Digest;

/// Bytes of a block of the file system: a file takes whole ones.
pub(super) const BLOCK: u64 = 4096;

/// How full a cache is, and how useful.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheUse {
    /// Blobs.
    pub files: u64,
    /// Bytes on disk, with those of blobs that are being admitted.
    pub bytes: u64,
    /// Bytes that it may have.
    pub limit: u64,
    /// Blobs that were asked for and here.
    pub hits: u64,
    /// Blobs that were asked for and not here.
    pub misses: u64,
}

/// What is cached or being admitted.
pub(super) struct Index {
    limit: u64,
    bytes: u64,
    uses: u64,
    files: HashMap<Digest, File>,
    by_use: BTreeMap<u64, Digest>,
    pending: HashSet<Digest>,
}

struct File {
    size: u64,
    used: u64,
}

impl Index {
    pub(super) fn new(limit: u64) -> Self {
        let (files, by_use, pending) = Default::default();
        Self { limit, bytes: 0, uses: 0, files, by_use, pending }
    }

    /// Takes room for a file, and names those that have to go for it, least recently used first.
    /// `None` when it is here already or cannot fit beside what is being admitted.
    pub(super) fn reserve(&mut self, digest: &Digest, size: u64) -> Option<Vec<Digest>> {
        let needs = on_disk(size);
        let held: u64 = self.files.values().map(|file| on_disk(file.size)).sum();
        let free_at_most = self.limit.saturating_sub(self.bytes - held);
        if needs > free_at_most || self.files.contains_key(digest) || !self.pending.insert(digest.clone()) {
            return None;
        }
        self.bytes += needs;
        let mut evicted = Vec::new();
        while self.bytes > self.limit {
            let oldest = self.by_use.first_key_value()?.1.clone();
            self.forget(&oldest);
            evicted.push(oldest);
        }
        Some(evicted)
    }

    /// Whether a file of `size` bytes fits without eviction.
    pub(super) fn has_room(&self, size: u64) -> bool {
        self.bytes + on_disk(size) <= self.limit
    }

    /// Takes free bytes for what no file has yet; false when there are not so many.
    pub(super) fn take(&mut self, bytes: u64) -> bool {
        let fits = self.bytes + bytes <= self.limit;
        if fits {
            self.bytes += bytes;
        }
        fits
    }

    /// Bytes that were taken are free again.
    pub(super) fn give_back(&mut self, bytes: u64) {
        self.bytes -= bytes;
    }

    /// What was reserved is not coming.
    pub(super) fn release(&mut self, digest: &Digest, size: u64) {
        if self.pending.remove(digest) {
            self.bytes -= on_disk(size);
        }
    }

    /// What was reserved is here.
    pub(super) fn keep(&mut self, digest: &Digest, size: u64) {
        if self.pending.remove(digest) {
            self.uses += 1;
            self.files.insert(digest.clone(), File { size, used: self.uses });
            self.by_use.insert(self.uses, digest.clone());
        }
    }

    /// The size of a file that is being used.
    pub(super) fn touch(&mut self, digest: &Digest) -> Option<u64> {
        let file = self.files.get_mut(digest)?;
        self.uses += 1;
        self.by_use.remove(&file.used);
        file.used = self.uses;
        self.by_use.insert(file.used, digest.clone());
        Some(file.size)
    }

    /// Whether it was here.
    pub(super) fn forget(&mut self, digest: &Digest) -> bool {
        let Some(file) = self.files.remove(digest) else { return false };
        self.by_use.remove(&file.used);
        self.bytes -= on_disk(file.size);
        true
    }

    pub(super) fn usage(&self) -> CacheUse {
        let files = self.files.len() as u64;
        CacheUse { files, bytes: self.bytes, limit: self.limit, hits: 0, misses: 0 }
    }
}

fn on_disk(size: u64) -> u64 {
    size.max(1).next_multiple_of(BLOCK)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::Algorithm;

    fn digest(number: u8) -> Digest {
        Digest::new(Algorithm::Sha256, &[number; 32]).unwrap()
    }

    fn kept(index: &mut Index, number: u8, size: u64) -> Vec<Digest> {
        let evicted = index.reserve(&digest(number), size).unwrap();
        index.keep(&digest(number), size);
        evicted
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut index = Index::new(3 * BLOCK);
        for number in 1..=3 {
            assert_eq!(kept(&mut index, number, 1), []);
        }
        assert_eq!(index.touch(&digest(1)), Some(1));
        assert_eq!(kept(&mut index, 4, BLOCK + 1), [digest(2), digest(3)]);
        assert_eq!(index.touch(&digest(2)), None);
        assert_eq!((index.usage().files, index.usage().bytes), (2, 3 * BLOCK));
    }

    #[test]
    fn what_cannot_fit_evicts_nothing() {
        let mut index = Index::new(3 * BLOCK);
        kept(&mut index, 1, BLOCK);
        assert!(index.reserve(&digest(2), 4 * BLOCK).is_none());
        assert!(index.reserve(&digest(1), BLOCK).is_none(), "it is here");
        assert_eq!(index.reserve(&digest(3), BLOCK), Some(vec![]));
        assert!(index.reserve(&digest(3), BLOCK).is_none(), "it is being admitted");
        assert!(index.reserve(&digest(4), 3 * BLOCK).is_none(), "what is being admitted stays");
        assert_eq!(index.usage().files, 1);
        index.release(&digest(3), BLOCK);
        assert_eq!(index.usage().bytes, BLOCK);
        assert_eq!(index.reserve(&digest(4), 3 * BLOCK), Some(vec![digest(1)]));
    }
}
