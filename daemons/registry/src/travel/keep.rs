//! Brings, in the background, what the manifests that came from elsewhere need and is not here: an
//! image is worth something only with all its layers.
//!
//! What is missing is read off the records, so that a restart or a long cut forgets nothing.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::timeout;

use super::{Core, fetches::Fetches, peer::Side, progress::Urgency, wants::Want};
use crate::{Digest, Repository};

/// How often the records are looked through when nothing tells of a change.
const LOOK: Duration = Duration::from_secs(60);
/// Blobs from one side that wait for their turn at a time; the others are looked for again.
const MOST: usize = 64;

/// Brings what is missing until the daemon stops.
pub(super) async fn run(core: &Arc<Core>) {
    while !core.stop.is_cancelled() {
        for (digest, want) in next(core) {
            Fetches::want(core, &digest, want, Urgency::Kept);
        }
        let woken = async {
            tokio::select! {
                () = core.keep.notified() => {}
                // One that ended makes room for another.
                () = core.fetches.arrived.notified() => {}
                () = core.stop.cancelled() => {}
            }
        };
        let _ = timeout(LOOK, woken).await;
    }
}

/// What to begin with: each blob once, and at most [`MOST`] from one side at a time, so that what cannot
/// come or stands still keeps nothing else waiting.
fn next(core: &Core) -> Vec<(Digest, Want)> {
    let mut under_way: HashMap<Side, usize> = HashMap::new();
    let mut known: HashSet<Digest> = HashSet::new();
    for fetch in core.fetches.all() {
        if let Some(side) = fetch.wants().side() {
            *under_way.entry(side).or_default() += 1;
        }
        known.insert(fetch.digest.clone());
    }
    let mut next = Vec::new();
    for (repository, digest) in missing(core) {
        let Some(source) = core.source(&repository) else { continue };
        let waiting = under_way.entry(source.side()).or_default();
        if *waiting < MOST && !core.fetches.is_refused(&digest) && known.insert(digest.clone()) {
            *waiting += 1;
            next.push((digest, Want::new(&repository, &source)));
        }
    }
    next
}

/// The blobs that manifests from elsewhere mention and that are not here.
pub(super) fn missing(core: &Core) -> Vec<(Repository, Digest)> {
    let index = core.storage.index();
    let mut missing = Vec::new();
    for repository in index.repositories() {
        if !core.has_source(&repository) {
            continue;
        }
        for (_, manifest) in index.manifests(&repository) {
            if !manifest.origin.comes_down() {
                continue;
            }
            let absent = manifest.blobs.iter().filter(|digest| !core.has(&repository, digest));
            missing.extend(absent.map(|digest| (repository.clone(), digest.clone())));
        }
    }
    missing
}
