//! Brings, in the background, what the manifests that came from elsewhere need and is not here: an
//! image is worth something only with all its layers.
//!
//! What is missing is read off the records, so that a restart or a long cut forgets nothing.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{Core, fetch::Urgency, fetches::Fetches};
use crate::{Digest, Repository};

/// How often the records are looked through when nothing tells of a change.
const LOOK: Duration = Duration::from_secs(60);
/// Blobs that wait for their turn at a time; the others are looked for again.
const MOST: usize = 64;

/// Brings what is missing until the daemon stops.
pub(super) async fn run(core: &Arc<Core>) {
    while !core.stop.is_cancelled() {
        for (repository, digest) in missing(core).into_iter().take(MOST) {
            if core.fetches.is_refused(&digest) {
                continue;
            }
            let Some(source) = core.source(&repository) else { continue };
            Fetches::want(core, &repository, &digest, &source, Urgency::Kept);
        }
        let woken = async {
            tokio::select! {
                () = core.keep.notified() => {}
                // One that ended makes room for another.
                () = core.arrived.notified() => {}
                () = core.stop.cancelled() => {}
            }
        };
        let _ = timeout(LOOK, woken).await;
    }
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
