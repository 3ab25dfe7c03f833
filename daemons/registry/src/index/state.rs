//! What the index holds, and how one change of a bucket changes it.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    hash::Hash,
    ops::Deref,
    sync::Arc,
};

use serde::de::DeserializeOwned;

use crate::{
    Bucket, Digest, Key, Repository, Tag, UploadId,
    records::{
        AnnounceRecord, BlobRecord, LinkRecord, ManifestRecord, Origin, Seconds, TagRecord, TokenRecord,
        UploadRecord, now,
    },
};

/// A record, and the revision of the bucket that wrote it: what an update or deletion by
/// compare-and-set expects.
#[derive(Debug)]
pub struct Versioned<T> {
    /// The sequence of the message that the record is in.
    pub revision: u64,
    /// The record.
    pub record: Arc<T>,
}

impl<T> Clone for Versioned<T> {
    fn clone(&self) -> Self {
        Self { revision: self.revision, record: Arc::clone(&self.record) }
    }
}

impl<T> Deref for Versioned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.record
    }
}

/// A tag in memory: a [`TagRecord`] whose texts are shared, since there are many tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// The revision of the bucket of tags.
    pub revision: u64,
    /// The manifest that it stands for.
    pub digest: Digest,
    /// Media type of the manifest.
    pub media_type: Arc<str>,
    /// Bytes of the manifest.
    pub size: u64,
    /// When it changed.
    pub at: Seconds,
    /// Who changed it.
    pub by: Arc<str>,
    /// Where it came from.
    pub origin: Arc<Origin>,
}

impl Tagged {
    /// Whether it is a later push than one of `digest` that came from `origin`, at a time that another
    /// node's clock said. A time that is still to come counts as now. Of two in the same second the larger
    /// digest is the later, and of two from one node the one that is told.
    pub(crate) fn is_later_than(&self, at: Seconds, digest: &Digest, origin: &Origin) -> bool {
        let now = now();
        match self.at.min(now).cmp(&at.min(now)) {
            Ordering::Equal => *self.origin != *origin && self.digest > *digest,
            order => order == Ordering::Greater,
        }
    }
}

/// All that is known of one repository.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) links: HashMap<Digest, Versioned<LinkRecord>>,
    pub(super) manifests: HashMap<Digest, Versioned<ManifestRecord>>,
    /// The manifests whose subject is the key.
    pub(super) referrers: HashMap<Digest, BTreeSet<Digest>>,
    /// In boxes: nodes of the map are half empty when tags come in order, as they mostly do.
    pub(super) tags: BTreeMap<Tag, Box<Tagged>>,
    pub(super) announcements: BTreeMap<Tag, Versioned<AnnounceRecord>>,
    pub(super) uploads: usize,
}

impl Contents {
    fn is_empty(&self) -> bool {
        self.announcements.is_empty() && !self.exists()
    }

    /// Whether clients are told that the repository exists.
    pub(super) fn exists(&self) -> bool {
        !(self.links.is_empty() && self.manifests.is_empty() && self.tags.is_empty() && self.uploads == 0)
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) blobs: HashMap<Digest, Versioned<BlobRecord>>,
    /// The blob whose bytes an upload's chunks are.
    pub(super) owners: HashMap<UploadId, Digest>,
    /// In how many repositories a digest is a blob or a manifest.
    pub(super) holders: HashMap<Digest, u32>,
    pub(super) repositories: BTreeMap<Repository, Contents>,
    pub(super) uploads: HashMap<UploadId, Versioned<UploadRecord>>,
    pub(super) tokens: BTreeMap<String, Versioned<TokenRecord>>,
    pub(super) bearer: Option<Versioned<Vec<u8>>>,
    /// Records of another version of leafbox, by revision. What they rely on is not known.
    unreadable: HashMap<Key, u64>,
    /// Own deletions that the watch has not delivered yet: what it delivers before them is older.
    gone: HashMap<Key, u64>,
    /// Everything up to here is known, for each bucket.
    applied: [u64; 2],
    texts: HashSet<Arc<str>>,
    origins: HashSet<Arc<Origin>>,
}

