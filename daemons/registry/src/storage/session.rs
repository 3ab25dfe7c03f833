//! One request's use of an upload: bytes in, and the record that says how far it is.

use std::{mem, pin::pin, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::time::{MissedTickBehavior, interval};

use super::{BodyError, Storage, StorageError, uploads::Occupied, won};
use crate::{
    Digest, Key, UploadId,
    chunks::{Hasher, Writer, Written},
    index::Versioned,
    records::{UploadRecord, now},
};

/// Of a long part, the record tells every so many bytes how far it is.
const NOTE: u64 = 64 << 20;
/// How often a writer is asked whether others wait for the memory that it fills.
const RELIEF: Duration = Duration::from_millis(250);

/// An upload, used by one request. Dropped while bytes come, it saves what arrived in the background.
pub(super) struct Session(Option<Open>);

pub(super) struct Open {
    pub(super) storage: Storage,
    pub(super) id: UploadId,
    pub(super) revision: u64,
    pub(super) record: UploadRecord,
    writer: Option<Writer>,
    /// Bytes stored or taken.
    taken: u64,
    /// Bytes come, or came: what is reserved for more of them is given back when they end.
    takes: bool,
    _busy: Occupied,
}

impl Session {
    pub(super) fn new(
        storage: Storage,
        id: UploadId,
        upload: Versioned<UploadRecord>,
        busy: Occupied,
    ) -> Self {
        let record = (*upload.record).clone();
        let taken = record.offset;
        Self(Some(Open {
            storage,
            id,
            revision: upload.revision,
            record,
            writer: None,
            taken,
            takes: false,
            _busy: busy,
        }))
    }

    fn open(&mut self) -> &mut Open {
        self.0.as_mut().expect("a session is open until it is consumed")
    }

    pub(super) fn into_open(mut self) -> Open {
        self.0.take().expect("a session is open until it is consumed")
    }

    /// The blob that the upload is being committed as.
    pub(super) fn claimed(&mut self) -> Option<&Digest> {
        self.open().record.claimed.as_ref()
    }

    /// Refuses a part that begins elsewhere than where the one before ended.
    pub(super) fn begins_at(&mut self, start: Option<u64>) -> Result<(), StorageError> {
        let offset = self.open().record.offset;
        match start {
            Some(start) if start != offset => Err(StorageError::OutOfOrder { offset }),
            _ => Ok(()),
        }
    }

    /// Stores bytes until the body ends.
    pub(super) async fn take(
        &mut self,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    ) -> Result<(), StorageError> {
        let open = self.open();
        if open.record.claimed.is_some() {
            return Err(StorageError::UploadUnknown);
        }
        open.takes = true;
        let mut body = pin!(body);
        let mut relief = interval(RELIEF);
        relief.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let bytes = tokio::select! {
                bytes = body.next() => bytes,
                _ = relief.tick() => {
                    open.writer()?.relieve().await?;
                    continue;
                }
            };
            let Some(bytes) = bytes else { return Ok(()) };
            let bytes = bytes?;
            open.reserve(open.taken + bytes.len() as u64).await?;
            open.taken += bytes.len() as u64;
            open.writer()?.write(bytes).await?;
            let noted = open.record.offset;
            let stored = open.writer()?.written();
            if stored.offset >= noted + NOTE {
                let stored = stored.clone();
                open.note(stored).await?;
            }
        }
    }

    /// Reserves the next `length` bytes.
    pub(super) async fn reserve_next(&mut self, length: u64) -> Result<(), StorageError> {
        let open = self.open();
        open.reserve(open.taken.saturating_add(length)).await
    }

    /// Waits until all bytes are stored, and writes into the record how many they are.
    pub(super) async fn save(self) -> Result<u64, StorageError> {
        self.into_open().save().await
    }

    /// Deletes the record, then purges the chunks. A claimed upload is being committed: it ends so.
    pub(super) async fn discard(self) -> Result<(), StorageError> {
        let open = self.into_open();
        if open.record.claimed.is_some() {
            return Err(StorageError::UploadUnknown);
        }
        open.discard().await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(open) = self.0.take().filter(Open::is_interrupted) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let id = open.id;
                if let Err(error) = open.save().await {
                    tracing::info!(upload.id = %id, "the end of the interrupted upload {id} is lost: {error}");
                }
            });
        }
    }
}

