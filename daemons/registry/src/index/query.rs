//! What the index is asked.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::Arc,
};

use super::{Index, Tagged, Versioned};
use crate::{
    Digest, Key, Repository, Tag, UploadId,
    records::{AnnounceRecord, BlobRecord, LinkRecord, ManifestRecord, TokenRecord, UploadRecord},
};

/// How many records of each kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Repositories that exist.
    pub repositories: usize,
    /// Blobs, those of manifests among them.
    pub blobs: usize,
    /// Tags of all repositories.
    pub tags: usize,
    /// Manifests of all repositories.
    pub manifests: usize,
    /// Uploads under way.
    pub uploads: usize,
    /// Tags that are to travel to the hub.
    pub announcements: usize,
}

impl Index {
    /// The revision of a record that is there; the lease of the collector is not in the index.
    pub(crate) fn live_revision(&self, key: &Key) -> Option<u64> {
        self.state().live_revision(key)
    }

    /// A blob, whichever repositories have it.
    pub fn blob(&self, digest: &Digest) -> Option<Versioned<BlobRecord>> {
        self.state().blobs.get(digest).cloned()
    }

    /// All blobs, in no order.
    pub fn blobs(&self) -> Vec<(Digest, Versioned<BlobRecord>)> {
        pairs(&self.state().blobs)
    }

    /// The blob whose bytes the chunks of an upload are.
    pub fn blob_of_upload(&self, upload: &UploadId) -> Option<Digest> {
        self.state().owners.get(upload).cloned()
    }

    /// Whether any repository has the digest as a blob or as a manifest.
    pub fn is_held(&self, digest: &Digest) -> bool {
        self.state().holders.contains_key(digest)
    }

    /// The repositories that have the digest as a blob, in order.
    pub fn repositories_with(&self, digest: &Digest) -> Vec<Repository> {
        let state = self.state();
        let with = state.repositories.iter().filter(|(_, contents)| contents.links.contains_key(digest));
        with.map(|(name, _)| name.clone()).collect()
    }

    /// That a repository has a blob.
    pub fn link(&self, repository: &Repository, digest: &Digest) -> Option<Versioned<LinkRecord>> {
        self.state().repositories.get(repository)?.links.get(digest).cloned()
    }

    /// The blobs of a repository, in no order.
    pub fn links(&self, repository: &Repository) -> Vec<(Digest, Versioned<LinkRecord>)> {
        self.state().repositories.get(repository).map(|all| pairs(&all.links)).unwrap_or_default()
    }

    /// A manifest of a repository.
    pub fn manifest(&self, repository: &Repository, digest: &Digest) -> Option<Versioned<ManifestRecord>> {
        self.state().repositories.get(repository)?.manifests.get(digest).cloned()
    }

    /// The manifests of a repository, in no order.
    pub fn manifests(&self, repository: &Repository) -> Vec<(Digest, Versioned<ManifestRecord>)> {
        self.state().repositories.get(repository).map(|all| pairs(&all.manifests)).unwrap_or_default()
    }

    /// The manifests of a repository whose subject is the digest, in the order of their digests.
    pub fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Vec<(Digest, Versioned<ManifestRecord>)> {
        let state = self.state();
        let Some(contents) = state.repositories.get(repository) else { return Vec::new() };
        let digests = contents.referrers.get(subject).into_iter().flatten();
        digests.filter_map(|digest| Some((digest.clone(), contents.manifests.get(digest)?.clone()))).collect()
    }

    /// What a tag stands for.
    pub fn tag(&self, repository: &Repository, tag: &Tag) -> Option<Tagged> {
        self.state().repositories.get(repository)?.tags.get(tag).map(|entry| (**entry).clone())
    }

    /// The tags of a repository in order; `None` when there is no such repository.
    pub fn tags(&self, repository: &Repository) -> Option<Vec<(Tag, Tagged)>> {
        self.tags_after(repository, None, usize::MAX)
    }

    /// At most `limit` tags of a repository in order, those after `last` (which need not be one);
    /// `None` when there is no such repository.
    pub fn tags_after(
        &self,
        repository: &Repository,
        last: Option<&Tag>,
        limit: usize,
    ) -> Option<Vec<(Tag, Tagged)>> {
        let state = self.state();
        let contents = state.repositories.get(repository).filter(|contents| contents.exists())?;
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let tags = contents.tags.range((from, Bound::Unbounded)).take(limit);
        Some(tags.map(|(tag, entry)| (tag.clone(), (**entry).clone())).collect())
    }

    /// The digests that an image needs, with their bytes: its manifest, those of an index that are here,
    /// and their blobs.
    pub fn needs(&self, repository: &Repository, digest: &Digest) -> BTreeMap<Digest, u64> {
        let (mut needs, mut seen) = (BTreeMap::new(), BTreeSet::new());
        let mut open = vec![digest.clone()];
        while let Some(digest) = open.pop() {
            let Some(manifest) = self.manifest(repository, &digest) else { continue };
            if !seen.insert(digest.clone()) {
                continue;
            }
            for blob in &manifest.blobs {
                let size = self.link(repository, blob).map_or(0, |link| link.size);
                needs.insert(blob.clone(), size);
            }
            open.extend(manifest.manifests.iter().cloned());
            needs.insert(digest, manifest.size);
        }
        needs
    }

