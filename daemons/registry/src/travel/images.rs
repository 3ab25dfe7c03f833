//! Manifests that come from elsewhere: when a client asks, when a tag is looked at again, and what
//! belongs to them.
//!
//! - A manifest that is not here is fetched while the client waits, and kept. Its blobs follow: those
//!   that the client asks for first, the others in the background (`keep.rs`), so that the image can
//!   be used when the hub is gone.
//! - Of an index, the manifests come that somebody asks for, by their digests: a box has one platform.
//! - A tag that is here is answered as it is. When it came from elsewhere, it is looked at again in the
//!   background, at most every [`AGAIN`]; it changes only when all that the new manifest needs is here,
//!   for the platforms that were here of the old one. A tag that was pushed here never changes by that,
//!   and one that is gone at its origin stays.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

use super::{
    Core,
    error::TravelError,
    manifest::{Child, Needs},
    peer::Resolved,
    source::Source,
    whole::Walk,
};
use crate::{Digest, Reference, Repository, Tag, index::Tagged, records::Origin, storage::PutManifest};

/// How often a tag is looked at again.
const AGAIN: Duration = Duration::from_secs(30);
/// Who changes tags here.
pub(super) const BY: &str = "travel";
/// Signatures of attestations of images are three deep; nothing real is deeper.
const DEEPEST: usize = 4;

/// What is asked or looked at now, so that it is once.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    pulls: std::sync::Mutex<HashMap<(Repository, String), Arc<Pull>>>,
    /// When a tag was last looked at, and whether that goes on.
    looks: std::sync::Mutex<HashMap<(Repository, Tag), (Instant, bool)>>,
}

/// What an attempt to fetch a manifest came to: whether it is here now.
type Outcome = Result<bool, TravelError>;

/// The attempts to fetch one manifest, of which one is made at a time.
#[derive(Debug, Default)]
struct Pull {
    turn: Mutex<()>,
    /// How many were made, and what came of the last.
    made: std::sync::Mutex<(u64, Option<Outcome>)>,
}

impl Pull {
    fn made(&self) -> std::sync::MutexGuard<'_, (u64, Option<Outcome>)> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an attempt. Whoever waited while another one ended has what came of that: of many who want
    /// what a silent hub has, nobody waits longer than the first.
    async fn share(&self, attempt: impl Future<Output = Outcome>) -> Outcome {
        let before = self.made().0;
        let _turn = self.turn.lock().await;
        let (made, last) = self.made().clone();
        if let Some(outcome) = last.filter(|_| made > before) {
            return outcome;
        }
        let outcome = attempt.await;
        *self.made() = (made + 1, Some(outcome.clone()));
        outcome
    }
}

impl Asking {
    fn pull(&self, repository: &Repository, reference: &Reference) -> Arc<Pull> {
        let mut pulls = self.pulls.lock().unwrap_or_else(PoisonError::into_inner);
        pulls.retain(|_, pull| Arc::strong_count(pull) > 1);
        Arc::clone(pulls.entry((repository.clone(), reference.to_string())).or_default())
    }

    /// Whether it is time to look at a tag; then somebody does.
    fn look(&self, repository: &Repository, tag: &Tag) -> bool {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.retain(|_, (at, goes_on)| *goes_on || at.elapsed() < AGAIN);
        let key = (repository.clone(), tag.clone());
        if looks.contains_key(&key) {
            return false;
        }
        looks.insert(key, (Instant::now(), true));
        true
    }

    fn looked(&self, repository: &Repository, tag: &Tag) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, goes_on)) = looks.get_mut(&(repository.clone(), tag.clone())) {
            *goes_on = false;
        }
    }

    /// Tags whose new image is on its way.
    pub(crate) fn under_way(&self) -> Vec<(Repository, Tag)> {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.iter().filter(|(_, (_, goes_on))| *goes_on).map(|(key, _)| key.clone()).collect()
    }
}

/// Fetches a manifest that is not here; `true` when it is here now. Requests for the same one share an
/// attempt.
pub(super) async fn pull(
    core: &Arc<Core>,
    repository: &Repository,
    reference: &Reference,
) -> Result<bool, TravelError> {
    let Some(source) = core.source(repository) else { return Ok(false) };
    let pull = core.asking.pull(repository, reference);
    pull.share(pull_once(core, source, repository, reference)).await
}

async fn pull_once(
    core: &Arc<Core>,
    source: Source,
    repository: &Repository,
    reference: &Reference,
) -> Outcome {
    if core.storage.manifest(repository, reference).await?.is_some() {
        return Ok(true);
    }
    let Some(resolved) = source.manifest(repository, reference, None).await? else { return Ok(false) };
    let tags = match reference {
        Reference::Tag(tag) => vec![tag.clone()],
        Reference::Digest(_) => Vec::new(),
    };
    let digest = resolved.digest.clone();
    put(core, repository, resolved, tags, source.origin()).await?;
    core.keep.notify_one();
    let (core, repository) = (Arc::clone(core), repository.clone());
    core.tracker.clone().spawn(async move {
        let bringing = async {
            let mut walk = Walk::begin(&core, &source, &repository).await?;
            bring_referrers(&mut walk, &source, &digest).await
        };
        if let Some(Err(error)) = core.stop.run_until_cancelled(bringing).await {
            tracing::debug!("what refers to {repository}@{digest} is not all here: {error}");
        }
    });
    Ok(true)
}

