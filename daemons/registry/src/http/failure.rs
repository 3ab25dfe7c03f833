//! Everything that a request is refused for or fails by, and what its client is told: one match, so
//! that each new variant forces a decision.
//!
//! The text goes to the client where it is about the request, and to the log where it is about this
//! node: then the client learns only what it can do.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Serialize;
use serde_json::Value;

use super::{
    answer::{Answer, so_far, upload_location},
    body::{Cut, Unread},
};
use crate::{
    Digest, Reference, Repository, UploadId,
    access::Refused,
    digest::BadDigest,
    names::{BadReference, BadRepository, BadTag},
    parse::{BadContentRange, BadPath, BadQuery},
    storage::{BodyError, StorageError},
    travel::TravelError,
};

/// Why a request is not answered as its client hoped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Path(#[from] BadPath),
    #[error(transparent)]
    Query(#[from] BadQuery),
    #[error("`from`: {0}")]
    MountSource(#[source] BadRepository),
    #[error("this is answered to {allow} only")]
    Method { allow: &'static str },
    #[error(transparent)]
    Digest(#[from] BadDigest),
    #[error(
        "`digest` is missing: the upload ends with a PUT to its location with `?digest=` and that of the whole"
    )]
    DigestMissing,
    #[error("`digest-algorithm` is sha256 or sha512")]
    Algorithm,
    #[error(transparent)]
    Tag(#[from] BadTag),
    #[error("at most {limit} tags are set by one request")]
    TooManyTags { limit: usize },
    #[error("there is no such upload: it ended, was cancelled or expired; begin a new one")]
    UploadUnknown,
    #[error(transparent)]
    ChunkRange(#[from] BadContentRange),
    #[error("`Content-Length` is {length}, and `Content-Range` names {range} bytes")]
    ChunkLength { length: u64, range: u64 },
    #[error("the part begins elsewhere: {offset} bytes of the upload are stored, go on there")]
    OutOfOrder { repository: Repository, upload: UploadId, offset: u64 },
    #[error("the repository has no manifest {reference}{more}", more = .more.as_deref().unwrap_or_default())]
    ManifestUnknown { reference: Reference, more: Option<String> },
    #[error("the repository has no blob {digest}{more}", more = .more.as_deref().unwrap_or_default())]
    BlobUnknown { digest: Digest, more: Option<String> },
    #[error("the repository has no manifest `{name}`: {source}")]
    NoSuchTag { name: String, source: BadTag },
    #[error("there is no repository {0}: it begins with the first push to it")]
    RepositoryUnknown(Repository),
    #[error("`Content-Type` is missing, and the manifest has no `mediaType`: send one of them")]
    MediaTypeMissing,
    #[error("a manifest has {limit} bytes at most")]
    ManifestTooLarge { limit: u64 },
    #[error("the blob has {size} bytes, and the range is not within")]
    Range { size: u64 },
    #[error("{refused}")]
    Refused { refused: Refused, challenge: Option<HeaderValue> },
    #[error("the registry is starting: it waits for nats-server, see `leafbox status`")]
    Starting,
    #[error("a task of the registry ended before its work did")]
    Lost,
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Travel(TravelError),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused { refused, challenge: None }
    }
}

impl From<Unread> for Failure {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLong(limit) => Self::ManifestTooLarge { limit },
            Unread::Body(error) => Self::Storage(error.into()),
        }
    }
}

impl Failure {
    /// What is not here, and did not come from elsewhere either: `unknown` says so, with why when
    /// nobody elsewhere could be asked.
    pub(crate) fn not_here(error: TravelError, unknown: impl FnOnce(Option<String>) -> Self) -> Self {
        match error {
            TravelError::Unknown { .. } => unknown(None),
            error @ TravelError::Denied { .. } => unknown(Some(format!(" here, and {error}"))),
            error if error.is_unreachable() => unknown(Some(format!(" here, and {error}"))),
            error => Self::Travel(error),
        }
    }
}

