//! Manifests of repositories.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    LARGEST_MANIFEST, Storage, StorageError, Unavailable,
    blobs::Linked,
    commit::own_blob,
    document::Document,
    session::{Open, Session},
    uploads::{ATTEMPTS, new_record},
    won,
};
use crate::{
    Algorithm, Bucket, Digest, Key, Reference, Repository, Tag,
    chunks::Hasher,
    index::Versioned,
    records::{BlobRecord, ManifestRecord, Origin, Seconds, TagRecord, now},
};

/// A manifest that is to be stored.
#[derive(Clone, Debug)]
pub struct PutManifest {
    /// Where.
    pub repository: Repository,
    /// Its digest as the client named it; SHA-256 when it named none.
    pub digest: Option<Digest>,
    /// The tags that are to stand for it.
    pub tags: Vec<Tag>,
    /// What the client sent it as, parameters and all; may be empty.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Bytes,
    /// Who does it, for those who watch tags: a token's name, `anonymous`, `travel`.
    pub by: String,
    /// Where it comes from. Tags that were pushed here are not changed by what comes from the hub or
    /// an upstream registry.
    pub origin: Origin,
}

/// What was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredManifest {
    /// The manifest.
    pub digest: Digest,
    /// What it refers to, which need not be here.
    pub subject: Option<Digest>,
}

/// A manifest that a repository has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestInfo {
    /// The manifest.
    pub digest: Digest,
    /// As it was pushed.
    pub media_type: String,
    /// Bytes.
    pub size: u64,
    /// Where the tag comes from, when it was asked for by tag; else the manifest.
    pub origin: Origin,
}

impl Storage {
    /// The manifest that a reference means.
    pub async fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<Option<ManifestInfo>, StorageError> {
        let (digest, origin) = match reference {
            Reference::Digest(digest) => (digest.clone(), None),
            Reference::Tag(tag) => match self.known_tag(repository, tag).await? {
                Some((digest, origin)) => (digest, Some(origin)),
                None => return Ok(None),
            },
        };
        let Some(manifest) = self.known_manifest(repository, &digest).await? else { return Ok(None) };
        if self.is_forsaken(&digest) {
            return Ok(None);
        }
        Ok(Some(ManifestInfo {
            digest,
            media_type: manifest.media_type.clone(),
            size: manifest.size,
            origin: origin.unwrap_or_else(|| manifest.origin.clone()),
        }))
    }

    /// Stores a manifest, and the tags that are to stand for it. What it mentions must be there, save
    /// its subject, the manifests of an index and layers that are elsewhere; all of it may follow when
    /// the manifest comes from elsewhere (`travel` brings it).
    pub async fn put_manifest(&self, put: PutManifest) -> Result<StoredManifest, StorageError> {
        self.put_manifest_of(put, None).await
    }

    /// The same for what a leaf announced, which was `pushed` there by its clock: a tag stays as it is that
    /// stands for a later push. A time that is still to come counts as now.
    pub async fn put_announced(
        &self,
        put: PutManifest,
        pushed: Seconds,
    ) -> Result<StoredManifest, StorageError> {
        self.put_manifest_of(put, Some(pushed.min(now()))).await
    }

    async fn put_manifest_of(
        &self,
        put: PutManifest,
        pushed: Option<Seconds>,
    ) -> Result<StoredManifest, StorageError> {
        self.has_room()?;
        let put = Arc::new(put);
        let (digest, document) = examine(&put).await?;
        let needed = if put.origin == Origin::Pushed { &document.blobs[..] } else { &[] };
        self.check_blobs(&put.repository, needed).await?;
        let record = new_manifest(&put, &document);
        let (mut upload, mut created) = (None, None);
        for _ in 0..ATTEMPTS {
            let is_own = match self.store_content(&put, &digest, &mut upload).await {
                // It expired while this daemon slept: once more.
                Err(StorageError::UploadUnknown) if upload.take().is_some() => continue,
                stored => stored?,
            };
            created = self.record_manifest(&put.repository, &digest, &record).await?.or(created);
            // The index has all that was written before the manifest.
            if !self.is_live(&digest) {
                continue;
            }
            let mut checked = self.check_blobs_again(&put.repository, needed).await;
            if let (Ok(()), Some(_), Some(usage)) = (&checked, created, self.usage(&put.repository)) {
                // Content that was there already had nothing reserved for it.
                checked = usage.check(record.size);
            }
            if let (Err(_), Some(revision)) = (&checked, created) {
                let key = Key::Manifest(put.repository.clone(), digest.clone());
                // Somebody who relies on it since has looked at its blobs too.
                let _ = self.ledger().delete(&key, revision).await;
            }
            if let Some(open) = upload.take() {
                self.conclude(open, is_own);
            }
            checked?;
            self.0.recent.put(&digest, &put.bytes);
            self.put_tags(&put, &digest, &record, pushed).await?;
            return Ok(StoredManifest { digest, subject: document.subject });
        }
        Err(Unavailable::Contended { key: Key::Blob(digest).to_string() }.into())
    }

