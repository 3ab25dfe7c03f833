//! The end of an upload: its chunks become a blob.

use bytes::Bytes;
use futures::Stream;

use super::{
    BodyError, Storage, StorageError, Unavailable,
    session::{Open, Session},
    uploads::ATTEMPTS,
    won,
};
use crate::{
    Digest, Key, Repository, UploadId,
    records::{BlobRecord, now},
};

impl Storage {
    /// Makes an upload the blob `digest` of the repository: durable when this returns. It may be
    /// repeated. Other bytes than the digest's are purged and refused.
    pub async fn commit(
        &self,
        repository: &Repository,
        id: UploadId,
        digest: &Digest,
    ) -> Result<(), StorageError> {
        let session = self.session(repository, id).await?;
        self.commit_session(session, digest).await
    }

    /// Adds the last bytes, as [`Storage::append`] does, and commits.
    pub async fn finish(
        &self,
        repository: &Repository,
        id: UploadId,
        digest: &Digest,
        expected_start: Option<u64>,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    ) -> Result<(), StorageError> {
        let mut session = self.session(repository, id).await?;
        if session.claimed() == Some(digest) {
            // The client repeats what it had no answer to: all bytes are there.
            return self.commit_session(session, digest).await;
        }
        session.begins_at(expected_start)?;
        self.has_room()?;
        if let Err(error) = session.take(body).await {
            // Kept as far as it can be. Why no more came is what the client is to know.
            let _ = session.save().await;
            return Err(error);
        }
        self.commit_session(session, digest).await
    }

    async fn commit_session(&self, session: Session, digest: &Digest) -> Result<(), StorageError> {
        let mut open = session.into_open();
        if let Err(error) = self.claim(&mut open, digest).await {
            if matches!(error, StorageError::DigestMismatch { .. })
                && let Err(error) = open.discard().await
            {
                tracing::info!("an upload of a wrong digest stays until it expires: {error}");
            }
            return Err(error);
        }
        let own = own_blob(&open);
        let repository = open.record.repository.clone();
        for _ in 0..ATTEMPTS {
            let is_own = self.settle_blob(digest, &own).await?;
            self.link(&repository, digest, own.size).await?;
            // The index has all that was written before the link.
            if self.is_live(digest) {
                self.cache().copied(open.id, digest, own.size);
                self.conclude(open, is_own);
                return Ok(());
            }
        }
        Err(Unavailable::Contended { key: Key::Blob(digest.clone()).to_string() }.into())
    }

    /// Verifies what is stored and reserves the upload for its blob.
    async fn claim(&self, open: &mut Open, digest: &Digest) -> Result<(), StorageError> {
        match &open.record.claimed {
            Some(claimed) if claimed == digest => return Ok(()),
            Some(_) => return Err(StorageError::UploadUnknown),
            None => {}
        }
        let written = open.flush().await?;
        open.set(written.clone());
        let found = if digest.algorithm() == written.hasher.algorithm() {
            written.hasher.digest()
        } else {
            open.hash_again(digest).await?
        };
        if found != *digest {
            return Err(StorageError::DigestMismatch { expected: digest.clone(), found });
        }
        open.record.claimed = Some(digest.clone());
        open.write().await
    }

    /// Sees to a blob record that is not dying. Whether its chunks are the own ones. Where the collector
    /// has those already, since the upload expired meanwhile, the upload is unknown.
    pub(super) async fn settle_blob(&self, digest: &Digest, own: &BlobRecord) -> Result<bool, StorageError> {
        let key = Key::Blob(digest.clone());
        for _ in 0..ATTEMPTS {
            let written = match self.index().blob(digest) {
                None => self.ledger().create(&key, own).await.map(|_| true),
                Some(blob) if blob.upload == own.upload && blob.dying => {
                    return Err(StorageError::UploadUnknown);
                }
                Some(blob) if blob.upload == own.upload => return Ok(true),
                Some(blob) if blob.dying => {
                    self.ledger().update(&key, blob.revision, own).await.map(|_| true)
                }
                Some(blob) if self.is_fresh(blob.touched) => return Ok(false),
                Some(blob) => {
                    let touched = BlobRecord { touched: now(), ..(*blob.record).clone() };
                    self.ledger().update(&key, blob.revision, &touched).await.map(|_| false)
                }
            };
            if let Some(is_own) = won(written)? {
                return Ok(is_own);
            }
            // The index knows what is there instead, or is about to.
            self.ledger().look_again::<BlobRecord>(&key).await?;
        }
        Err(Unavailable::Contended { key: key.to_string() }.into())
    }

    /// Whether a blob may be relied on, by what the index knows.
    pub(super) fn is_live(&self, digest: &Digest) -> bool {
        self.index().blob(digest).is_some_and(|blob| !blob.dying)
    }

    /// Purges the own chunks when the blob has others, and ends the upload. The client need not wait
    /// for that: nothing depends on it, and the expiry of uploads would do the same.
    pub(super) fn conclude(&self, open: Open, is_own: bool) {
        let storage = self.clone();
        tokio::spawn(async move {
            if let Err(error) = storage.conclude_now(&open, is_own).await {
                tracing::info!(
                    upload.id = %open.id,
                    "the upload {} is committed, and its record stays until it expires: {error}", open.id
                );
            }
        });
    }

    async fn conclude_now(&self, open: &Open, is_own: bool) -> Result<(), StorageError> {
        if !is_own {
            self.chunks().purge(open.id).await?;
        }
        self.forget_upload(open.id, open.revision).await
    }
}

pub(super) fn own_blob(open: &Open) -> BlobRecord {
    BlobRecord {
        size: open.record.offset,
        upload: open.id,
        runs: open.record.runs.clone(),
        touched: now(),
        dying: false,
    }
}
