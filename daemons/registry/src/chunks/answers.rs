//! What nats-server answers: acknowledgements of chunks, chunks, and its API.

use async_nats::{Message, StatusCode};
use bytes::Bytes;
use serde::{Deserialize, de::DeserializeOwned};

use super::{Chunk, ChunkError, Lane, Limit, line::Answer};
use crate::UploadId;

pub(super) const STORE: &str = "store a chunk";
pub(super) const READ: &str = "give a chunk";

/// nats-server's codes, from its errors.json.
mod code {
    pub(super) const ACCOUNT_RESOURCES_EXCEEDED: u64 = 10002;
    pub(super) const INSUFFICIENT_RESOURCES: u64 = 10023;
    pub(super) const STORAGE_RESOURCES_EXCEEDED: u64 = 10047;
    pub(super) const STREAM_STORE_FAILED: u64 = 10077;
    pub(super) const TOO_MANY_REQUESTS: u64 = 10167;
}

/// An error of the JetStream API.
#[derive(Deserialize)]
struct ApiError {
    code: u64,
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// Whether nats-server's error says that JetStream or the account is full, and not just the stream.
pub(crate) fn is_jetstream_full(err_code: u64) -> bool {
    [code::ACCOUNT_RESOURCES_EXCEEDED, code::INSUFFICIENT_RESOURCES, code::STORAGE_RESOURCES_EXCEEDED]
        .contains(&err_code)
}

impl ApiError {
    /// What is full, when something is.
    fn full(&self) -> Option<Limit> {
        match self.err_code {
            code if is_jetstream_full(code) => Some(Limit::JetStream),
            // "maximum bytes exceeded" of the stream, "no space left on device" of the disk. Any other
            // failed write stays until nats-server is restarted.
            code::STREAM_STORE_FAILED => {
                let is_full =
                    ["maximum", "no space", "resource"].iter().any(|word| self.description.contains(word));
                is_full.then_some(Limit::Stream)
            }
            _ => None,
        }
    }

    /// Worth another try a little later: the ingest queue is full, a leader is being elected, or a
    /// write failed and nats-server is about to be restarted for it.
    fn is_temporary(&self) -> bool {
        self.code == 503 || matches!(self.err_code, code::TOO_MANY_REQUESTS | code::STREAM_STORE_FAILED)
    }

    fn judge<T>(self, what: &'static str) -> Answer<T> {
        if let Some(limit) = self.full() {
            return Answer::Failed(ChunkError::Full { limit, detail: self.description });
        }
        let later = self.is_temporary();
        let error =
            ChunkError::Refused { what, code: self.err_code.max(self.code), description: self.description };
        if later { Answer::Later(error) } else { Answer::Failed(error) }
    }
}

/// The sequence of an acknowledged chunk.
pub(super) fn stored(message: &Message, lane: Lane) -> Answer<u64> {
    #[derive(Deserialize)]
    struct Acknowledgement {
        stream: String,
        seq: u64,
    }
    api::<Acknowledgement>(STORE, message).and_then(|ack| {
        if ack.stream == lane.stream() && ack.seq > 0 {
            return Answer::Done(ack.seq);
        }
        let detail = format!("the stream {} stored it instead of {}", ack.stream, lane.stream());
        Answer::Failed(ChunkError::Answer { what: STORE, detail })
    })
}

/// An answer of the JetStream API, or its error.
pub(super) fn api<T: DeserializeOwned>(what: &'static str, message: &Message) -> Answer<T> {
    #[derive(Deserialize)]
    struct Failure {
        error: ApiError,
    }
    if let Ok(failure) = serde_json::from_slice::<Failure>(&message.payload) {
        return failure.error.judge(what);
    }
    match serde_json::from_slice(&message.payload) {
        Ok(value) => Answer::Done(value),
        Err(error) => Answer::Failed(ChunkError::Answer { what, detail: error.to_string() }),
    }
}

/// The bytes of a chunk, verified to be the one that was asked for.
pub(super) fn chunk(message: Message, upload: UploadId, asked: Chunk) -> Answer<Bytes> {
    let Chunk { lane, sequence, size, .. } = asked;
    let gone = || ChunkError::Gone { upload, stream: lane.stream(), sequence };
    match message.status {
        None => {}
        // On a clustered hub, a replica that lags a little answers so too.
        Some(StatusCode::NOT_FOUND) => return Answer::Doubtful(gone()),
        Some(status) => {
            let description = message.description.unwrap_or_default().to_string();
            let error = ChunkError::Refused { what: READ, code: u64::from(status.as_u16()), description };
            return Answer::Later(error);
        }
    }
    let found = message.headers.as_ref().and_then(|headers| headers.get("Nats-Sequence"));
    let found = found.and_then(|value| value.as_str().parse::<u64>().ok());
    // The next one that the upload has.
    if found.is_some_and(|found| found > sequence) {
        return Answer::Doubtful(gone());
    }
    if found != Some(sequence) || message.payload.len() as u64 != size {
        let detail = format!(
            "chunk {sequence} of {size} bytes was asked for, chunk {found:?} of {} bytes came",
            message.payload.len()
        );
        return Answer::Failed(ChunkError::Answer { what: READ, detail });
    }
    Answer::Done(message.payload)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// As nats-server 2.15.1 words them.
    #[test]
    fn a_full_stream_is_told_from_a_full_jetstream() {
        let full = |code: u64, words: &str| {
            let error = serde_json::json!({ "code": 503, "err_code": code, "description": words });
            serde_json::from_value::<ApiError>(error).unwrap().full()
        };
        assert_eq!(full(10023, "insufficient resources"), Some(Limit::JetStream));
        assert_eq!(full(10002, "resource limits exceeded for account"), Some(Limit::JetStream));
        assert_eq!(full(10077, "maximum bytes exceeded"), Some(Limit::Stream));
        assert_eq!(
            full(10077, "write LEAFBOX_BLOBS/msgs/1.blk: no space left on device"),
            Some(Limit::Stream)
        );
        assert_eq!(full(10077, "write LEAFBOX_BLOBS/msgs/1.blk: input/output error"), None);
        assert_eq!(full(10167, "too many requests"), None);
    }
}
