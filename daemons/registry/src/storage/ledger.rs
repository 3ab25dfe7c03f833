//! Records, written by compare-and-set.
//!
//! Each write expects the revision that its author has seen, so that two daemons never overwrite each
//! other unseen. What is written is in the index when the call returns; what turned out to be
//! different is there too, so that who met a [`CasError::Conflict`] looks at the index again.
//!
//! nats-server may be gone for the moment of a restart, and an acknowledgement may be lost with it.
//! A write is then tried again, and a revision of others is told from the own one by its content.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::{
    HeaderMap,
    header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_TTL, NATS_ROLLUP},
    jetstream::{
        self, ErrorCode,
        context::{PublishError, PublishErrorKind},
        message::PublishMessage,
        stream::DirectGetErrorKind,
    },
};
use bytes::Bytes;
use runtime::Backoff;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;

use super::{Ballast, StorageError, Unavailable, uploads::ATTEMPTS};
use crate::{
    Bucket, Index, Key,
    chunks::is_jetstream_full,
    index::{Versioned, is_marker},
    records::TagRecord,
};

/// How long a write or read is tried while nats-server is away.
const PATIENCE: Duration = Duration::from_secs(15);
/// Seconds that the marker of a deleted record is kept. Who was away for longer lists all records.
const MARKER: &str = "3600";

/// nats-server has not yet stored another write of the same subject on all replicas: "wrong last
/// sequence", without the sequence.
const IN_FLIGHT: ErrorCode = ErrorCode(10164);
/// How long a read is repeated while a replica answers that has less than the index.
const LAG: Duration = Duration::from_secs(2);

/// A write by compare-and-set did not happen.
#[derive(Debug)]
pub enum CasError {
    /// The record is not at the revision expected: look at it again.
    Conflict,
    /// It failed.
    Failed(StorageError),
}

impl From<StorageError> for CasError {
    fn from(error: StorageError) -> Self {
        Self::Failed(error)
    }
}

/// What a write gave, if it was done; `None` when somebody else wrote the record meanwhile.
pub(crate) fn won<T>(written: Result<T, CasError>) -> Result<Option<T>, StorageError> {
    match written {
        Ok(given) => Ok(Some(given)),
        Err(CasError::Conflict) => Ok(None),
        Err(CasError::Failed(error)) => Err(error),
    }
}

/// The last message of a key.
struct Stored {
    revision: u64,
    value: Option<Bytes>,
    payload: Bytes,
}

/// Both buckets. A clone is the same ledger.
#[derive(Clone)]
pub struct Ledger {
    context: jetstream::Context,
    index: Index,
    ballast: Ballast,
    /// Whether markers of deletions may expire: false for a bucket that allows no message an age.
    expires: Arc<AtomicBool>,
}

impl Ledger {
    pub(super) fn new(context: jetstream::Context, index: Index, ballast: Ballast) -> Self {
        Self { context, index, ballast, expires: Arc::new(AtomicBool::new(true)) }
    }

    /// Writes a record that is not there yet, and returns its revision.
    pub async fn create(&self, key: &Key, record: &impl Serialize) -> Result<u64, CasError> {
        self.create_bytes(key, encode(record)).await
    }

    pub(super) async fn create_bytes(&self, key: &Key, value: Bytes) -> Result<u64, CasError> {
        let mut expected = 0;
        loop {
            match self.write(key, expected, value.clone(), HeaderMap::new()).await {
                Err(CasError::Conflict) => {}
                result => return result,
            }
            // The marker of a deletion is a revision too.
            match self.stored(key).await? {
                Some(Stored { value: None, revision, .. }) if revision != expected => expected = revision,
                None if expected != 0 => expected = 0,
                _ => return Err(CasError::Conflict),
            }
        }
    }

    /// Writes a record over the revision given, and returns the new one.
    pub async fn update(&self, key: &Key, revision: u64, record: &impl Serialize) -> Result<u64, CasError> {
        self.write(key, revision, encode(record), HeaderMap::new()).await
    }

    /// Deletes a record at the revision given.
    pub async fn delete(&self, key: &Key, revision: u64) -> Result<(), CasError> {
        let mut headers = HeaderMap::new();
        headers.insert("KV-Operation", "PURGE");
        headers.insert(NATS_ROLLUP, "sub");
        if self.expires.load(Ordering::Relaxed) {
            headers.insert(NATS_MESSAGE_TTL, MARKER);
        }
        self.write(key, revision, Bytes::new(), headers).await.map(drop)
    }

