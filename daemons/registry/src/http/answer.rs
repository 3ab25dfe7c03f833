//! What answers are made of.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Serialize;

use crate::{Digest, Repository, UploadId};

/// The digest of what is answered, or was stored.
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// Says to clients as old as docker's first that this is the registry's second API.
pub(crate) const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// An answer with a status and no body yet.
#[derive(Debug)]
pub(crate) struct Answer(Response);

impl Answer {
    pub(crate) fn of(status: StatusCode) -> Self {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        Self(response)
    }

    /// Adds a header. All values are made here, of names, numbers and digests; what a client chose
    /// (a media type, a message) and is no header's value is left out.
    pub(crate) fn with(mut self, name: HeaderName, value: impl AsRef<str>) -> Self {
        if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
            self.0.headers_mut().append(name, value);
        }
        self
    }

    /// Says which bytes these are: their digest, and the entity tag that is made of it.
    pub(crate) fn digest(self, digest: &Digest) -> Self {
        self.with(CONTENT_DIGEST, digest.to_string()).with(header::ETAG, entity_tag(digest))
    }

    pub(crate) fn body(mut self, body: Body) -> Response {
        *self.0.body_mut() = body;
        self.0
    }

    pub(crate) fn json(self, content_type: &'static str, value: &impl Serialize) -> Response {
        let text = serde_json::to_vec(value).expect("answers are plain JSON");
        self.with(header::CONTENT_TYPE, content_type).body(text.into())
    }

    pub(crate) fn done(self) -> Response {
        self.0
    }
}

fn entity_tag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// Whether the client has these bytes already, as its `If-None-Match` says.
pub(crate) fn is_known(headers: &HeaderMap, digest: &Digest) -> bool {
    let tag = entity_tag(digest);
    let given = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    // The comparison of this header is the weak one.
    given
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag)
}

/// Whether a range may be given of these bytes: there is no `If-Range`, or it is about them. There is
/// no date to compare one with.
pub(crate) fn may_be_ranged(headers: &HeaderMap, digest: &Digest) -> bool {
    let condition = headers.get(header::IF_RANGE);
    condition.is_none_or(|value| value.as_bytes() == entity_tag(digest).as_bytes())
}

/// Where a blob is. All locations are paths, so that they are right behind any proxy.
pub(crate) fn blob_location(repository: &Repository, digest: &Digest) -> String {
    format!("/v2/{repository}/blobs/{digest}")
}

pub(crate) fn manifest_location(repository: &Repository, digest: &Digest) -> String {
    format!("/v2/{repository}/manifests/{digest}")
}

pub(crate) fn upload_location(repository: &Repository, upload: UploadId) -> String {
    format!("/v2/{repository}/blobs/uploads/{upload}")
}

/// The `Range` of an upload's bytes so far. Its end is included, so that there is no word for none:
/// `0-0` stands for it, as in docker's registry, and for one byte.
pub(crate) fn so_far(offset: u64) -> String {
    format!("0-{}", offset.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn digest() -> Digest {
        format!("sha256:{}", "0f".repeat(32)).parse().unwrap()
    }

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn what_a_client_has_is_told_by_its_digest() {
        let tag = entity_tag(&digest());
        for known in [tag.clone(), format!("W/{tag}"), format!("\"a\", {tag}"), "*".to_owned()] {
            assert!(is_known(&headers(header::IF_NONE_MATCH, &known), &digest()), "{known}");
        }
        for other in ["\"a\"", "", &digest().to_string()] {
            assert!(!is_known(&headers(header::IF_NONE_MATCH, other), &digest()), "{other}");
        }
        assert!(!is_known(&HeaderMap::new(), &digest()));
    }

    #[test]
    fn a_range_is_given_only_of_the_same_bytes() {
        assert!(may_be_ranged(&HeaderMap::new(), &digest()));
        assert!(may_be_ranged(&headers(header::IF_RANGE, &entity_tag(&digest())), &digest()));
        for other in ["\"a\"", "W/\"a\"", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert!(!may_be_ranged(&headers(header::IF_RANGE, other), &digest()), "{other}");
        }
    }
}
