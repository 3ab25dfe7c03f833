//! Bytes of blobs: from the cache, else from chunks, and then into the cache.

use std::{
    ops::Range,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream::BoxStream};

use super::{Storage, StorageError};
use crate::{
    Digest,
    cache::{Admission, Cached},
    chunks::Hasher,
    index::Versioned,
    records::BlobRecord,
};

/// Bytes of a blob, in order. After an error it ends.
pub struct BlobStream {
    bytes: BoxStream<'static, Result<Bytes, StorageError>>,
    length: u64,
    cached: bool,
}

impl BlobStream {
    /// Bytes in all.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether they come from the cache.
    pub fn is_cached(&self) -> bool {
        self.cached
    }
}

impl Stream for BlobStream {
    type Item = Result<Bytes, StorageError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.bytes.poll_next_unpin(context)
    }
}

impl Storage {
    /// The bytes `range` of a blob, whichever repositories have it. The second read of the
    /// whole blob puts it into the cache, verified.
    pub async fn read(&self, digest: &Digest, range: Range<u64>) -> Result<BlobStream, StorageError> {
        if let Some(cached) = self.cache().get(digest) {
            check(&range, cached.size())?;
            let is_whole = range == (0..cached.size());
            if !cached.is_flushed() && is_whole && self.cache().is_hot(digest) {
                self.cache().keep(digest);
            }
            return Ok(self.cached_of(digest, cached, range));
        }
        let blob = self.readable_blob(digest).await?;
        check(&range, blob.size)?;
        let is_whole = range == (0..blob.size);
        let length = range.end - range.start;
        let chunks = self.chunks_of(digest, &blob, range);
        let is_hot = is_whole && self.cache().is_hot(digest);
        let admission = if is_hot { self.cache().admit(digest, blob.size) } else { None };
        let bytes = match admission {
            Some(admission) => into_cache(chunks, admission, length).boxed(),
            None => chunks,
        };
        Ok(BlobStream { bytes, length, cached: false })
    }

    /// A blob that has chunks.
    async fn readable_blob(&self, digest: &Digest) -> Result<Versioned<BlobRecord>, StorageError> {
        let blob = self.known_blob(digest).await?.filter(|blob| !blob.is_forsaken());
        blob.ok_or_else(|| StorageError::BlobUnknown { digest: digest.clone() })
    }

    fn chunks_of(
        &self,
        digest: &Digest,
        blob: &Versioned<BlobRecord>,
        range: Range<u64>,
    ) -> BoxStream<'static, Result<Bytes, StorageError>> {
        let (storage, digest, blob) = (self.clone(), digest.clone(), blob.clone());
        let chunks = self.chunks().read(&blob.runs, blob.upload, range);
        let chunks = chunks.map(move |chunk| {
            chunk.map_err(|error| match error {
                crate::chunks::ChunkError::Gone { .. } => {
                    tracing::error!(blob.digest = %digest, "the blob {digest} is damaged: {error}");
                    storage.suspect(&digest, &blob);
                    StorageError::Damaged { digest: digest.clone() }
                }
                error => error.into(),
            })
        });
        chunks.boxed()
    }

    /// Where the cache's disk fails, the chunks have the rest.
    fn cached_of(&self, digest: &Digest, cached: Cached, range: Range<u64>) -> BlobStream {
        let length = range.end - range.start;
        let (storage, digest) = (self.clone(), digest.clone());
        let bytes = cached_bytes(storage, digest, cached, range);
        BlobStream { bytes, length, cached: true }
    }

    /// All bytes of a small blob, verified: a manifest's.
    pub async fn manifest_bytes(&self, digest: &Digest) -> Result<Bytes, StorageError> {
        if let Some(bytes) = self.0.recent.get(digest) {
            return Ok(bytes);
        }
        let blob = self.readable_blob(digest).await?;
        let mut chunks = self.chunks_of(digest, &blob, 0..blob.size);
        let mut all = BytesMut::new();
        while let Some(bytes) = chunks.next().await {
            all.extend_from_slice(&bytes?);
        }
        let bytes = all.freeze();
        let mut hasher = Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        if hasher.digest() != *digest {
            tracing::error!(blob.digest = %digest, "the blob {digest} is damaged: its chunks are of other bytes");
            return Err(StorageError::Damaged { digest: digest.clone() });
        }
        self.0.recent.put(digest, &bytes);
        Ok(bytes)
    }
}

fn check(range: &Range<u64>, size: u64) -> Result<(), StorageError> {
    if range.start <= range.end && range.end <= size {
        return Ok(());
    }
    Err(StorageError::RangeNotSatisfiable { size })
}

/// Gives bytes on, and to the cache. The file is flushed after the reader has everything.
fn into_cache(
    chunks: BoxStream<'static, Result<Bytes, StorageError>>,
    admission: Admission,
    length: u64,
) -> impl Stream<Item = Result<Bytes, StorageError>> + Send + 'static {
    let state = (chunks, Some(admission), length);
    futures::stream::unfold(state, |(mut chunks, mut admission, left)| async move {
        let next = chunks.next().await?;
        let left = match &next {
            Ok(bytes) => left.saturating_sub(bytes.len() as u64),
            Err(_) => u64::MAX,
        };
        if let (Ok(bytes), Some(admission)) = (&next, &mut admission) {
            admission.write(bytes.clone()).await;
        }
        // Here and not at the end: who has the length does not ask for more.
        if left == 0
            && let Some(admission) = admission.take()
        {
            tokio::spawn(admission.finish());
        }
        Some((next, (chunks, admission, left)))
    })
}

fn cached_bytes(
    storage: Storage,
    digest: Digest,
    cached: Cached,
    range: Range<u64>,
) -> BoxStream<'static, Result<Bytes, StorageError>> {
    enum From {
        Cache(BoxStream<'static, std::io::Result<Bytes>>),
        Chunks(BoxStream<'static, Result<Bytes, StorageError>>),
    }
    let state = (From::Cache(cached.read(range.clone()).boxed()), storage, digest, range);
    let bytes = futures::stream::unfold(state, |(mut from, storage, digest, mut range)| async move {
        loop {
            let next = match &mut from {
                From::Chunks(chunks) => chunks.next().await?,
                From::Cache(cache) => match cache.next().await? {
                    Ok(bytes) => Ok(bytes),
                    Err(error) => {
                        tracing::warn!(blob.digest = %digest, "the cached file of {digest} cannot be read: {error}");
                        storage.cache().remove(&digest);
                        match storage.readable_blob(&digest).await {
                            Ok(blob) => {
                                from = From::Chunks(storage.chunks_of(&digest, &blob, range.clone()));
                                continue;
                            }
                            Err(error) => Err(error),
                        }
                    }
                },
            };
            match &next {
                Ok(bytes) => range.start += bytes.len() as u64,
                Err(_) => from = From::Chunks(futures::stream::empty().boxed()),
            }
            return Some((next, (from, storage, digest, range)));
        }
    });
    bytes.boxed()
}
