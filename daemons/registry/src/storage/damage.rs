//! Blobs whose chunks are lost: the stream lost a block, or was made anew.
//!
//! The record of such a blob would stand in the way of the next push of the same content, which relies
//! on what is there. So it is forsaken, like one that the collector is about to purge: clients are told
//! that the blob is not there, and who pushes it puts chunks of its own in place of it. What came from
//! elsewhere is fetched again.

use super::{Storage, StorageError, won};
use crate::{
    Digest, Key,
    chunks::{Lane, Runs},
    index::Versioned,
    records::BlobRecord,
};

impl Storage {
    /// Looks, in the background, whether a blob is lost of which a read met a chunk that is not there.
    pub(super) fn suspect(&self, digest: &Digest, blob: &Versioned<BlobRecord>) {
        let (storage, digest, blob) = (self.clone(), digest.clone(), blob.clone());
        tokio::spawn(async move {
            match storage.forsake_if_lost(&digest, &blob).await {
                Ok(true) => tracing::error!(
                    blob.digest = %digest,
                    "the blob {digest} is given up, since chunks of it are lost: it comes back when it is pushed \
                     or fetched again"
                ),
                Ok(false) => {}
                Err(error) => tracing::warn!(
                    blob.digest = %digest,
                    "it is not known whether the blob {digest} is lost: {error}"
                ),
            }
        });
    }

    /// A replica that lags lacks chunks too: so the stream's leader counts them.
    async fn forsake_if_lost(
        &self,
        digest: &Digest,
        blob: &Versioned<BlobRecord>,
    ) -> Result<bool, StorageError> {
        let there = self.chunks().count(blob.upload).await?;
        let needed = |lane: Lane| -> u64 {
            let runs = blob.runs.as_slice().iter().filter(|run| run.lane == lane);
            runs.map(|run| run.count).sum()
        };
        if Lane::ALL.into_iter().zip(there).all(|(lane, there)| there >= needed(lane)) {
            return Ok(false);
        }
        let forsaken = BlobRecord { dying: true, runs: Runs::default(), ..(*blob.record).clone() };
        // At another revision it is another blob, or somebody else saw to it.
        Ok(won(self.ledger().update(&Key::Blob(digest.clone()), blob.revision, &forsaken).await)?.is_some())
    }

    /// Whether the index has a blob of which there are no chunks.
    pub(super) fn is_forsaken(&self, digest: &Digest) -> bool {
        self.index().blob(digest).is_some_and(|blob| blob.is_forsaken())
    }
}
