//! Follows a bucket: lists all its keys, then takes each change as it comes.
//!
//! The consumer is no ordered one of async-nats: that goes on after a gap at the sequence it had, and
//! markers of deletions are kept for a bounded time only. Here every gap, lost heartbeat and new
//! connection begins with a listing, which also tells what is no longer there. The index answers with
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
use runtime::Backoff;
use serde::Deserialize;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Index;
use crate::{Bucket, Key};

const HEARTBEAT: Duration = Duration::from_secs(5);
/// How often the connection is looked at: after a restart of nats-server the consumer is gone, which
/// missing heartbeats would tell only after twice their interval.
const LOOK: Duration = Duration::from_millis(250);
/// A listing in which nothing comes for this long has lost its last message to an expiry.
const LISTING: Duration = Duration::from_secs(5);

/// What is asked of a stream's state.
#[derive(Debug, Deserialize)]
pub(crate) struct StreamInfo {
    pub(crate) created: String,
    pub(crate) state: StreamState,
}

#[derive(Debug, Deserialize)]
pub(crate) struct StreamState {
    pub(crate) last_seq: u64,
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
pub(crate) async fn stream_info(
    context: &jetstream::Context,
    stream: &str,
    bucket: &'static str,
) -> Result<StreamInfo, FollowError> {
    let answer: jetstream::response::Response<StreamInfo> = context
        .request(format!("STREAM.INFO.{stream}"), &())
        .await
        .map_err(|source| FollowError::Ask { bucket, source })?;
    match answer {
        jetstream::response::Response::Ok(info) => Ok(info),
        jetstream::response::Response::Err { error } => Err(FollowError::Refused { bucket, source: error }),
    }
}

/// Follows a bucket for as long as it is polled.
pub(super) async fn follow(index: Index, bucket: Bucket) {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
    let mut told = String::new();
    let mut created = None;
    loop {
        let mut listed = || {
            backoff.reset();
            told.clear();
        };
        let error = match follow_once(&index, bucket, &mut created, &mut listed).await {
            Ok(never) => match never {},
            Err(error) => error,
        };
        let text = error.to_string();
        if told != text {
            tracing::info!(bucket.name = bucket.name(), "the registry waits for its records: {text}");
            told = text;
        }
        tokio::time::sleep(backoff.wait()).await;
    }
}

async fn follow_once(
    index: &Index,
    bucket: Bucket,
    created: &mut Option<String>,
    listed: &mut impl FnMut(),
) -> Result<std::convert::Infallible, FollowError> {
    let name = bucket.name();
    let context = index.context();
    let connection = connection(&context.client());
    let info = stream_info(context, &bucket.stream(), name).await?;
    let is_another = created.as_ref().is_some_and(|created| *created != info.created);
    if is_another || info.state.last_seq < index.applied(bucket) {
        tracing::warn!(
            bucket.name = name,
            "the bucket {name} was made anew: what was known of it is forgotten"
        );
        index.forget(bucket);
    }
    *created = Some(info.created);
    let config = push::Config {
        deliver_subject: context.client().new_inbox(),
        description: Some("the index of a registry daemon".to_owned()),
        deliver_policy: DeliverPolicy::LastPerSubject,
        ack_policy: AckPolicy::None,
        filter_subject: format!("{}>", bucket.prefix()),
        flow_control: true,
        idle_heartbeat: HEARTBEAT,
        memory_storage: true,
        num_replicas: 1,
        ..push::Config::default()
    };
    let consumer = context
        .create_consumer_on_stream(config, bucket.stream())
        .await
        .map_err(|error| FollowError::Consumer { bucket: name, source: error.into() })?;
    let mut messages = consumer
        .messages()
        .await
        .map_err(|error| FollowError::Consumer { bucket: name, source: error.into() })?;

    let ended = |why| FollowError::Ended { bucket: name, why };
    let mut listing = Some(HashSet::new());
    if consumer.cached_info().num_pending == 0 {
        index.listed(bucket, &HashSet::new(), info.state.last_seq, info.state.last_seq);
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
        let key = message.subject.strip_prefix(&bucket.prefix()).and_then(|key| Key::parse(bucket, key));
        let value = (!is_marker(message.headers.as_ref())).then_some(&message.payload[..]);
        match &mut listing {
            None => index.watched(bucket, key, sequence, value, true),
            Some(seen) => {
                seen.insert(sequence);
                index.watched(bucket, key, sequence, value, false);
                if pending == 0 {
                    index.listed(bucket, seen, info.state.last_seq, sequence);
                    listing = None;
                    listed();
                }
            }
        }
    }
}

/// Whether a message of a bucket says that the key is gone.
pub(crate) fn is_marker(headers: Option<&async_nats::HeaderMap>) -> bool {
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
