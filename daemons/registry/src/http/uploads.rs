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
    audit::{About, Event, What},
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
    asked.caller.may(repository, Action::Push).map_err(|refused| match mount_source(asked) {
        Ok(Some(source)) => refused.and_pull(&source),
        _ => refused,
    })?;
    if let Some(digest) = asked.query.get("mount") {
        let digest: Digest = digest.parse()?;
        if mount(parts, asked, repository, &digest).await? {
            return Ok(created(repository, &digest));
        }
        return open(parts, asked, repository, digest.algorithm()).await;
    }
    if let Some(digest) = asked.query.get("digest") {
        let digest: Digest = digest.parse()?;
        let length = content_length(&asked.headers).unwrap_or(0);
        let id = parts.storage.begin(repository, digest.algorithm(), length).await?;
        let upload = Upload { parts, asked, repository, id };
        let ended = upload.end(Some(0), Some(body), &digest).await;
        if ended.is_err() {
            // Its location was told to nobody, so that nobody would go on with it.
            let _ = parts.storage.cancel(repository, id).await;
        }
        ended?;
        return Ok(created(repository, &digest));
    }
    let algorithm = match asked.query.get("digest-algorithm") {
        Some(name) => name.parse().map_err(|_| Failure::Algorithm)?,
        None => Algorithm::default(),
    };
    open(parts, asked, repository, algorithm).await
}

async fn open(
    parts: &Parts,
    asked: &Asked,
    repository: &Repository,
    algorithm: Algorithm,
) -> Result<Response, Failure> {
    let id = parts.storage.begin(repository, algorithm, 0).await?;
    let answer = Upload { parts, asked, repository, id }.so_far(StatusCode::ACCEPTED, 0);
    Ok(answer.with(CHUNK_MIN_LENGTH, CHUNK.to_string()).done())
}

/// Whether the blob was mounted: it is in a repository that the caller may pull from.
async fn mount(
    parts: &Parts,
    asked: &Asked,
    repository: &Repository,
    digest: &Digest,
) -> Result<bool, Failure> {
    let sources = match mount_source(asked)? {
        Some(from) => Vec::from_iter(asked.caller.may(&from, Action::Pull).is_ok().then_some(from)),
        None => {
            let sources = parts.storage.index().repositories_with(digest).into_iter();
            sources.filter(|source| asked.caller.sees(source)).collect()
        }
    };
    for source in &sources {
        if parts.storage.mount(repository, digest, Some(source)).await? {
            parts.audit.record(Event {
                about: About {
                    repository: Some(repository.clone()),
                    digest: Some(digest.clone()),
                    ..About::default()
                },
                detail: Some(format!("from {source}")),
                ..asked.event(What::Mounted)
            });
            return Ok(true);
        }
    }
    Ok(false)
}

/// The repository that a mount names.
fn mount_source(asked: &Asked) -> Result<Option<Repository>, Failure> {
    let from = asked.query.get("from").filter(|from| !from.is_empty());
    from.map(str::parse).transpose().map_err(Failure::MountSource)
}

/// An upload, and the request that is about it.
pub(crate) struct Upload<'a> {
    parts: &'a Parts,
    asked: &'a Asked,
    repository: &'a Repository,
    id: UploadId,
}

impl<'a> Upload<'a> {
    /// The one that a request names, for who may push to its repository.
    pub(crate) fn named(
        parts: &'a Parts,
        asked: &'a Asked,
        repository: &'a Repository,
        id: &str,
    ) -> Result<Self, Failure> {
        asked.caller.may(repository, Action::Push)?;
        // What is no id names no upload.
        let id = id.parse().map_err(|_| Failure::UploadUnknown)?;
        Ok(Self { parts, asked, repository, id })
    }

    /// PATCH: adds bytes.
    pub(crate) async fn append(&self, body: &mut Arriving) -> Result<Response, Failure> {
        let start = expected_start(&self.asked.headers, body)?;
        self.reserve(start).await?;
        let appended = self.parts.storage.append(self.repository, self.id, start, body).await;
        let offset = appended.map_err(|error| self.located(error))?;
        Ok(self.so_far(StatusCode::ACCEPTED, offset).done())
    }

    /// PUT: adds the last bytes, if there are some, and makes the blob.
    pub(crate) async fn commit(&self, body: &mut Arriving) -> Result<Response, Failure> {
        let digest: Digest = self.asked.query.get("digest").ok_or(Failure::DigestMissing)?.parse()?;
        let headers = &self.asked.headers;
        let start = expected_start(headers, body)?;
        let has_body = content_length(headers) != Some(0)
            && (headers.contains_key(header::CONTENT_LENGTH)
                || headers.contains_key(header::TRANSFER_ENCODING));
        self.reserve(start).await?;
        self.end(start, has_body.then_some(body), &digest).await?;
        Ok(created(self.repository, &digest))
    }

    /// GET and HEAD: how far it is.
    pub(crate) async fn status(&self) -> Result<Response, Failure> {
        let offset = self.parts.storage.upload(self.repository, self.id).await?;
        Ok(self.so_far(StatusCode::NO_CONTENT, offset).done())
    }

    /// DELETE: gives it up.
    pub(crate) async fn cancel(&self) -> Result<Response, Failure> {
        self.parts.storage.cancel(self.repository, self.id).await?;
        Ok(Answer::of(StatusCode::NO_CONTENT).done())
    }

    async fn end(
        &self,
        start: Option<u64>,
        body: Option<&mut Arriving>,
        digest: &Digest,
    ) -> Result<(), Failure> {
        let storage = &self.parts.storage;
        let ended = match body {
            Some(body) => storage.finish(self.repository, self.id, digest, start, body).await,
            None => storage.commit(self.repository, self.id, digest).await,
        };
        ended.map_err(|error| self.located(error))
    }

    /// Refuses what a quota has no room for before its first byte comes, where its length is told.
    async fn reserve(&self, start: Option<u64>) -> Result<(), Failure> {
        let Some(length @ 1..) = content_length(&self.asked.headers) else { return Ok(()) };
        let reserved = self.parts.storage.reserve(self.repository, self.id, start, length).await;
        reserved.map_err(|error| self.located(error))
    }

    /// A failure, with where the upload goes on when the bytes are those of another place.
    fn located(&self, error: StorageError) -> Failure {
        match error {
            StorageError::OutOfOrder { offset } => {
                Failure::OutOfOrder { repository: self.repository.clone(), upload: self.id, offset }
            }
            error => error.into(),
        }
    }

    /// Where it goes on.
    fn so_far(&self, status: StatusCode, offset: u64) -> Answer {
        Answer::of(status)
            .with(header::LOCATION, upload_location(self.repository, self.id))
            .with(header::RANGE, so_far(offset))
            .with(UPLOAD_ID, self.id.to_string())
    }
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

fn created(repository: &Repository, digest: &Digest) -> Response {
    Answer::of(StatusCode::CREATED)
        .with(header::LOCATION, blob_location(repository, digest))
        .digest(digest)
        .done()
}