    /// The tags of a repository that stand for a manifest, in order.
    pub fn tags_of(&self, repository: &Repository, digest: &Digest) -> Vec<(Tag, Tagged)> {
        let state = self.state();
        let Some(contents) = state.repositories.get(repository) else { return Vec::new() };
        let tags = contents.tags.iter().filter(|(_, entry)| entry.digest == *digest);
        tags.map(|(tag, entry)| (tag.clone(), (**entry).clone())).collect()
    }

    /// An upload under way.
    pub fn upload(&self, id: &UploadId) -> Option<Versioned<UploadRecord>> {
        self.state().uploads.get(id).cloned()
    }

    /// All uploads under way, in no order.
    pub fn uploads(&self) -> Vec<(UploadId, Versioned<UploadRecord>)> {
        pairs(&self.state().uploads)
    }

    /// A token by its id.
    pub fn token(&self, id: &str) -> Option<Versioned<TokenRecord>> {
        self.state().tokens.get(id).cloned()
    }

    /// All tokens by their ids, in order.
    pub fn tokens(&self) -> Vec<(String, Versioned<TokenRecord>)> {
        self.state().tokens.iter().map(|(id, token)| (id.clone(), token.clone())).collect()
    }

    /// The key that signs Bearer tokens, when one was made.
    pub(crate) fn bearer(&self) -> Option<Arc<Vec<u8>>> {
        self.state().bearer.as_ref().map(|entry| Arc::clone(&entry.record))
    }

    /// The tags that are to travel to the hub, in order.
    pub fn announcements(&self) -> Vec<(Repository, Tag, Versioned<AnnounceRecord>)> {
        let state = self.state();
        let all = state.repositories.iter().flat_map(|(name, contents)| {
            contents.announcements.iter().map(|(tag, entry)| (name.clone(), tag.clone(), entry.clone()))
        });
        all.collect()
    }

    /// Whether a repository exists: it has a blob, a manifest, a tag, or an upload under way.
    pub fn exists(&self, repository: &Repository) -> bool {
        self.state().repositories.get(repository).is_some_and(|contents| contents.exists())
    }

    /// The repositories that exist, in order.
    pub fn repositories(&self) -> Vec<Repository> {
        self.repositories_after(None, usize::MAX)
    }

    /// At most `limit` repositories that exist in order, those after `last` (which need not exist).
    pub fn repositories_after(&self, last: Option<&Repository>, limit: usize) -> Vec<Repository> {
        let state = self.state();
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let all = state.repositories.range((from, Bound::Unbounded));
        all.filter(|(_, contents)| contents.exists()).map(|(name, _)| name.clone()).take(limit).collect()
    }

    /// How many records are there that this version of leafbox cannot read.
    pub fn unreadable(&self) -> usize {
        self.state().unreadable()
    }

    /// How many records there are.
    pub fn counts(&self) -> Counts {
        let state = self.state();
        let mut counts =
            Counts { blobs: state.blobs.len(), uploads: state.uploads.len(), ..Counts::default() };
        for contents in state.repositories.values() {
            counts.repositories += usize::from(contents.exists());
            counts.tags += contents.tags.len();
            counts.manifests += contents.manifests.len();
            counts.announcements += contents.announcements.len();
        }
        counts
    }

    /// Bytes of the distinct blobs and manifests of the repositories that `belongs` picks, and bytes
    /// that are reserved for their uploads under way. An upload that is committed already is counted
    /// as its blob alone, though its record may be there for a moment more.
    pub fn bytes_of(&self, belongs: impl Fn(&Repository) -> bool) -> (u64, u64) {
        let state = self.state();
        let mut distinct = HashMap::new();
        for (_, contents) in state.repositories.iter().filter(|(name, _)| belongs(name)) {
            distinct.extend(contents.links.iter().map(|(digest, link)| (digest, link.size)));
            distinct.extend(contents.manifests.iter().map(|(digest, manifest)| (digest, manifest.size)));
        }
        let uploads = state.uploads.values().filter(|upload| belongs(&upload.repository));
        let is_stored = |digest: &Digest| distinct.contains_key(digest);
        let open = uploads.filter(|upload| !upload.claimed.as_ref().is_some_and(is_stored));
        let reserved = open.fold(0_u64, |all, upload| all.saturating_add(upload.reserved));
        (distinct.values().fold(0, |all: u64, size| all.saturating_add(*size)), reserved)
    }
}

fn pairs<K: Clone, T>(map: &HashMap<K, Versioned<T>>) -> Vec<(K, Versioned<T>)> {
    map.iter().map(|(key, entry)| (key.clone(), entry.clone())).collect()
}
