//! How many bytes are asked for at once.
//!
//! Too few, and a link with a long way idles; too many, and everything else on a slow link (heartbeats,
//! orders) waits behind them, until nats-server cuts a link that took nothing for `write_deadline`. So
//! a window is as much as the link carried in a second, by the last one's time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The first window of all, before anything is known of the link.
const FIRST: u64 = 128 * 1024;
/// The smallest window: eight of them, for four blobs, are a second of a link of 1 Mbit/s.
pub(crate) const SMALLEST: u64 = 16 * 1024;
/// The largest: two of them keep a link of 300 Mbit/s with 200 ms busy.
pub(crate) const LARGEST: u64 = 4 * 1024 * 1024;
/// What a window should take.
const TARGET: Duration = Duration::from_secs(1);

/// How many bytes are asked for at once, learned by all fetches from one side together.
#[derive(Clone, Debug)]
pub(crate) struct Pace(Arc<AtomicU64>);

impl Default for Pace {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(FIRST)))
    }
}

impl Pace {
    /// Bytes of the next window.
    pub(crate) fn window(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// A window of so many bytes took so long, from the request to its last byte.
    ///
    /// It counts from what it was itself, not from what others have made of the window since, so that
    /// ten fetches that see the same change do not multiply it by ten.
    pub(crate) fn took(&self, bytes: u64, time: Duration) {
        if bytes < SMALLEST {
            return;
        }
        let micros = time.as_micros().max(1);
        let fitting = u128::from(bytes) * TARGET.as_micros() / micros;
        let fitting = u64::try_from(fitting).unwrap_or(u64::MAX);
        let next = fitting.clamp(bytes / 2, bytes.saturating_mul(2)).clamp(SMALLEST, LARGEST);
        self.0.store(next, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What windows become on a link of so many bytes a second and so much time there and back, with
    /// two of them under way.
    fn settles(rate: u64, way: Duration) -> u64 {
        let pace = Pace::default();
        for _ in 0..40 {
            let window = pace.window();
            let time = way.as_secs_f64().max(2.0 * window as f64 / rate as f64);
            pace.took(window, Duration::from_secs_f64(time));
        }
        pace.window()
    }

    #[test]
    fn a_window_is_what_the_link_carries_in_half_a_second() {
        assert_eq!(settles(10_000, Duration::from_millis(200)), SMALLEST, "80 kbit/s");
        let one = settles(125_000, Duration::from_millis(200));
        assert!((50_000..=75_000).contains(&one), "1 Mbit/s: {one}");
        let ten = settles(1_250_000, Duration::from_millis(200));
        assert!((500_000..=750_000).contains(&ten), "10 Mbit/s: {ten}");
        assert_eq!(settles(125_000_000, Duration::from_millis(200)), LARGEST, "1 Gbit/s");
    }

    #[test]
    fn one_window_changes_it_by_a_factor_of_two_at_most_and_small_ones_not_at_all() {
        let pace = Pace::default();
        pace.took(SMALLEST - 1, Duration::from_millis(1));
        assert_eq!(pace.window(), FIRST);
        pace.took(FIRST, Duration::ZERO);
        assert_eq!(pace.window(), 2 * FIRST);
        pace.took(2 * FIRST, Duration::from_secs(3600));
        assert_eq!(pace.window(), FIRST);
    }
}
