//! Follows a bucket: lists all its keys, then takes each change as it comes.
//!
//! The consumer is no ordered one of async-nats: that goes on after a gap at the sequence it had, and
//! markers of deletions are kept for a bounded time only. Here every gap, lost heartbeat and new
//! connection begins with a listing, which also tells what is no longer there. The mirror keeps
//! what it had until the listing is complete.

use std::{collections::HashSet, time::Duration};

use async_nats::{
    Client,
    jetstream::{
        self,
        consumer::{AckPolicy, DeliverPolicy, push},
        context::RequestError,
    },
};
use futures::StreamExt;
use serde::Deserialize;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::Backoff;

const HEARTBEAT: Duration = Duration::from_secs(5);
/// How often the connection is looked at: after a restart of nats-server the consumer is gone, which
/// missing heartbeats would tell only after twice their interval.
const LOOK: Duration = Duration::from_millis(250);
/// A listing in which nothing comes for this long has lost its last message to an expiry.
const LISTING: Duration = Duration::from_secs(5);

/// What is asked of a stream's state.
#[derive(Clone, Debug, Deserialize)]
pub struct StreamInfo {
    /// When the stream was made: what tells it from another of its name.
    pub created: String,
    /// How far it is.
    pub state: StreamState,
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct StreamState {
    /// The last sequence.
    pub last_seq: u64,
}

/// Why a bucket is not followed at the moment.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// Nobody answered, or what was answered is no answer.
    #[error("JetStream does not answer about the bucket `{bucket}`: {source}")]
    Ask {
        /// The bucket.
        bucket: &'static str,
        /// What happened.
        #[source]
        source: RequestError,
    },
    /// JetStream refused: mostly, that there is no such stream yet.
    #[error("JetStream says of the bucket `{bucket}`: {source}; `leafbox apply` makes it")]
    Refused {
        /// The bucket.
        bucket: &'static str,
        /// What it said.
        #[source]
        source: jetstream::Error,
    },
    /// No consumer.
    #[error("no consumer of the bucket `{bucket}` can be made: {source}")]
    Consumer {
        /// The bucket.
        bucket: &'static str,
        /// What happened.
        #[source]
        source: async_nats::Error,
    },
    /// What was followed went away.
    #[error("the watch of the bucket `{bucket}` ended: {why}")]
    Ended {
        /// The bucket.
        bucket: &'static str,
        /// How.
        why: &'static str,
    },
}

/// Asks how far a bucket's stream is.
///
/// # Errors
/// When JetStream does not answer, or has no such bucket.
pub async fn stream_info(
    context: &jetstream::Context,
    bucket: &'static str,
) -> Result<StreamInfo, FollowError> {
    let answer: jetstream::response::Response<StreamInfo> = context
        .request(format!("STREAM.INFO.KV_{bucket}"), &())
        .await
        .map_err(|source| FollowError::Ask { bucket, source })?;
    match answer {
        jetstream::response::Response::Ok(info) => Ok(info),
        jetstream::response::Response::Err { error } => Err(FollowError::Refused { bucket, source: error }),
    }
}

/// A bucket's content in memory: what [`follow`] keeps as the bucket is.
pub trait Mirror {
    /// The sequence up to which all is known.
    fn applied(&self) -> u64;
    /// Drops all: the bucket is another one of the same name.
    fn forget(&mut self);
    /// The last revision of a key, without a value where it is gone. While `listing`, what is before it
    /// may not be known yet.
    fn changed(&mut self, key: &str, sequence: u64, value: Option<&[u8]>, listing: bool);
    /// A listing is complete, which began when the stream was at `snapshot` and ended with `last`: a
    /// key whose revision is not after `snapshot` and not in `seen` is gone.
    fn listed(&mut self, seen: &HashSet<u64>, snapshot: u64, last: u64);
}

