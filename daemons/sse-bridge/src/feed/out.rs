//! What one client is about to be sent, and the `id` that goes with it.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    encode::{Encode, Notice},
    frame::{Frame, Written},
    position::{LastEventId, Position},
};

/// More than this is left for the next time: what a client does not take stays shared, in the feed.
const ENOUGH: usize = 16 << 10;

/// What one client is about to be sent.
pub(super) struct Out<'a> {
    encode: &'a dyn Encode,
    positions: &'a mut Positions,
    parts: Vec<Bytes>,
    bytes: usize,
    /// Messages among it.
    pub(super) events: u64,
    /// Gaps among it.
    pub(super) gaps: u64,
}

/// Where a client is in each stream that it follows.
#[derive(Debug, Default)]
pub(super) struct Positions {
    by_cursor: Vec<Option<Position>>,
    /// Cursors that will have one.
    streams: usize,
}

impl Positions {
    pub(super) fn new(cursors: usize, streams: usize) -> Self {
        Self { by_cursor: vec![None; cursors], streams }
    }

    fn id(&self) -> LastEventId {
        LastEventId(self.by_cursor.iter().flatten().cloned().collect())
    }

    /// Whether each stream's is known: an `id` with less would lose the others' on resuming.
    fn are_whole(&self) -> bool {
        self.by_cursor.iter().flatten().count() == self.streams
    }
}

impl<'a> Out<'a> {
    pub(super) fn new(encode: &'a dyn Encode, positions: &'a mut Positions) -> Self {
        Self { encode, positions, parts: Vec::new(), bytes: 0, events: 0, gaps: 0 }
    }

    pub(super) fn encode(&self) -> &'a dyn Encode {
        self.encode
    }

    /// Whether the rest is left for the next time.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= ENOUGH
    }

    /// A message, and where its cursor is then.
    pub(super) fn message(&mut self, cursor: usize, written: &Written, position: Option<Position>) {
        let resumes = position.is_some() && self.encode.resumes();
        if position.is_some() {
            self.positions.by_cursor[cursor] = position;
        }
        if written.is_empty() {
            return;
        }
        self.events += 1;
        if resumes && self.positions.streams > 1 {
            self.push_id("");
            self.push(written.without_id());
        } else {
            self.push(written.with_id());
        }
    }

    /// Something else, and where its cursor is then.
    pub(super) fn notice(&mut self, notice: &Notice, at: Option<(usize, Position)>) {
        self.gaps += u64::from(matches!(notice, Notice::Gap(_)));
        if let Some((cursor, position)) = at {
            self.positions.by_cursor[cursor] = Some(position);
            self.push_id("");
        }
        let mut frame = Frame::default();
        self.encode.notice(notice, &mut frame);
        self.push(frame.bytes());
    }

    /// Where a cursor is before it was sent anything: who is cut off now resumes from here.
    pub(super) fn begins(&mut self, cursor: usize, position: Position) {
        self.positions.by_cursor[cursor] = Some(position);
        self.push_id("\n");
    }

    fn push_id(&mut self, end: &str) {
        if self.encode.resumes() && self.positions.are_whole() {
            self.push(format!("id: {}\n{end}", self.positions.id()).into());
        }
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.bytes += bytes.len();
            self.parts.push(bytes);
        }
    }

    /// All of it: as it is where it is one piece, which everybody shares.
    pub(super) fn into_bytes(mut self) -> Bytes {
        if self.parts.len() == 1 {
            return self.parts.swap_remove(0);
        }
        let mut all = BytesMut::with_capacity(self.bytes);
        for part in self.parts {
            all.put_slice(&part);
        }
        all.freeze()
    }
}
