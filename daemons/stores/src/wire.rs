//! Declared stores as the JSON that the JetStream API speaks.
//!
//! Written by hand as [`serde_json::Value`] and not through a client's config type, so that the
//! fields here are exactly the ones leafbox answers for: what a newer server adds is neither sent
//! nor compared. Every field is always present, with the value the server would give it, so that a
//! field taken out of the declaration goes back to its default.

use serde_json::{Map, Value, json};
use settings::{
    Span,
    store::{
        Ack, Compression, Consumer, Deliver, Discard, Placement, Replay, Republish, Retention, Source,
        Storage, Stream, SubjectTransform,
    },
};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use crate::delivery;

/// A JSON object of the JetStream API.
pub type Config = Map<String, Value>;

/// nats-server's own, when a stream declares none.
const DEFAULT_DUPLICATE_WINDOW: Span = Span::seconds(120);
/// nats-server's own, when a consumer declares none.
const DEFAULT_ACK_WAIT: Span = Span::seconds(30);
/// nats-server's own, when a consumer declares none.
const DEFAULT_MAX_ACK_PENDING: u32 = 1000;
/// nats-server's own for a pull consumer that declares none.
const DEFAULT_MAX_WAITING: u32 = 512;

/// The prefix under which the JetStream API of a domain is reached.
pub fn api_prefix(domain: &str) -> String {
    format!("$JS.{domain}.API")
}

/// What a stream's JSON needs beyond its declaration.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    /// Copies on this node.
    pub replicas: u8,
    /// The mirrored stream of another domain, as the API spells it.
    pub mirror: Option<Value>,
    /// How long the marker of an expired key stays.
    pub marker_ttl: Option<Span>,
    /// Sources beside the declared ones, as the API spells them.
    pub feeds: Vec<Value>,
}

/// The configuration of a stream, without metadata.
pub fn stream(name: &str, declared: &Stream, extra: &Extra) -> Config {
    let sources: Vec<Value> = declared.sources.iter().map(source).chain(extra.feeds.clone()).collect();
    let mirror = extra.mirror.clone().or_else(|| declared.mirror.as_ref().map(source));
    let duplicate_window = match declared.duplicate_window {
        Some(window) => window.nanos(),
        // A server that gathers or mirrors keeps no window of its own.
        None if mirror.is_some() || !sources.is_empty() => 0,
        None => {
            let default = DEFAULT_DUPLICATE_WINDOW.nanos();
            declared.max_age.map_or(default, |age| age.nanos().min(default))
        }
    };
    let mut config = object(json!({
        "name": name,
        "description": declared.description,
        "subjects": declared.subjects,
        "retention": retention(declared.retention),
        "max_consumers": limit(declared.max_consumers),
        "max_msgs": limit(declared.max_messages),
        "max_bytes": limit(declared.max_bytes.map(|size| size.bytes())),
        "max_age": declared.max_age.map_or(0, Span::nanos),
        "max_msgs_per_subject": limit(declared.max_messages_per_subject),
        "max_msg_size": limit(declared.max_message_size.map(|size| size.bytes())),
        "discard": discard(declared.discard),
        "discard_new_per_subject": declared.discard_new_per_subject,
        "storage": storage(declared.storage),
        "num_replicas": extra.replicas,
        "duplicate_window": duplicate_window,
        "placement": declared.placement.as_ref().map(placement),
        "mirror": mirror,
        "sources": sources,
        "compression": compression(declared.compression),
        "subject_transform": declared.subject_transform.as_ref().map(transform),
        "republish": declared.republish.as_ref().map(republish),
        "allow_direct": declared.allow_direct.unwrap_or(true),
        "allow_rollup_hdrs": declared.allow_rollup,
        "allow_msg_ttl": declared.allow_message_ttl,
        "subject_delete_marker_ttl": extra.marker_ttl.map_or(0, Span::nanos),
        "deny_delete": declared.deny_delete,
        "deny_purge": declared.deny_purge,
    }));
    // A copy of another domain answers reads in its place. Within one domain the server sets
    // `mirror_direct` itself, from the origin.
    if extra.mirror.is_some() || declared.mirror.as_ref().is_none_or(|mirror| mirror.domain.is_some()) {
        config.insert("mirror_direct".into(), mirror_is_foreign(extra, declared).into());
    }
    config
}