    /// Deletes a manifest, and before it the tags that stand for it.
    pub async fn delete_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
        by: &str,
    ) -> Result<(), StorageError> {
        let key = Key::Manifest(repository.clone(), digest.clone());
        let mut was_there = false;
        for _ in 0..ATTEMPTS {
            self.delete_tags_of(repository, digest, by).await?;
            self.ledger().look_again::<ManifestRecord>(&key).await?;
            let Some(manifest) = self.index().manifest(repository, digest) else {
                let reference = Reference::Digest(digest.clone());
                return if was_there { Ok(()) } else { Err(StorageError::ManifestUnknown { reference }) };
            };
            // Once more: a tag that came in between must not stand for nothing.
            was_there |= won(self.ledger().delete(&key, manifest.revision).await)?.is_some();
        }
        Err(Unavailable::Contended { key: key.to_string() }.into())
    }

    async fn delete_tags_of(
        &self,
        repository: &Repository,
        digest: &Digest,
        by: &str,
    ) -> Result<(), StorageError> {
        self.index().caught_up_with(Bucket::Tags).await?;
        for (tag, entry) in self.index().tags_of(repository, digest) {
            // Changed or gone meanwhile is as good.
            self.delete_tag_at(repository, &tag, &entry, by).await?;
        }
        Ok(())
    }

    /// Sees to the bytes of a manifest. Whether the chunks of `upload`, which is begun when it has to
    /// be, are those that count.
    async fn store_content(
        &self,
        put: &PutManifest,
        digest: &Digest,
        upload: &mut Option<Open>,
    ) -> Result<bool, StorageError> {
        if upload.is_none() && self.rely_on_blob(digest).await? {
            return Ok(false);
        }
        let open = match upload {
            Some(open) => open,
            None => upload.insert(self.upload_bytes(put, digest).await?),
        };
        self.settle_blob(digest, &own_blob(open)).await
    }

    /// Relies on a blob that is there; false when it is not, or not for long.
    async fn rely_on_blob(&self, digest: &Digest) -> Result<bool, StorageError> {
        let key = Key::Blob(digest.clone());
        for _ in 0..ATTEMPTS {
            let blob = self.known_blob(digest).await?;
            let Some(blob) = blob.filter(|blob| !blob.dying) else { return Ok(false) };
            if self.is_fresh(blob.touched) {
                return Ok(true);
            }
            let touched = BlobRecord { touched: now(), ..(*blob.record).clone() };
            if won(self.ledger().update(&key, blob.revision, &touched).await)?.is_some() {
                return Ok(true);
            }
            self.ledger().look_again::<BlobRecord>(&key).await?;
        }
        Err(Unavailable::Contended { key: key.to_string() }.into())
    }

    /// Stores the bytes of a manifest as an upload that is claimed from the beginning, since they are
    /// verified already.
    async fn upload_bytes(&self, put: &PutManifest, digest: &Digest) -> Result<Open, StorageError> {
        let mut record = new_record(&put.repository, digest.algorithm(), put.bytes.len() as u64);
        record.claimed = Some(digest.clone());
        let (id, revision) = self.begin_as(&record).await?;
        let busy = self.occupy(id).ok_or(StorageError::Busy)?;
        let upload = Versioned { revision, record: Arc::new(record) };
        let mut open = Session::new(self.clone(), id, upload, busy).into_open();
        open.writer()?.write(put.bytes.clone()).await?;
        let written = open.flush().await?;
        open.set(written);
        Ok(open)
    }

    /// Writes the record of a manifest, unless a fresh one says the same, and waits until the index has
    /// all before it. The revision, when it was not there before.
    async fn record_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
        record: &ManifestRecord,
    ) -> Result<Option<u64>, StorageError> {
        let key = Key::Manifest(repository.clone(), digest.clone());
        for _ in 0..ATTEMPTS {
            let there = self.index().manifest(repository, digest);
            let written = match &there {
                None => self.ledger().create(&key, record).await,
                Some(there) => {
                    let origin = match there.origin {
                        Origin::Pushed => Origin::Pushed,
                        _ => record.origin.clone(),
                    };
                    let is_same = there.media_type == record.media_type && there.origin == origin;
                    if is_same && there.idle.is_none() && self.is_fresh(there.touched) {
                        self.settled(there.revision).await?;
                        if self.index().manifest(repository, digest).is_some() {
                            return Ok(None);
                        }
                        continue;
                    }
                    let again = ManifestRecord { touched: now(), origin, ..record.clone() };
                    self.ledger().update(&key, there.revision, &again).await
                }
            };
            if let Some(revision) = won(written)? {
                self.settled(revision).await?;
                return Ok(there.is_none().then_some(revision));
            }
            self.ledger().look_again::<ManifestRecord>(&key).await?;
        }
        Err(Unavailable::Contended { key: key.to_string() }.into())
    }

    /// Refuses a manifest before anything of it is stored.
    async fn check_blobs(&self, repository: &Repository, blobs: &[Digest]) -> Result<(), StorageError> {
        for digest in blobs {
            if self.touch_blob(repository, digest).await?.is_none() {
                return Err(StorageError::ManifestBlobUnknown { digest: digest.clone() });
            }
        }
        Ok(())
    }

    /// Looks at the blobs of a manifest after it was written: the collector may have marked them
    /// before it knew of the manifest.
    async fn check_blobs_again(&self, repository: &Repository, blobs: &[Digest]) -> Result<(), StorageError> {
        for digest in blobs {
            let unknown = || StorageError::ManifestBlobUnknown { digest: digest.clone() };
            let link = self.index().link(repository, digest).ok_or_else(unknown)?;
            if link.idle.is_some() {
                let (Linked::Fresh | Linked::Written(_)) = self.link(repository, digest, link.size).await?;
            }
            if !self.is_live(digest) {
                return Err(unknown());
            }
        }
        Ok(())
    }

    /// Writes the tags of a manifest, then looks whether it is still there.
    async fn put_tags(
        &self,
        put: &PutManifest,
        digest: &Digest,
        record: &ManifestRecord,
        pushed: Option<Seconds>,
    ) -> Result<(), StorageError> {
        let mut last = None;
        // The hub has an image only with what refers to it, such as a signature that comes later.
        if let Some(subject) = &record.subject {
            for (tag, _) in self.index().tags_of(&put.repository, subject) {
                self.announce(&put.repository, &tag, subject, &put.origin).await?;
            }
        }
        for tag in &put.tags {
            self.announce(&put.repository, tag, digest, &put.origin).await?;
            let new = TagRecord {
                repository: put.repository.clone(),
                tag: tag.clone(),
                digest: Some(digest.clone()),
                previous: None,
                media_type: record.media_type.clone(),
                size: record.size,
                at: pushed.unwrap_or_else(now),
                by: put.by.clone(),
                origin: put.origin.clone(),
            };
            last = self.write_tag(new, pushed.is_some()).await?.or(last);
        }
        let Some(last) = last else { return Ok(()) };
        self.ledger().settled(Bucket::Tags, last).await?;
        self.index().caught_up_with(Bucket::Records).await?;
        match self.index().manifest(&put.repository, digest) {
            Some(manifest) if manifest.idle.is_none() => Ok(()),
            Some(_) => {
                // The collector took it for unused before it knew of the tags, and so its blobs maybe.
                self.record_manifest(&put.repository, digest, record).await?;
                let mut checked = self.check_blobs_again(&put.repository, &record.blobs).await;
                if !self.is_live(digest) {
                    let reference = Reference::Digest(digest.clone());
                    checked = Err(StorageError::ManifestUnknown { reference });
                }
                if checked.is_err() {
                    self.delete_manifest(&put.repository, digest, &put.by).await?;
                }
                checked
            }
            None => {
                self.delete_tags_of(&put.repository, digest, &put.by).await?;
                Err(StorageError::ManifestUnknown { reference: Reference::Digest(digest.clone()) })
            }
        }
    }
}

