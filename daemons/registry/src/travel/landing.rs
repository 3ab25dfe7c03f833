//! Where a travelling blob is stored: an upload like a client's, whose record says that it travels.

use std::{
    cmp::Reverse,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    Core,
    error::TravelError,
    peer::Side,
    source::{Bytestream, Source},
};
use crate::{
    Bucket, Digest, Repository, UploadId,
    index::Versioned,
    records::{Seconds, Travels, UploadRecord, now},
    storage::StorageError,
};

/// After this, bytes that arrived are stored and counted, so that little comes twice after a cut, and
/// who follows the blob gets on.
const STEP: Duration = Duration::from_secs(1);
/// On a slow link a chunk takes longer than that; after this it is stored although it is not full.
const LONGEST_STEP: Duration = Duration::from_secs(10);
/// An upload of another fetcher that stood still for so long is gone on with.
const ABANDONED: Seconds = 30;
/// How often the record of another's upload is looked at when nothing tells of a change.
const LOOK: Duration = Duration::from_secs(2);

/// Where a blob is.
pub(super) enum Place {
    /// All of it, here.
    Here,
    /// A part of it, in an upload that is ours to go on with.
    Ours(UploadId, Versioned<UploadRecord>),
    /// Another daemon, or a command, brings it.
    Theirs(UploadId, Versioned<UploadRecord>),
    /// Nothing of it is here.
    Nowhere,
}

/// Where one blob is stored.
pub(super) struct Landing<'a> {
    core: &'a Core,
    digest: &'a Digest,
    source: &'a Source,
}

impl<'a> Landing<'a> {
    pub(super) fn new(core: &'a Core, digest: &'a Digest, source: &'a Source) -> Self {
        Self { core, digest, source }
    }

    /// Who gives it.
    pub(super) fn side(&self) -> Side {
        self.source.side()
    }

    /// Where the blob is now.
    pub(super) fn place(&self) -> Place {
        let index = self.core.storage.index();
        let is_live = index.blob(self.digest).is_some_and(|blob| !blob.dying);
        // One that no repository has cannot be given to another: it waits for the collector.
        if is_live && !index.repositories_with(self.digest).is_empty() {
            return Place::Here;
        }
        let Some((upload, record)) = self.furthest() else { return Place::Nowhere };
        let fetcher = record.travels.as_ref().map(|travels| travels.fetcher.as_str());
        let is_alive = record.touched.saturating_add(ABANDONED) > now();
        if is_alive && fetcher != Some(&self.core.config.fetcher) {
            Place::Theirs(upload, record)
        } else {
            Place::Ours(upload, record)
        }
    }

    /// The upload of the blob that counts: the one that is furthest, and of those the one that was begun
    /// first. Two daemons that both know of two uploads choose the same.
    fn furthest(&self) -> Option<(UploadId, Versioned<UploadRecord>)> {
        let travels = |record: &UploadRecord| {
            record.travels.as_ref().is_some_and(|travels| travels.digest == *self.digest)
        };
        let uploads = self.core.storage.index().uploads().into_iter().filter(|(_, record)| travels(record));
        uploads.max_by_key(|(_, record)| (record.offset, Reverse(record.revision)))
    }

    /// Whether an upload that was just begun is the one that counts: of two daemons that begin at the
    /// same time, at least one sees the other's record here.
    pub(super) async fn is_first(&self, upload: UploadId) -> Result<bool, TravelError> {
        let index = self.core.storage.index();
        index.caught_up_with(Bucket::Records).await.map_err(StorageError::from)?;
        Ok(self.furthest().is_some_and(|(first, _)| first == upload))
    }

    /// Waits until something may have changed.
    pub(super) async fn changed(&self) {
        let mut progress = self.core.storage.index().progress(Bucket::Records);
        progress.mark_unchanged();
        let _ = timeout(LOOK, progress.changed()).await;
    }

    /// Begins an upload.
    pub(super) async fn begin(&self, repository: &Repository, size: u64) -> Result<UploadId, TravelError> {
        let (digest, from) = (self.digest.clone(), self.source.origin());
        let travels = Travels { digest, size, from, fetcher: self.core.config.fetcher.clone() };
        Ok(self.core.storage.begin_travel(repository, travels).await?)
    }

    /// Stores bytes that arrive, from `offset` on, for a [`STEP`]; returns how far the upload is then,
    /// and what went wrong with the bytes, if something did.
    pub(super) async fn append(
        &self,
        repository: &Repository,
        upload: UploadId,
        offset: u64,
        bytes: &mut Bytestream,
    ) -> Result<(u64, Option<TravelError>), TravelError> {
        let problem = Mutex::new(None);
        let chunk = self.core.storage.chunks().chunk_size() as u64;
        let body = stream::unfold((bytes, 0, Instant::now()), |(bytes, taken, since)| {
            let problem = &problem;
            async move {
                let is_full = taken > 0 && taken % chunk == 0 && since.elapsed() >= STEP;
                if is_full {
                    return None;
                }
                let next = match timeout_at(since + LONGEST_STEP, bytes.next()).await {
                    Ok(next) => next?,
                    // Silence is for the source to tell; what came is stored meanwhile.
                    Err(_) if taken > 0 => return None,
                    Err(_) => bytes.next().await?,
                };
                match next {
                    Ok(piece) => {
                        let taken = taken + piece.len() as u64;
                        Some((Ok(piece), (bytes, taken, since)))
                    }
                    Err(error) => {
                        *problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        None
                    }
                }
            }
        });
        let stored = self.core.storage.append(repository, upload, Some(offset), body).await?;
        let problem = problem.into_inner().unwrap_or_else(PoisonError::into_inner);
        if problem.is_none() && stored == offset {
            return Ok((stored, Some(self.ended_early())));
        }
        Ok((stored, problem))
    }

    /// Ends the upload: what it holds must be the blob.
    pub(super) async fn commit(&self, repository: &Repository, upload: UploadId) -> Result<(), TravelError> {
        match self.core.storage.commit(repository, upload, self.digest).await {
            Err(StorageError::DigestMismatch { .. }) => {
                // Of such bytes nothing is worth keeping.
                self.core.storage.cancel(repository, upload).await.or_else(|error| match error {
                    StorageError::UploadUnknown => Ok(()),
                    error => Err(error),
                })?;
                Err(self.source.tampered(self.digest))
            }
            other => Ok(other?),
        }
    }

    /// Ends the upload, and keeps nothing of it.
    pub(super) async fn cancel(&self, repository: &Repository, upload: UploadId) -> Result<(), TravelError> {
        Ok(self.core.storage.cancel(repository, upload).await?)
    }

    fn ended_early(&self) -> TravelError {
        TravelError::Broken { side: self.source.side(), message: "it ended too early".to_owned() }
    }
}