fn mirror_is_foreign(extra: &Extra, declared: &Stream) -> bool {
    extra.mirror.is_some() || declared.mirror.as_ref().is_some_and(|mirror| mirror.domain.is_some())
}

/// The configuration of a consumer, without metadata. `stream_replicas` bounds its own, and
/// `account_ack_pending` is the account's limit.
pub fn consumer(
    name: &str,
    declared: &Consumer,
    stream_replicas: u8,
    account_ack_pending: Option<u32>,
) -> Config {
    let push = declared.deliver_subject.is_some();
    let acknowledged = declared.ack != Ack::None;
    let default_pending =
        account_ack_pending.map_or(DEFAULT_MAX_ACK_PENDING, |most| most.min(DEFAULT_MAX_ACK_PENDING));
    let ack_wait = match (declared.backoff.first(), declared.ack_wait) {
        (Some(first), _) => first.nanos(),
        (None, Some(wait)) => wait.nanos(),
        (None, None) if acknowledged => DEFAULT_ACK_WAIT.nanos(),
        (None, None) => 0,
    };
    let backoff: Vec<i64> = declared.backoff.iter().map(|span| span.nanos()).collect();
    let mut config = object(json!({
        "durable_name": name,
        "name": name,
        "description": declared.description,
        "filter_subjects": declared.filter,
        "deliver_policy": deliver(declared.deliver),
        "opt_start_seq": declared.start_sequence.unwrap_or(0),
        "opt_start_time": declared.start_time.as_deref().map(instant),
        "ack_policy": ack(declared.ack),
        "ack_wait": ack_wait,
        "max_deliver": limit(declared.max_deliver),
        "backoff": backoff,
        "max_ack_pending": if acknowledged { declared.max_ack_pending.unwrap_or(default_pending) } else { 0 },
        "max_waiting": if push { 0 } else { declared.max_waiting.unwrap_or(DEFAULT_MAX_WAITING) },
        "max_batch": declared.max_batch.unwrap_or(0),
        "max_bytes": declared.max_pull_bytes.map_or(0, |size| size.bytes()),
        "max_expires": declared.max_expires.map_or(0, Span::nanos),
        "replay_policy": replay(declared.replay),
        "inactive_threshold": declared.inactive_threshold.map_or(0, Span::nanos),
        "mem_storage": declared.memory_storage,
        "headers_only": declared.headers_only,
        "rate_limit_bps": declared.rate_limit_bits.unwrap_or(0),
        "sample_freq": declared.sample_frequency,
        "deliver_subject": declared.deliver_subject,
        "deliver_group": declared.deliver_group,
        "flow_control": declared.flow_control,
        "idle_heartbeat": declared.idle_heartbeat.map_or(0, Span::nanos),
    }));
    // Left out, the stream's own number holds, and follows it when it changes.
    if let Some(replicas) = declared.replicas {
        config.insert("num_replicas".into(), replicas.min(stream_replicas).into());
    }
    config
}

/// The durable consumer by which another domain empties a work queue (ADR-60): acknowledged by
/// flow control, so a message leaves the queue only when the other side has stored it.
pub fn travel_consumer(name: &str, deliver_subject: &str, account_ack_pending: Option<u32>) -> Config {
    // In flight at once: at a round trip of 200 ms the default of 1000 would allow 5,000 a second.
    const IN_FLIGHT: u32 = 10_000;
    object(json!({
        "durable_name": name,
        "name": name,
        "description": "leafbox: by which the hub empties this outbox",
        "deliver_policy": "all",
        "deliver_subject": deliver_subject,
        "ack_policy": "flow_control",
        "max_ack_pending": account_ack_pending.map_or(IN_FLIGHT, |most| most.min(IN_FLIGHT)),
        "max_deliver": -1,
        "replay_policy": "instant",
        "flow_control": true,
        // The only heartbeat nats-server accepts with this acknowledgement.
        "idle_heartbeat": Span::seconds(1).nanos(),
    }))
}

