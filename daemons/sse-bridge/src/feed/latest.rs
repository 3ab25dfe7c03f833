//! The latest message of each subject, for all who watch them.
//!
//! Each change has a version, one more than the change before it. A reader is nothing but the last
//! version that it was sent: what changed since is what it is sent next, however often it changed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{message::Event, ring::ENOUGH};

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct LatestLimits {
    pub(super) subjects: usize,
    pub(super) bytes: usize,
}

/// What became of a subject.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Is(Arc<Event>),
    Gone(Arc<str>),
}

#[derive(Debug)]
struct Subject {
    version: u64,
    /// The sequence in the stream, where there is one.
    sequence: u64,
    weight: usize,
    gone: bool,
}

#[derive(Debug)]
pub(super) struct Latest {
    limits: LatestLimits,
    by_version: BTreeMap<u64, (Arc<str>, Change)>,
    by_subject: HashMap<Arc<str>, Subject>,
    bytes: usize,
    version: u64,
    gone: usize,
    dropped: u64,
}

impl Latest {
    pub(super) fn new(limits: LatestLimits) -> Self {
        let (by_version, by_subject) = (BTreeMap::new(), HashMap::new());
        Self { limits, by_version, by_subject, bytes: 0, version: 0, gone: 0, dropped: 0 }
    }

    /// The newest change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Subjects that have a value.
    pub(super) fn subjects(&self) -> usize {
        self.by_subject.len() - self.gone
    }

    /// Subjects that were left out so far since there was no room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes the newest message of a subject. One that is not newer than what is known is ignored.
    pub(super) fn put(&mut self, event: Arc<Event>) {
        let sequence = event.message.stored.as_ref().map_or(0, |stored| stored.sequence);
        let subject: Arc<str> = event.message.subject.as_ref().into();
        if self
            .by_subject
            .get(&subject)
            .is_some_and(|known| sequence > 0 && known.sequence >= sequence && !known.gone)
        {
            return;
        }
        let weight = event.message.weight();
        self.set(subject, Change::Is(event), sequence, weight);
        while self.by_subject.len() > 1
            && (self.by_subject.len() > self.limits.subjects || self.bytes > self.limits.bytes)
        {
            let Some((_, (oldest, _))) = self.by_version.first_key_value() else { break };
            let oldest = Arc::clone(oldest);
            if !self.take(&oldest).is_some_and(|subject| subject.gone) {
                self.dropped += 1;
            }
        }
    }

    /// Forgets the subjects of which a stream has no message any more: those that are not in `there`.
    pub(super) fn keep_only(&mut self, there: &std::collections::HashSet<Arc<str>>) {
        let gone = self.by_subject.iter().filter(|(subject, known)| !known.gone && !there.contains(*subject));
        let gone: Vec<_> = gone.map(|(subject, _)| Arc::clone(subject)).collect();
        for subject in gone {
            self.set(Arc::clone(&subject), Change::Gone(subject), 0, 64);
        }
    }

    /// Up to `most` changes after a version, oldest first, or fewer where they are large; and the version
    /// then.
    pub(super) fn after(&self, version: u64, most: usize, into: &mut Vec<Change>) -> u64 {
        let (mut reached, mut weight) = (version, 0);
        for (version, (_, change)) in self.by_version.range(version + 1..).take(most) {
            into.push(change.clone());
            reached = *version;
            if let Change::Is(event) = change {
                weight += event.message.weight();
            }
            if weight >= ENOUGH {
                break;
            }
        }
        if self.by_version.last_key_value().is_none_or(|(last, _)| *last <= reached) {
            return reached.max(self.version);
        }
        reached
    }

    fn set(&mut self, subject: Arc<str>, change: Change, sequence: u64, weight: usize) {
        self.take(&subject);
        self.version += 1;
        let gone = matches!(change, Change::Gone(_));
        self.gone += usize::from(gone);
        self.bytes += weight;
        self.by_version.insert(self.version, (Arc::clone(&subject), change));
        self.by_subject.insert(subject, Subject { version: self.version, sequence, weight, gone });
    }

    fn take(&mut self, subject: &str) -> Option<Subject> {
        let known = self.by_subject.remove(subject)?;
        self.by_version.remove(&known.version);
        self.bytes -= known.weight;
        self.gone -= usize::from(known.gone);
        Some(known)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::Bytes;

    use super::*;
    use crate::feed::message::Message;

    fn event(subject: &str, payload: &'static str) -> Arc<Event> {
        let payload = Bytes::from_static(payload.as_bytes());
        Arc::new(Event::new(Message { subject: subject.into(), headers: None, payload, stored: None }))
    }

    fn changes(latest: &Latest, version: u64) -> (Vec<String>, u64) {
        let mut changes = Vec::new();
        let reached = latest.after(version, 99, &mut changes);
        let told = changes.iter().map(|change| match change {
            Change::Is(event) => String::from_utf8(event.message.payload.to_vec()).unwrap(),
            Change::Gone(subject) => format!("-{subject}"),
        });
        (told.collect(), reached)
    }

    #[test]
    fn who_is_behind_is_sent_the_latest_of_what_changed_only() {
        let mut latest = Latest::new(LatestLimits { subjects: 9, bytes: usize::MAX });
        for (subject, payload) in [("a", "a1"), ("b", "b1"), ("a", "a2"), ("a", "a3")] {
            latest.put(event(subject, payload));
        }
        assert_eq!(changes(&latest, 0), (vec!["b1".to_owned(), "a3".to_owned()], 4));
        assert_eq!(changes(&latest, 2), (vec!["a3".to_owned()], 4));
        assert_eq!(changes(&latest, 4), (vec![], 4));
        latest.keep_only(&["a".into()].into());
        assert_eq!(changes(&latest, 4), (vec!["-b".to_owned()], 5));
        assert_eq!(latest.subjects(), 1);
        latest.put(event("b", "b2"));
        assert_eq!(changes(&latest, 5), (vec!["b2".to_owned()], 6));
        assert_eq!(latest.subjects(), 2);
    }

    #[test]
    fn subjects_are_bounded_and_the_ones_that_change_stay() {
        let mut latest = Latest::new(LatestLimits { subjects: 2, bytes: usize::MAX });
        for (subject, payload) in [("a", "a1"), ("b", "b1"), ("a", "a2"), ("c", "c1")] {
            latest.put(event(subject, payload));
        }
        assert_eq!(changes(&latest, 0).0, ["a2", "c1"]);
        assert_eq!((latest.subjects(), latest.dropped()), (2, 1));
    }
}
