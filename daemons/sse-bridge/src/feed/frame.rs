//! The text of Server-Sent Events (WHATWG HTML, 9.2).

use std::fmt::{self, Write};

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;

/// A comment that carries nothing: it tells both sides that the other is there.
pub(super) const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");

/// Text of one or more events under way.
#[derive(Debug, Default)]
pub struct Frame {
    text: BytesMut,
    /// Bytes of the `id` line that all share.
    id: usize,
}

/// Text of one or more events, shared by all who are sent it.
#[derive(Clone, Debug)]
pub(super) struct Written {
    bytes: Bytes,
    id: usize,
}

impl Frame {
    /// Empty, with room for as many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { text: BytesMut::with_capacity(bytes), id: 0 }
    }

    /// The `id` of what follows: it comes first.
    pub(crate) fn id(&mut self, id: &impl fmt::Display) {
        let _ = writeln!(self.text, "id: {id}");
        self.id = self.text.len();
    }

    /// An event. Each line of `data` is one of the event's; its line ends become `\n`.
    pub fn event(&mut self, name: &str, data: &str) {
        self.text.put_slice(b"event: ");
        self.text.put_slice(name.as_bytes());
        self.text.put_u8(b'\n');
        let mut rest = data;
        loop {
            let end = rest.find(['\r', '\n']).unwrap_or(rest.len());
            self.text.put_slice(b"data: ");
            self.text.put_slice(&rest.as_bytes()[..end]);
            self.text.put_u8(b'\n');
            if end == rest.len() {
                break;
            }
            rest = rest[end..].strip_prefix("\r\n").unwrap_or(&rest[end + 1..]);
        }
        self.text.put_u8(b'\n');
    }

    /// An event with JSON of one line.
    pub fn json(&mut self, name: &str, data: &impl Serialize) {
        self.event(name, &serde_json::to_string(data).unwrap_or_default());
    }

    /// Whole events that something else wrote, each ended by an empty line.
    pub fn raw(&mut self, events: &str) {
        self.text.put_slice(events.as_bytes());
    }

    /// Where an encoder writes an event by itself.
    pub(super) fn text(&mut self) -> &mut BytesMut {
        &mut self.text
    }

    /// What was written; nothing where there was an `id` alone.
    pub(super) fn written(self) -> Written {
        let Self { text, id } = self;
        if text.len() == id {
            Written { bytes: Bytes::new(), id: 0 }
        } else {
            Written { bytes: text.freeze(), id }
        }
    }

    /// What was written, as bytes for one client.
    pub(crate) fn bytes(self) -> Bytes {
        self.text.freeze()
    }
}

impl Written {
    /// With the `id` of its own stream, which is right for a client of that stream alone.
    pub(super) fn with_id(&self) -> Bytes {
        self.bytes.clone()
    }

    /// Without an `id`.
    pub(super) fn without_id(&self) -> Bytes {
        self.bytes.slice(self.id..)
    }

    /// Whether there is nothing to send.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_line_of_data_is_a_line_of_the_event() {
        let mut frame = Frame::default();
        frame.id(&"S:1:2");
        frame.event("told", "one\r\ntwo\rthree\nfour\n");
        let written = frame.written();
        let rest = "event: told\ndata: one\ndata: two\ndata: three\ndata: four\ndata: \n\n";
        assert_eq!(written.without_id(), rest);
        assert_eq!(written.with_id(), format!("id: S:1:2\n{rest}"));
    }

    #[test]
    fn an_id_alone_is_nothing() {
        let mut frame = Frame::default();
        frame.id(&"S:1:2");
        assert!(frame.written().is_empty());
    }
}