/// Follows a bucket for as long as it is polled.
pub async fn follow(context: &jetstream::Context, bucket: &'static str, mirror: &mut impl Mirror) {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
    let mut told = String::new();
    let mut created = None;
    loop {
        let mut listed = || {
            backoff.reset();
            told.clear();
        };
        let error = match follow_once(context, bucket, mirror, &mut created, &mut listed).await {
            Ok(never) => match never {},
            Err(error) => error,
        };
        let text = error.to_string();
        if told != text {
            tracing::info!(bucket.name = bucket, "the records of {bucket} are waited for: {text}");
            told = text;
        }
        tokio::time::sleep(backoff.wait()).await;
    }
}

async fn follow_once(
    context: &jetstream::Context,
    name: &'static str,
    mirror: &mut impl Mirror,
    created: &mut Option<String>,
    listed: &mut impl FnMut(),
) -> Result<std::convert::Infallible, FollowError> {
    let connection = connection(&context.client());
    let info = stream_info(context, name).await?;
    let is_another = created.as_ref().is_some_and(|created| *created != info.created);
    if is_another || info.state.last_seq < mirror.applied() {
        tracing::warn!(
            bucket.name = name,
            "the bucket {name} was made anew: what was known of it is forgotten"
        );
        mirror.forget();
    }
    *created = Some(info.created);
    let prefix = format!("$KV.{name}.");
    let config = push::Config {
        deliver_subject: context.client().new_inbox(),
        description: Some("the mirror of a leafbox daemon".to_owned()),
        deliver_policy: DeliverPolicy::LastPerSubject,
        ack_policy: AckPolicy::None,
        filter_subject: format!("{prefix}>"),
        flow_control: true,
        idle_heartbeat: HEARTBEAT,
        memory_storage: true,
        num_replicas: 1,
        ..push::Config::default()
    };
    let consumer = context
        .create_consumer_on_stream(config, format!("KV_{name}"))
        .await
        .map_err(|error| FollowError::Consumer { bucket: name, source: error.into() })?;
    let mut messages = consumer
        .messages()
        .await
        .map_err(|error| FollowError::Consumer { bucket: name, source: error.into() })?;

    let ended = |why| FollowError::Ended { bucket: name, why };
    let mut listing = Some(HashSet::new());
    if consumer.cached_info().num_pending == 0 {
        mirror.listed(&HashSet::new(), info.state.last_seq, info.state.last_seq);
        listing = None;
        listed();
    }
    let mut expected = 1;
    let mut last = Instant::now();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            _ = look.tick() => {
                if self::connection(&context.client()) != connection {
                    return Err(ended("the connection is a new one"));
                }
                if listing.is_some() && last.elapsed() > LISTING {
                    return Err(ended("the listing did not end"));
                }
                continue;
            }
        };
        let message = message
            .ok_or_else(|| ended("the subscription ended"))?
            .map_err(|_| ended("nats-server is silent"))?;
        let about = message.info().map_err(|_| ended("a message is not of JetStream"))?;
        if about.consumer_sequence != expected {
            return Err(ended("messages were lost"));
        }
        expected += 1;
        last = Instant::now();
        let (sequence, pending) = (about.stream_sequence, about.pending);
        let key = message.subject.strip_prefix(&prefix).unwrap_or_default();
        let value = (!is_marker(message.headers.as_ref())).then_some(&message.payload[..]);
        match &mut listing {
            None => mirror.changed(key, sequence, value, false),
            Some(seen) => {
                seen.insert(sequence);
                mirror.changed(key, sequence, value, true);
                if pending == 0 {
                    mirror.listed(seen, info.state.last_seq, sequence);
                    listing = None;
                    listed();
                }
            }
        }
    }
}

/// Whether a message of a bucket says that the key is gone.
pub fn is_marker(headers: Option<&async_nats::HeaderMap>) -> bool {
    headers.is_some_and(|headers| {
        headers.get("KV-Operation").is_some_and(|value| matches!(value.as_str(), "DEL" | "PURGE"))
            || headers.get("Nats-Marker-Reason").is_some()
    })
}

/// What tells one connection from the next.
fn connection(client: &Client) -> (String, u64) {
    let info = client.server_info();
    (info.server_id, info.client_id)
}
