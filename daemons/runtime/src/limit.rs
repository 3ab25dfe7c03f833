//! Counts failed logins, and refuses more of them for a while.
//!
//! A secret of 128 bits or more is not found by trying. The limit keeps what tries from filling the
//! log, the audit stream and a core.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::visitor::Visitor;

/// Failures within [`WINDOW`] that are answered one by one, where nothing else is said.
pub const MOST_FAILURES: u32 = 10;
/// From the first failure on.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Who has failed lately, at most: whoever has many addresses must not fill the memory.
const MOST_KNOWN: usize = 4096;

/// Failures by peer.
#[derive(Debug)]
pub struct Limiter {
    most: u32,
    hasher: RandomState,
    failures: Mutex<HashMap<u64, Failures>>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    since: Instant,
    count: u32,
}

impl Failures {
    fn are_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= WINDOW
    }
}

/// Whom failures are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u64);

impl Default for Limiter {
    fn default() -> Self {
        Self::new(MOST_FAILURES)
    }
}

impl Limiter {
    /// One that answers `most` failures within [`WINDOW`].
    pub fn new(most: u32) -> Self {
        Self { most, hasher: RandomState::new(), failures: Mutex::default() }
    }

    /// Who a login is counted for: the peer's network. All behind a reverse proxy on this machine
    /// come from loopback, so that whom it connects for, and the user name, count there too: one's
    /// failures must not lock the others out. What a proxy says stands beside the address, not in its
    /// place: else a program here could have another machine locked out.
    pub fn key(&self, peer: &Visitor, user: &str) -> Key {
        let user = if peer.address.is_loopback() { user } else { "" };
        let counted: (IpAddr, Option<IpAddr>, &str) = (peer.network(), peer.forwarded_network(), user);
        Key(self.hasher.hash_one(counted))
    }

    /// Whether another attempt is heard at `now`.
    ///
    /// # Errors
    /// How long to wait, where none is.
    pub fn check(&self, key: Key, now: Instant) -> Result<(), Duration> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match failures.get(&key.0) {
            Some(known) if known.count >= self.most && !known.are_over(now) => {
                Err(WINDOW - now.saturating_duration_since(known.since))
            }
            _ => Ok(()),
        }
    }

    /// Counts a failed attempt.
    pub fn failed(&self, key: Key, now: Instant) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= MOST_KNOWN && !failures.contains_key(&key.0) {
            make_room(&mut failures, now);
        }
        let known = failures.entry(key.0).or_insert(Failures { since: now, count: 0 });
        if known.are_over(now) {
            *known = Failures { since: now, count: 0 };
        }
        known.count = known.count.saturating_add(1);
    }
}

/// Forgets those whose minute is over, and else the half that failed least: who is near the limit
/// stays, and a crowd costs one such walk in two thousand attempts.
fn make_room(failures: &mut HashMap<u64, Failures>, now: Instant) {
    failures.retain(|_, known| !known.are_over(now));
    if failures.len() >= MOST_KNOWN {
        let mut all: Vec<_> = failures.iter().map(|(key, known)| (known.count, known.since, *key)).collect();
        all.sort_unstable();
        for (_, _, key) in &all[..MOST_KNOWN / 2] {
            failures.remove(key);
        }
    }
}

/// Lets few of many equal events through, and counts the others.
#[derive(Debug, Default)]
pub struct Pace(Mutex<Option<Failures>>);

impl Pace {
    /// Whether one more is let through: `most` of them within [`WINDOW`]. Then how many were not since
    /// the last one that was.
    pub fn allow(&self, most: u32, now: Instant) -> Option<u32> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = counted.get_or_insert(Failures { since: now, count: 0 });
        let mut held_back = 0;
        if known.are_over(now) {
            held_back = known.count.saturating_sub(most);
            *known = Failures { since: now, count: 0 };
        }
        known.count = known.count.saturating_add(1);
        (known.count <= most).then_some(held_back)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::http::HeaderMap;

    use super::*;

    fn peer(address: &str) -> Visitor {
        Visitor::of(&HeaderMap::new(), format!("{address}:1").parse().unwrap())
    }

    #[test]
    fn the_eleventh_attempt_in_a_minute_waits_for_its_end() {
        let limiter = Limiter::default();
        let (start, key) = (Instant::now(), limiter.key(&peer("192.0.2.1"), "ci"));
        for second in 0..10 {
            let now = start + Duration::from_secs(second);
            assert_eq!(limiter.check(key, now), Ok(()));
            limiter.failed(key, now);
        }
        let later = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(limiter.check(key, later(10)), Err(Duration::from_secs(50)));
        assert_eq!(limiter.check(key, later(59)), Err(Duration::from_secs(1)));
        assert_eq!(limiter.check(key, later(60)), Ok(()));
        limiter.failed(key, later(60));
        assert_eq!(limiter.check(key, later(61)), Ok(()));
    }

    #[test]
    fn a_peer_is_counted_whatever_name_it_tries_and_loopback_by_name() {
        let limiter = Limiter::default();
        let key = |address, user| limiter.key(&peer(address), user);
        assert_eq!(key("192.0.2.1", "a"), key("192.0.2.1", "b"));
        assert_ne!(key("192.0.2.1", "a"), key("192.0.2.2", "a"));
        assert_eq!(key("127.0.0.1", "a"), key("127.0.0.1", "a"));
        assert_ne!(key("127.0.0.1", "a"), key("127.0.0.1", "b"));
        let proxied = |client: &str| {
            let forwarded = Some(client.parse().unwrap());
            limiter.key(&Visitor { forwarded, ..peer("127.0.0.1") }, "a")
        };
        assert_eq!(proxied("192.0.2.1"), proxied("192.0.2.1"));
        assert_ne!(proxied("192.0.2.1"), proxied("192.0.2.2"));
        assert_ne!(proxied("192.0.2.1"), key("192.0.2.1", "a"));
    }

    #[test]
    fn a_crowd_of_addresses_neither_fills_the_memory_nor_frees_who_is_refused() {
        let limiter = Limiter::default();
        let now = Instant::now();
        let refused = limiter.key(&peer("192.0.2.1"), "");
        for _ in 0..MOST_FAILURES {
            limiter.failed(refused, now);
        }
        for number in 0..20_000_u64 {
            limiter.failed(Key(number), now);
        }
        assert!(limiter.failures.lock().unwrap().len() <= MOST_KNOWN);
        assert!(limiter.check(refused, now).is_err());
        for number in 0..MOST_KNOWN as u64 {
            limiter.failed(Key(number), now);
        }
        let later = now + WINDOW;
        for number in 20_000..20_000 + MOST_KNOWN as u64 {
            limiter.failed(Key(number), later);
        }
        assert!(limiter.failures.lock().unwrap().values().all(|known| known.since == later));
    }

    #[test]
    fn a_pace_counts_what_it_holds_back() {
        let (pace, now) = (Pace::default(), Instant::now());
        let allowed: Vec<_> = (0..5).map(|_| pace.allow(2, now)).collect();
        assert_eq!(allowed, [Some(0), Some(0), None, None, None]);
        assert_eq!(pace.allow(2, now + WINDOW), Some(3));
        assert_eq!(pace.allow(2, now + WINDOW), Some(0));
    }
}