/// The codes of the distribution specification, "Error Codes", and those for answers from 500 on,
/// which it leaves open.
mod code {
    pub(super) const BLOB_UNKNOWN: &str = "BLOB_UNKNOWN";
    pub(super) const BLOB_UPLOAD_INVALID: &str = "BLOB_UPLOAD_INVALID";
    pub(super) const BLOB_UPLOAD_UNKNOWN: &str = "BLOB_UPLOAD_UNKNOWN";
    pub(super) const DENIED: &str = "DENIED";
    pub(super) const DIGEST_INVALID: &str = "DIGEST_INVALID";
    pub(super) const MANIFEST_BLOB_UNKNOWN: &str = "MANIFEST_BLOB_UNKNOWN";
    pub(super) const MANIFEST_INVALID: &str = "MANIFEST_INVALID";
    pub(super) const MANIFEST_UNKNOWN: &str = "MANIFEST_UNKNOWN";
    pub(super) const NAME_INVALID: &str = "NAME_INVALID";
    pub(super) const NAME_UNKNOWN: &str = "NAME_UNKNOWN";
    pub(super) const SIZE_INVALID: &str = "SIZE_INVALID";
    pub(super) const UNAVAILABLE: &str = "UNAVAILABLE";
    pub(super) const UNKNOWN: &str = "UNKNOWN";
    pub(super) const UNSUPPORTED: &str = "UNSUPPORTED";
}

/// Seconds after which a client may try again what this node could not do.
const RETRY_AFTER: &str = "2";

/// What a client is told.
struct Told {
    status: StatusCode,
    code: &'static str,
    message: String,
    detail: Option<Value>,
    headers: Vec<(HeaderName, String)>,
}

impl Told {
    fn new(status: StatusCode, code: &'static str, message: impl ToString) -> Self {
        Self { status, code, message: message.to_string(), detail: None, headers: Vec::new() }
    }

    fn with(mut self, name: HeaderName, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    fn about(mut self, detail: Value) -> Self {
        self.detail = Some(detail);
        self
    }

    /// About this node, so that the client is told only what it can do.
    fn unavailable(message: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE, message)
            .with(header::RETRY_AFTER, RETRY_AFTER)
    }
}

#[derive(Serialize)]
struct Body<'a> {
    errors: [OneError<'a>; 1],
}

#[derive(Serialize)]
struct OneError<'a> {
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Value>,
}

impl Failure {
    /// The answer. What somebody has to know of is logged here, and nowhere else.
    pub(crate) fn answer(self) -> Response {
        let told = self.told();
        if told.status.is_server_error() {
            // The chain of causes, of which the client sees nothing.
            let error = anyhow::Error::from(self);
            let status = told.status.as_u16();
            match told.status {
                StatusCode::INTERNAL_SERVER_ERROR | StatusCode::INSUFFICIENT_STORAGE => {
                    tracing::error!(http.status = status, "a request failed: {error}");
                }
                _ => tracing::warn!(http.status = status, "a request failed: {error}"),
            }
        } else {
            tracing::debug!(http.status = told.status.as_u16(), "a request was refused: {self}");
        }
        told.answer()
    }

