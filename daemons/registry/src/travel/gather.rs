//! Fetches, at the hub, what a leaf announced.
//!
//! Any hub daemon may hear an announcement, and the leaf repeats it until one says that everything is
//! here: who dies on the way is followed by another, which goes on with the same uploads.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::{
    Core,
    answer::told,
    error::TravelError,
    images::BY,
    manifest::Needs,
    protocol::{Announce, Code, Gathered, Head},
    source::Source,
    whole::Walk,
};
use crate::{Digest, Reference, Repository, Tag, records::Origin, storage::PutManifest};

/// Indexes of indexes are deeper nowhere.
const DEEPEST: usize = 8;

/// What is fetched from leaves. Two of them may have the same tag: each is fetched, and the newer push is
/// what the tag stands for in the end.
#[derive(Debug, Default)]
pub(crate) struct Gathering(Mutex<HashMap<Place, Job>>);

/// A tag of a leaf.
type Place = (String, Repository, Tag);

#[derive(Debug)]
struct Job {
    announce: Announce,
    stop: CancellationToken,
    /// The blobs that it found missing, and their bytes.
    blobs: HashMap<Digest, u64>,
    failed: Option<TravelError>,
}

impl Gathering {
    /// What is fetched: from which leaf, and which tag.
    pub(crate) fn all(&self) -> Vec<(String, Repository, Tag)> {
        self.jobs().keys().cloned().collect()
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<Place, Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers an announcement, and begins to fetch what is missing.
pub(super) async fn announced(core: &Arc<Core>, leaf: &str, announce: Announce) -> Head {
    let place = (leaf.to_owned(), announce.repository.clone(), announce.tag.clone());
    let mut jobs = core.gathering.jobs();
    let is_superseded = is_superseded(core, leaf, &announce);
    if is_superseded || is_here(core, &announce) {
        if is_superseded {
            tracing::info!(
                node.name = leaf,
                "{leaf} announces {}:{}, which stands for a newer push here",
                announce.repository,
                announce.tag
            );
        }
        // What still comes of an older push is no longer needed.
        if let Some(job) = jobs.remove(&place) {
            job.stop.cancel();
        }
        return Head { gathered: Some(Gathered { here: true, ..Gathered::default() }), ..Head::new() };
    }
    match jobs.get(&place) {
        Some(job) if job.announce == announce => {
            if let Some(error) = job.failed.clone() {
                jobs.remove(&place);
                return refused(error);
            }
            let gathered = progress(core, job);
            return Head { gathered: Some(gathered), ..Head::new() };
        }
        // The tag was pushed again: what it stood for is no longer needed.
        Some(older) => older.stop.cancel(),
        None => {}
    }
    let stop = core.stop.child_token();
    let job = Job { announce: announce.clone(), stop: stop.clone(), blobs: HashMap::new(), failed: None };
    jobs.insert(place.clone(), job);
    drop(jobs);
    let (core, source) = (Arc::clone(core), Source::Peer(core.leaf(leaf)));
    core.tracker.clone().spawn(async move {
        let gather = Gather { core: &core, source: &source, place: &place, announce: &announce };
        let Some(outcome) = stop.run_until_cancelled(gather.run()).await else { return };
        gather.end(outcome);
    });
    Head { gathered: Some(Gathered::default()), ..Head::new() }
}

/// Whether the tag stands for another push here that was later.
fn is_superseded(core: &Core, leaf: &str, announce: &Announce) -> bool {
    let origin = Origin::Leaf(leaf.to_owned());
    let tagged = core.storage.index().tag(&announce.repository, &announce.tag);
    tagged.zip(announce.at).is_some_and(|(tagged, at)| {
        tagged.digest != announce.digest && tagged.is_later_than(at, &announce.digest, &origin)
    })
}

/// What a leaf is told of a tag that did not come. That something of it is nowhere is no answer about the
/// announcement, which is known here.
fn refused(error: TravelError) -> Head {
    if error.is_final() { Head::refused(Code::Denied, error) } else { told(error).into() }
}

/// Whether the tag stands for what was announced, whole, and what refers to it is here too.
fn is_here(core: &Core, announce: &Announce) -> bool {
    let tagged = core.storage.index().tag(&announce.repository, &announce.tag);
    tagged.is_some_and(|tagged| tagged.digest == announce.digest)
        && is_whole(core, &announce.repository, &announce.digest, 0)
        && announce.referrers.iter().all(|referrer| is_whole(core, &announce.repository, referrer, 0))
}

/// Whether a manifest is here with its blobs. Of an index, that goes for the manifests that are here: it
/// may lack some where it was pushed.
fn is_whole(core: &Core, repository: &Repository, digest: &Digest, depth: usize) -> bool {
    let index = core.storage.index();
    let Some(manifest) = index.manifest(repository, digest) else { return false };
    let mut children = manifest.manifests.iter().filter(|child| index.manifest(repository, child).is_some());
    manifest.blobs.iter().all(|blob| core.has(repository, blob))
        && (depth >= DEEPEST || children.all(|child| is_whole(core, repository, child, depth + 1)))
}

fn progress(core: &Core, job: &Job) -> Gathered {
    let (mut done, mut total) = (0, 0);
    for (digest, size) in &job.blobs {
        total += size;
        done += match core.fetches.get(digest) {
            Some(fetch) => fetch.progress.borrow().offset.min(*size),
            None if core.has(&job.announce.repository, digest) => *size,
            None => 0,
        };
    }
    Gathered { here: false, done, total }
}

/// Fetches one tag.
struct Gather<'a> {
    core: &'a Arc<Core>,
    source: &'a Source,
    place: &'a Place,
    announce: &'a Announce,
}

impl Gather<'_> {
    async fn run(&self) -> Result<(), TravelError> {
        let (core, source, announce) = (self.core, self.source, self.announce);
        let repository = &announce.repository;
        loop {
            let mut walk = Walk::begin(core, source, repository).await?;
            if !self.tree(&mut walk, announce.digest.clone(), 0).await? {
                return Err(TravelError::Unknown { side: source.side() });
            }
            for referrer in &announce.referrers {
                self.tree(&mut walk, referrer.clone(), 0).await?;
            }
            if !walk.has_brought() {
                break;
            }
        }
        let found = core.storage.manifest(repository, &Reference::Digest(announce.digest.clone())).await?;
        let found = found.ok_or_else(|| TravelError::Unknown { side: source.side() })?;
        let put = PutManifest {
            repository: repository.clone(),
            digest: Some(found.digest.clone()),
            tags: vec![announce.tag.clone()],
            media_type: found.media_type,
            bytes: core.storage.manifest_bytes(&found.digest).await?,
            by: BY.to_owned(),
            origin: source.origin(),
        };
        match announce.at {
            Some(pushed) => core.storage.put_announced(put, pushed).await?,
            None => core.storage.put_manifest(put).await?,
        };
        tracing::info!(
            repository.name = %repository,
            "{repository}:{} of {} is here: {}", announce.tag, source.side(), announce.digest
        );
        Ok(())
    }

