//! The streams that chunks are spread over.
//!
//! nats-server flushes each message before it acknowledges it, one after the other in a stream, and a
//! disk is idle for most of a flush. Those of two streams are under way at once, and a file system makes
//! one of them.

use serde::{Deserialize, Serialize};
use settings::builtin::REGISTRY_BLOBS;

use crate::UploadId;

/// Chunks of an upload that follow each other in a lane before the next lane has its turn. More make
/// shorter records; with fewer than half of what is in flight, all lanes have something to do.
const TURN: usize = 4;

/// One of the streams of chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "usize", into = "usize")]
pub struct Lane(usize);

impl Lane {
    /// All of them.
    pub const ALL: [Self; 2] = [Self(0), Self(1)];

    /// The lane of an upload's chunk, counted from 0. Uploads of few chunks begin in either.
    pub fn of(upload: UploadId, chunk: usize) -> Self {
        let begin = usize::from(upload.is_odd());
        Self((begin + chunk / TURN) % Self::ALL.len())
    }

    /// The one whose turn is after this one's.
    pub fn next(self) -> Self {
        Self((self.0 + 1) % Self::ALL.len())
    }

    /// The stream's name.
    pub fn stream(self) -> &'static str {
        REGISTRY_BLOBS[self.0].0
    }

    /// The subject of an upload's chunks in this stream.
    pub fn subject(self, upload: UploadId) -> String {
        format!("{}.{upload}", self.prefix())
    }

    /// The subjects of all uploads' chunks in it.
    pub fn subjects(self) -> String {
        format!("{}.*", self.prefix())
    }

    /// The upload whose chunks have this subject.
    pub fn upload(self, subject: &str) -> Option<UploadId> {
        subject.strip_prefix(self.prefix())?.strip_prefix('.')?.parse().ok()
    }

    /// Its place in [`Lane::ALL`].
    pub fn index(self) -> usize {
        self.0
    }

    fn prefix(self) -> &'static str {
        REGISTRY_BLOBS[self.0].1
    }
}

impl TryFrom<usize> for Lane {
    type Error = &'static str;

    fn try_from(index: usize) -> Result<Self, Self::Error> {
        Self::ALL.get(index).copied().ok_or("there is no such stream of chunks")
    }
}

impl From<Lane> for usize {
    fn from(lane: Lane) -> Self {
        lane.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn lanes_take_turns_from_either() {
        let of = |upload: &str| {
            let upload = upload.parse().unwrap();
            (0..12).map(|chunk| Lane::of(upload, chunk).index()).collect::<Vec<_>>()
        };
        assert_eq!(of("1110000000000000000000000000000a"), [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]);
        assert_eq!(of("0000000000000000000000000000000b"), [1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]);
    }

    #[test]
    fn a_subject_is_of_one_lane() {
        let upload = UploadId::random();
        for lane in Lane::ALL {
            let subject = lane.subject(upload);
            let found: Vec<_> =
                Lane::ALL.into_iter().filter(|lane| lane.upload(&subject).is_some()).collect();
            assert_eq!(found, [lane], "{subject}");
            assert_eq!(lane.upload(&subject), Some(upload));
        }
    }
}