/// Verifies and reads a manifest, which takes milliseconds for a large one.
async fn examine(put: &Arc<PutManifest>) -> Result<(Digest, Document), StorageError> {
    if put.bytes.len() as u64 > LARGEST_MANIFEST {
        return Err(StorageError::TooLarge { limit: LARGEST_MANIFEST });
    }
    let put = Arc::clone(put);
    let examined = tokio::task::spawn_blocking(move || {
        let mut hasher = Hasher::new(put.digest.as_ref().map_or(Algorithm::Sha256, Digest::algorithm));
        hasher.update(&put.bytes);
        let found = hasher.digest();
        if let Some(expected) = put.digest.clone().filter(|expected| *expected != found) {
            return Err(StorageError::DigestMismatch { expected, found });
        }
        Ok((found, Document::of(&put.media_type, &put.bytes)?))
    });
    examined.await.map_err(crate::chunks::ChunkError::from)?
}

/// Bytes of annotations in a record at most: records are messages, and all of them are in memory.
const LONGEST_ANNOTATIONS: usize = 16 << 10;

fn new_manifest(put: &PutManifest, document: &Document) -> ManifestRecord {
    let annotations = document.annotations.iter().filter(|_| document.subject.is_some());
    let bytes: usize = annotations.clone().map(|(key, value)| key.len() + value.len()).sum();
    let annotations_apart = bytes > LONGEST_ANNOTATIONS;
    let annotations = annotations.filter(|_| !annotations_apart);
    ManifestRecord {
        media_type: document.media_type.clone(),
        size: put.bytes.len() as u64,
        subject: document.subject.clone(),
        artifact_type: document.artifact_type.clone(),
        annotations: annotations.map(|(key, value)| (key.clone(), value.clone())).collect(),
        annotations_apart,
        blobs: document.blobs.clone(),
        manifests: document.manifests.clone(),
        touched: now(),
        idle: None,
        origin: put.origin.clone(),
    }
}
