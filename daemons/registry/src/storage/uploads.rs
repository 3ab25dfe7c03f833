//! Uploads: begun, gone on with, asked about, cancelled.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures::Stream;

use super::{BodyError, CasError, Storage, StorageError, Unavailable, session::Session, won};
use crate::{
    Algorithm, Bucket, Key, Repository, UploadId,
    chunks::{Hasher, Runs},
    index::Versioned,
    records::{Travels, UploadRecord, now},
};

/// How often a change is tried that others keep getting ahead of.
pub(super) const ATTEMPTS: usize = 100;

impl Storage {
    /// Begins an upload. `reserve` bytes count against the namespace's quota from now on: all that
    /// will come, when that is known.
    pub async fn begin(
        &self,
        repository: &Repository,
        algorithm: Algorithm,
        reserve: u64,
    ) -> Result<UploadId, StorageError> {
        Ok(self.begin_as(&new_record(repository, algorithm, reserve)).await?.0)
    }

    /// Begins to fetch a blob from another registry. All its bytes are reserved.
    pub async fn begin_travel(
        &self,
        repository: &Repository,
        travels: Travels,
    ) -> Result<UploadId, StorageError> {
        let mut record = new_record(repository, travels.digest.algorithm(), travels.size);
        record.travels = Some(travels);
        Ok(self.begin_as(&record).await?.0)
    }

    pub(super) async fn begin_as(&self, record: &UploadRecord) -> Result<(UploadId, u64), StorageError> {
        if let Some(usage) = self.usage(&record.repository) {
            usage.check_alone(record.reserved)?;
        }
        self.has_room()?;
        let id = UploadId::random();
        let key = Key::Upload(id);
        let revision = match self.ledger().create(&key, record).await {
            Ok(revision) => revision,
            Err(CasError::Conflict) => unreachable!("128 random bits are there once"),
            Err(CasError::Failed(error)) => return Err(error),
        };
        if self.usage(&record.repository).is_some() {
            let checked = self.check_quota(&record.repository, revision, record.reserved).await;
            if let Err(error) = checked {
                // A record that stays after all expires.
                let _ = self.ledger().delete(&key, revision).await;
                return Err(error);
            }
        }
        Ok((id, revision))
    }

    /// Looks whether a reservation of `wanted` more bytes, written as `revision`, fits.
    pub(super) async fn check_quota(
        &self,
        repository: &Repository,
        revision: u64,
        wanted: u64,
    ) -> Result<(), StorageError> {
        self.settled(revision).await?;
        self.usage(repository).map_or(Ok(()), |usage| usage.check(wanted))
    }

    /// Adds bytes, which begin at `expected_start` when that is said, and returns how many are stored
    /// in all. When the body ends early, what arrived is kept; also when this future is dropped.
    pub async fn append(
        &self,
        repository: &Repository,
        id: UploadId,
        expected_start: Option<u64>,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    ) -> Result<u64, StorageError> {
        let mut session = self.session(repository, id).await?;
        session.begins_at(expected_start)?;
        self.has_room()?;
        let taken = session.take(body).await;
        let saved = session.save().await;
        taken?;
        saved
    }

    /// Reserves what a part of known length needs, which begins at `expected_start` when that is said,
    /// before its first byte comes; without a quota it does nothing. [`Storage::append`] reserves by
    /// itself, piece by piece.
    pub async fn reserve(
        &self,
        repository: &Repository,
        id: UploadId,
        expected_start: Option<u64>,
        length: u64,
    ) -> Result<(), StorageError> {
        if self.usage(repository).is_none() {
            return Ok(());
        }
        let mut session = self.session(repository, id).await?;
        session.begins_at(expected_start)?;
        session.reserve_next(length).await
    }

    /// Bytes of an upload that are stored.
    pub async fn upload(&self, repository: &Repository, id: UploadId) -> Result<u64, StorageError> {
        let upload = self.upload_of(repository, id).await?;
        if upload.claimed.is_some() { Err(StorageError::UploadUnknown) } else { Ok(upload.offset) }
    }

    /// Ends an upload, and purges what it stored.
    pub async fn cancel(&self, repository: &Repository, id: UploadId) -> Result<(), StorageError> {
        let session = self.session(repository, id).await?;
        session.discard().await
    }

    /// Ends an upload that expired: for the collector. False when it went on meanwhile, or a request
    /// uses it.
    pub async fn expire(&self, id: UploadId, upload: &Versioned<UploadRecord>) -> Result<bool, StorageError> {
        let Some(_busy) = self.occupy(id) else { return Ok(false) };
        if won(self.ledger().delete(&Key::Upload(id), upload.revision).await)?.is_none() {
            return Ok(false);
        }
        // What was claimed may be a blob by now.
        self.index().caught_up_with(Bucket::Records).await?;
        if self.index().blob_of_upload(&id).is_none() {
            self.chunks().purge(id).await?;
        }
        Ok(true)
    }

    /// An upload as JetStream has it now: another daemon may have taken its last part.
    pub(super) async fn upload_of(
        &self,
        repository: &Repository,
        id: UploadId,
    ) -> Result<Versioned<UploadRecord>, StorageError> {
        self.ledger().look_again::<UploadRecord>(&Key::Upload(id)).await?;
        let upload = self.index().upload(&id);
        upload.filter(|upload| upload.repository == *repository).ok_or(StorageError::UploadUnknown)
    }

    /// An upload that nobody else in this daemon writes to until the session ends.
    pub(super) async fn session(
        &self,
        repository: &Repository,
        id: UploadId,
    ) -> Result<Session, StorageError> {
        let busy = self.occupy(id).ok_or(StorageError::Busy)?;
        let upload = self.upload_of(repository, id).await?;
        Ok(Session::new(self.clone(), id, upload, busy))
    }

    pub(super) fn occupy(&self, id: UploadId) -> Option<Occupied> {
        let uploads = Arc::clone(&self.0.busy);
        let is_free = uploads.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        // Made only when it is free: its drop frees the upload.
        is_free.then(|| Occupied { uploads, id })
    }

    /// Deletes a record of this daemon's upload at whatever revision it has.
    pub(super) async fn forget_upload(&self, id: UploadId, mut revision: u64) -> Result<(), StorageError> {
        let key = Key::Upload(id);
        for _ in 0..ATTEMPTS {
            if won(self.ledger().delete(&key, revision).await)?.is_some() {
                return Ok(());
            }
            self.ledger().look_again::<UploadRecord>(&key).await?;
            match self.index().upload(&id) {
                Some(upload) => revision = upload.revision,
                None => return Ok(()),
            }
        }
        Err(Unavailable::Contended { key: key.to_string() }.into())
    }
}

pub(super) fn new_record(repository: &Repository, algorithm: Algorithm, reserve: u64) -> UploadRecord {
    UploadRecord {
        repository: repository.clone(),
        algorithm,
        hash: Hasher::new(algorithm).state(),
        offset: 0,
        runs: Runs::default(),
        reserved: reserve,
        touched: now(),
        travels: None,
        claimed: None,
    }
}

/// An upload is used by one request; the others are refused until this is dropped.
pub(super) struct Occupied {
    uploads: Arc<Mutex<HashSet<UploadId>>>,
    id: UploadId,
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