/// A source in another domain.
pub fn feed(stream: &str, domain: &str, filter: Option<&str>) -> Value {
    json!({ "name": stream, "external": { "api": api_prefix(domain) }, "filter_subject": filter })
}

/// A source in another domain that is read through a consumer made there, which is reset by way of the
/// leafbox there.
pub fn consumer_feed(stream: &str, domain: &str, consumer: &str, deliver_subject: &str) -> Value {
    json!({
        "name": stream,
        "external": { "api": delivery::api_of(domain) },
        "consumer": { "name": consumer, "deliver_subject": deliver_subject },
    })
}

fn source(declared: &Source) -> Value {
    let transforms: Vec<Value> = declared.transforms.iter().map(transform).collect();
    json!({
        "name": declared.stream,
        "external": declared.domain.as_ref().map(|domain| json!({ "api": api_prefix(domain) })),
        "filter_subject": declared.filter,
        "opt_start_seq": declared.start_sequence.unwrap_or(0),
        "opt_start_time": declared.start_time.as_deref().map(instant),
        "subject_transforms": transforms,
    })
}

/// A moment as Go prints it in UTC, so that `12:00:00.0+00:00` is no difference to `12:00:00Z`.
/// What is no moment stays as it is, for the server to refuse.
fn instant(text: &str) -> String {
    let parsed = OffsetDateTime::parse(text, &Rfc3339).map(|moment| moment.to_offset(UtcOffset::UTC));
    parsed.ok().and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_else(|| text.to_owned())
}

fn transform(declared: &SubjectTransform) -> Value {
    json!({ "src": declared.source, "dest": declared.destination })
}

fn republish(declared: &Republish) -> Value {
    json!({ "src": declared.source, "dest": declared.destination, "headers_only": declared.headers_only })
}

fn placement(declared: &Placement) -> Value {
    json!({ "cluster": declared.cluster, "tags": declared.tags })
}

fn limit(declared: Option<impl Into<u64>>) -> Value {
    declared.map_or(json!(-1), |limit| json!(limit.into()))
}

fn retention(declared: Retention) -> &'static str {
    match declared {
        Retention::Limits => "limits",
        Retention::Interest => "interest",
        Retention::Workqueue => "workqueue",
    }
}

fn discard(declared: Discard) -> &'static str {
    match declared {
        Discard::Old => "old",
        Discard::New => "new",
    }
}

fn storage(declared: Storage) -> &'static str {
    match declared {
        Storage::File => "file",
        Storage::Memory => "memory",
    }
}

fn compression(declared: Compression) -> &'static str {
    match declared {
        Compression::None => "none",
        Compression::S2 => "s2",
    }
}

fn deliver(declared: Deliver) -> &'static str {
    match declared {
        Deliver::All => "all",
        Deliver::Last => "last",
        Deliver::New => "new",
        Deliver::LastPerSubject => "last_per_subject",
        Deliver::ByStartSequence => "by_start_sequence",
        Deliver::ByStartTime => "by_start_time",
    }
}

fn ack(declared: Ack) -> &'static str {
    match declared {
        Ack::Explicit => "explicit",
        Ack::All => "all",
        Ack::None => "none",
    }
}

fn replay(declared: Replay) -> &'static str {
    match declared {
        Replay::Instant => "instant",
        Replay::Original => "original",
    }
}

fn object(value: Value) -> Config {
    match value {
        Value::Object(object) => object,
        _ => Config::new(),
    }
}
