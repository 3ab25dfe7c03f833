//! Tags. Each write is an event, which whoever watches the bucket sees.

use super::{Storage, StorageError, Unavailable, uploads::ATTEMPTS, won};
use crate::{
    Digest, Key, Reference, Repository, Tag,
    index::Tagged,
    records::{Origin, TagRecord, now},
};

impl Storage {
    /// The tags of a repository in order; `None` when there is no such repository.
    pub async fn tags(&self, repository: &Repository) -> Result<Option<Vec<(Tag, Tagged)>>, StorageError> {
        self.tags_after(repository, None, usize::MAX).await
    }

    /// At most `limit` tags of a repository in order, those after `last`, which need not be one; `None`
    /// when there is no such repository.
    pub async fn tags_after(
        &self,
        repository: &Repository,
        last: Option<&Tag>,
        limit: usize,
    ) -> Result<Option<Vec<(Tag, Tagged)>>, StorageError> {
        if let Some(tags) = self.index().tags_after(repository, last, limit) {
            return Ok(Some(tags));
        }
        // Another daemon may have made the repository a moment ago.
        self.index().caught_up().await?;
        Ok(self.index().tags_after(repository, last, limit))
    }

    /// Deletes a tag. Its manifest stays.
    pub async fn delete_tag(&self, repository: &Repository, tag: &Tag, by: &str) -> Result<(), StorageError> {
        let key = Key::Tag(repository.clone(), tag.clone());
        for _ in 0..ATTEMPTS {
            self.ledger().look_again::<TagRecord>(&key).await?;
            let Some(there) = self.index().tag(repository, tag) else {
                return Err(StorageError::ManifestUnknown { reference: Reference::Tag(tag.clone()) });
            };
            if self.write_deletion(&key, there.revision, &there.digest, by).await? {
                return Ok(());
            }
        }
        Err(Unavailable::Contended { key: key.to_string() }.into())
    }

    /// Deletes a tag if it is what the index had it as; false when it is not any more.
    pub async fn delete_tag_at(
        &self,
        repository: &Repository,
        tag: &Tag,
        entry: &Tagged,
        by: &str,
    ) -> Result<bool, StorageError> {
        let key = Key::Tag(repository.clone(), tag.clone());
        self.write_deletion(&key, entry.revision, &entry.digest, by).await
    }

    async fn write_deletion(
        &self,
        key: &Key,
        revision: u64,
        digest: &Digest,
        by: &str,
    ) -> Result<bool, StorageError> {
        let Key::Tag(repository, tag) = key else { return Ok(false) };
        let last = TagRecord {
            repository: repository.clone(),
            tag: tag.clone(),
            digest: None,
            previous: Some(digest.clone()),
            media_type: String::new(),
            size: 0,
            at: now(),
            by: by.to_owned(),
            origin: Origin::default(),
        };
        Ok(won(self.ledger().delete_tag(key, revision, &last).await)?.is_some())
    }

    /// Writes a tag over whatever it stood for, and returns its revision; `None` when it stands for
    /// that already, was pushed here and would be changed by what comes down from elsewhere, or stands for
    /// a later push and `keeps_later`.
    pub(super) async fn write_tag(
        &self,
        mut new: TagRecord,
        keeps_later: bool,
    ) -> Result<Option<u64>, StorageError> {
        let key = Key::Tag(new.repository.clone(), new.tag.clone());
        for _ in 0..ATTEMPTS {
            let written = match self.index().tag(&new.repository, &new.tag) {
                None => self.ledger().create(&key, &new).await,
                Some(there) => {
                    let is_same = Some(&there.digest) == new.digest.as_ref()
                        && *there.media_type == *new.media_type
                        && *there.origin == new.origin;
                    let is_later =
                        |digest: &Digest| keeps_later && there.is_later_than(new.at, digest, &new.origin);
                    let is_kept = new.origin.comes_down() && *there.origin == Origin::Pushed
                        || new.digest.as_ref().is_some_and(is_later);
                    if is_same || is_kept {
                        return Ok(None);
                    }
                    new.previous = Some(there.digest.clone());
                    self.ledger().update(&key, there.revision, &new).await
                }
            };
            if let Some(revision) = won(written)? {
                return Ok(Some(revision));
            }
            self.ledger().look_again::<TagRecord>(&key).await?;
        }
        Err(Unavailable::Contended { key: key.to_string() }.into())
    }

    /// What a tag stands for, by the index, or JetStream when the index has none.
    pub(super) async fn known_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<Option<(Digest, Origin)>, StorageError> {
        if let Some(there) = self.index().tag(repository, tag) {
            return Ok(Some((there.digest, (*there.origin).clone())));
        }
        self.ledger().look_again::<TagRecord>(&Key::Tag(repository.clone(), tag.clone())).await?;
        let there = self.index().tag(repository, tag);
        Ok(there.map(|there| (there.digest, (*there.origin).clone())))
    }
}
