//! `/v2/<name>/manifests/<reference>`: exact bytes, with the media type that they were pushed with.
//!
//! `Accept` is not looked at: a manifest is never converted, and a client that cannot read what is
//! here learns it from `Content-Type`.

use axum::{
    http::{HeaderName, Method, StatusCode, header},
    response::Response,
};
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::{
    Asked, Failure, Parts,
    answer::{Answer, is_known, manifest_location},
    body::{Arriving, leaving},
    failure::{reference_to_read, reference_to_write},
};
use crate::{
    Reference, Repository, Tag,
    access::Action,
    audit::{About, Event, What},
    metrics::Metrics,
    records::Origin,
    storage::{LARGEST_MANIFEST, ManifestInfo, PutManifest},
};

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const TAG: HeaderName = HeaderName::from_static("oci-tag");
/// Tags that one request may set; ten must be taken.
const MOST_TAGS: usize = 32;
/// Manifests longer than [`LARGE`] that are held in memory at once while they arrive.
const LARGE_AT_ONCE: usize = 2;
/// All but a few are shorter.
const LARGE: u64 = 256 << 10;

/// Room in memory for manifests that arrive.
pub(crate) fn room() -> Semaphore {
    Semaphore::new(LARGE_AT_ONCE)
}

/// GET and HEAD.
pub(crate) async fn read(
    parts: &Parts,
    asked: &Asked,
    metrics: &Metrics,
    repository: &Repository,
    reference: &str,
) -> Result<Response, Failure> {
    asked.caller.may(repository, Action::Pull)?;
    let reference = reference_to_read(reference)?;
    let manifest = find(parts, repository, reference).await?;
    let answer = |status| Answer::of(status).digest(&manifest.digest);
    if is_known(&asked.headers, &manifest.digest) {
        return Ok(answer(StatusCode::NOT_MODIFIED).done());
    }
    let answer = answer(StatusCode::OK)
        .with(header::CONTENT_TYPE, &manifest.media_type)
        .with(header::CONTENT_LENGTH, manifest.size.to_string());
    if asked.method == Method::HEAD {
        return Ok(answer.done());
    }
    if manifest.size > LARGE {
        // A slow client would hold it in memory for as long as it reads.
        let bytes = parts.storage.read(&manifest.digest, 0..manifest.size).await?;
        return Ok(answer.body(leaving(bytes, metrics.clone())));
    }
    let bytes = parts.storage.manifest_bytes(&manifest.digest).await?;
    metrics.sent(bytes.len());
    Ok(answer.body(bytes.into()))
}

/// A manifest that is here, or that comes here now.
///
/// What is here is answered at once, whatever became of it elsewhere; whether there is a newer one is
/// found out behind the client's back.
async fn find(parts: &Parts, repository: &Repository, reference: Reference) -> Result<ManifestInfo, Failure> {
    let storage = &parts.storage;
    if let Some(found) = storage.manifest(repository, &reference).await? {
        if let Reference::Tag(tag) = &reference {
            parts.travel.refresh(repository, tag);
        }
        return Ok(found);
    }
    let unknown = |more| Failure::ManifestUnknown { reference: reference.clone(), more };
    match parts.travel.fetch_manifest(repository, &reference).await {
        Ok(true) => storage.manifest(repository, &reference).await?.ok_or_else(|| unknown(None)),
        Ok(false) => Err(unknown(None)),
        Err(error) => Err(Failure::not_here(error, unknown)),
    }
}

/// What a manifest says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Typed {
    media_type: Option<String>,
}

/// PUT.
pub(crate) async fn write(
    parts: &Parts,
    asked: &Asked,
    room: &Semaphore,
    repository: &Repository,
    reference: &str,
    body: &mut Arriving,
) -> Result<Response, Failure> {
    asked.caller.may(repository, Action::Push)?;
    let reference = reference_to_write(reference)?;
    let asked_tags = asked.query.all("tag").map(str::parse).collect::<Result<Vec<Tag>, _>>()?;
    if asked_tags.len() > MOST_TAGS {
        return Err(Failure::TooManyTags { limit: MOST_TAGS });
    }
    let length =
        asked.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > LARGEST_MANIFEST) {
        return Err(Failure::ManifestTooLarge { limit: LARGEST_MANIFEST });
    }
    // A length that is not told may be any.
    let _room = match length {
        Some(0..=LARGE) => None,
        _ => Some(room.acquire().await.map_err(|_| Failure::Lost)?),
    };
    let bytes = body.whole(LARGEST_MANIFEST).await?;
    let media_type = media_type(asked, &bytes)?;
    let named = reference.to_string();
    let (digest, tag) = match reference {
        Reference::Digest(digest) => (Some(digest), None),
        Reference::Tag(tag) => (None, Some(tag)),
    };
    let mut tags: Vec<Tag> = tag.into_iter().chain(asked_tags.iter().cloned()).collect();
    tags.sort();
    tags.dedup();
    let stored = parts
        .storage
        .put_manifest(PutManifest {
            repository: repository.clone(),
            digest,
            tags,
            media_type,
            bytes: bytes.into(),
            by: asked.caller.name().to_owned(),
            origin: Origin::Pushed,
        })
        .await?;
    parts.travel.pushed();
    parts.audit.record(Event {
        about: About { digest: Some(stored.digest.clone()), ..About::named(repository, named) },
        ..asked.event(What::Pushed)
    });
    let answer = Answer::of(StatusCode::CREATED)
        .with(header::LOCATION, manifest_location(repository, &stored.digest))
        .digest(&stored.digest);
    let answer = match &stored.subject {
        Some(subject) => answer.with(SUBJECT, subject.to_string()),
        None => answer,
    };
    Ok(asked_tags.iter().fold(answer, |answer, tag| answer.with(TAG, tag.as_str())).done())
}

/// The media type, without parameters: of the request, else of the manifest itself.
fn media_type(asked: &Asked, bytes: &[u8]) -> Result<String, Failure> {
    let sent = asked.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let sent =
        sent.and_then(|value| value.split(';').next()).map(str::trim).filter(|value| !value.is_empty());
    let of_manifest = || serde_json::from_slice::<Typed>(bytes).ok()?.media_type;
    sent.map(str::to_owned).or_else(of_manifest).ok_or(Failure::MediaTypeMissing)
}

/// DELETE: of a tag, or of a manifest with its tags.
pub(crate) async fn delete(
    parts: &Parts,
    asked: &Asked,
    repository: &Repository,
    reference: &str,
) -> Result<Response, Failure> {
    asked.caller.may(repository, Action::Delete)?;
    let by = asked.caller.name();
    let reference = reference_to_read(reference)?;
    match &reference {
        Reference::Tag(tag) => parts.storage.delete_tag(repository, tag, by).await?,
        Reference::Digest(digest) => parts.storage.delete_manifest(repository, digest, by).await?,
    }
    parts.audit.record(Event { about: About::named(repository, &reference), ..asked.event(What::Deleted) });
    Ok(Answer::of(StatusCode::ACCEPTED).done())
}