    fn told(&self) -> Told {
        let client = |code, status| Told::new(status, code, self);
        match self {
            Self::Path(BadPath::Unknown) => client(code::UNSUPPORTED, StatusCode::NOT_FOUND),
            Self::Path(BadPath::Encoding | BadPath::Name(_)) | Self::MountSource(_) => {
                client(code::NAME_INVALID, StatusCode::BAD_REQUEST)
            }
            Self::Query(_) | Self::Algorithm => client(code::UNSUPPORTED, StatusCode::BAD_REQUEST),
            Self::Method { allow } => {
                client(code::UNSUPPORTED, StatusCode::METHOD_NOT_ALLOWED).with(header::ALLOW, allow)
            }
            Self::Digest(_) | Self::DigestMissing => client(code::DIGEST_INVALID, StatusCode::BAD_REQUEST),
            Self::Tag(_) | Self::MediaTypeMissing => client(code::MANIFEST_INVALID, StatusCode::BAD_REQUEST),
            Self::TooManyTags { .. } => client(code::MANIFEST_INVALID, StatusCode::URI_TOO_LONG),
            Self::UploadUnknown => client(code::BLOB_UPLOAD_UNKNOWN, StatusCode::NOT_FOUND),
            Self::ChunkRange(_) => client(code::BLOB_UPLOAD_INVALID, StatusCode::BAD_REQUEST),
            Self::ChunkLength { .. } => client(code::SIZE_INVALID, StatusCode::BAD_REQUEST),
            Self::OutOfOrder { repository, upload, offset } => {
                client(code::BLOB_UPLOAD_INVALID, StatusCode::RANGE_NOT_SATISFIABLE)
                    .with(header::LOCATION, upload_location(repository, *upload))
                    .with(header::RANGE, so_far(*offset))
                    .about(serde_json::json!({ "offset": offset }))
            }
            Self::ManifestUnknown { reference, .. } => client(code::MANIFEST_UNKNOWN, StatusCode::NOT_FOUND)
                .about(serde_json::json!({ "reference": reference.to_string() })),
            Self::NoSuchTag { .. } => client(code::MANIFEST_UNKNOWN, StatusCode::NOT_FOUND),
            Self::BlobUnknown { digest, .. } => client(code::BLOB_UNKNOWN, StatusCode::NOT_FOUND)
                .about(serde_json::json!({ "digest": digest })),
            Self::RepositoryUnknown(name) => {
                client(code::NAME_UNKNOWN, StatusCode::NOT_FOUND).about(serde_json::json!({ "name": name }))
            }
            Self::ManifestTooLarge { limit } => client(code::SIZE_INVALID, StatusCode::PAYLOAD_TOO_LARGE)
                .about(serde_json::json!({ "limit": limit })),
            Self::Range { size } => client(code::SIZE_INVALID, StatusCode::RANGE_NOT_SATISFIABLE)
                .with(header::CONTENT_RANGE, format!("bytes */{size}")),
            Self::Refused { refused, challenge } => {
                let mut told = client(refused.code(), refused.status());
                if let Some(seconds) = refused.retry_after() {
                    told = told.with(header::RETRY_AFTER, seconds);
                }
                let challenge = challenge.as_ref().and_then(|challenge| challenge.to_str().ok());
                challenge.into_iter().fold(told, |told, value| told.with(header::WWW_AUTHENTICATE, value))
            }
            Self::Starting => Told::unavailable("the registry is starting: try again in a moment"),
            Self::Lost => Told::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                code::UNKNOWN,
                "the registry could not do this: its log says why",
            ),
            Self::Storage(error) => of_storage(error),
            Self::Travel(error) => of_travel(error),
        }
    }
}

/// What a failure of the storage is for a client.
fn of_storage(error: &StorageError) -> Told {
    let client = |code, status| Told::new(status, code, error);
    match error {
        StorageError::BlobUnknown { digest } => {
            client(code::BLOB_UNKNOWN, StatusCode::NOT_FOUND).about(serde_json::json!({ "digest": digest }))
        }
        StorageError::UploadUnknown => client(code::BLOB_UPLOAD_UNKNOWN, StatusCode::NOT_FOUND),
        StorageError::DigestMismatch { expected, found } => {
            client(code::DIGEST_INVALID, StatusCode::BAD_REQUEST)
                .about(serde_json::json!({ "expected": expected, "found": found }))
        }
        StorageError::ManifestUnknown { reference } => client(code::MANIFEST_UNKNOWN, StatusCode::NOT_FOUND)
            .about(serde_json::json!({ "reference": reference.to_string() })),
        StorageError::ManifestInvalid { .. } => client(code::MANIFEST_INVALID, StatusCode::BAD_REQUEST),
        StorageError::ManifestBlobUnknown { digest } => {
            client(code::MANIFEST_BLOB_UNKNOWN, StatusCode::NOT_FOUND)
                .about(serde_json::json!({ "digest": digest }))
        }
        StorageError::RepositoryUnknown { repository } => {
            client(code::NAME_UNKNOWN, StatusCode::NOT_FOUND).about(serde_json::json!({ "name": repository }))
        }
        // Who writes to an upload is answered with its location; this is for all others.
        StorageError::OutOfOrder { offset } => {
            client(code::BLOB_UPLOAD_INVALID, StatusCode::RANGE_NOT_SATISFIABLE)
                .with(header::RANGE, so_far(*offset))
        }
        StorageError::RangeNotSatisfiable { size } => {
            client(code::SIZE_INVALID, StatusCode::RANGE_NOT_SATISFIABLE)
                .with(header::CONTENT_RANGE, format!("bytes */{size}"))
        }
        StorageError::Busy => {
            client(code::BLOB_UPLOAD_INVALID, StatusCode::CONFLICT).with(header::RETRY_AFTER, RETRY_AFTER)
        }
        StorageError::OverQuota { namespace, quota, used, wanted } => {
            client(code::DENIED, StatusCode::FORBIDDEN).about(
                serde_json::json!({ "namespace": namespace, "quota": quota, "used": used, "wanted": wanted }),
            )
        }
        StorageError::Full { .. } => Told::new(
            StatusCode::INSUFFICIENT_STORAGE,
            code::UNAVAILABLE,
            "the registry's storage is full: its operator can free some with `leafbox registry gc`",
        ),
        StorageError::TooLarge { .. } => client(code::SIZE_INVALID, StatusCode::PAYLOAD_TOO_LARGE),
        StorageError::Body(error) => of_body(error),
        StorageError::Damaged { .. } => client(code::UNKNOWN, StatusCode::INTERNAL_SERVER_ERROR),
        StorageError::Unavailable(_) => Told::unavailable(
            "the registry's storage cannot be used at the moment: nothing acknowledged is lost, try again",
        ),
    }
}

