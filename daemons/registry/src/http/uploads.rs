//! `/v2/<name>/blobs/uploads/…`: how blobs come in.
//!
//! An upload belongs to its repository and to whoever may push there: it survives restarts, and any
//! daemon in front of the same streams goes on with it.

use axum::{
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::Response,
};

use super::{
    Asked, Failure, Parts,
    answer::{Answer, blob_location, so_far, upload_location},
    body::Arriving,
};
use crate::{
    Algorithm, Digest, Repository, UploadId,
    access::Action,
    audit::{Event, What},
    chunks::LARGEST_CHUNK,
    parse::ContentRange,
    storage::StorageError,
};

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");
const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");
/// What clients are asked to send at least in one PATCH: it fills a message of the stream. Less is
/// taken as well, and costs a message and a record each time.
const CHUNK: usize = LARGEST_CHUNK;

/// POST: begins an upload, or ends it at once where the blob is here or comes along.
pub(crate) async fn begin(
    parts: &Parts,
    asked: &Asked,
    repository: &Repository,
    body: &mut Arriving,
) -> Result<Response, Failure> {
    asked.caller.may(repository, Action::Push)?;
    if let Some(digest) = asked.query.get("mount") {
        let digest: Digest = digest.parse()?;
        if mount(parts, asked, repository, &digest).await? {
            return Ok(created(repository, &digest));
        }
        return open(parts, repository, digest.algorithm()).await;
    }
    if let Some(digest) = asked.query.get("digest") {
        let digest: Digest = digest.parse()?;
        let length = content_length(&asked.headers).unwrap_or(0);
        let upload = parts.storage.begin(repository, digest.algorithm(), length).await?;
        let ended = end(parts, repository, upload, Some(0), Some(body), &digest).await;
        if ended.is_err() {
            // Its location was told to nobody, so that nobody would go on with it.
            let _ = parts.storage.cancel(repository, upload).await;
        }
        ended?;
        return Ok(created(repository, &digest));
    }
    let algorithm = match asked.query.get("digest-algorithm") {
        Some(name) => name.parse().map_err(|_| Failure::Algorithm)?,
        None => Algorithm::default(),
    };
    open(parts, repository, algorithm).await
}

async fn open(parts: &Parts, repository: &Repository, algorithm: Algorithm) -> Result<Response, Failure> {
    let upload = parts.storage.begin(repository, algorithm, 0).await?;
    let answer = progress(StatusCode::ACCEPTED, repository, upload, 0);
    Ok(answer.with(CHUNK_MIN_LENGTH, CHUNK.to_string()).done())
}

/// Whether the blob was mounted: it is in a repository that the caller may pull from.
async fn mount(
    parts: &Parts,
    asked: &Asked,
    repository: &Repository,
    digest: &Digest,
) -> Result<bool, Failure> {
    let from = asked.query.get("from").filter(|from| !from.is_empty());
    let from: Option<Repository> = from.map(str::parse).transpose().map_err(Failure::MountSource)?;
    let sources = match from {
        Some(from) => vec![from],
        None => parts.storage.index().repositories_with(digest),
    };
    for source in sources.iter().filter(|source| asked.caller.sees(source)) {
        if parts.storage.mount(repository, digest, Some(source)).await? {
            parts.audit.record(Event {
                repository: Some(repository.clone()),
                digest: Some(digest.clone()),
                detail: Some(format!("from {source}")),
                ..asked.event(What::Mounted)
            });
            return Ok(true);
        }
    }
    Ok(false)
}

/// PATCH: adds bytes.
pub(crate) async fn append(
    parts: &Parts,
    asked: &Asked,
    repository: &Repository,
    upload: &str,
    body: &mut Arriving,
) -> Result<Response, Failure> {
    asked.caller.may(repository, Action::Push)?;
    let upload = upload_id(upload)?;
    let start = expected_start(&asked.headers, body)?;
    reserve(parts, asked, repository, upload).await?;
    let offset = parts
        .storage
        .append(repository, upload, start, body)
        .await
        .map_err(|error| located(error, repository, upload))?;
    Ok(progress(StatusCode::ACCEPTED, repository, upload, offset).done())
}

