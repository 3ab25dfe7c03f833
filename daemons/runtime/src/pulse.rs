//! The pulse of a daemon's loop, for systemd's watchdog.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Shows that the daemon's loop goes round, whether or not NATS answers.
#[derive(Clone, Debug)]
pub struct Pulse {
    born: Instant,
    last: Arc<AtomicU64>,
}

impl Pulse {
    /// A pulse that beats now.
    pub fn new() -> Self {
        Self { born: Instant::now(), last: Arc::default() }
    }

    /// Whether it beat within this time.
    pub fn is_fresh(&self, within: Duration) -> bool {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.born.elapsed().saturating_sub(last) <= within
    }

    /// Beats: the loop went round once more.
    pub fn beat(&self) {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}