impl State {
    pub(super) fn applied(&self, bucket: Bucket) -> u64 {
        self.applied[bucket as usize]
    }

    pub(super) fn set_applied(&mut self, bucket: Bucket, sequence: u64) {
        self.applied[bucket as usize] = sequence;
    }

    /// Takes over what this daemon wrote or read itself, which the watch may have delivered already or
    /// delivers later. A revision at or below what is applied is known, or older than what is known.
    pub(super) fn apply_own(&mut self, key: Key, revision: u64, value: Option<&[u8]>) {
        if revision <= self.applied(key.bucket()) || self.known_revision(&key) >= revision {
            return;
        }
        if value.is_none() {
            self.gone.insert(key.clone(), revision);
        }
        self.change(key, revision, value);
    }

    /// Takes over what the watch delivers.
    pub(super) fn apply_watched(&mut self, key: Key, revision: u64, value: Option<&[u8]>) {
        if self.gone.get(&key).is_some_and(|gone| *gone <= revision) {
            self.gone.remove(&key);
        }
        if self.known_revision(&key) < revision {
            self.change(key, revision, value);
        }
    }

    /// Ends a listing of all keys of a bucket: what was there before `snapshot` and not `seen` is gone.
    pub(super) fn sweep(&mut self, bucket: Bucket, seen: &HashSet<u64>, snapshot: u64) {
        let stale: Vec<Key> = self
            .keys(bucket)
            .into_iter()
            .filter(|(_, revision)| *revision <= snapshot && !seen.contains(revision))
            .map(|(key, _)| key)
            .collect();
        stale.into_iter().for_each(|key| self.change(key, 0, None));
        self.gone.retain(|key, revision| key.bucket() != bucket || *revision > snapshot);
        self.unreadable.retain(|key, revision| {
            key.bucket() != bucket || *revision > snapshot || seen.contains(revision)
        });
    }

    /// Forgets a bucket: its stream is another one than before.
    pub(super) fn forget(&mut self, bucket: Bucket) {
        self.sweep(bucket, &HashSet::new(), u64::MAX);
        self.set_applied(bucket, 0);
    }

    fn keys(&self, bucket: Bucket) -> Vec<(Key, u64)> {
        let mut keys = Vec::new();
        for (name, contents) in &self.repositories {
            if bucket == Bucket::Tags {
                let tags = contents.tags.iter();
                keys.extend(tags.map(|(tag, entry)| (Key::Tag(name.clone(), tag.clone()), entry.revision)));
                continue;
            }
            let links = contents.links.iter();
            keys.extend(
                links.map(|(digest, entry)| (Key::Link(name.clone(), digest.clone()), entry.revision)),
            );
            let manifests = contents.manifests.iter();
            keys.extend(
                manifests
                    .map(|(digest, entry)| (Key::Manifest(name.clone(), digest.clone()), entry.revision)),
            );
            let announced = contents.announcements.iter();
            keys.extend(
                announced.map(|(tag, entry)| (Key::Announce(name.clone(), tag.clone()), entry.revision)),
            );
        }
        if bucket == Bucket::Records {
            keys.extend(self.blobs.iter().map(|(digest, entry)| (Key::Blob(digest.clone()), entry.revision)));
            keys.extend(self.uploads.iter().map(|(id, entry)| (Key::Upload(*id), entry.revision)));
            keys.extend(self.tokens.iter().map(|(id, entry)| (Key::Token(id.clone()), entry.revision)));
            keys.extend(self.bearer.iter().map(|entry| (Key::Bearer, entry.revision)));
        }
        keys
    }

    fn known_revision(&self, key: &Key) -> u64 {
        self.live_revision(key).max(self.gone.get(key).copied()).unwrap_or(0)
    }

