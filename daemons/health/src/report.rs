//! What a node says of itself: the answer of `/readyz` and the heartbeat.

use serde::{Deserialize, Serialize};
use settings::{Name, NodeRole};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{checks::Check, uplink::Uplink};

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The node's name.
    pub node: Name,
    /// What it is in the fleet.
    pub role: NodeRole,
    /// Where it is.
    pub region: Option<Name>,
    /// leafbox's version.
    pub version: String,
    /// nats-server's version, while it answers.
    pub nats_version: Option<String>,
    /// How long nats-server has run.
    pub uptime_seconds: Option<u64>,
    /// Whether every check is ok.
    pub ready: bool,
    /// The checks, in a fixed order.
    pub checks: Vec<Check>,
    /// The links to the hub.
    pub uplink: Uplink,
    /// What JetStream uses, while nats-server answers.
    pub jetstream: Option<JetStreamUse>,
    /// Client connections.
    pub connections: Option<u64>,
    /// Bytes that the disk of the data directory has free.
    pub disk_free: Option<u64>,
    /// Which heartbeat of this daemon's run it is, or the last one before it; 0 before the first.
    pub sequence: u64,
    /// When it was made, RFC 3339.
    pub at: String,
}

/// What JetStream uses, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JetStreamUse {
    /// Memory streams.
    pub memory: u64,
    /// Their limit.
    pub max_memory: u64,
    /// File streams.
    pub storage: u64,
    /// Their limit.
    pub max_storage: u64,
}

/// Now, RFC 3339 in UTC, to the second.
pub(crate) fn now() -> String {
    let now = OffsetDateTime::now_utc();
    let now = now.replace_nanosecond(0).unwrap_or(now);
    now.format(&Rfc3339).expect("a time of this millennium can be written")
}

/// Seconds between two RFC 3339 times.
pub(crate) fn seconds_between(from: &str, to: &str) -> Option<u64> {
    let [from, to] = [from, to].map(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    u64::try_from((to? - from?).whole_seconds()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_nats_server_prints_them_are_read() {
        let seconds = seconds_between("2026-11-21T12:44:46.206134835Z", "2026-11-21T12:45:47.7Z");
        assert_eq!(seconds, Some(61));
        assert_eq!(seconds_between("soon", "2026-11-21T12:45:47Z"), None);
        assert_eq!(seconds_between(&now(), &now()).map(|seconds| seconds < 60), Some(true));
    }
}