    /// Brings a manifest and all that the leaf has of what it needs; `false` when the leaf has none.
    fn tree<'a>(
        &'a self,
        walk: &'a mut Walk<'_>,
        digest: Digest,
        depth: usize,
    ) -> BoxFuture<'a, Result<bool, TravelError>> {
        Box::pin(async move {
            if depth > DEEPEST || !walk.is_new(&digest) {
                return Ok(true);
            }
            let Some(bytes) = walk.manifest(&digest).await? else { return Ok(false) };
            let needs = Needs::of(&bytes);
            self.note(&needs.blobs);
            let blobs = needs.digests();
            for child in needs.children {
                // An index may lack manifests, and then the leaf lacks them too.
                self.tree(walk, child.digest, depth + 1).await?;
            }
            walk.blobs(&blobs).await?;
            Ok(true)
        })
    }

    /// Counts blobs that are missing among those of the announcement.
    fn note(&self, blobs: &[(Digest, u64)]) {
        let (core, repository) = (self.core, &self.announce.repository);
        let missing = blobs.iter().filter(|(digest, _)| !core.has(repository, digest)).cloned();
        if let Some(job) = core.gathering.jobs().get_mut(self.place) {
            job.blobs.extend(missing);
        }
    }

    /// Keeps an error for the leaf, which asks again.
    fn end(&self, outcome: Result<(), TravelError>) {
        let mut jobs = self.core.gathering.jobs();
        match (outcome, jobs.get_mut(self.place).filter(|job| job.announce == *self.announce)) {
            (Ok(()), Some(_)) => drop(jobs.remove(self.place)),
            (Err(error), Some(job)) => {
                tracing::info!(
                    node.name = %self.source.side(),
                    "{}:{} is not all here: {error}", self.announce.repository, self.announce.tag
                );
                job.failed = Some(error);
            }
            (_, None) => {}
        }
    }
}
