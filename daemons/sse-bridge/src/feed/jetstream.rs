//! What the bridge asks of JetStream (ADR-1, ADR-31 and nats-server's `jetstream_api.go`): where a
//! stream is, and consumers that nobody has to clean up.
//!
//! Not async-nats's own consumers: an ordered one goes on at the next sequence of whatever stream has
//! the name then, and here a stream that was made anew is a gap that is told.

use std::time::Duration;

use async_nats::{Client, Subscriber};
use bytes::Bytes;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{position::Incarnation, subject::Pattern};

/// How long nats-server keeps a consumer that nobody reads.
const ABANDONED: Duration = Duration::from_secs(30);
const STREAM_NOT_FOUND: u64 = 10059;
/// For the account, and at all.
const NOT_ENABLED: [u64; 2] = [10039, 10076];

/// JetStream of one account.
#[derive(Clone, Debug)]
pub(super) struct JetStream {
    client: Client,
}

/// A request to JetStream that was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum JetStreamError {
    #[error("there is no stream `{0}`: `leafbox` or `nats stream ls` lists them")]
    NoStream(String),
    #[error("JetStream is not on for this account")]
    NotEnabled,
    #[error("nats-server refused: {description} ({code})")]
    Refused { code: u64, description: String },
    #[error("nats-server did not answer: {0}")]
    Silent(#[source] async_nats::RequestError),
    #[error("nats-server's answer was not understood: {0}")]
    Answer(#[source] serde_json::Error),
    #[error("the connection to nats-server is closed: {0}")]
    Closed(String),
}

impl JetStreamError {
    /// Whether asking again changes nothing.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::NoStream(_) => true,
            // 10100 and up are filters that match nothing of the stream, and the like.
            Self::Refused { code, .. } => !matches!(code, 10008 | 10009 | 10118 | 10023),
            Self::NotEnabled | Self::Silent(_) | Self::Answer(_) | Self::Closed(_) => false,
        }
    }
}

/// Where a stream is.
#[derive(Clone, Debug)]
pub(super) struct StreamInfo {
    pub(super) incarnation: Incarnation,
    pub(super) first: u64,
    pub(super) last: u64,
    /// The subjects that it takes; none when it copies from others.
    pub(super) subjects: Vec<Pattern>,
    /// Whether it copies from others, whose subjects may be any.
    pub(super) copies: bool,
}

/// Where a consumer begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    Sequence(u64),
    Time(OffsetDateTime),
    LastPerSubject,
}

/// A consumer of a stream.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) name: String,
    /// Messages that it has not sent yet.
    pub(super) pending: u64,
    /// The sequence that it begins with.
    pub(super) begins: u64,
}

#[derive(Deserialize)]
struct Refusal {
    err_code: u64,
    description: String,
}

#[derive(Deserialize)]
struct InfoAnswer {
    created: String,
    config: InfoConfig,
    state: InfoState,
}

#[derive(Deserialize)]
struct InfoConfig {
    #[serde(default)]
    subjects: Option<Vec<String>>,
    #[serde(default)]
    mirror: Option<Value>,
    #[serde(default)]
    sources: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct InfoState {
    first_seq: u64,
    last_seq: u64,
}

#[derive(Deserialize)]
struct ConsumerAnswer {
    name: String,
    #[serde(default)]
    num_pending: u64,
    delivered: Delivered,
}

#[derive(Deserialize)]
struct Delivered {
    stream_seq: u64,
}

impl JetStream {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Where a stream is.
    pub(super) async fn info(&self, stream: &str) -> Result<StreamInfo, JetStreamError> {
        let answer: InfoAnswer = self.ask(stream, &format!("STREAM.INFO.{stream}"), &json!({})).await?;
        let created =
            OffsetDateTime::parse(&answer.created, &Rfc3339).map(OffsetDateTime::unix_timestamp_nanos);
        let subjects = answer.config.subjects.unwrap_or_default();
        Ok(StreamInfo {
            incarnation: Incarnation(
                created.ok().and_then(|nanos| nanos.try_into().ok()).unwrap_or_default(),
            ),
            first: answer.state.first_seq.max(1),
            last: answer.state.last_seq,
            subjects: subjects.iter().filter_map(|subject| subject.parse().ok()).collect(),
            copies: answer.config.mirror.is_some()
                || answer.config.sources.is_some_and(|them| !them.is_empty()),
        })
    }

    /// A consumer that sends all by itself to an inbox, with a heartbeat when there is nothing.
    pub(super) async fn push(
        &self,
        stream: &str,
        filters: &[Pattern],
        start: Start,
        (inbox, heartbeat): (&str, Duration),
    ) -> Result<Consumer, JetStreamError> {
        let how = json!({
            "deliver_subject": inbox,
            "flow_control": true,
            "idle_heartbeat": nanos(heartbeat),
        });
        self.consumer(stream, filters, start, how).await
    }

    /// A consumer that is asked for messages.
    pub(super) async fn pull(
        &self,
        stream: &str,
        filters: &[Pattern],
        start: Start,
    ) -> Result<Consumer, JetStreamError> {
        self.consumer(stream, filters, start, json!({})).await
    }