    /// Deletes a record at whatever revision it has; false when there is none.
    pub(super) async fn remove<T: DeserializeOwned>(&self, key: &Key) -> Result<bool, StorageError> {
        for _ in 0..ATTEMPTS {
            self.caught_up(key.bucket()).await?;
            let Some(there) = self.fetch::<T>(key).await? else { return Ok(false) };
            if won(self.delete(key, there.revision).await)?.is_some() {
                return Ok(true);
            }
        }
        Err(Unavailable::Contended { key: key.to_string() }.into())
    }

    /// Deletes a tag at the revision given. `last` says who did it, for those who watch.
    pub(super) async fn delete_tag(
        &self,
        key: &Key,
        revision: u64,
        last: &TagRecord,
    ) -> Result<(), CasError> {
        let mut headers = HeaderMap::new();
        headers.insert("KV-Operation", "DEL");
        self.write(key, revision, encode(last), headers).await.map(drop)
    }

    /// Reads a record from JetStream, past the index, which then knows it too.
    pub async fn fetch<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<Versioned<T>>, StorageError> {
        let Some(Stored { revision, value: Some(value), .. }) = self.stored(key).await? else {
            return Ok(None);
        };
        let record = serde_json::from_slice(&value)
            .map_err(|source| Unavailable::Record { key: key.to_string(), source })?;
        Ok(Some(Versioned { revision, record: Arc::new(record) }))
    }

    /// Reads the bytes of a record from JetStream.
    pub(super) async fn fetch_bytes(&self, key: &Key) -> Result<Option<Bytes>, StorageError> {
        Ok(self.stored(key).await?.and_then(|stored| stored.value))
    }

