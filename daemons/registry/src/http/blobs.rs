//! `/v2/<name>/blobs/<digest>`: bytes, whole or in part.

use std::ops::Range;

use axum::{
    body::Body,
    http::{HeaderMap, Method, StatusCode, header},
    response::Response,
};

use super::{
    Asked, Failure, Parts,
    answer::{Answer, is_known, may_be_ranged},
    body::leaving,
};
use crate::{
    Digest, Repository,
    access::Action,
    audit::{About, Event, What},
    metrics::Metrics,
    parse::{Wanted, wanted},
};

const OCTETS: &str = "application/octet-stream";

/// GET and HEAD.
///
/// HEAD by who may push is about this registry alone: mostly it comes from a client that is about to,
/// and that would leave a layer out which only the hub has.
pub(crate) async fn read(
    parts: &Parts,
    asked: &Asked,
    metrics: &Metrics,
    repository: &Repository,
    digest: &str,
) -> Result<Response, Failure> {
    asked.caller.may(repository, Action::Pull)?;
    let digest: Digest = digest.parse()?;
    let storage = &parts.storage;
    let is_head = asked.method == Method::HEAD;
    // Who pushes leaves out what is here, so that it must not go before its manifest comes.
    let pushes = is_head && asked.caller.may(repository, Action::Push).is_ok();
    let found = if pushes {
        storage.touch_blob(repository, &digest).await?
    } else {
        storage.blob(repository, &digest).await?
    };
    let not_here = |error| Failure::not_here(error, |more| unknown(digest.clone(), more));
    match found {
        Some(size) => match Part::of(&asked.headers, &digest, size)? {
            Part::Bytes(answer, range) if !is_head => {
                let bytes = storage.read(&digest, range).await?;
                Ok(answer.body(leaving(bytes, metrics.clone())))
            }
            part => Ok(part.head(&digest)),
        },
        None if pushes => Err(unknown(digest, None)),
        None if is_head => {
            let size = parts.travel.size(repository, &digest).await.map_err(not_here)?;
            let size = size.ok_or_else(|| unknown(digest.clone(), None))?;
            Ok(Part::of(&asked.headers, &digest, size)?.head(&digest))
        }
        // Streamed on while it arrives.
        None => {
            let following = parts.travel.blob(repository, &digest).await.map_err(not_here)?;
            let following = following.ok_or_else(|| unknown(digest.clone(), None))?;
            match Part::of(&asked.headers, &digest, following.size)? {
                Part::Bytes(answer, range) => {
                    Ok(answer.body(leaving(following.stream(range), metrics.clone())))
                }
                part @ Part::Known => Ok(part.head(&digest)),
            }
        }
    }
}

/// DELETE: takes the blob out of this repository.
pub(crate) async fn delete(
    parts: &Parts,
    asked: &Asked,
    repository: &Repository,
    digest: &str,
) -> Result<Response, Failure> {
    asked.caller.may(repository, Action::Delete)?;
    let digest: Digest = digest.parse()?;
    if !parts.storage.unlink(repository, &digest).await? {
        return Err(unknown(digest, None));
    }
    parts.audit.record(Event {
        about: About { repository: Some(repository.clone()), digest: Some(digest), ..About::default() },
        ..asked.event(What::Deleted)
    });
    Ok(Answer::of(StatusCode::ACCEPTED).done())
}

fn unknown(digest: Digest, more: Option<String>) -> Failure {
    Failure::BlobUnknown { digest, more }
}

/// What of a blob a client wants.
enum Part {
    /// Nothing: it has these bytes.
    Known,
    /// These, with the head of their answer.
    Bytes(Answer, Range<u64>),
}

impl Part {
    fn of(headers: &HeaderMap, digest: &Digest, size: u64) -> Result<Self, Failure> {
        if is_known(headers, digest) {
            return Ok(Self::Known);
        }
        let header = headers.get(header::RANGE).filter(|_| may_be_ranged(headers, digest));
        let header = header.and_then(|value| value.to_str().ok());
        let (status, range) = match header.map_or(Wanted::Whole, |header| wanted(header, size)) {
            Wanted::Whole => (StatusCode::OK, 0..size),
            Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
            Wanted::Unsatisfiable => return Err(Failure::Range { size }),
        };
        let length = range.end - range.start;
        let mut answer = Answer::of(status)
            .digest(digest)
            .with(header::CONTENT_TYPE, OCTETS)
            .with(header::CONTENT_LENGTH, length.to_string())
            .with(header::ACCEPT_RANGES, "bytes");
        if status == StatusCode::PARTIAL_CONTENT {
            let last = range.end - 1;
            answer = answer.with(header::CONTENT_RANGE, format!("bytes {}-{last}/{size}", range.start));
        }
        Ok(Self::Bytes(answer, range))
    }

    /// The answer without any bytes.
    fn head(self, digest: &Digest) -> Response {
        match self {
            Self::Known => Answer::of(StatusCode::NOT_MODIFIED).digest(digest).done(),
            Self::Bytes(answer, _) => answer.body(Body::empty()),
        }
    }
}