    async fn consumer(
        &self,
        stream: &str,
        filters: &[Pattern],
        start: Start,
        mut config: Value,
    ) -> Result<Consumer, JetStreamError> {
        let name = format!("sse-{:016x}", rand::random::<u64>());
        config["name"] = name.as_str().into();
        config["ack_policy"] = "none".into();
        config["replay_policy"] = "instant".into();
        config["max_deliver"] = 1.into();
        config["mem_storage"] = true.into();
        config["num_replicas"] = 1.into();
        config["inactive_threshold"] = nanos(ABANDONED).into();
        match start {
            Start::Sequence(sequence) => {
                config["deliver_policy"] = "by_start_sequence".into();
                config["opt_start_seq"] = sequence.max(1).into();
            }
            Start::Time(time) => {
                config["deliver_policy"] = "by_start_time".into();
                config["opt_start_time"] = time.format(&Rfc3339).unwrap_or_default().into();
            }
            Start::LastPerSubject => config["deliver_policy"] = "last_per_subject".into(),
        }
        // One filter is part of the subject, so that permissions can be given by it.
        let mut subject = format!("CONSUMER.CREATE.{stream}.{name}");
        match filters {
            [] if matches!(start, Start::LastPerSubject) => config["filter_subject"] = ">".into(),
            [] => {}
            [one] => {
                config["filter_subject"] = one.as_str().into();
                subject = format!("{subject}.{one}");
            }
            many => config["filter_subjects"] = many.iter().map(Pattern::as_str).collect(),
        }
        if filters.is_empty() && matches!(start, Start::LastPerSubject) {
            subject = format!("{subject}.>");
        }
        let request = json!({ "stream_name": stream, "config": config, "action": "create" });
        let answer: ConsumerAnswer = self.ask(stream, &subject, &request).await?;
        Ok(Consumer {
            name: answer.name,
            pending: answer.num_pending,
            begins: answer.delivered.stream_seq + 1,
        })
    }

    /// Removes a consumer at once instead of when it was abandoned for a while.
    pub(super) async fn forget(&self, stream: &str, consumer: &str) {
        let subject = format!("CONSUMER.DELETE.{stream}.{consumer}");
        if let Err(error) = self.ask::<Value>(stream, &subject, &json!({})).await {
            tracing::debug!(stream.name = stream, "a consumer is left to expire: {error}");
        }
    }

    /// Asks a consumer for what it has, to an inbox: it answers with messages, and a status if they are
    /// fewer.
    pub(super) async fn pull_more(
        &self,
        stream: &str,
        consumer: &str,
        inbox: &str,
        (messages, bytes): (usize, Option<usize>),
    ) -> Result<(), JetStreamError> {
        let request = json!({ "batch": messages, "max_bytes": bytes.unwrap_or_default(), "no_wait": true });
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        let sent = self.client.publish_with_reply(subject, inbox.to_owned(), request.to_string().into());
        sent.await.map_err(|error| JetStreamError::Closed(error.to_string()))
    }

    /// An inbox that is listened to before anything is sent to it.
    pub(super) async fn inbox(&self) -> Result<(String, Subscriber), JetStreamError> {
        let inbox = self.client.new_inbox();
        match self.client.subscribe(inbox.clone()).await {
            Ok(subscriber) => Ok((inbox, subscriber)),
            Err(error) => Err(JetStreamError::Closed(error.to_string())),
        }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        stream: &str,
        subject: &str,
        request: &Value,
    ) -> Result<T, JetStreamError> {
        let payload = Bytes::from(request.to_string());
        let answer = self.client.request(format!("$JS.API.{subject}"), payload).await;
        let answer = answer.map_err(|error| match error.kind() {
            async_nats::RequestErrorKind::NoResponders => JetStreamError::NotEnabled,
            _ => JetStreamError::Silent(error),
        })?;
        let mut answer: Value = serde_json::from_slice(&answer.payload).map_err(JetStreamError::Answer)?;
        match answer.get_mut("error").map(Value::take) {
            None => serde_json::from_value(answer).map_err(JetStreamError::Answer),
            Some(error) => {
                let error: Refusal = serde_json::from_value(error).map_err(JetStreamError::Answer)?;
                Err(match error.err_code {
                    STREAM_NOT_FOUND => JetStreamError::NoStream(stream.to_owned()),
                    code if NOT_ENABLED.contains(&code) => JetStreamError::NotEnabled,
                    code => JetStreamError::Refused { code, description: error.description },
                })
            }
        }
    }
}

/// What a delivery says of its message, in the subject that it would be acknowledged on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) sequence: u64,
    /// The how manieth message of its consumer it is: one is missing where a number is.
    pub(super) number: u64,
    pub(super) time: OffsetDateTime,
    pub(super) pending: u64,
}

impl Delivery {
    /// Reads `$JS.ACK.…` in both of its forms (ADR-15).
    pub(super) fn of(reply: &str) -> Option<Self> {
        let tokens: Vec<_> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
        let numbers = match tokens.len() {
            7 => &tokens[2..],
            9.. => &tokens[4..9],
            _ => return None,
        };
        let [_delivered, sequence, number, time, pending] = numbers else { return None };
        Some(Self {
            sequence: sequence.parse().ok()?,
            number: number.parse().ok()?,
            time: OffsetDateTime::from_unix_timestamp_nanos(time.parse().ok()?).ok()?,
            pending: pending.parse().ok()?,
        })
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_delivery_is_read_in_both_forms() {
        let short = Delivery::of("$JS.ACK.EVENTS.c.1.100.7.1790230470084404000.42").unwrap();
        let long = Delivery::of("$JS.ACK.hub.HASH.EVENTS.c.1.100.7.1790230470084404000.42.token").unwrap();
        assert_eq!(short, long);
        assert_eq!((short.sequence, short.number, short.pending), (100, 7, 42));
        for bad in ["", "$JS.ACK.", "$JS.ACK.a.b.1.2.3.4", "$JS.ACK.a.b.1.x.3.4.5", "_INBOX.a"] {
            assert_eq!(Delivery::of(bad), None, "{bad}");
        }
    }
}