/// Looks at a tag again, in the background, when it came from elsewhere and was not looked at lately.
pub(super) fn refresh(core: &Arc<Core>, repository: &Repository, tag: &Tag) {
    let Some(tagged) = core.storage.index().tag(repository, tag) else { return };
    if !tagged.origin.comes_down() {
        return;
    }
    let Some(source) = core.source(repository) else { return };
    if !core.asking.look(repository, tag) {
        return;
    }
    let (core, repository, tag) = (Arc::clone(core), repository.clone(), tag.clone());
    core.tracker.clone().spawn(async move {
        let renewing = renew(&core, &source, &repository, &tag, &tagged);
        if let Some(Err(error)) = core.stop.run_until_cancelled(renewing).await {
            tracing::debug!("{repository}:{tag} stays as it is: {error}");
        }
        core.asking.looked(&repository, &tag);
    });
}

/// Brings what a tag stands for now, whole, and then changes the tag.
async fn renew(
    core: &Arc<Core>,
    source: &Source,
    repository: &Repository,
    tag: &Tag,
    was: &Tagged,
) -> Result<(), TravelError> {
    let reference = Reference::Tag(tag.clone());
    let Some(resolved) = source.manifest(repository, &reference, Some(&was.digest)).await? else {
        return Ok(());
    };
    let digest = resolved.digest.clone();
    if digest == was.digest {
        let mut walk = Walk::begin(core, source, repository).await?;
        return bring_referrers(&mut walk, source, &digest).await;
    }
    loop {
        put(core, repository, resolved.clone(), Vec::new(), source.origin()).await?;
        let mut walk = Walk::begin(core, source, repository).await?;
        bring_needs(&mut walk, core, &digest, was).await?;
        bring_referrers(&mut walk, source, &digest).await?;
        if !walk.has_brought() {
            break;
        }
    }
    // Deleted here meanwhile, it is not to come back.
    if core.storage.index().tag(repository, tag).is_none() {
        return Ok(());
    }
    put(core, repository, resolved, vec![tag.clone()], source.origin()).await?;
    tracing::info!(
        repository.name = %repository,
        "{repository}:{tag} is {digest} now, as {} has it", source.side()
    );
    Ok(())
}

/// Brings a manifest and its blobs; of an index, those of the platforms that are here of the old one.
async fn bring_needs(
    walk: &mut Walk<'_>,
    core: &Core,
    digest: &Digest,
    was: &Tagged,
) -> Result<(), TravelError> {
    let children = bring_image(walk, digest).await?;
    if children.is_empty() {
        return Ok(());
    }
    let repository = walk.repository();
    let before = match core.storage.index().manifest(repository, &was.digest) {
        Some(_) => Needs::of(&core.storage.manifest_bytes(&was.digest).await?).children,
        None => Vec::new(),
    };
    let used =
        before.into_iter().filter(|child| core.storage.index().manifest(repository, &child.digest).is_some());
    let used: BTreeSet<Option<String>> = used.map(|child| child.platform).collect();
    for child in children.into_iter().filter(|child| used.contains(&child.platform)) {
        bring_image(walk, &child.digest).await?;
    }
    Ok(())
}

/// Brings a manifest and its blobs, where the source has it; returns the manifests of an index.
async fn bring_image(walk: &mut Walk<'_>, digest: &Digest) -> Result<Vec<Child>, TravelError> {
    let Some(bytes) = walk.manifest(digest).await? else { return Ok(Vec::new()) };
    let needs = Needs::of(&bytes);
    walk.blobs(&needs.digests()).await?;
    Ok(needs.children)
}

/// Brings the manifests that refer to one, such as its signatures, and those that refer to them.
async fn bring_referrers(walk: &mut Walk<'_>, source: &Source, digest: &Digest) -> Result<(), TravelError> {
    let mut waiting = vec![(digest.clone(), 0)];
    walk.is_new(digest);
    while let Some((subject, depth)) = waiting.pop() {
        for referrer in source.referrers(walk.repository(), &subject).await? {
            if walk.is_new(&referrer.digest) {
                walk.manifest(&referrer.digest).await?;
                if depth < DEEPEST {
                    waiting.push((referrer.digest, depth + 1));
                }
            }
        }
    }
    Ok(())
}

/// Keeps a manifest, whose blobs need not be here yet. Storage leaves tags alone that were pushed here.
pub(super) async fn put(
    core: &Core,
    repository: &Repository,
    resolved: Resolved,
    tags: Vec<Tag>,
    origin: Origin,
) -> Result<(), TravelError> {
    let put = PutManifest {
        repository: repository.clone(),
        digest: Some(resolved.digest),
        tags,
        media_type: resolved.media_type,
        bytes: resolved.bytes.unwrap_or_default(),
        by: BY.to_owned(),
        origin,
    };
    core.storage.put_manifest(put).await?;
    Ok(())
}
