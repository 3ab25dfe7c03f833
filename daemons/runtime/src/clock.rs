//! The time, as records and events have it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970, by the clock of the node that wrote it.
pub type Seconds = u64;

/// What this node's clock says.
pub fn now() -> Seconds {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