impl Open {
    /// Whether bytes were coming that the record does not tell of, or for which it reserves too much.
    fn is_interrupted(&self) -> bool {
        self.takes && self.taken.max(self.record.reserved) > self.record.offset
    }

    fn resume(&self) -> Result<Written, StorageError> {
        let Some(hasher) = Hasher::resume(self.record.algorithm, &self.record.hash) else {
            tracing::warn!(upload.id = %self.id, "the upload {} cannot go on: its digest is not understood", self.id);
            return Err(StorageError::UploadUnknown);
        };
        Ok(Written { offset: self.record.offset, runs: self.record.runs.clone(), hasher })
    }

    pub(super) fn writer(&mut self) -> Result<&mut Writer, StorageError> {
        if self.writer.is_none() {
            let writer = self.storage.chunks().writer(self.id, self.resume()?);
            let copy = self.storage.cache().copy(self.id, self.record.offset);
            self.writer = Some(writer.copied_to(copy));
        }
        Ok(self.writer.as_mut().expect("it was put there"))
    }

    /// What is stored, after all is.
    pub(super) async fn flush(&mut self) -> Result<Written, StorageError> {
        match &mut self.writer {
            Some(writer) => Ok(writer.flush().await?),
            None => self.resume(),
        }
    }

    /// Has the record reserve `total` bytes, and refuses when the quota has no room for them.
    async fn reserve(&mut self, total: u64) -> Result<(), StorageError> {
        let before = self.record.reserved;
        if total <= before {
            return Ok(());
        }
        let Some(usage) = self.storage.usage(&self.record.repository) else { return Ok(()) };
        usage.check_alone(total)?;
        self.record.reserved = self.storage.reservation(&self.record.repository, total, before);
        self.write().await?;
        let wanted = self.record.reserved - before;
        let checked = self.storage.check_quota(&self.record.repository, self.revision, wanted).await;
        if checked.is_err() {
            self.record.reserved = before;
            self.write().await?;
        }
        checked
    }

    async fn note(&mut self, written: Written) -> Result<(), StorageError> {
        self.set(written);
        self.write().await
    }

    pub(super) fn set(&mut self, written: Written) {
        self.record.offset = written.offset;
        self.record.runs = written.runs;
        self.record.hash = written.hasher.state();
        self.record.touched = now();
    }

    /// Writes the record over the revision that this session knows.
    pub(super) async fn write(&mut self) -> Result<(), StorageError> {
        let written = self.storage.ledger().update(&Key::Upload(self.id), self.revision, &self.record).await;
        self.revision = won(written)?.ok_or(StorageError::Busy)?;
        Ok(())
    }

    async fn save(mut self) -> Result<u64, StorageError> {
        let (written, flushed) = match mem::take(&mut self.writer) {
            Some(mut writer) => {
                let flushed = writer.flush().await.map(drop);
                (writer.written().clone(), flushed)
            }
            None => (self.resume()?, Ok(())),
        };
        if written.offset > self.record.offset || self.record.reserved > written.offset {
            self.set(written);
            self.record.reserved = self.record.offset;
            self.write().await?;
        }
        flushed?;
        Ok(self.record.offset)
    }

    pub(super) async fn discard(self) -> Result<(), StorageError> {
        let deleted = self.storage.ledger().delete(&Key::Upload(self.id), self.revision).await;
        won(deleted)?.ok_or(StorageError::Busy)?;
        self.storage.cache().uncopied(self.id);
        self.storage.chunks().purge(self.id).await?;
        Ok(())
    }

    /// The digest of what is stored, by another algorithm than it was begun with.
    pub(super) async fn hash_again(&self, wanted: &Digest) -> Result<Digest, StorageError> {
        let mut hasher = Hasher::new(wanted.algorithm());
        let range = 0..self.record.offset;
        let mut chunks = self.storage.chunks().read(&self.record.runs, self.id, range);
        while let Some(bytes) = chunks.next().await {
            let bytes = bytes?;
            let hashed = tokio::task::spawn_blocking(move || {
                hasher.update(&bytes);
                hasher
            });
            hasher = hashed.await.map_err(crate::chunks::ChunkError::from)?;
        }
        Ok(hasher.digest())
    }
}
