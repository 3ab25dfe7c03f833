//! Blobs for clients that are not here, or not wholly.

use std::{ops::Range, sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::timeout;

use super::{
    Core,
    error::TravelError,
    fetch::Urgency,
    fetches::Fetches,
    following::Following,
    source::{Bytestream, Source},
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
    let fetch = Fetches::want(core, repository, digest, &source, Urgency::Client);
    let mut progress = fetch.progress.subscribe();
    let failures = progress.borrow().failures;
    let started = progress.wait_for(|progress| {
        progress.ended.is_some()
            || progress.failures > failures
            || (progress.flows && progress.size.is_some())
    });
    let now = match timeout(START, started).await {
        Ok(Ok(progress)) => progress.clone(),
        Ok(Err(_)) => return Err(TravelError::Stopping),
        Err(_) => return Err(TravelError::Stalled { digest: digest.clone(), after: START }),
    };
    match (now.ended, now.error, now.size) {
        (Some(Ok(())), ..) => {
            let size = core.storage.blob(repository, digest).await?;
            Ok(size.map(|size| Following::new(core, digest, size, None)))
        }
        (Some(Err(TravelError::Unknown { .. })), ..) => Ok(None),
        (Some(Err(error)), ..) => Err(error),
        (None, Some(error), _) if !now.flows => Err(error),
        (None, _, Some(size)) => Ok(Some(Following::new(core, digest, size, Some(progress)))),
        (None, ..) => Err(TravelError::Stopping),
    }
}

/// Asks the source whether a repository has a blob that is on its way to others; `false` when it does
/// not. One that is not under way is asked for anyhow.
async fn may_join(
    core: &Arc<Core>,
    repository: &Repository,
    digest: &Digest,
    source: &Source,
) -> Result<bool, TravelError> {
    let Some(fetch) = core.fetches.get(digest).filter(|fetch| !fetch.has(repository)) else {
        return Ok(true);
    };
    if source.stat(repository, digest).await?.is_none() {
        return Ok(false);
    }
    fetch.join(repository.clone());
    Ok(true)
}

/// Brings blobs that a manifest needs, and waits until all are here.
pub(super) async fn bring(
    core: &Arc<Core>,
    repository: &Repository,
    digests: &[Digest],
    source: &Source,
) -> Result<(), TravelError> {
    let mut under_way = Vec::new();
    for digest in digests {
        if core.has(repository, digest) {
            continue;
        }
        if !may_join(core, repository, digest, source).await? {
            return Err(TravelError::Unknown { side: source.side() });
        }
        let fetch = Fetches::want(core, repository, digest, source, Urgency::Kept);
        under_way.push((fetch.progress.subscribe(), fetch));
    }
    for (mut progress, _fetch) in under_way {
        let ended = progress.wait_for(|progress| progress.ended.is_some()).await;
        let ended = ended.map_err(|_| TravelError::Stopping)?;
        if let Some(Err(error)) = &ended.ended {
            return Err(error.clone());
        }
    }
    Ok(())
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
