//! What is defined by forms, and how the form of each begins.

/// What is defined, and how its form begins.
pub(in crate::console) struct Kind {
    /// The title of NATS's schema.
    pub(super) schema: &'static str,
    /// The group whose fields the form has; the whole document when empty.
    pub(super) root: &'static str,
    /// Fields that come first; the others are behind "More".
    pub(super) first: &'static [&'static str],
    /// Fields that have no input.
    pub(super) without: &'static [&'static str],
}

/// What comes first of a stream; its name, which stays, in the form of a new one alone.
const FIRST: &[&str] = &[
    "/name",
    "/description",
    "/subjects",
    "/retention",
    "/discard",
    "/storage",
    "/num_replicas",
    "/max_msgs",
    "/max_bytes",
    "/max_age",
];

/// A stream that is made.
pub(in crate::console) const STREAMS: Kind = Kind {
    schema: "io.nats.jetstream.api.v1.stream_create_request",
    root: "",
    first: FIRST,
    without: &["/pedantic"],
};
/// A stream that is defined otherwise: its name stays.
pub(in crate::console) const STREAMS_EDITED: Kind = Kind {
    schema: "io.nats.jetstream.api.v1.stream_update_request",
    root: "",
    first: FIRST,
    without: &["/name"],
};

/// A consumer.
pub(in crate::console) const CONSUMERS: Kind = Kind {
    schema: "io.nats.jetstream.api.v1.consumer_create_request",
    root: "/config",
    first: &[
        "/config/durable_name",
        "/config/description",
        "/config/filter_subjects",
        "/config/deliver_policy",
        "/config/ack_policy",
        "/config/ack_wait",
        "/config/max_deliver",
        "/config/max_ack_pending",
    ],
    without: &["/config/name", "/action", "/stream_name"],
};
