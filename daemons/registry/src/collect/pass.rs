//! One pass: what `foresee` tells, done by compare-and-set.
//!
//! Each step marks first and then waits for the index to have every write before the marks; only then
//! does it judge again and delete, by the revision that it judged. See [`crate::records`] for what
//! writers do to match.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};

use super::{
    Policy, Step,
    foresee::{Contents, foresee},
    lease::Held,
    report::Report,
    retention,
    verdict::{Verdict, is_over},
};
use crate::{
    Bucket, Digest, Index, Key, Storage, StorageError, UploadId,
    audit::{About, Audit, Event, What},
    chunks::Runs,
    index::Versioned,
    records::{BlobRecord, LinkRecord, ManifestRecord, Seconds},
    storage::won,
};

/// Requests to JetStream at a time: enough to hide a round trip, few beside what clients do.
const AT_ONCE: usize = 16;
/// Blobs that are marked before the first of them is purged, so that a pass that is cut short leaves few
/// marks.
const BATCH: usize = 256;
/// Who deletes by retention, in the events of tags and of the audit stream.
const BY: &str = "retention";

/// Who is told of a pass while it goes on.
#[derive(Clone, Copy)]
pub(super) struct Watch<'a> {
    /// What it is at.
    pub(super) step: &'a (dyn Fn(Step) + Send + Sync),
    /// Which tags and manifests it deleted.
    pub(super) audit: Option<&'a Audit>,
}

/// A pass under way.
pub(super) struct Pass<'a> {
    storage: &'a Storage,
    lease: &'a Held,
    policy: &'a Policy,
    now: Seconds,
    watch: Watch<'a>,
    report: Report,
}

/// Does all that there is to do.
pub(super) async fn pass(
    storage: &Storage,
    lease: &Held,
    policy: &Policy,
    now: Seconds,
    watch: Watch<'_>,
) -> Result<Report, StorageError> {
    let report = Report { at: now, ..Report::default() };
    let mut pass = Pass { storage, lease, policy, now, watch, report };
    pass.index().caught_up().await?;
    pass.tags().await?;
    pass.report.unreadable = pass.index().unreadable() as u64;
    if pass.report.unreadable > 0 {
        tracing::warn!(
            records = pass.report.unreadable,
            "{} records are of another version of leafbox: until this node has that version, no blob is collected",
            pass.report.unreadable
        );
    } else {
        pass.manifests().await?;
        pass.links().await?;
        pass.blobs().await?;
        pass.stray().await?;
    }
    pass.uploads().await?;
    pass.look_ahead();
    Ok(pass.report)
}

/// What a pass would do.
pub(super) async fn rehearse(
    storage: &Storage,
    policy: &Policy,
    now: Seconds,
) -> Result<Report, StorageError> {
    let stray = stray(storage, policy, now).await?;
    storage.index().caught_up().await?;
    let mut report = foresee(storage.index(), policy, now);
    if report.unreadable == 0 {
        report.stray = stray.len() as u64;
    }
    report.waiting_bytes = later(storage.index(), policy, now).saturating_sub(report.bytes);
    Ok(report)
}

/// Bytes of the blobs that go when every grace time that runs now is over.
fn later(index: &Index, policy: &Policy, now: Seconds) -> u64 {
    foresee(index, &Policy { grace: 0, ..policy.clone() }, now).bytes
}

