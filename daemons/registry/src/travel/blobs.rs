//! Blobs for clients that are not here, or not wholly.

use std::{ops::Range, sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::timeout;

use super::{
    Core,
    error::TravelError,
    fetch::{Fetch, Shared},
    fetches::Fetches,
    following::Following,
    progress::Urgency,
    source::{Bytestream, Source},
    wants::Want,
};
use crate::{Digest, Repository, UploadId, storage::StorageError};

/// How long a client waits for the first sign of a blob, which takes a turn among others.
const START: Duration = Duration::from_secs(30);

/// A blob of a repository, from where it is; `None` when it is nowhere.
pub(super) async fn follow(
    core: &Arc<Core>,
    repository: &Repository,
    digest: &Digest,
) -> Result<Option<Following>, TravelError> {
    if let Some(size) = core.storage.blob(repository, digest).await? {
        return Ok(Some(Following::new(core, digest, size, None)));
    }
    let Some(source) = core.source(repository) else { return Ok(None) };
    if !may_join(core, repository, digest, &source).await? {
        return Ok(None);
    }
    let want = Want::new(repository, &source);
    let fetch = Fetches::want(core, digest, want, Urgency::Client);
    let mut progress = fetch.progress.subscribe();
    let failures = progress.borrow().failures;
    let started = progress.wait_for(|progress| {
        progress.ended.is_some()
            || progress.failures > failures
            || (progress.flows && progress.size.is_some())
            || core.has(repository, digest)
            || fetch.wants().refusal(repository).is_some()
    });
    let now = match timeout(START, started).await {
        Ok(Ok(progress)) => progress.clone(),
        Ok(Err(_)) => return Err(TravelError::Stopping),
        Err(_) => return Err(TravelError::Stalled { digest: digest.clone(), after: START }),
    };
    let is_here = core.has(repository, digest) || matches!(now.ended, Some(Ok(())));
    if is_here && let Some(size) = core.storage.blob(repository, digest).await? {
        return Ok(Some(Following::new(core, digest, size, None)));
    }
    let refusal = fetch.wants().refusal(repository);
    match (refusal.map(Err).or(now.ended), now.error, now.size) {
        (Some(Ok(())), ..) | (Some(Err(TravelError::Unknown { .. })), ..) => Ok(None),
        (Some(Err(error)), ..) => Err(error),
        (None, Some(error), _) if !now.flows => Err(error),
        (None, _, Some(size)) if may_follow(&fetch, repository, &source).await? => {
            Ok(Some(Following::new(core, digest, size, Some(progress))))
        }
        (None, _, Some(_)) => Ok(None),
        (None, ..) => Err(TravelError::Stopping),
    }
}

/// Whether what arrives may be given to clients of a repository: it may come for another one.
async fn may_follow(fetch: &Fetch, repository: &Repository, source: &Source) -> Result<bool, TravelError> {
    let is_known = fetch.wants().is_known(repository);
    Ok(is_known || source.stat(repository, &fetch.digest).await?.is_some())
}

/// Asks the source whether a repository has a blob that is on its way to others, or from elsewhere;
/// `false` when it does not get it. One that is not under way is asked for anyhow.
async fn may_join(
    core: &Arc<Core>,
    repository: &Repository,
    digest: &Digest,
    source: &Source,
) -> Result<bool, TravelError> {
    let under_way = core.fetches.get(digest);
    let Some(fetch) = under_way.filter(|fetch| !fetch.wants().has(repository, source)) else {
        return Ok(true);
    };
    let comes_anyhow = fetch.wants().has_repository(repository);
    match source.stat(repository, digest).await {
        Ok(Some(_)) => {
            fetch.add(Want { is_known: true, ..Want::new(repository, source) });
            Ok(true)
        }
        Ok(None) => Ok(comes_anyhow),
        Err(_) if comes_anyhow => Ok(true),
        Err(error) => Err(error),
    }
}

/// Brings blobs that a manifest needs, and waits until all are here.
pub(super) async fn bring(
    core: &Arc<Core>,
    repository: &Repository,
    digests: &[Digest],
    source: &Source,
) -> Result<(), TravelError> {
    let mut under_way = Vec::new();
    for digest in digests.iter().filter(|digest| !core.has(repository, digest)) {
        under_way.push(keep(core, repository, digest, source).await?);
    }
    for mut fetch in under_way {
        fetch.given(core, repository).await?;
        // It may have ended just before this repository joined.
        while !core.has(repository, &fetch.digest) {
            fetch = keep(core, repository, &fetch.digest, source).await?;
            fetch.given(core, repository).await?;
        }
    }
    Ok(())
}

/// Fetches a blob that a manifest needs.
async fn keep(
    core: &Arc<Core>,
    repository: &Repository,
    digest: &Digest,
    source: &Source,
) -> Result<Shared, TravelError> {
    if !may_join(core, repository, digest, source).await? {
        return Err(TravelError::Unknown { side: source.side() });
    }
    let want = Want::new(repository, source);
    Ok(Fetches::want(core, digest, want, Urgency::Kept))
}

/// A blob that is here.
pub(super) fn stored(core: &Core, digest: &Digest, range: Range<u64>) -> Bytestream {
    let (storage, digest) = (core.storage.clone(), digest.clone());
    let reading = async move { storage.read(&digest, range).await };
    stream::once(reading).try_flatten().map_err(TravelError::from).boxed()
}

/// The bytes of an upload that is under way; `range` must be within what is stored.
pub(super) fn arriving(core: &Core, upload: UploadId, range: Range<u64>) -> Result<Bytestream, TravelError> {
    let record = core.storage.index().upload(&upload).ok_or(StorageError::UploadUnknown)?;
    let bytes = core.storage.chunks().read(&record.runs, upload, range);
    Ok(bytes.map_err(|error| TravelError::from(StorageError::from(error))).boxed())
}
