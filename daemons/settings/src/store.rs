//! The stores of an account: streams with their consumers, key-value buckets, object buckets,
//! and how each travels between leaf and hub.
//!
//! Field names are the nats-server's where it has one word for the thing, spelt out where it
//! abbreviates (`max_messages` for `max_msgs`).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    names::{Name, Subject},
    units::{ByteSize, Span},
};

/// How a store travels between the leaves and the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Travel {
    /// Written on leaves, gathered on the hub.
    Up,
    /// Written on the hub, mirrored on every leaf.
    Down,
    /// Written on every node under a subject token of its own, and readable on all.
    Both,
}

impl Travel {
    /// The word for it in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Both => "both",
        }
    }
}

/// On which nodes a store that does not travel exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// On each node, every one with its own content.
    #[default]
    Everywhere,
    /// On each leaf, every one with its own content.
    Leaves,
    /// On the hub cluster.
    Hub,
}

/// Where the bytes of a store are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// On disk, encrypted when the node encrypts.
    #[default]
    File,
    /// In memory: gone after a restart.
    Memory,
}

/// Which messages a stream keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Retention {
    /// All, until a limit is reached.
    #[default]
    Limits,
    /// Those that some consumer has yet to acknowledge.
    Interest,
    /// Each until one consumer acknowledges it.
    Workqueue,
}

/// What happens when a limit is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Discard {
    /// The oldest messages go.
    #[default]
    Old,
    /// The new message is refused.
    New,
}

/// How a file store is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// With S2.
    S2,
}

/// Which servers of a cluster may hold a store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Placement {
    /// The name of the cluster.
    pub cluster: Option<Name>,
    /// Tags that a server must all have.
    pub tags: Vec<String>,
}

/// Publishes what is stored again under another subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Republish {
    /// Which messages.
    pub source: Subject,
    /// The new subject; `{{wildcard(1)}}` takes a token over.
    pub destination: String,
    /// Whether to leave the payload out.
    #[serde(default)]
    pub headers_only: bool,
}

/// Stores messages under another subject than they came with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectTransform {
    /// Which messages.
    pub source: Subject,
    /// The new subject; `{{wildcard(1)}}` takes a token over.
    pub destination: String,
}

/// Another stream that this one mirrors or gathers from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its name.
    pub stream: Name,
    /// Its JetStream domain, when it is not this node's.
    #[serde(default)]
    pub domain: Option<Name>,
    /// Takes only these messages.
    #[serde(default)]
    pub filter: Option<Subject>,
    /// Starts at this sequence.
    #[serde(default)]
    pub start_sequence: Option<u64>,
    /// Starts at this time, RFC 3339.
    #[serde(default)]
    pub start_time: Option<String>,
    /// Stores under other subjects; cannot stand beside `filter`.
    #[serde(default)]
    pub transforms: Vec<SubjectTransform>,
}

/// The leaf's side of a stream that travels up: a work queue that the hub empties.
///
/// It refuses new messages when it is full, so that nothing acknowledged is ever dropped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Outbox {
    /// Bytes it may hold while the hub is out of reach; the stream's own `max_bytes` when left out.
    pub max_bytes: Option<ByteSize>,
    /// Messages it may hold while the hub is out of reach.
    pub max_messages: Option<u64>,
}

/// A JetStream stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Stream {
    /// What it is for, in a sentence.
    pub description: Option<String>,
    /// The subjects that it captures. With `travel = "both"` each holds the token `{node}`.
    pub subjects: Vec<String>,
    /// How it travels between leaf and hub; not at all when left out.
    pub travel: Option<Travel>,
    /// On which nodes it exists, when it does not travel.
    pub on: On,
    /// The leaf's side when it travels up.
    pub outbox: Outbox,
    /// Which messages it keeps.
    pub retention: Retention,
    /// What happens when a limit is reached.
    pub discard: Discard,
    /// With `discard = "new"`: whether `max_messages_per_subject` refuses too.
    pub discard_new_per_subject: bool,
    /// Messages it may hold.
    pub max_messages: Option<u64>,
    /// Messages it may hold of one subject.
    pub max_messages_per_subject: Option<u64>,
    /// Bytes it may hold.
    pub max_bytes: Option<ByteSize>,
    /// How long it keeps a message.
    pub max_age: Option<Span>,
    /// Largest message, header and all.
    pub max_message_size: Option<ByteSize>,
    /// Consumers it may have.
    pub max_consumers: Option<u32>,
    /// How long `Nats-Msg-Id` is remembered; nats-server's two minutes when left out.
    pub duplicate_window: Option<Span>,
    /// Copies on the hub, 1 to 5; one on a leaf always, and as many as the hub has, at most three,
    /// when left out.
    pub replicas: Option<u8>,
    /// Where its bytes are.
    pub storage: Storage,
    /// How its files are compressed.
    pub compression: Compression,
    /// Which hub servers may hold it.
    pub placement: Option<Placement>,
    /// Publishes what is stored again.
    pub republish: Option<Republish>,
    /// Stores under another subject.
    pub subject_transform: Option<SubjectTransform>,
    /// The one stream that it copies exactly.
    pub mirror: Option<Source>,
    /// The streams that it gathers from.
    pub sources: Vec<Source>,
    /// Whether messages can be read directly, without a consumer; on when left out.
    pub allow_direct: Option<bool>,
    /// Whether `Nats-Rollup` may replace earlier messages.
    pub allow_rollup: bool,
    /// Whether a message may set its own age limit with `Nats-TTL`.
    pub allow_message_ttl: bool,
    /// Whether deleting single messages is forbidden, for good.
    pub deny_delete: bool,
    /// Whether purging is forbidden, for good.
    pub deny_purge: bool,
    /// Free text for the owner's own use; keys starting with `leafbox.` and `_nats.` are taken.
    pub metadata: BTreeMap<String, String>,
    /// Durable consumers by name.
    pub consumers: BTreeMap<Name, Consumer>,
}