/// What a failure elsewhere is for a client. What is merely unknown there was told before.
fn of_travel(error: &TravelError) -> Told {
    match error {
        TravelError::Storage(error) => of_storage(error),
        TravelError::Busy { .. } | TravelError::Stopping | TravelError::NotConnected => {
            Told::new(StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE, error)
                .with(header::RETRY_AFTER, RETRY_AFTER)
        }
        TravelError::NobodyAnswers { .. } | TravelError::Silent { .. } | TravelError::Stalled { .. } => {
            Told::new(StatusCode::GATEWAY_TIMEOUT, code::UNAVAILABLE, error)
        }
        TravelError::Unknown { .. } => Told::new(StatusCode::NOT_FOUND, code::MANIFEST_UNKNOWN, error),
        TravelError::Denied { .. } => Told::new(StatusCode::FORBIDDEN, code::DENIED, error),
        TravelError::Failed { .. }
        | TravelError::Broken { .. }
        | TravelError::Tampered { .. }
        | TravelError::TooLarge { .. }
        | TravelError::Upstream(_) => Told::new(StatusCode::BAD_GATEWAY, code::UNAVAILABLE, error),
    }
}

/// What a body that ended early is for a client, which may still be there.
fn of_body(error: &BodyError) -> Told {
    match error.0.downcast_ref::<Cut>() {
        Some(cut @ (Cut::TooLong | Cut::TooShort)) => {
            Told::new(StatusCode::BAD_REQUEST, code::SIZE_INVALID, cut)
        }
        Some(cut @ Cut::Stalled) => Told::new(StatusCode::REQUEST_TIMEOUT, code::BLOB_UPLOAD_INVALID, cut)
            .with(header::CONNECTION, "close"),
        Some(Cut::Gone(_)) | None => {
            Told::new(StatusCode::BAD_REQUEST, code::BLOB_UPLOAD_INVALID, "the body ended early")
        }
    }
}

impl Told {
    fn answer(self) -> Response {
        let Self { status, code, message, detail, headers } = self;
        let answer =
            headers.into_iter().fold(Answer::of(status), |answer, (name, value)| answer.with(name, value));
        answer.json("application/json", &Body { errors: [OneError { code, message: &message, detail }] })
    }
}

/// A reference in the path of a request that reads: what is no tag is unknown, as nothing has it.
pub(crate) fn reference_to_read(text: &str) -> Result<Reference, Failure> {
    text.parse().map_err(|error| match error {
        BadReference::Digest(error) => Failure::Digest(error),
        BadReference::Tag(source) => Failure::NoSuchTag { name: text.to_owned(), source },
    })
}

/// A reference in the path of a request that writes.
pub(crate) fn reference_to_write(text: &str) -> Result<Reference, Failure> {
    text.parse().map_err(|error| match error {
        BadReference::Digest(error) => Failure::Digest(error),
        BadReference::Tag(error) => Failure::Tag(error),
    })
}
