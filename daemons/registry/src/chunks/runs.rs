//! Where in the streams of chunks the bytes of a blob are.
//!
//! Chunks of one upload mostly follow each other in a stream and are of one size, so that a run of
//! them is three or four numbers. Other uploads that write at the same time break runs, never order.

use std::ops::Range;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Lane;

/// Chunks of one size that follow each other in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The sequence of the first.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Bytes of each.
    pub size: u64,
    /// The stream.
    pub lane: Lane,
}

/// As it is written: without the lane when that is the first.
#[derive(Deserialize)]
struct Numbers(u64, u64, u64, #[serde(default)] Lane);

impl Serialize for Run {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.lane == Lane::default() {
            (self.first, self.count, self.size).serialize(serializer)
        } else {
            (self.first, self.count, self.size, self.lane).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Run {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Numbers(first, count, size, lane) = Numbers::deserialize(deserializer)?;
        // Whoever adds them up later need not look.
        if first.checked_add(count).is_none() || count.checked_mul(size).is_none() {
            return Err(de::Error::custom("a run of chunks goes beyond what can be counted"));
        }
        Ok(Self { first, count, size, lane })
    }
}

/// All chunks of a blob, in the order of its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Runs(Vec<Run>);

/// A chunk, and which of its bytes are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its stream.
    pub lane: Lane,
    /// Its sequence in that.
    pub sequence: u64,
    /// Its bytes.
    pub size: u64,
    /// Bytes at its start that are not wanted.
    pub skip: u64,
    /// Bytes after those that are.
    pub take: u64,
}

impl Runs {
    /// Adds a chunk of `size` bytes, stored in `lane` as `sequence`, at the end. Empty chunks are not kept.
    pub fn push(&mut self, lane: Lane, sequence: u64, size: u64) {
        if size == 0 {
            return;
        }
        match self.0.last_mut() {
            Some(last)
                if (last.lane, last.size) == (lane, size)
                    && last.first.checked_add(last.count) == Some(sequence) =>
            {
                last.count += 1;
            }
            _ => self.0.push(Run { first: sequence, count: 1, size, lane }),
        }
    }

    /// The runs, in order.
    pub fn as_slice(&self) -> &[Run] {
        &self.0
    }

    /// Bytes of all chunks.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|run| run.count.saturating_mul(run.size)).fold(0, u64::saturating_add)
    }

    /// The chunks that hold `range`, in order, cut to it.
    pub fn chunks(&self, range: Range<u64>) -> impl Iterator<Item = Chunk> + '_ {
        let mut offset = 0_u64;
        self.0.iter().flat_map(move |run| {
            let (run, start) = (*run, offset);
            offset = offset.saturating_add(run.count.saturating_mul(run.size));
            // Division keeps this cheap for a run of many thousands of which one is wanted.
            let from = range.start.clamp(start, offset) - start;
            let until = range.end.clamp(start, offset) - start;
            let (first, last) = (from / run.size.max(1), until.div_ceil(run.size.max(1)));
            let last = if from < until { last } else { first };
            (first..last).map(move |index| {
                let at = index * run.size;
                let skip = from.saturating_sub(at);
                let take = (until - at).min(run.size) - skip;
                Chunk { lane: run.lane, sequence: run.first + index, size: run.size, skip, take }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ONE: Lane = Lane::ALL[0];
    const TWO: Lane = Lane::ALL[1];

    fn runs(chunks: &[(Lane, u64, u64)]) -> Runs {
        let mut runs = Runs::default();
        chunks.iter().for_each(|(lane, sequence, size)| runs.push(*lane, *sequence, *size));
        runs
    }

    #[test]
    fn chunks_that_follow_each_other_are_one_run() {
        let runs = runs(&[
            (ONE, 5, 10),
            (ONE, 6, 10),
            (ONE, 8, 10),
            (TWO, 9, 10),
            (TWO, 10, 10),
            (ONE, 11, 4),
            (ONE, 12, 0),
            (ONE, 13, 4),
        ]);
        let text = "[[5,2,10],[8,1,10],[9,2,10,1],[11,1,4],[13,1,4]]";
        assert_eq!(serde_json::to_string(&runs).unwrap(), text);
        assert_eq!(runs.bytes(), 58);
        assert_eq!(serde_json::from_str::<Runs>(text).unwrap(), runs);
    }

    #[test]
    fn every_range_names_exactly_its_bytes() {
        let sizes = [(ONE, 5, 3), (ONE, 6, 3), (TWO, 7, 3), (TWO, 10, 5), (ONE, 20, 1), (ONE, 21, 1)];
        let runs = runs(&sizes);
        // Each byte as the chunk and the place in it where it is.
        let bytes_of =
            |(lane, sequence, size): (Lane, u64, u64)| (0..size).map(move |at| (lane, sequence, at));
        let all: Vec<(Lane, u64, u64)> = sizes.into_iter().flat_map(bytes_of).collect();
        let bytes = all.len();
        for start in 0..=bytes {
            for end in start..=bytes {
                let found = runs.chunks(start as u64..end as u64).flat_map(|chunk| {
                    (chunk.skip..chunk.skip + chunk.take).map(move |at| (chunk.lane, chunk.sequence, at))
                });
                assert_eq!(found.collect::<Vec<_>>(), &all[start..end], "{start}..{end}");
            }
        }
        assert_eq!(runs.chunks(5..5).count() + runs.chunks(bytes as u64..99).count(), 0);
    }

    #[test]
    fn a_record_of_nonsense_is_no_panic() {
        let read = serde_json::from_str::<Runs>;
        let nonsense = read("[[0,0,0],[1,9223372036854775807,2],[1,9223372036854775807,2]]").unwrap();
        assert_eq!(nonsense.bytes(), u64::MAX);
        assert!(nonsense.chunks(0..3).count() <= 2);
        assert!(read("[[1,18446744073709551615,2]]").is_err(), "more than can be counted");
        assert!(read("[[1,1,1,2]]").is_err(), "a stream that is not");
        assert!(read("[[1,1]]").is_err() && read("[[1,1,1,1,1]]").is_err(), "other numbers");
    }
}
