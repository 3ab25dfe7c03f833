//! Which blobs a repository has: links, made by pushes and mounts.

use serde::de::DeserializeOwned;

use super::{Storage, StorageError, Unavailable, uploads::ATTEMPTS, won};
use crate::{
    Digest, Index, Key, Repository,
    index::Versioned,
    records::{BlobRecord, LinkRecord, ManifestRecord, now},
};

impl Storage {
    /// Bytes of a blob, when the repository has it.
    pub async fn blob(&self, repository: &Repository, digest: &Digest) -> Result<Option<u64>, StorageError> {
        Ok(self.reliable_link(repository, digest).await?.map(|link| link.size))
    }

    /// The same for a client that is about to push: what it does not push again is kept for the grace
    /// time from now on.
    pub async fn touch_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<u64>, StorageError> {
        let Some(link) = self.reliable_link(repository, digest).await? else { return Ok(None) };
        if link.idle.is_none() && self.is_fresh(link.touched) {
            return Ok(Some(link.size));
        }
        match self.link(repository, digest, link.size).await? {
            // The link stays: it was there before, and a manifest may rely on it. The collector that marked
            // the blob sees it and takes its mark back, if the mark is the later of the two.
            Linked::Written(_) if !self.is_live(digest) => Ok(None),
            _ => Ok(Some(link.size)),
        }
    }

    /// Lets a repository have a blob that `from` has, or any repository. False when it has not.
    pub async fn mount(
        &self,
        repository: &Repository,
        digest: &Digest,
        from: Option<&Repository>,
    ) -> Result<bool, StorageError> {
        let is_there = match from {
            Some(from) => self.known_link(from, digest).await?.is_some(),
            None => !self.index().repositories_with(digest).is_empty(),
        };
        let Some(blob) = self.known_blob(digest).await?.filter(|blob| is_there && !blob.dying) else {
            return Ok(false);
        };
        let was_there = self.index().link(repository, digest).is_some();
        let Linked::Written(revision) = self.link(repository, digest, blob.size).await? else {
            return Ok(true);
        };
        if !self.is_live(digest) {
            if !was_there {
                self.take_back(repository, digest, revision).await?;
            }
            return Ok(false);
        }
        if !was_there
            && let Some(usage) = self.usage(repository)
            && let Err(over) = usage.check(blob.size)
        {
            self.take_back(repository, digest, revision).await?;
            return Err(over);
        }
        Ok(true)
    }

    /// Takes a blob from a repository; false when it did not have it. Manifests that mention it stay,
    /// as clients ask for it.
    pub async fn unlink(&self, repository: &Repository, digest: &Digest) -> Result<bool, StorageError> {
        self.ledger().remove::<LinkRecord>(&Key::Link(repository.clone(), digest.clone())).await
    }

    /// Writes that a repository has a blob and relies on it now, unless a fresh link says so, and waits
    /// until the index has all that was written before.
    pub(super) async fn link(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
    ) -> Result<Linked, StorageError> {
        let key = Key::Link(repository.clone(), digest.clone());
        let record = LinkRecord { size, touched: now(), idle: None };
        for _ in 0..ATTEMPTS {
            let written = match self.index().link(repository, digest) {
                None => self.ledger().create(&key, &record).await,
                Some(link) if link.idle.is_none() && self.is_fresh(link.touched) => {
                    self.settled(link.revision).await?;
                    return Ok(Linked::Fresh);
                }
                Some(link) => self.ledger().update(&key, link.revision, &record).await,
            };
            if let Some(revision) = won(written)? {
                self.settled(revision).await?;
                return Ok(Linked::Written(revision));
            }
            self.ledger().look_again::<LinkRecord>(&key).await?;
        }
        Err(Unavailable::Contended { key: key.to_string() }.into())
    }

    /// Deletes a link that was just written, unless somebody relied on it since.
    async fn take_back(
        &self,
        repository: &Repository,
        digest: &Digest,
        revision: u64,
    ) -> Result<(), StorageError> {
        let key = Key::Link(repository.clone(), digest.clone());
        won(self.ledger().delete(&key, revision).await)?;
        Ok(())
    }

    /// A link, unless its blob is lost.
    async fn reliable_link(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Versioned<LinkRecord>>, StorageError> {
        if self.is_forsaken(digest) { Ok(None) } else { self.known_link(repository, digest).await }
    }

    /// A link as [`known`](Self::known) tells.
    pub(super) async fn known_link(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Versioned<LinkRecord>>, StorageError> {
        let key = || Key::Link(repository.clone(), digest.clone());
        self.known(key, |index| index.link(repository, digest)).await
    }

    /// A blob, in the same way.
    pub(super) async fn known_blob(
        &self,
        digest: &Digest,
    ) -> Result<Option<Versioned<BlobRecord>>, StorageError> {
        self.known(|| Key::Blob(digest.clone()), |index| index.blob(digest)).await
    }

    /// A manifest, in the same way.
    pub(super) async fn known_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Versioned<ManifestRecord>>, StorageError> {
        let key = || Key::Manifest(repository.clone(), digest.clone());
        self.known(key, |index| index.manifest(repository, digest)).await
    }

    /// A record as the index has it. When it has none, another daemon may have written it a moment ago,
    /// which the index then waits for.
    async fn known<T: DeserializeOwned>(
        &self,
        key: impl Fn() -> Key,
        find: impl Fn(&Index) -> Option<Versioned<T>>,
    ) -> Result<Option<Versioned<T>>, StorageError> {
        if let Some(found) = find(self.index()) {
            return Ok(Some(found));
        }
        self.ledger().look_again::<T>(&key()).await?;
        Ok(find(self.index()))
    }
}

/// How a repository came to have a link.
pub(super) enum Linked {
    /// It had one that needed no change.
    Fresh,
    /// It was written, as this revision.
    Written(u64),
}
