//! Fetches, at the hub, what a leaf announced.
//!
//! Any hub daemon may hear an announcement, and the leaf repeats it until one says that everything is
//! here: who dies on the way is followed by another, which goes on with the same uploads.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::{
    Core,
    answer::told,
    blobs,
    error::TravelError,
    images::BY,
    manifest::Needs,
    peer::Resolved,
    protocol::{Announce, Gathered, Head},
    source::Source,
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
                return told(error).into();
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

/// Whether the tag stands for what was announced, and what refers to it is here too.
fn is_here(core: &Core, announce: &Announce) -> bool {
    let index = core.storage.index();
    let repository = &announce.repository;
    let is_tagged = index.tag(repository, &announce.tag).map(|tagged| tagged.digest);
    let is_whole = |digest: &Digest| {
        let manifest = index.manifest(repository, digest);
        manifest.is_some_and(|manifest| manifest.blobs.iter().all(|blob| core.has(repository, blob)))
    };
    is_tagged.as_ref() == Some(&announce.digest) && announce.referrers.iter().all(is_whole)
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
    let mut seen = BTreeSet::new();
    let repository = &announce.repository;
    if !tree(core, source, announce, announce.digest.clone(), &mut seen, 0).await? {
        return Err(TravelError::Unknown { side: source.side() });
    }
    for referrer in &announce.referrers {
        tree(core, source, announce, referrer.clone(), &mut seen, 0).await?;
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
    core: &'a Arc<Core>,
    source: &'a Source,
    announce: &'a Announce,
    digest: Digest,
    seen: &'a mut BTreeSet<Digest>,
    depth: usize,
) -> BoxFuture<'a, Result<bool, TravelError>> {
    Box::pin(async move {
        let repository = &announce.repository;
        if depth > DEEPEST || !seen.insert(digest.clone()) {
            return Ok(true);
        }
        let resolved = if let Some(record) = core.storage.index().manifest(repository, &digest) {
            let bytes = core.storage.manifest_bytes(&digest).await?;
            let (media_type, size) = (record.media_type.clone(), record.size);
            Some(Resolved { digest: digest.clone(), media_type, size, bytes: Some(bytes) })
        } else {
            source.manifest(repository, &Reference::Digest(digest.clone()), None).await?
        };
        let Some(resolved) = resolved else { return Ok(false) };
        let bytes = resolved.bytes.unwrap_or_default();
        let needs = Needs::of(&bytes);
        for child in needs.children {
            // An index may lack manifests, and then the leaf lacks them too.
            tree(core, source, announce, child.digest, seen, depth + 1).await?;
        }
        note(core, announce, &needs.blobs);
        // It comes before its blobs, which the collector would take for forsaken on a slow link. No tag
        // stands for it until they are here.
        let put = PutManifest {
            repository: repository.clone(),
            digest: Some(digest),
            tags: Vec::new(),
            media_type: resolved.media_type,
            bytes,
            by: BY.to_owned(),
            origin: source.origin(),
        };
        core.storage.put_manifest(put).await?;
        let blobs: Vec<Digest> = needs.blobs.into_iter().map(|(digest, _)| digest).collect();
        blobs::bring(core, repository, &blobs, source).await?;
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
