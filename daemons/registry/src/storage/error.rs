//! Why an operation on the registry's storage was refused or failed.

use crate::{
    Digest, Reference, Repository,
    chunks::ChunkError,
    index::{Behind, FollowError},
};

/// An operation failed. What it was about is in the variant; nothing here is a secret.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The repository has no such blob.
    #[error("the repository has no blob {digest}: push it, or mount it from where it is")]
    BlobUnknown {
        /// The blob.
        digest: Digest,
    },
    /// There is no such upload in the repository (any more).
    #[error("there is no such upload: it ended, was cancelled or expired; begin a new one")]
    UploadUnknown,
    /// The bytes are not what the client says they are. They are purged.
    #[error(
        "the bytes are {found}, not {expected}: they were damaged on the way, or the digest is of others"
    )]
    DigestMismatch {
        /// What the client named.
        expected: Digest,
        /// What arrived.
        found: Digest,
    },
    /// The repository has no such manifest or tag.
    #[error("the repository has no manifest {reference}")]
    ManifestUnknown {
        /// What was asked for.
        reference: Reference,
    },
    /// The bytes are no manifest that the registry stores.
    #[error("this is no manifest that can be stored: {why}")]
    ManifestInvalid {
        /// What is wrong with them.
        why: String,
    },
    /// A manifest mentions a blob that the repository does not have.
    #[error("the manifest mentions the blob {digest}, which the repository does not have: push it first")]
    ManifestBlobUnknown {
        /// The blob.
        digest: Digest,
    },
    /// There is no such repository.
    #[error("there is no repository {repository}: it begins with the first push to it")]
    RepositoryUnknown {
        /// The repository.
        repository: Repository,
    },
    /// The part of an upload does not begin where the one before ended.
    #[error("the part begins elsewhere: {offset} bytes of the upload are stored, go on there")]
    OutOfOrder {
        /// Bytes that are stored.
        offset: u64,
    },
    /// A range outside of the blob.
    #[error("the blob ends after {size} bytes, before the range begins")]
    RangeNotSatisfiable {
        /// Bytes of the blob.
        size: u64,
    },
    /// Another request uses the upload at the moment.
    #[error("another request writes to this upload: wait for it, then ask how far the upload is")]
    Busy,
    /// The namespace's quota would be exceeded.
    #[error(
        "the quota of `{namespace}` is {quota} bytes, of which {used} are used, and {wanted} more are wanted: \
         delete manifests there, or raise `registry.quotas` in fleet.toml"
    )]
    OverQuota {
        /// The namespace: repositories of this name and below.
        namespace: String,
        /// Its bytes.
        quota: u64,
        /// Bytes in use and reserved by other uploads.
        used: u64,
        /// Bytes that this needs on top.
        wanted: u64,
    },
    /// The storage is full.
    #[error("the registry's storage is full: {detail}")]
    Full {
        /// What exactly, and what to do.
        detail: String,
    },
    /// A manifest is larger than the registry takes.
    #[error("a manifest has {limit} bytes at most")]
    TooLarge {
        /// The most bytes.
        limit: u64,
    },
    /// The client's bytes ended early. Those that came are kept.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// What is stored is not what was stored once.
    #[error("the stored bytes of {digest} are damaged or gone: push it again")]
    Damaged {
        /// The blob.
        digest: Digest,
    },
    /// JetStream cannot be reached, or does not do what it is asked. Nothing that was acknowledged is
    /// lost; what was under way may or may not be stored, and can be repeated.
    #[error("the registry's storage cannot be used at the moment: {0}")]
    Unavailable(#[from] Unavailable),
}

/// The client's bytes ended before they should.
#[derive(Debug, thiserror::Error)]
#[error("the request's body ended early: {0}")]
pub struct BodyError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What is wrong with the storage.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// A record cannot be written.
    #[error("the record {key} was not written: {source}")]
    Write {
        /// Its key.
        key: String,
        /// Why.
        #[source]
        source: async_nats::jetstream::context::PublishError,
    },
    /// A record cannot be read.
    #[error("the record {key} was not read: {source}")]
    Read {
        /// Its key.
        key: String,
        /// Why.
        #[source]
        source: async_nats::jetstream::stream::DirectGetError,
    },
    /// Another version of leafbox wrote a record that this one cannot read.
    #[error("the record {key} cannot be understood: {source}; a newer leafbox may have written it")]
    Record {
        /// Its key.
        key: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Others change the record all the time.
    #[error("the record {key} is changed by others all the time: try again")]
    Contended {
        /// Its key.
        key: String,
    },
    /// The index does not know what it should.
    #[error(transparent)]
    Index(#[from] Behind),
    /// Chunks cannot be written or read.
    #[error(transparent)]
    Chunks(ChunkError),
}

impl From<Behind> for StorageError {
    fn from(error: Behind) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<FollowError> for StorageError {
    fn from(error: FollowError) -> Self {
        Self::Unavailable(Behind::from(error).into())
    }
}

impl From<ChunkError> for StorageError {
    fn from(error: ChunkError) -> Self {
        match error {
            ChunkError::Full { .. } => Self::Full { detail: error.to_string() },
            error => Self::Unavailable(Unavailable::Chunks(error)),
        }
    }
}
