//! What goes wrong between the registry and its stream of chunks.

use std::time::Duration;

use crate::UploadId;

/// What has no room left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The stream of chunks, by its own `max_bytes`, or the disk. Records can be written.
    Stream,
    /// JetStream or the account: nothing can be written to any stream, not even that something is
    /// deleted.
    JetStream,
}

/// An operation on chunks failed.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
    /// There is no room: the stream's limit, the account's, or the disk.
    #[error(
        "the registry's storage is full ({detail}): free some with `leafbox registry gc`, or raise `registry.max_bytes` in fleet.toml or `jetstream.max_storage` in node.toml"
    )]
    Full {
        /// What is full.
        limit: Limit,
        /// What nats-server said.
        detail: String,
    },
    /// nats-server did not answer for a long time. What was acknowledged before is kept.
    #[error("nats-server did not {what} within {waited:?}: it may be restarting, try again", waited = .waited)]
    Unanswered {
        /// What was asked of it.
        what: &'static str,
        /// For how long nothing at all came.
        waited: Duration,
        /// The last thing that the client said, where it said any.
        #[source]
        source: Option<async_nats::RequestError>,
    },
    /// nats-server refused.
    #[error("nats-server did not {what}: {description} ({code}); see `leafbox check` and `leafbox apply`")]
    Refused {
        /// What was asked of it.
        what: &'static str,
        /// Its code, as in nats-server's errors.json; an HTTP-like status for direct gets.
        code: u64,
        /// Its words.
        description: String,
    },
    /// The client would not even send it.
    #[error("the NATS client could not {what}: {source}")]
    Client {
        /// What was asked of it.
        what: &'static str,
        /// Why not.
        #[source]
        source: async_nats::RequestError,
    },
    /// A chunk is not in the stream (any more): the blob was deleted meanwhile, or the stream lost it.
    #[error("chunk {sequence} of upload {upload} is gone from the stream {stream}: push the blob again")]
    Gone {
        /// Whose chunk.
        upload: UploadId,
        /// The stream that had it.
        stream: &'static str,
        /// Its sequence.
        sequence: u64,
    },
    /// The answer makes no sense.
    #[error("nats-server's answer to a request to {what} is not understood: {detail}")]
    Answer {
        /// What was asked of it.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The daemon stops, or a thread of it did.
    #[error("the transfer was stopped: {0}")]
    Stopped(#[from] tokio::task::JoinError),
    /// An earlier write to the same writer failed.
    #[error("the upload was interrupted: resume it at the offset that was acknowledged")]
    Interrupted,
}
