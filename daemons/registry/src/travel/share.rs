//! Gives a blob that came to each repository that is to have it, as soon as that one may.

use super::{Core, error::TravelError, fetch::Fetch, wants::Want};
use crate::{Repository, storage::StorageError};

impl Fetch {
    /// Gives it to each repository in which its source has it. A source that cannot be reached holds up
    /// its own repositories only.
    pub(super) async fn share(&self, core: &Core) -> Result<(), TravelError> {
        self.progress.send_modify(|progress| progress.landed = true);
        let (mut failed, mut refused, mut given) = (None, None, false);
        for want in self.all_wants() {
            match self.give(core, &want).await {
                Ok(()) => given = true,
                Err(error) if error.is_final() => {
                    self.wants().refuse(&want, &error);
                    refused = Some(error);
                }
                Err(error) => failed = Some(error),
            }
            // Who waits for this repository need not wait for the others.
            self.progress.send_modify(|_| {});
        }
        match failed.or(refused.filter(|_| !given)) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    async fn give(&self, core: &Core, want: &Want) -> Result<(), TravelError> {
        if core.has(&want.repository, &self.digest) {
            return Ok(());
        }
        if !want.is_known {
            if want.source.stat(&want.repository, &self.digest).await?.is_none() {
                return Err(TravelError::Unknown { side: want.source.side() });
            }
            self.wants().know(want);
        }
        if core.storage.mount(&want.repository, &self.digest, None).await? {
            return Ok(());
        }
        // The collector was faster: the next attempt fetches it again.
        self.progress.send_modify(|progress| progress.landed = false);
        Err(StorageError::BlobUnknown { digest: self.digest.clone() }.into())
    }

    /// Waits until a repository has it, or will not get it.
    pub(super) async fn given(&self, core: &Core, repository: &Repository) -> Result<(), TravelError> {
        let mut progress = self.progress.subscribe();
        let is_given = || core.has(repository, &self.digest);
        let ended = progress.wait_for(|progress| {
            progress.ended.is_some() || is_given() || self.wants().refusal(repository).is_some()
        });
        let ended = ended.await.map_err(|_| TravelError::Stopping)?.ended.clone();
        if is_given() {
            return Ok(());
        }
        let refusal = self.wants().refusal(repository);
        refusal.map_or_else(|| ended.unwrap_or(Ok(())), Err)
    }
}
