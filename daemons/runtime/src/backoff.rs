//! Waits that grow between attempts.

use std::time::Duration;

/// Waits that double from a first one up to a longest one.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    attempts: u32,
}

impl Backoff {
    /// Waits of `first`, twice that, and so on, never longer than `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, attempts: 0 }
    }

    /// The wait before the next attempt.
    pub fn wait(&mut self) -> Duration {
        let wait = self.after(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        wait
    }

    /// The wait after this many failed attempts since the last success.
    pub fn after(&self, attempts: u32) -> Duration {
        self.first.saturating_mul(1 << attempts.min(16)).min(self.longest)
    }

    /// Starts over, after an attempt that worked.
    pub const fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_over() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let waits: Vec<_> = (0..6).map(|_| backoff.wait().as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.after(u32::MAX), Duration::from_secs(1));
        backoff.reset();
        assert_eq!(backoff.wait(), Duration::from_millis(100));
    }
}
