//! Has all of an image here at one time.
//!
//! While one part is on its way, which takes days over a link that is cut, the collector may take
//! another that was here already: no tag leads to it yet. So whoever is about to tag an image walks
//! through it until a walk found all of it here. A walk relies anew on whatever it passes, which keeps
//! that for the collector's grace time.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;

use super::{Core, blobs, error::TravelError, images, peer::Resolved, source::Source};
use crate::{Digest, Reference, Repository, records::Origin, storage::StorageError};

/// One walk through an image.
pub(super) struct Walk<'a> {
    core: &'a Arc<Core>,
    source: &'a Source,
    repository: &'a Repository,
    seen: BTreeSet<Digest>,
    brought: bool,
}

impl<'a> Walk<'a> {
    /// A walk that knows of all that the collector did before.
    pub(super) async fn begin(
        core: &'a Arc<Core>,
        source: &'a Source,
        repository: &'a Repository,
    ) -> Result<Self, TravelError> {
        core.storage.index().caught_up().await.map_err(StorageError::from)?;
        Ok(Self { core, source, repository, seen: BTreeSet::new(), brought: false })
    }

    pub(super) fn repository(&self) -> &'a Repository {
        self.repository
    }

    /// Whether something was missing, so that another walk has to follow.
    pub(super) fn has_brought(&self) -> bool {
        self.brought
    }

    /// Whether a manifest was not passed yet.
    pub(super) fn is_new(&mut self, digest: &Digest) -> bool {
        self.seen.insert(digest.clone())
    }

    /// A manifest by its digest, from here or brought here; `None` when the source has none. It comes
    /// before its blobs, which the collector would take for forsaken on a slow link.
    pub(super) async fn manifest(&mut self, digest: &Digest) -> Result<Option<Bytes>, TravelError> {
        let stored = self.stored(digest).await?;
        let is_new = stored.is_none();
        let (resolved, origin) = match stored {
            Some(stored) => stored,
            None => {
                let reference = Reference::Digest(digest.clone());
                let resolved = self.source.manifest(self.repository, &reference, None).await?;
                let Some(resolved) = resolved else { return Ok(None) };
                (resolved, self.source.origin())
            }
        };
        let bytes = resolved.bytes.clone();
        images::put(self.core, self.repository, resolved, Vec::new(), origin).await?;
        if is_new {
            self.brought = true;
            self.core.keep.notify_one();
        }
        Ok(bytes)
    }

    async fn stored(&self, digest: &Digest) -> Result<Option<(Resolved, Origin)>, TravelError> {
        let storage = &self.core.storage;
        let Some(record) = storage.index().manifest(self.repository, digest) else { return Ok(None) };
        let bytes = Some(storage.manifest_bytes(digest).await?);
        let origin = match &record.origin {
            // It stays one that was pushed, and is not refused for a blob that is missing.
            Origin::Pushed => self.source.origin(),
            travelled => travelled.clone(),
        };
        let (media_type, size) = (record.media_type.clone(), record.size);
        Ok(Some((Resolved { digest: digest.clone(), media_type, size, bytes }, origin)))
    }

    /// Brings the blobs of a manifest, and waits until all are here.
    pub(super) async fn blobs(&mut self, digests: &[Digest]) -> Result<(), TravelError> {
        let mut missing = Vec::new();
        for digest in digests {
            if self.core.storage.touch_blob(self.repository, digest).await?.is_none() {
                missing.push(digest.clone());
            }
        }
        self.brought |= !missing.is_empty();
        blobs::bring(self.core, self.repository, &missing, self.source).await
    }
}
