//! Tells the hub of tags that were pushed at this leaf and are to be there too, until it has them.
//!
//! Storage notes an announcement before it writes such a tag, so that a crash loses none. It is taken
//! back when the hub says that it has everything; the hub fetches by itself meanwhile.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use runtime::Backoff;
use settings::NodeRole;
use tokio::time::{Instant, timeout};

use super::{
    Core,
    error::TravelError,
    peer::Peer,
    protocol::{self, Gathered, MOST_REFERRERS, VERSION},
};
use crate::{
    Bucket, Digest, Repository, Tag,
    index::Versioned,
    records::{AnnounceRecord, Origin, Seconds, now},
};

/// How often the hub is asked how far it is.
const ASK: Duration = Duration::from_secs(2);
/// How often announcements are looked for when nothing tells of a change.
const LOOK: Duration = Duration::from_secs(60);
/// An announcement of something that no tag stands for is a push that goes on, or one that never ended.
const UNFINISHED: Seconds = 900;
/// How long what the hub refuses is not announced again.
const REFUSED: Duration = Duration::from_secs(600);

/// What the hub last said about each announcement.
#[derive(Debug, Default)]
pub(crate) struct Announcing(Mutex<HashMap<(Repository, Tag), Said>>);

#[derive(Clone, Debug)]
struct Said {
    revision: u64,
    at: Instant,
    gathered: Gathered,
    error: Option<TravelError>,
}

impl Announcing {
    /// How far the hub is with a tag, and what is wrong.
    pub(crate) fn said(&self, repository: &Repository, tag: &Tag) -> (Gathered, Option<String>) {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let said = said.get(&(repository.clone(), tag.clone()));
        said.map(|said| (said.gathered, said.error.as_ref().map(ToString::to_string))).unwrap_or_default()
    }

    /// Whether the hub refused this very announcement a short while ago.
    fn is_refused(&self, repository: &Repository, tag: &Tag, revision: u64) -> bool {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.get(&(repository.clone(), tag.clone())).is_some_and(|said| {
            let is_final = said.error.as_ref().is_some_and(TravelError::is_final);
            is_final && said.revision == revision && said.at.elapsed() < REFUSED
        })
    }

    fn note(&self, repository: &Repository, tag: &Tag, revision: u64, said: &Result<Gathered, TravelError>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (repository.clone(), tag.clone());
        let (gathered, error) = match said {
            Ok(gathered) => (*gathered, None),
            Err(error) => (Gathered::default(), Some(error.clone())),
        };
        all.insert(key, Said { revision, at: Instant::now(), gathered, error });
    }

    fn forget(&self, repository: &Repository, tag: &Tag) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(repository.clone(), tag.clone()));
    }
}

/// Announces until the daemon stops; only at a leaf with a way to the hub.
pub(super) async fn run(core: &Arc<Core>) {
    let Some(hub) = core.hub.clone().filter(|_| core.config.role == NodeRole::Leaf) else { return };
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
    let mut tags = core.storage.index().progress(Bucket::Tags);
    let mut records = core.storage.index().progress(Bucket::Records);
    while !core.stop.is_cancelled() {
        tags.mark_unchanged();
        records.mark_unchanged();
        let wait = match announce_all(core, &hub).await {
            Ok(true) => ASK,
            Ok(false) => LOOK,
            Err(error) => {
                tracing::debug!("announcements wait: {error}");
                backoff.wait()
            }
        };
        if wait == ASK || wait == LOOK {
            backoff.reset();
        }
        let woken = async {
            tokio::select! {
                () = core.stop.cancelled() => {}
                () = core.pushed.notified() => {}
                _ = tags.changed(), if wait == LOOK => {}
                _ = records.changed(), if wait == LOOK => {}
            }
        };
        let _ = timeout(wait, woken).await;
    }
}

/// Announces everything once; whether the hub is at work on something. An error is that it cannot be
/// reached.
async fn announce_all(core: &Arc<Core>, hub: &Peer) -> Result<bool, TravelError> {
    let mut at_work = false;
    for (repository, tag, record) in core.storage.index().announcements() {
        if core.announcing.is_refused(&repository, &tag, record.revision) {
            continue;
        }
        let said = announce(core, hub, &repository, &tag, &record).await;
        core.announcing.note(&repository, &tag, record.revision, &said);
        match said {
            Ok(Gathered { here: true, .. }) => core.announcing.forget(&repository, &tag),
            Ok(_) => at_work = true,
            Err(error) if error.is_unreachable() => return Err(error),
            Err(error) => {
                at_work |= !error.is_final();
                tracing::warn!(
                    repository.name = %repository,
                    "{repository}:{tag} does not travel to the hub: {error}"
                );
            }
        }
    }
    Ok(at_work)
}

/// Announces one tag, and takes the announcement back when the hub has it.
async fn announce(
    core: &Core,
    hub: &Peer,
    repository: &Repository,
    tag: &Tag,
    record: &Versioned<AnnounceRecord>,
) -> Result<Gathered, TravelError> {
    let tagged = core.storage.index().tag(repository, tag).filter(|tagged| *tagged.origin == Origin::Pushed);
    let is_finished = tagged.as_ref().is_some_and(|tagged| tagged.digest == record.digest);
    let may_go = is_finished || record.since.saturating_add(UNFINISHED) < now();
    let gathered = match tagged {
        None => Gathered { here: true, ..Gathered::default() },
        Some(tagged) => {
            let announce = protocol::Announce {
                v: VERSION,
                repository: repository.clone(),
                tag: tag.clone(),
                referrers: referrers(core, repository, &tagged.digest),
                digest: tagged.digest,
                at: Some(tagged.at),
            };
            hub.announce(&announce).await?
        }
    };
    if gathered.here && may_go {
        core.storage.announced(repository, tag, record.revision).await?;
    }
    Ok(Gathered { here: gathered.here && may_go, ..gathered })
}

/// The manifests that refer to one, and those that refer to them.
fn referrers(core: &Core, repository: &Repository, digest: &Digest) -> Vec<Digest> {
    let index = core.storage.index();
    let mut found: Vec<Digest> = Vec::new();
    let mut subjects = vec![digest.clone()];
    while let Some(subject) = subjects.pop() {
        for (referrer, _) in index.referrers(repository, &subject) {
            if found.len() < MOST_REFERRERS && !found.contains(&referrer) && referrer != *digest {
                found.push(referrer.clone());
                subjects.push(referrer);
            }
        }
    }
    found
}