/// PUT: adds the last bytes, if there are some, and makes the blob.
pub(crate) async fn commit(
    parts: &Parts,
    asked: &Asked,
    repository: &Repository,
    upload: &str,
    body: &mut Arriving,
) -> Result<Response, Failure> {
    asked.caller.may(repository, Action::Push)?;
    let upload = upload_id(upload)?;
    let digest: Digest = asked.query.get("digest").ok_or(Failure::DigestMissing)?.parse()?;
    let start = expected_start(&asked.headers, body)?;
    let has_body = content_length(&asked.headers) != Some(0)
        && (asked.headers.contains_key(header::CONTENT_LENGTH)
            || asked.headers.contains_key(header::TRANSFER_ENCODING));
    reserve(parts, asked, repository, upload).await?;
    end(parts, repository, upload, start, has_body.then_some(body), &digest).await?;
    Ok(created(repository, &digest))
}

async fn end(
    parts: &Parts,
    repository: &Repository,
    upload: UploadId,
    start: Option<u64>,
    body: Option<&mut Arriving>,
    digest: &Digest,
) -> Result<(), Failure> {
    let ended = match body {
        Some(body) => parts.storage.finish(repository, upload, digest, start, body).await,
        None => parts.storage.commit(repository, upload, digest).await,
    };
    ended.map_err(|error| located(error, repository, upload))
}

/// GET and HEAD: how far it is.
pub(crate) async fn status(
    parts: &Parts,
    asked: &Asked,
    repository: &Repository,
    upload: &str,
) -> Result<Response, Failure> {
    asked.caller.may(repository, Action::Push)?;
    let upload = upload_id(upload)?;
    let offset = parts.storage.upload(repository, upload).await?;
    Ok(progress(StatusCode::NO_CONTENT, repository, upload, offset).done())
}

/// DELETE: gives it up.
pub(crate) async fn cancel(
    parts: &Parts,
    asked: &Asked,
    repository: &Repository,
    upload: &str,
) -> Result<Response, Failure> {
    asked.caller.may(repository, Action::Push)?;
    parts.storage.cancel(repository, upload_id(upload)?).await?;
    Ok(Answer::of(StatusCode::NO_CONTENT).done())
}

/// Refuses what a quota has no room for before its first byte comes, where its length is told.
async fn reserve(
    parts: &Parts,
    asked: &Asked,
    repository: &Repository,
    upload: UploadId,
) -> Result<(), Failure> {
    match content_length(&asked.headers) {
        Some(length @ 1..) => Ok(parts.storage.reserve(repository, upload, length).await?),
        _ => Ok(()),
    }
}

fn upload_id(text: &str) -> Result<UploadId, Failure> {
    // What is no id names no upload.
    text.parse().map_err(|_| Failure::UploadUnknown)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Where the bytes of the body are to begin, if the client says so; then the body is to be as long.
fn expected_start(headers: &HeaderMap, body: &mut Arriving) -> Result<Option<u64>, Failure> {
    let Some(value) = headers.get(header::CONTENT_RANGE) else { return Ok(None) };
    let range = ContentRange::of(value.to_str().unwrap_or_default())?;
    if let Some(length) = content_length(headers).filter(|length| *length != range.length()) {
        return Err(Failure::ChunkLength { length, range: range.length() });
    }
    body.expect(range.length());
    Ok(Some(range.start))
}

/// A failure, with where the upload goes on when the bytes are those of another place.
fn located(error: StorageError, repository: &Repository, upload: UploadId) -> Failure {
    match error {
        StorageError::OutOfOrder { offset } => {
            Failure::OutOfOrder { repository: repository.clone(), upload, offset }
        }
        error => error.into(),
    }
}

fn progress(status: StatusCode, repository: &Repository, upload: UploadId, offset: u64) -> Answer {
    Answer::of(status)
        .with(header::LOCATION, upload_location(repository, upload))
        .with(header::RANGE, so_far(offset))
        .with(UPLOAD_ID, upload.to_string())
}

fn created(repository: &Repository, digest: &Digest) -> Response {
    Answer::of(StatusCode::CREATED)
        .with(header::LOCATION, blob_location(repository, digest))
        .digest(digest)
        .done()
}