/// Where a consumer starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deliver {
    /// At the first message.
    #[default]
    All,
    /// At the last message.
    Last,
    /// At the next message.
    New,
    /// At the last message of each subject.
    LastPerSubject,
    /// At `start_sequence`.
    ByStartSequence,
    /// At `start_time`.
    ByStartTime,
}

/// Which messages must be acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ack {
    /// Each.
    #[default]
    Explicit,
    /// One stands for all before it.
    All,
    /// None.
    None,
}

/// How fast a consumer replays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Replay {
    /// As fast as it can.
    #[default]
    Instant,
    /// At the speed the messages came in.
    Original,
}

/// A durable consumer of a stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Consumer {
    /// What it is for, in a sentence.
    pub description: Option<String>,
    /// Takes only these subjects; all when empty.
    pub filter: Vec<Subject>,
    /// Where it starts.
    pub deliver: Deliver,
    /// The first sequence, with `deliver = "by_start_sequence"`.
    pub start_sequence: Option<u64>,
    /// The first time, RFC 3339, with `deliver = "by_start_time"`.
    pub start_time: Option<String>,
    /// Which messages must be acknowledged.
    pub ack: Ack,
    /// How long to wait for an acknowledgement before delivering again.
    pub ack_wait: Option<Span>,
    /// Deliveries of one message; unlimited when left out.
    pub max_deliver: Option<u32>,
    /// Waits between deliveries, instead of `ack_wait`.
    pub backoff: Vec<Span>,
    /// Unacknowledged messages at once.
    pub max_ack_pending: Option<u32>,
    /// Pull requests that may wait at once.
    pub max_waiting: Option<u32>,
    /// Messages that one pull may ask for.
    pub max_batch: Option<u32>,
    /// Bytes that one pull may ask for.
    pub max_pull_bytes: Option<ByteSize>,
    /// How long one pull may wait.
    pub max_expires: Option<Span>,
    /// How fast it replays.
    pub replay: Replay,
    /// Removed after being unused for this long; never when left out.
    pub inactive_threshold: Option<Span>,
    /// Copies of its state; the stream's when left out.
    pub replicas: Option<u8>,
    /// Whether its state is in memory only.
    pub memory_storage: bool,
    /// Whether to leave payloads out.
    pub headers_only: bool,
    /// Bits a second, for a push consumer.
    pub rate_limit_bits: Option<u64>,
    /// Share of acknowledgements that are sampled, such as `"10%"`.
    pub sample_frequency: Option<String>,
    /// Makes it a push consumer that delivers here.
    pub deliver_subject: Option<Subject>,
    /// The queue group of a push consumer.
    pub deliver_group: Option<Name>,
    /// Flow control of a push consumer.
    pub flow_control: bool,
    /// Idle heartbeat of a push consumer.
    pub idle_heartbeat: Option<Span>,
    /// Free text for the owner's own use.
    pub metadata: BTreeMap<String, String>,
}

/// A key-value bucket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KeyValue {
    /// What it is for, in a sentence.
    pub description: Option<String>,
    /// How it travels between leaf and hub; not at all when left out. With `"both"` a node writes
    /// the keys that start with its name and a dot.
    pub travel: Option<Travel>,
    /// On which nodes it exists, when it does not travel.
    pub on: On,
    /// Values kept of one key, 1 to 64; one when left out.
    pub history: Option<u8>,
    /// How long a value is kept.
    pub max_age: Option<Span>,
    /// Largest value.
    pub max_value_size: Option<ByteSize>,
    /// Bytes it may hold.
    pub max_bytes: Option<ByteSize>,
    /// How long the marker of an expired key stays, which also allows a value its own age limit.
    pub limit_marker_ttl: Option<Span>,
    /// Copies on the hub, as for a stream.
    pub replicas: Option<u8>,
    /// Where its bytes are.
    pub storage: Storage,
    /// How its files are compressed.
    pub compression: Compression,
    /// Which hub servers may hold it.
    pub placement: Option<Placement>,
    /// Publishes what is stored again.
    pub republish: Option<Republish>,
    /// Free text for the owner's own use.
    pub metadata: BTreeMap<String, String>,
}

/// An object bucket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectBucket {
    /// What it is for, in a sentence.
    pub description: Option<String>,
    /// How it travels between leaf and hub; `"both"` is refused: objects have no writer's token.
    pub travel: Option<Travel>,
    /// On which nodes it exists, when it does not travel.
    pub on: On,
    /// How long an object is kept.
    pub max_age: Option<Span>,
    /// Bytes it may hold.
    pub max_bytes: Option<ByteSize>,
    /// Copies on the hub, as for a stream.
    pub replicas: Option<u8>,
    /// Where its bytes are.
    pub storage: Storage,
    /// How its files are compressed.
    pub compression: Compression,
    /// Which hub servers may hold it.
    pub placement: Option<Placement>,
    /// Free text for the owner's own use.
    pub metadata: BTreeMap<String, String>,
}
