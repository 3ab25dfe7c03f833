//! Fetches, at the hub, what a leaf announced.
//!
//! Any hub daemon may hear an announcement, and the leaf repeats it until one says that everything is
//! here: who dies on the way is followed by another, which goes on with the same uploads.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
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
use crate::{Digest, Reference, Repository, Tag, storage::PutManifest};

/// Indexes of indexes are deeper nowhere.
const DEEPEST: usize = 8;

/// What is fetched from leaves.
#[derive(Debug, Default)]
pub(crate) struct Gathering(Mutex<HashMap<(Repository, Tag), Job>>);

#[derive(Debug)]
struct Job {
    leaf: String,
    announce: Announce,
    stop: CancellationToken,
    /// The blobs that it found missing, and their bytes.
    blobs: HashMap<Digest, u64>,
    failed: Option<TravelError>,
}

impl Gathering {
    /// What is fetched: from which leaf, and which tag.
    pub(crate) fn all(&self) -> Vec<(String, Repository, Tag)> {
        let jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.iter()
            .map(|((repository, tag), job)| (job.leaf.clone(), repository.clone(), tag.clone()))
            .collect()
    }
}

/// Answers an announcement, and begins to fetch what is missing.
pub(super) async fn announced(core: &Arc<Core>, leaf: &str, announce: Announce) -> Head {
    if is_here(core, &announce) {
        return Head { gathered: Some(Gathered { here: true, ..Gathered::default() }), ..Head::new() };
    }
    let key = (announce.repository.clone(), announce.tag.clone());
    let mut jobs = core.gathering.0.lock().unwrap_or_else(PoisonError::into_inner);
    match jobs.get(&key) {
        Some(job) if job.leaf == leaf && job.announce == announce => {
            if let Some(error) = job.failed.clone() {
                jobs.remove(&key);
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
    let job = Job {
        leaf: leaf.to_owned(),
        announce: announce.clone(),
        stop: stop.clone(),
        blobs: HashMap::new(),
        failed: None,
    };
    jobs.insert(key.clone(), job);
    drop(jobs);
    let (core, source) = (Arc::clone(core), Source::Peer(core.leaf(leaf)));
    core.tracker.clone().spawn(async move {
        let outcome = stop.run_until_cancelled(gather(&core, &source, &announce)).await;
        let Some(outcome) = outcome else { return };
        let mut jobs = core.gathering.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (outcome, jobs.get_mut(&key).filter(|job| job.announce == announce)) {
            (Ok(()), Some(_)) => drop(jobs.remove(&key)),
            (Err(error), Some(job)) => {
                tracing::info!(
                    node.name = %source.side(),
                    "{}:{} is not all here: {error}", announce.repository, announce.tag
                );
                job.failed = Some(error);
            }
            (_, None) => {}
        }
    });
    Head { gathered: Some(Gathered::default()), ..Head::new() }
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

async fn gather(core: &Arc<Core>, source: &Source, announce: &Announce) -> Result<(), TravelError> {
    let repository = &announce.repository;
    loop {
        let mut walk = Walk::begin(core, source, repository).await?;
        if !tree(core, &mut walk, announce, announce.digest.clone(), 0).await? {
            return Err(TravelError::Unknown { side: source.side() });
        }
        for referrer in &announce.referrers {
            tree(core, &mut walk, announce, referrer.clone(), 0).await?;
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
    core.storage.put_manifest(put).await?;
    tracing::info!(
        repository.name = %repository,
        "{repository}:{} is {} now, from {}", announce.tag, announce.digest, source.side()
    );
    Ok(())
}

/// Brings a manifest and all that the leaf has of what it needs; `false` when the leaf has none.
fn tree<'a>(
    core: &'a Core,
    walk: &'a mut Walk<'_>,
    announce: &'a Announce,
    digest: Digest,
    depth: usize,
) -> BoxFuture<'a, Result<bool, TravelError>> {
    Box::pin(async move {
        if depth > DEEPEST || !walk.is_new(&digest) {
            return Ok(true);
        }
        let Some(bytes) = walk.manifest(&digest).await? else { return Ok(false) };
        let needs = Needs::of(&bytes);
        note(core, announce, &needs.blobs);
        let blobs = needs.digests();
        for child in needs.children {
            // An index may lack manifests, and then the leaf lacks them too.
            tree(core, walk, announce, child.digest, depth + 1).await?;
        }
        walk.blobs(&blobs).await?;
        Ok(true)
    })
}

/// Counts blobs that are missing among those of the announcement.
fn note(core: &Core, announce: &Announce, blobs: &[(Digest, u64)]) {
    let missing = blobs.iter().filter(|(digest, _)| !core.has(&announce.repository, digest)).cloned();
    let mut jobs = core.gathering.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(job) = jobs.get_mut(&(announce.repository.clone(), announce.tag.clone())) {
        job.blobs.extend(missing);
    }
}