impl Pass<'_> {
    fn index(&self) -> &Index {
        self.storage.index()
    }

    fn step(&self, step: Step) {
        (self.watch.step)(step);
    }

    /// Tells of a deletion as of one that a client asked for; links are nothing that one knows of.
    fn deleted(&self, key: &Key) {
        let about = match key {
            Key::Tag(repository, tag) => About::named(repository, tag),
            Key::Manifest(repository, digest) => About::named(repository, digest),
            _ => return,
        };
        let Some(audit) = self.watch.audit else { return };
        audit.record(Event { about, ..Event::new(What::Deleted, BY) });
    }

    async fn tags(&mut self) -> Result<(), StorageError> {
        if self.policy.retain.is_empty() {
            return Ok(());
        }
        self.step(Step::Tags);
        for repository in self.index().repositories() {
            let contents = Contents::of(self.index(), &repository);
            for (tag, entry) in retention::surplus(&self.policy.retain, &repository, &contents.tags) {
                if self.storage.delete_tag_at(&repository, tag, entry, BY).await? {
                    tracing::info!(
                        repository.name = %repository, tag.name = %tag,
                        "retention deleted the tag {repository}:{tag}"
                    );
                    self.deleted(&Key::Tag(repository.clone(), tag.clone()));
                    self.report.tags += 1;
                } else {
                    self.report.touched += 1;
                }
            }
        }
        Ok(())
    }

    async fn manifests(&mut self) -> Result<(), StorageError> {
        for deleting in [false, true] {
            self.step(Step::Manifests);
            self.index().caught_up().await?;
            for repository in self.index().repositories() {
                let contents = Contents::of(self.index(), &repository);
                let judged = contents.judge_manifests(self.policy, &repository, self.now);
                let work = judged.into_iter().filter_map(|(digest, verdict)| {
                    let record = contents.manifests.get(&digest)?.clone();
                    Some((Key::Manifest(repository.clone(), digest), record, verdict))
                });
                let done = self.carry_out(work.collect(), deleting, |record: &ManifestRecord, idle| {
                    ManifestRecord { idle, ..record.clone() }
                });
                let deleted = done.await?;
                self.report.manifests += deleted;
            }
        }
        Ok(())
    }

    async fn links(&mut self) -> Result<(), StorageError> {
        for deleting in [false, true] {
            self.step(Step::Links);
            self.index().caught_up_with(Bucket::Records).await?;
            for repository in self.index().repositories() {
                let contents = Contents::of(self.index(), &repository);
                let links: BTreeMap<&Digest, &Versioned<LinkRecord>> =
                    contents.links.iter().map(|(digest, link)| (digest, link)).collect();
                let judged = contents.judge_links(self.policy, self.now);
                let work = judged.into_iter().filter_map(|(digest, verdict)| {
                    Some((
                        Key::Link(repository.clone(), digest.clone()),
                        (*links.get(digest)?).clone(),
                        verdict,
                    ))
                });
                let done = self.carry_out(work.collect(), deleting, |record: &LinkRecord, idle| LinkRecord {
                    idle,
                    ..record.clone()
                });
                let deleted = done.await?;
                self.report.links += deleted;
            }
        }
        Ok(())
    }

    /// Sets and clears marks, or deletes, and gives how many were deleted.
    async fn carry_out<T: serde::Serialize + Send + Sync>(
        &mut self,
        work: Vec<(Key, Versioned<T>, Verdict)>,
        deleting: bool,
        with_mark: impl Fn(&T, Option<Seconds>) -> T + Sync,
    ) -> Result<u64, StorageError> {
        let (ledger, now, with_mark) = (self.storage.ledger(), self.now, &with_mark);
        let wanted = work.into_iter().filter(|(_, _, verdict)| match verdict {
            Verdict::Keep | Verdict::Wait => false,
            Verdict::Clear | Verdict::Mark => !deleting,
            Verdict::Delete => deleting,
        });
        let done = stream::iter(wanted).map(|(key, record, verdict)| async move {
            let mark = match verdict {
                Verdict::Delete => {
                    let deleted = won(ledger.delete(&key, record.revision).await)?;
                    return Ok::<_, StorageError>((key, verdict, deleted.is_some()));
                }
                Verdict::Mark => Some(now),
                _ => None,
            };
            let written = won(ledger.update(&key, record.revision, &with_mark(&record, mark)).await)?;
            Ok((key, verdict, written.is_some()))
        });
        let mut done = done.buffer_unordered(AT_ONCE);
        let mut deleted = 0;
        while let Some((key, verdict, done)) = done.try_next().await? {
            match verdict {
                _ if !done => self.report.touched += 1,
                Verdict::Mark => self.report.marked += 1,
                Verdict::Delete => {
                    self.deleted(&key);
                    deleted += 1;
                }
                _ => {}
            }
        }
        Ok(deleted)
    }

    async fn blobs(&mut self) -> Result<(), StorageError> {
        self.index().caught_up_with(Bucket::Records).await?;
        let free = self.index().blobs().into_iter().filter(|(digest, blob)| {
            let is_free = !self.is_relied_on(digest, blob);
            blob.dying || is_free && is_over(blob.touched, self.now, self.policy.grace)
        });
        let free: Vec<_> = free.collect();
        let all = free.len() as u64;
        let mut done = 0;
        for batch in free.chunks(BATCH) {
            self.step(Step::Blobs { done, all });
            let marking: Vec<_> = batch.iter().map(|(digest, blob)| self.mark_dying(digest, blob)).collect();
            let marked: Vec<bool> = stream::iter(marking).buffered(AT_ONCE).try_collect().await?;
            self.step(Step::Blobs { done, all });
            self.index().caught_up_with(Bucket::Records).await?;
            let dying = batch.iter().zip(marked).filter(|(_, marked)| *marked);
            let purging: Vec<_> = dying.map(|((digest, _), _)| self.purge(digest)).collect();
            let purged: Vec<Option<u64>> =
                stream::iter(purging).buffer_unordered(AT_ONCE).try_collect().await?;
            let purged: Vec<u64> = purged.into_iter().flatten().collect();
            done += batch.len() as u64;
            self.report.blobs += purged.len() as u64;
            self.report.bytes += purged.iter().sum::<u64>();
            self.report.touched += (batch.len() - purged.len()) as u64;
        }
        Ok(())
    }

    /// Whether a repository has the blob, or a push that is about to link it is under way.
    fn is_relied_on(&self, digest: &Digest, blob: &BlobRecord) -> bool {
        self.index().is_held(digest) || self.index().upload(&blob.upload).is_some()
    }

    /// Marks a blob, and says whether it has the mark.
    async fn mark_dying(&self, digest: &Digest, blob: &Versioned<BlobRecord>) -> Result<bool, StorageError> {
        if blob.dying {
            return Ok(true);
        }
        let dying = BlobRecord { dying: true, ..(*blob.record).clone() };
        let marked = self.storage.ledger().update(&Key::Blob(digest.clone()), blob.revision, &dying).await;
        Ok(won(marked)?.is_some())
    }

    /// Purges the chunks of a blob that has the mark, unless something came to rely on it before that.
    /// Gives their bytes.
    async fn purge(&self, digest: &Digest) -> Result<Option<u64>, StorageError> {
        let (ledger, key) = (self.storage.ledger(), Key::Blob(digest.clone()));
        // A push may have put a record of its own in place of the marked one.
        let Some(blob) = self.index().blob(digest).filter(|blob| blob.dying) else { return Ok(None) };
        if self.is_relied_on(digest, &blob) {
            // Of a blob that is forsaken this is a push that will see the mark, or one that died of it:
            // its link has nothing to rely on, and goes in its time.
            if !blob.is_forsaken() {
                let kept = BlobRecord { dying: false, ..(*blob.record).clone() };
                won(ledger.update(&key, blob.revision, &kept).await)?;
            }
            return Ok(None);
        }
        // A purge cannot be made to depend on a revision. So the record forgets its chunks first, which
        // does: from then on no other collector takes the mark back.
        let forsaken = BlobRecord { runs: Runs::default(), ..(*blob.record).clone() };
        let forgotten = won(ledger.update(&key, blob.revision, &forsaken).await)?;
        let Some(revision) = forgotten else { return Ok(None) };
        self.storage.cache().remove(digest);
        self.storage.chunks().purge(blob.upload).await?;
        Ok(won(ledger.delete(&key, revision).await)?.map(|()| blob.size))
    }

    async fn uploads(&mut self) -> Result<(), StorageError> {
        self.step(Step::Uploads);
        let over = self.index().uploads().into_iter().filter(|(_, upload)| {
            is_over(upload.touched, self.now, upload.kept_for(self.policy.upload_expiry))
        });
        for (id, upload) in over.collect::<Vec<_>>() {
            let ended = if upload.claimed.is_some() {
                // Whoever claimed it and did not end it has died, or sleeps with its machine and writes
                // the blob record when it wakes: another pass finds the chunks as stray, if they are.
                won(self.storage.ledger().delete(&Key::Upload(id), upload.revision).await)?.is_some()
            } else {
                self.storage.expire(id, &upload).await?
            };
            if ended {
                self.report.uploads += 1;
                self.report.upload_bytes += upload.offset;
            } else {
                self.report.touched += 1;
            }
        }
        Ok(())
    }

    async fn stray(&mut self) -> Result<(), StorageError> {
        self.step(Step::Stray);
        let stray = stray(self.storage, self.policy, self.now).await?;
        if stray.is_empty() || !self.knows_all().await? {
            return Ok(());
        }
        let unknown = stray.into_iter().filter(|id| is_unknown(self.storage.index(), id));
        for id in unknown.collect::<Vec<_>>() {
            let chunks = self.storage.chunks().purge(id).await?;
            tracing::info!(upload.id = %id, chunks, "purged {chunks} chunks of upload {id}, which nothing knows");
            self.report.stray += 1;
        }
        Ok(())
    }

    /// Whether the index certainly has all that was written before now. After a replica that lagged was
    /// listed anew it may say so too early, and only a write that it then delivers tells; nothing else
    /// here is deleted without one.
    async fn knows_all(&self) -> Result<bool, StorageError> {
        let Some(revision) = self.lease.renew(self.storage).await else { return Ok(false) };
        self.storage.ledger().settled(Bucket::Records, revision).await?;
        Ok(true)
    }

    /// What still waits.
    fn look_ahead(&mut self) {
        let waits = foresee(self.index(), self.policy, self.now);
        self.report.waiting = waits.waiting;
        self.report.next = waits.next;
        self.report.waiting_bytes = later(self.index(), self.policy, self.now).saturating_sub(waits.bytes);
    }
}

/// Whether no record tells of an upload.
fn is_unknown(index: &Index, id: &UploadId) -> bool {
    index.upload(id).is_none() && index.blob_of_upload(id).is_none()
}

/// Uploads of which there are chunks and nothing else, for long enough.
async fn stray(storage: &Storage, policy: &Policy, now: Seconds) -> Result<Vec<UploadId>, StorageError> {
    // Listed first: whatever of this is known by a record has it in the index after that.
    let listed = storage.chunks().subjects().await?;
    storage.index().caught_up_with(Bucket::Records).await?;
    let index = storage.index();
    let unknown = listed.into_keys().filter(|id| is_unknown(index, id));
    let mut stray = Vec::new();
    for id in unknown {
        // The time is nats-server's: a clock that differs makes it later, not sooner.
        let last = storage.chunks().last_stored(id).await?;
        if last.is_some_and(|last| last <= now && now - last >= policy.stray) {
            stray.push(id);
        }
    }
    Ok(stray)
}