    /// The revision of a record that is there.
    pub(super) fn live_revision(&self, key: &Key) -> Option<u64> {
        let contents = |repository| self.repositories.get(repository);
        match key {
            Key::Blob(digest) => self.blobs.get(digest).map(|entry| entry.revision),
            Key::Link(owner, digest) => {
                contents(owner).and_then(|all| all.links.get(digest)).map(|entry| entry.revision)
            }
            Key::Manifest(owner, digest) => {
                contents(owner).and_then(|all| all.manifests.get(digest)).map(|entry| entry.revision)
            }
            Key::Upload(id) => self.uploads.get(id).map(|entry| entry.revision),
            Key::Token(id) => self.tokens.get(id).map(|entry| entry.revision),
            Key::Bearer => self.bearer.as_ref().map(|entry| entry.revision),
            Key::Collector => None,
            Key::Announce(owner, tag) => {
                contents(owner).and_then(|all| all.announcements.get(tag)).map(|entry| entry.revision)
            }
            Key::Tag(owner, tag) => {
                contents(owner).and_then(|all| all.tags.get(tag)).map(|entry| entry.revision)
            }
        }
    }

    fn change(&mut self, key: Key, revision: u64, value: Option<&[u8]>) {
        if !self.unreadable.is_empty() {
            self.unreadable.remove(&key);
        }
        if self.try_change(key.clone(), revision, value).is_err() {
            self.unreadable.insert(key, revision);
        }
    }

    /// Records that are there and cannot be read.
    pub(super) fn unreadable(&self) -> usize {
        self.unreadable.len()
    }

    /// An error says that the record cannot be read; what was known of the key stays.
    fn try_change(&mut self, key: Key, revision: u64, value: Option<&[u8]>) -> Result<(), ()> {
        match key {
            Key::Blob(digest) => {
                let new = read::<BlobRecord>(&Key::Blob(digest.clone()), revision, value)?;
                if let Some(new) = &new {
                    self.owners.insert(new.upload, digest.clone());
                }
                let upload = new.as_ref().map(|new| new.upload);
                if let Some(old) = replace(&mut self.blobs, digest, new)
                    && Some(old.upload) != upload
                {
                    self.owners.remove(&old.upload);
                }
            }
            Key::Upload(id) => {
                let new = read::<UploadRecord>(&Key::Upload(id), revision, value)?;
                if let Some(new) = &new {
                    self.repositories.entry(new.repository.clone()).or_default().uploads += 1;
                }
                if let Some(old) = replace(&mut self.uploads, id, new) {
                    self.within(&old.repository, |contents| contents.uploads -= 1);
                }
            }
            Key::Token(id) => {
                let new = read(&Key::Token(id.clone()), revision, value)?;
                match new {
                    Some(new) => drop(self.tokens.insert(id, new)),
                    None => drop(self.tokens.remove(&id)),
                }
            }
            Key::Collector => {}
            Key::Bearer => {
                self.bearer = value.map(|value| Versioned { revision, record: Arc::new(value.to_vec()) });
            }
            Key::Link(owner, digest) => {
                let key = Key::Link(owner, digest);
                let new = read::<LinkRecord>(&key, revision, value)?;
                let Key::Link(owner, digest) = key else { return Ok(()) };
                let there = new.is_some();
                let was = self.within(&owner, |contents| replace(&mut contents.links, digest.clone(), new));
                self.hold(&digest, was.is_some(), there);
            }
            Key::Manifest(owner, digest) => {
                let key = Key::Manifest(owner, digest);
                let new = read::<ManifestRecord>(&key, revision, value)?;
                let Key::Manifest(owner, digest) = key else { return Ok(()) };
                let there = new.is_some();
                let was = self.within(&owner, |contents| {
                    let subject = new.as_ref().and_then(|new| new.subject.clone());
                    let was = replace(&mut contents.manifests, digest.clone(), new);
                    contents.refer(&digest, was.as_ref().and_then(|was| was.subject.as_ref()), subject);
                    was
                });
                self.hold(&digest, was.is_some(), there);
            }
            Key::Announce(owner, tag) => {
                let key = Key::Announce(owner, tag);
                let new = read(&key, revision, value)?;
                let Key::Announce(owner, tag) = key else { return Ok(()) };
                self.within(&owner, |contents| match new {
                    Some(new) => drop(contents.announcements.insert(tag, new)),
                    None => drop(contents.announcements.remove(&tag)),
                });
            }
            Key::Tag(owner, tag) => {
                let key = Key::Tag(owner, tag);
                let new = read::<TagRecord>(&key, revision, value)?;
                let Key::Tag(owner, tag) = key else { return Ok(()) };
                let new = new.and_then(|new| self.tagged(&new)).map(Box::new);
                self.within(&owner, |contents| match new {
                    Some(new) => drop(contents.tags.insert(tag, new)),
                    None => drop(contents.tags.remove(&tag)),
                });
            }
        }
        Ok(())
    }

