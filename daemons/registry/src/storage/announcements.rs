//! Tags that are to be at the hub too.

use super::{Storage, StorageError, Unavailable, won};
use crate::{
    Digest, Key, Repository, Tag,
    records::{AnnounceRecord, Origin, now},
};

impl Storage {
    /// Notes that a tag is to travel, when the fleet says so of its repository and a client pushed it.
    /// It comes before the tag: a crash between them announces what is not tagged yet, and whoever
    /// announces looks at the tag first.
    pub(super) async fn announce(
        &self,
        repository: &Repository,
        tag: &Tag,
        digest: &Digest,
        origin: &Origin,
    ) -> Result<(), StorageError> {
        let travels = self.policy().announce.iter().any(|pattern| pattern.matches(repository.as_str()));
        if *origin != Origin::Pushed || !travels {
            return Ok(());
        }
        let key = Key::Announce(repository.clone(), tag.clone());
        for _ in 0..super::uploads::ATTEMPTS {
            let mut record = AnnounceRecord { digest: digest.clone(), since: now() };
            let waiting = self.ledger().fetch::<AnnounceRecord>(&key).await?;
            let written = match waiting {
                // Written anew also for the same manifest: what the hub says next may be about what was
                // announced before something came to refer to it.
                Some(waiting) => {
                    if waiting.digest == *digest {
                        record.since = waiting.since;
                    }
                    self.ledger().update(&key, waiting.revision, &record).await
                }
                None => self.ledger().create(&key, &record).await,
            };
            if won(written)?.is_some() {
                return Ok(());
            }
        }
        Err(Unavailable::Contended { key: key.to_string() }.into())
    }

    /// Notes that the hub has what was announced at the revision given; false when something newer is
    /// announced meanwhile.
    pub async fn announced(
        &self,
        repository: &Repository,
        tag: &Tag,
        revision: u64,
    ) -> Result<bool, StorageError> {
        let key = Key::Announce(repository.clone(), tag.clone());
        Ok(won(self.ledger().delete(&key, revision).await)?.is_some())
    }
}
