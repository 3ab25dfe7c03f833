//! The newest messages of a log, for all who watch it.
//!
//! Invariant: of what the feed matches, everything from `floor` up to `next` is in the ring. A reader
//! is nothing but the sequence that it wants next, so that a reader who comes from a replay, from the
//! ring or from another bridge joins without a gap and without a message twice.

use std::{collections::VecDeque, sync::Arc};

use super::{encode::Gap, message::Event};

/// Weight of what is read at once: what is written from it belongs to one client until it is sent.
pub(super) const ENOUGH: usize = 64 << 10;

/// How much a ring keeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct RingLimits {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// What a reader comes to.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Event(Arc<Event>),
    /// Messages that the feed itself never had.
    Gap(Arc<Gap>),
}

#[derive(Debug)]
struct Entry {
    /// Of the message, or the last that is missing.
    sequence: u64,
    weight: usize,
    item: Item,
}

#[derive(Debug)]
pub(super) struct Ring {
    limits: RingLimits,
    entries: VecDeque<Entry>,
    bytes: usize,
    floor: u64,
    next: u64,
}

/// What a reader wants is older than the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Behind {
    /// Where the ring begins.
    pub(super) floor: u64,
}

impl Ring {
    /// Empty; the first message will have this sequence or a later one.
    pub(super) fn starting_at(next: u64, limits: RingLimits) -> Self {
        Self { limits, entries: VecDeque::new(), bytes: 0, floor: next, next }
    }

    /// The sequence after the newest.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Where it begins.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// Adds what follows. What is not newer than the newest is there already, and ignored.
    pub(super) fn push(&mut self, sequence: u64, item: Item) {
        if sequence < self.next {
            return;
        }
        let weight = match &item {
            Item::Event(event) => event.message.weight(),
            Item::Gap(_) => size_of::<Gap>(),
        };
        self.entries.push_back(Entry { sequence, weight, item });
        self.next = sequence + 1;
        self.bytes += weight;
        // The newest stays, however large: a ring that has nothing would disconnect everybody.
        while self.entries.len() > 1
            && (self.entries.len() > self.limits.messages || self.bytes > self.limits.bytes)
        {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.weight;
            self.floor = oldest.sequence + 1;
        }
    }

    /// Up to `most` messages, or one that is more than [`ENOUGH`] with those before it, of what a reader
    /// wants who wants `next`; and what it wants then.
    pub(super) fn read(&self, next: u64, most: usize, into: &mut Vec<Item>) -> Result<u64, Behind> {
        if next < self.floor {
            return Err(Behind { floor: self.floor });
        }
        let from = self.entries.partition_point(|entry| entry.sequence < next);
        let (mut taken, mut weight, mut reached) = (0, 0, next);
        for entry in self.entries.range(from..).take(most) {
            into.push(entry.item.clone());
            reached = entry.sequence + 1;
            taken += 1;
            weight += entry.weight;
            if weight >= ENOUGH {
                break;
            }
        }
        // Who has read all wants what comes, also where the last sequences matched nothing.
        Ok(if from + taken == self.entries.len() { reached.max(self.next) } else { reached })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::feed::message::Message;

    fn event(payload: usize) -> Item {
        let payload = Bytes::from(vec![0; payload]);
        Item::Event(Arc::new(Event::new(Message {
            subject: "a".into(),
            headers: None,
            payload,
            stored: None,
        })))
    }

    fn ring(messages: usize, bytes: usize) -> Ring {
        Ring::starting_at(10, RingLimits { messages, bytes })
    }

    #[test]
    fn a_reader_gets_all_from_where_it_is_or_learns_that_it_is_behind() {
        let mut ring = ring(3, usize::MAX);
        let mut read = Vec::new();
        assert_eq!(ring.read(10, 9, &mut read), Ok(10));
        assert_eq!(ring.read(9, 9, &mut read), Err(Behind { floor: 10 }));
        for sequence in [10, 12, 15] {
            ring.push(sequence, event(1));
        }
        assert_eq!(ring.read(10, 2, &mut read), Ok(13));
        assert_eq!(read.len(), 2);
        assert_eq!(ring.read(13, 9, &mut read), Ok(16));
        ring.push(12, event(1));
        ring.push(20, event(1));
        assert_eq!((ring.entries.len(), ring.floor(), ring.next()), (3, 11, 21));
        assert_eq!(ring.read(10, 9, &mut read), Err(Behind { floor: 11 }));
        assert_eq!(ring.read(11, 9, &mut read), Ok(21));
    }

    #[test]
    fn bytes_are_bounded_but_the_newest_stays() {
        let mut ring = ring(100, 4096);
        for sequence in 10..20 {
            ring.push(sequence, event(400));
        }
        assert!(ring.bytes <= 4096 && ring.entries.len() < 10);
        ring.push(20, event(1 << 20));
        assert_eq!((ring.entries.len(), ring.floor()), (1, 20));
    }

    proptest! {
        /// However readers and writers take turns, a reader gets each message once and in order until
        /// it is told that it is behind.
        #[test]
        fn no_reader_misses_a_message_or_gets_it_twice(
            steps in prop::collection::vec((1..4_u64, 0..5_usize), 1..60), most in 1..8_usize,
        ) {
            let mut ring = ring(most, usize::MAX);
            let (mut written, mut got, mut next) = (Vec::new(), Vec::new(), 10);
            for (skip, reads) in steps {
                let sequence = ring.next() + skip - 1;
                ring.push(sequence, Item::Gap(Arc::new(Gap {
                    stream: None, subject: None, from: None, to: Some(sequence),
                    reason: crate::feed::encode::Reason::Expired,
                })));
                written.push(sequence);
                for _ in 0..reads {
                    let mut items = Vec::new();
                    match ring.read(next, 2, &mut items) {
                        Ok(reached) => next = reached,
                        Err(Behind { floor }) => {
                            prop_assert!(floor > next);
                            written.retain(|sequence| got.contains(sequence) || *sequence >= floor);
                            next = floor;
                        }
                    }
                    got.extend(items.iter().map(|item| match item { Item::Gap(gap) => gap.to.unwrap(), Item::Event(_) => 0 }));
                }
            }
            prop_assert_eq!(&written[..got.len()], &got[..]);
        }
    }
}
