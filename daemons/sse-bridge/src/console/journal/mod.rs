//! What happens on the servers and in JetStream, kept for a while: connections that come and go, logins
//! that fail, advisories of streams and consumers.
//!
//! - NATS keeps none of it. The console listens from its start, so that a page shows what was before it
//!   was opened, and who paused or was cut off goes on where it stopped.
//! - Each entry has a number, which only grows, also over a restart of the console. What falls out of a
//!   kind's ring is counted: who comes back later is told that something is missing.
//! - JWTs are taken out before anything is kept: they let in who has them.
//! - `$JS.EVENT.ADVISORY.API` is not listened to: it has each request to JetStream with its answer.

mod entry;
mod listen;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use time::OffsetDateTime;
use tokio::sync::watch;

pub(super) use entry::{Entry, Kind, redact};

/// Entries of a kind that are kept.
const KEPT: usize = 300;

/// The journal. A clone is the same.
#[derive(Clone)]
pub(crate) struct Journal(Arc<Inner>);

struct Inner {
    rings: Mutex<Rings>,
    newest: watch::Sender<u64>,
}

struct Rings {
    next: u64,
    by_kind: [Ring; Kind::ALL.len()],
}

#[derive(Default)]
struct Ring {
    entries: VecDeque<Arc<Entry>>,
    /// The newest that fell out.
    lost: u64,
}

/// Which entries somebody wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// None are all but those that come every half minute.
    pub(super) kinds: Vec<Kind>,
    /// The name of the account.
    pub(super) account: String,
    /// What is in it somewhere, however it is written.
    pub(super) text: String,
}

/// Entries, oldest first.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) entries: Vec<Arc<Entry>>,
    /// Whether there were others that are kept no more.
    pub(super) lost: bool,
    /// The number of the newest entry of all.
    pub(super) at: u64,
}

impl Journal {
    pub(crate) fn new() -> Self {
        // Microseconds: numbers after a restart are greater than those before it.
        let next = u64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1000).unwrap_or(1);
        let rings = Mutex::new(Rings { next, by_kind: Default::default() });
        Self(Arc::new(Inner { rings, newest: watch::Sender::new(next - 1) }))
    }

    /// Adds an entry, which gets its number.
    pub(super) fn add(&self, entry: Entry) {
        let mut rings = self.0.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let number = rings.next;
        rings.next += 1;
        let ring = &mut rings.by_kind[entry.kind as usize];
        ring.entries.push_back(Arc::new(Entry { number, ..entry }));
        if ring.entries.len() > KEPT
            && let Some(oldest) = ring.entries.pop_front()
        {
            ring.lost = oldest.number;
        }
        drop(rings);
        self.0.newest.send_replace(number);
    }

    /// What came after `after`; with none, all that is kept, which lacks nothing.
    pub(super) fn read(&self, after: Option<u64>, wanted: &Wanted) -> Read {
        let rings = self.0.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut read = Read { at: rings.next - 1, ..Read::default() };
        for (kind, ring) in Kind::ALL.into_iter().zip(&rings.by_kind) {
            if !wanted.has(kind) {
                continue;
            }
            read.lost |= after.is_some_and(|after| ring.lost > after);
            let from = ring.entries.partition_point(|entry| entry.number <= after.unwrap_or(0));
            read.entries.extend(ring.entries.range(from..).filter(|entry| wanted.is(entry)).cloned());
        }
        drop(rings);
        read.entries.sort_by_key(|entry| entry.number);
        read
    }

    /// Tells of each new entry.
    pub(super) fn newest(&self) -> watch::Receiver<u64> {
        self.0.newest.subscribe()
    }

    /// The accounts that entries are of, by name.
    pub(super) fn accounts(&self) -> Vec<String> {
        let rings = self.0.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = rings.by_kind.iter().flat_map(|ring| &ring.entries);
        let mut names: Vec<String> = entries.map(|entry| entry.account.clone()).collect();
        names.sort();
        names.dedup();
        names
    }
}

impl Wanted {
    fn has(&self, kind: Kind) -> bool {
        match kind {
            // What is missing concerns whoever looks.
            Kind::Gap => true,
            Kind::Counts if self.kinds.is_empty() => false,
            kind => self.kinds.is_empty() || self.kinds.contains(&kind),
        }
    }

    fn is(&self, entry: &Entry) -> bool {
        if entry.kind == Kind::Gap {
            return true;
        }
        (self.account.is_empty() || self.account == entry.account)
            && (self.text.is_empty() || entry.contains(&self.text.to_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn entry(kind: Kind, account: &str, text: &str) -> Entry {
        Entry::of(account, kind, "subject", text.to_owned())
    }

    #[test]
    fn who_comes_back_gets_what_came_meanwhile_or_learns_that_some_is_lost() {
        let (journal, wanted) = (Journal::new(), Wanted::default());
        journal.add(entry(Kind::Connect, "SHOP", "one"));
        let at = journal.read(None, &wanted).at;
        assert!(journal.read(Some(at), &wanted).entries.is_empty());
        journal.add(entry(Kind::Stream, "SHOP", "two"));
        journal.add(entry(Kind::Connect, "SHOP", "three"));
        let read = journal.read(Some(at), &wanted);
        let texts: Vec<_> = read.entries.iter().map(|entry| entry.about.as_str()).collect();
        assert_eq!((texts, read.lost), (vec!["two", "three"], false));
        for _ in 0..KEPT {
            journal.add(entry(Kind::Connect, "SHOP", "more"));
        }
        assert!(journal.read(Some(at), &wanted).lost);
        let streams = Wanted { kinds: vec![Kind::Stream], ..Wanted::default() };
        assert!(!journal.read(Some(at), &streams).lost, "nothing of this kind is");
        assert!(!journal.read(None, &wanted).lost);
    }

    #[test]
    fn what_is_wanted_is_by_kind_account_and_text() {
        let journal = Journal::new();
        for (kind, account, text) in [
            (Kind::Connect, "SHOP", "till 7"),
            (Kind::Disconnect, "SHOP", "Till 7"),
            (Kind::Connect, "BANK", "teller"),
            (Kind::Counts, "SHOP", "till 7"),
            (Kind::Gap, "", "cut"),
        ] {
            journal.add(entry(kind, account, text));
        }
        let count = |kinds: &[Kind], account: &str, text: &str| {
            let wanted = Wanted { kinds: kinds.to_vec(), account: account.to_owned(), text: text.to_owned() };
            journal.read(None, &wanted).entries.len()
        };
        assert_eq!(count(&[], "", ""), 4, "all but the counts");
        assert_eq!(count(&[Kind::Connect], "", ""), 3, "the gap concerns everybody");
        assert_eq!(count(&[], "SHOP", "TILL"), 3);
        assert_eq!(count(&[Kind::Counts], "", ""), 2);
        assert_eq!(journal.accounts(), ["", "BANK", "SHOP"]);
    }
}
