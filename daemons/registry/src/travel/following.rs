//! A blob as a client gets it while it still arrives.

use std::{ops::Range, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{Core, blobs, error::TravelError, progress::Progress, source::Bytestream};
use crate::Digest;

/// How long a client waits for the next bytes. The fetch itself goes on.
const STALL: Duration = Duration::from_secs(30);

/// A blob that is here, or on its way.
pub struct Following {
    /// Bytes of the whole blob.
    pub size: u64,
    core: Arc<Core>,
    digest: Digest,
    /// How far it is; `None` when it is here.
    progress: Option<watch::Receiver<Progress>>,
}

impl std::fmt::Debug for Following {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Following").field("digest", &self.digest).field("size", &self.size).finish()
    }
}

impl Following {
    pub(super) fn new(
        core: &Arc<Core>,
        digest: &Digest,
        size: u64,
        progress: Option<watch::Receiver<Progress>>,
    ) -> Self {
        Self { size, core: Arc::clone(core), digest: digest.clone(), progress }
    }

    /// Its bytes in `range`, which must be within it: what is stored at once, the rest as it arrives.
    ///
    /// The last byte of the blob comes only when the whole blob was verified, so that nobody gets all
    /// of something else. The stream ends with an error after 30 s without a byte.
    pub fn stream(self, range: Range<u64>) -> Bytestream {
        let Some(progress) = self.progress else { return blobs::stored(&self.core, &self.digest, range) };
        let follow = Follow { core: self.core, digest: self.digest, progress, range, part: None };
        stream::unfold(Some(follow), |follow| async {
            let mut follow = follow?;
            match follow.next().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(follow))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }
}

struct Follow {
    core: Arc<Core>,
    digest: Digest,
    progress: watch::Receiver<Progress>,
    /// What was not given yet.
    range: Range<u64>,
    /// What is stored of it, being read, and whether that is the blob and no longer the upload.
    part: Option<(Bytestream, bool)>,
}

impl Follow {
    async fn next(&mut self) -> Result<Option<bytes::Bytes>, TravelError> {
        while !self.range.is_empty() {
            if let Some((part, is_blob)) = &mut self.part {
                let is_blob = *is_blob;
                match part.next().await {
                    Some(Ok(bytes)) => {
                        self.range.start += bytes.len() as u64;
                        return Ok(Some(bytes));
                    }
                    None => self.part = None,
                    // The chunks of an upload go when another one brought the same blob.
                    Some(Err(error)) if is_blob || !self.is_here() => return Err(error),
                    Some(Err(_)) => self.part = None,
                }
                continue;
            }
            self.part = Some(self.more().await?);
        }
        Ok(None)
    }

    fn is_here(&self) -> bool {
        self.core.storage.index().blob(&self.digest).is_some()
    }

    /// Waits until there is something to read, and begins to read it.
    async fn more(&mut self) -> Result<(Bytestream, bool), TravelError> {
        // Attempts that fail are news too, and no reason to wait longer.
        let (mut offset, mut deadline) = (0, Instant::now() + STALL);
        loop {
            let now = self.progress.borrow_and_update().clone();
            if now.offset > offset {
                (offset, deadline) = (now.offset, Instant::now() + STALL);
            }
            if now.landed || matches!(now.ended, Some(Ok(()))) {
                return Ok((blobs::stored(&self.core, &self.digest, self.range.clone()), true));
            }
            if let Some(Err(error)) = now.ended {
                return Err(error);
            }
            let verified = now.size.map_or(0, |size| size.saturating_sub(1)).min(now.offset);
            let end = verified.min(self.range.end);
            if let Some(upload) = now.upload
                && self.range.start < end
            {
                return Ok((blobs::arriving(&self.core, upload, self.range.start..end)?, false));
            }
            match timeout_at(deadline, self.progress.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(TravelError::Stopping),
                Err(_) => return Err(TravelError::Stalled { digest: self.digest.clone(), after: STALL }),
            }
        }
    }
}
