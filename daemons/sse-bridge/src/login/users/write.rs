//! Writes by compare-and-set: each expects the revision that its author has seen.

use async_nats::{
    HeaderMap,
    header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_ROLLUP},
    jetstream::{
        context::{PublishError, PublishErrorKind},
        stream::{DirectGetError, DirectGetErrorKind},
    },
};
use bytes::Bytes;
use runtime::follow::{FollowError, is_marker};

use super::Users;
use crate::login::records::{BUCKET, Record};

/// A record was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Somebody else changed it in between.
    #[error("{key} was changed by somebody else at the same moment: try again")]
    Conflict {
        /// The key.
        key: String,
    },
    /// Nobody took it.
    #[error(
        "{key} cannot be written to the bucket {BUCKET}: {source}; `leafbox status` says whether JetStream takes writes"
    )]
    Failed {
        /// The key.
        key: String,
        /// What happened.
        #[source]
        source: PublishError,
    },
    /// What stands there cannot be read.
    #[error(
        "{key} cannot be read from the bucket {BUCKET}: {source}; `leafbox status` says whether JetStream answers"
    )]
    Read {
        /// The key.
        key: String,
        /// What happened.
        #[source]
        source: DirectGetError,
    },
    /// The bucket's state is not known.
    #[error(transparent)]
    Behind(FollowError),
}

impl Users {
    /// Writes a record that is not there.
    pub(super) async fn create(&self, key: &str, record: Record) -> Result<(), WriteError> {
        match self.write(key, 0, Some(record.clone())).await {
            Err(WriteError::Conflict { .. }) => {}
            result => return result,
        }
        // The marker of a deletion is a revision too.
        let stream = self.0.context.get_stream_no_info(format!("KV_{BUCKET}")).await;
        let stream = stream.expect("the name of a bucket is one of a stream");
        match stream.direct_get_last_for_subject(subject(key)).await {
            Ok(message) if is_marker(Some(&message.headers)) => {
                self.write(key, message.sequence, Some(record)).await
            }
            Ok(_) => Err(WriteError::Conflict { key: key.to_owned() }),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => {
                self.write(key, 0, Some(record)).await
            }
            Err(source) => Err(WriteError::Read { key: key.to_owned(), source }),
        }
    }

    /// Writes a record over the revision given.
    pub(super) async fn update(&self, key: &str, revision: u64, record: Record) -> Result<(), WriteError> {
        self.write(key, revision, Some(record)).await
    }

    /// Deletes a record at the revision given, with its history.
    pub(super) async fn delete(&self, key: &str, revision: u64) -> Result<(), WriteError> {
        self.write(key, revision, None).await
    }

    async fn write(&self, key: &str, expected: u64, record: Option<Record>) -> Result<(), WriteError> {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
        if record.is_none() {
            headers.insert("KV-Operation", "PURGE");
            headers.insert(NATS_ROLLUP, "sub");
        }
        let payload = record.as_ref().map_or_else(Bytes::new, encode);
        match self.publish(key, headers, payload).await {
            Ok(revision) => {
                self.change().own(key, revision, record);
                Ok(())
            }
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {
                Err(WriteError::Conflict { key: key.to_owned() })
            }
            Err(source) => Err(WriteError::Failed { key: key.to_owned(), source }),
        }
    }

    async fn publish(&self, key: &str, headers: HeaderMap, payload: Bytes) -> Result<u64, PublishError> {
        let sent = self.0.context.publish_with_headers(subject(key), headers, payload).await?;
        Ok(sent.await?.sequence)
    }
}

fn subject(key: &str) -> String {
    format!("$KV.{BUCKET}.{key}")
}

fn encode(record: &Record) -> Bytes {
    let json = match record {
        Record::User(record) => serde_json::to_vec(record),
        Record::Passkey(record) => serde_json::to_vec(record),
        Record::Session(record) => serde_json::to_vec(record),
        Record::Enrolment(record) => serde_json::to_vec(record),
    };
    json.expect("a record has a JSON form").into()
}