    /// Waits until the index has all that was in a bucket at the time of the call, by its leader: what
    /// another daemon wrote, too, which a replica that answers a read may not have yet.
    pub(super) async fn caught_up(&self, bucket: Bucket) -> Result<(), StorageError> {
        let deadline = Instant::now() + PATIENCE;
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        loop {
            let Err(error) = self.index.caught_up_with(bucket).await else { return Ok(()) };
            let wait = backoff.wait();
            if Instant::now() + wait > deadline {
                return Err(error.into());
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// After a conflict: has the index know what is there instead.
    pub(super) async fn look_again<T: DeserializeOwned>(&self, key: &Key) -> Result<(), StorageError> {
        self.caught_up(key.bucket()).await?;
        if self.index.unreadable() > 0 {
            // It may be one that this version cannot read, which is to be told.
            self.fetch::<T>(key).await?;
        }
        Ok(())
    }

    /// Waits until the index has a revision, and so all before it: see "Writers beside the collector"
    /// in [`crate::records`].
    pub async fn settled(&self, bucket: Bucket, revision: u64) -> Result<(), StorageError> {
        Ok(self.index.reached(bucket, revision).await?)
    }

    async fn write(
        &self,
        key: &Key,
        expected: u64,
        payload: Bytes,
        mut headers: HeaderMap,
    ) -> Result<u64, CasError> {
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string().as_str());
        let deadline = Instant::now() + PATIENCE;
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        let mut may_be_stored = false;
        loop {
            let attempted = Instant::now();
            let message = PublishMessage::build().payload(payload.clone()).headers(headers.clone());
            let error = match self.publish(key, message).await {
                Ok(revision) => {
                    let value = (!is_marker(Some(&headers))).then_some(&payload[..]);
                    self.index.own(key.clone(), revision, value);
                    return Ok(revision);
                }
                Err(error) => error,
            };
            match (error.kind(), code(&error)) {
                (PublishErrorKind::WrongLastSequence, _) => {
                    if may_be_stored {
                        self.caught_up(key.bucket()).await?;
                    }
                    let stored = self.stored(key).await?;
                    let own = stored.filter(|stored| {
                        let is_deletion = is_marker(Some(&headers));
                        may_be_stored
                            && stored.revision > expected
                            && stored.payload == payload
                            && stored.value.is_none() == is_deletion
                    });
                    return own.map(|stored| stored.revision).ok_or(CasError::Conflict);
                }
                (_, Some(ErrorCode::MESSAGE_TTL_DISABLED)) if self.expires.swap(false, Ordering::Relaxed) => {
                    tracing::warn!(
                        "the registry's bucket keeps markers of deleted records for ever: \
                         `leafbox apply` gives it a limit_marker_ttl"
                    );
                    headers = without_age(&headers);
                    continue;
                }
                (_, Some(ErrorCode::MESSAGE_TTL_DISABLED)) if headers.get(NATS_MESSAGE_TTL).is_some() => {
                    headers = without_age(&headers);
                    continue;
                }
                (_, Some(full)) if is_full(full) => {
                    if !is_jetstream_full(full.0)
                        || !self.ballast.make_room(&error.to_string(), attempted).await
                    {
                        return Err(StorageError::Full { detail: describe_full(&error) }.into());
                    }
                }
                (PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe, _) => may_be_stored = true,
                (PublishErrorKind::StreamNotFound, _) => {}
                // JetStream is starting, has no leader, or replicates another write of the key.
                (_, Some(code)) if is_passing(code) => {}
                _ => return Err(failed(key, error)),
            }
            let wait = backoff.wait();
            if Instant::now() + wait > deadline {
                return Err(failed(key, error));
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Whether a replica that has `revision` of a key, 0 for nothing, has less than the index.
    fn lags(&self, key: &Key, revision: u64) -> bool {
        self.index.live_revision(key).is_some_and(|known| known > revision)
    }

    async fn publish(&self, key: &Key, message: PublishMessage) -> Result<u64, PublishError> {
        Ok(self.context.send_publish(key.subject(), message).await?.await?.sequence)
    }

    async fn stored(&self, key: &Key) -> Result<Option<Stored>, StorageError> {
        let asked = Instant::now();
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        let unavailable = |source| Unavailable::Read { key: key.to_string(), source };
        let stream = self
            .context
            .get_stream_no_info(key.bucket().stream())
            .await
            .expect("the name of a bucket is one of a stream");
        loop {
            let error = match stream.direct_get_last_for_subject(key.subject()).await {
                Ok(message) if self.lags(key, message.sequence) && asked.elapsed() < LAG => {
                    tokio::time::sleep(backoff.wait()).await;
                    continue;
                }
                Ok(message) => {
                    let value = (!is_marker(Some(&message.headers))).then(|| message.payload.clone());
                    self.index.own(key.clone(), message.sequence, value.as_deref());
                    return Ok(Some(Stored { revision: message.sequence, value, payload: message.payload }));
                }
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => {
                    if !self.lags(key, 0) || asked.elapsed() > LAG {
                        return Ok(None);
                    }
                    error
                }
                Err(error) => error,
            };
            let wait = backoff.wait();
            if asked.elapsed() + wait > PATIENCE {
                return Err(unavailable(error).into());
            }
            tokio::time::sleep(wait).await;
        }
    }
}

fn encode(record: &impl Serialize) -> Bytes {
    serde_json::to_vec(record).expect("a record has a JSON form").into()
}

fn failed(key: &Key, source: PublishError) -> CasError {
    CasError::Failed(Unavailable::Write { key: key.to_string(), source }.into())
}

/// nats-server's own code, when it was it that refused.
fn code(error: &PublishError) -> Option<ErrorCode> {
    let source = std::error::Error::source(error)?;
    source.downcast_ref::<jetstream::Error>().map(jetstream::Error::error_code)
}

fn is_full(code: ErrorCode) -> bool {
    code == ErrorCode::STREAM_STORE_FAILED || is_jetstream_full(code.0)
}

fn is_passing(code: ErrorCode) -> bool {
    [ErrorCode::CLUSTER_NOT_AVAILABLE, ErrorCode::JETSTREAM_NOT_ENABLED, IN_FLIGHT].contains(&code)
}

fn describe_full(error: &PublishError) -> String {
    format!("{error}; free some with `leafbox registry gc`, or raise `jetstream.max_storage` in node.toml")
}

fn without_age(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for (name, values) in headers.iter() {
        if name.to_string() != "Nats-TTL" {
            values.iter().for_each(|value| kept.append(name.clone(), value.clone()));
        }
    }
    kept
}