    /// Changes a repository, which is forgotten when nothing of it is left.
    fn within<R>(&mut self, repository: &Repository, change: impl FnOnce(&mut Contents) -> R) -> R {
        let Some(contents) = self.repositories.get_mut(repository) else {
            let mut contents = Contents::default();
            let result = change(&mut contents);
            if !contents.is_empty() {
                self.repositories.insert(repository.clone(), contents);
            }
            return result;
        };
        let result = change(contents);
        if contents.is_empty() {
            self.repositories.remove(repository);
        }
        result
    }

    fn hold(&mut self, digest: &Digest, was: bool, is: bool) {
        match (was, is) {
            (false, true) => *self.holders.entry(digest.clone()).or_default() += 1,
            (true, false) => {
                if let Some(count) = self.holders.get_mut(digest) {
                    *count -= 1;
                    if *count == 0 {
                        self.holders.remove(digest);
                    }
                }
            }
            _ => {}
        }
    }

    fn tagged(&mut self, record: &Versioned<TagRecord>) -> Option<Tagged> {
        Some(Tagged {
            revision: record.revision,
            digest: record.digest.clone()?,
            media_type: shared(&mut self.texts, record.media_type.as_str()),
            size: record.size,
            at: record.at,
            by: shared(&mut self.texts, record.by.as_str()),
            origin: match self.origins.get(&record.origin) {
                Some(origin) => Arc::clone(origin),
                None => {
                    let origin = Arc::new(record.origin.clone());
                    self.origins.insert(Arc::clone(&origin));
                    origin
                }
            },
        })
    }
}

impl Contents {
    fn refer(&mut self, manifest: &Digest, was: Option<&Digest>, is: Option<Digest>) {
        if let Some(was) = was
            && let Some(of) = self.referrers.get_mut(was)
        {
            of.remove(manifest);
            if of.is_empty() {
                self.referrers.remove(was);
            }
        }
        if let Some(is) = is {
            self.referrers.entry(is).or_default().insert(manifest.clone());
        }
    }
}

fn shared(texts: &mut HashSet<Arc<str>>, text: &str) -> Arc<str> {
    match texts.get(text) {
        Some(text) => Arc::clone(text),
        None => {
            let text: Arc<str> = text.into();
            texts.insert(Arc::clone(&text));
            text
        }
    }
}

fn replace<K: Eq + Hash, V>(map: &mut HashMap<K, V>, key: K, new: Option<V>) -> Option<V> {
    match new {
        Some(new) => map.insert(key, new),
        None => map.remove(&key),
    }
}

/// What a record says; `Err` when it cannot be read, and then what was known stays.
fn read<T: DeserializeOwned>(
    key: &Key,
    revision: u64,
    value: Option<&[u8]>,
) -> Result<Option<Versioned<T>>, ()> {
    let Some(value) = value else { return Ok(None) };
    match serde_json::from_slice(value) {
        Ok(record) => Ok(Some(Versioned { revision, record: Arc::new(record) })),
        Err(error) => {
            tracing::warn!(
                record.key = %key,
                "the record {key} is passed over, since this version of leafbox cannot read it: {error}"
            );
            Err(())
        }
    }
}
