//! Ceremonies that were begun: each is finished once, or forgotten after five minutes.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use data_encoding::BASE64URL_NOPAD;

/// How long one may take: as long as the browser asks for the passkey.
pub(crate) const LIFE: Duration = Duration::from_secs(300);
/// At once: each is about a kilobyte.
const MOST: usize = 1024;

/// Begun ceremonies of a kind, by a random name.
pub(crate) struct Pending<T>(Mutex<HashMap<String, (Instant, T)>>);

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Pending<T> {
    /// Keeps one, and returns the name by which it is finished. Where there are too many, the oldest
    /// is forgotten.
    pub(crate) fn begin(&self, state: T, now: Instant) -> String {
        let name = BASE64URL_NOPAD.encode(&rand::random::<[u8; 16]>());
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.len() >= MOST {
            begun.retain(|_, (since, _)| now.saturating_duration_since(*since) < LIFE);
        }
        if begun.len() >= MOST
            && let Some(oldest) =
                begun.iter().min_by_key(|(_, (since, _))| *since).map(|(name, _)| name.clone())
        {
            begun.remove(&oldest);
        }
        begun.insert(name.clone(), (now, state));
        name
    }

    /// Takes one out, so that nobody finishes it again.
    pub(crate) fn finish(&self, name: &str, now: Instant) -> Option<T> {
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, state) = begun.remove(name)?;
        (now.saturating_duration_since(since) < LIFE).then_some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceremony_is_finished_once_and_in_time() {
        let (pending, now) = (Pending::default(), Instant::now());
        let name = pending.begin("state", now);
        assert_eq!(pending.finish("another", now), None);
        assert_eq!(pending.finish(&name, now), Some("state"));
        assert_eq!(pending.finish(&name, now), None);
        let late = pending.begin("late", now);
        assert_eq!(pending.finish(&late, now + LIFE), None);
    }

    #[test]
    fn whoever_begins_many_does_not_fill_the_memory() {
        let (pending, start) = (Pending::default(), Instant::now());
        let names: Vec<_> =
            (0..MOST as u64 + 10).map(|at| pending.begin(at, start + Duration::from_millis(at))).collect();
        let now = start + Duration::from_secs(10);
        assert_eq!(pending.finish(&names[9], now), None, "the oldest are forgotten");
        assert_eq!(pending.finish(&names[10], now), Some(10));
    }
}
