//! A message as feeds keep it, and its text in each format, which is made once.

use std::sync::{Arc, Mutex, PoisonError};

use async_nats::HeaderMap;
use bytes::Bytes;
use time::OffsetDateTime;

use super::{
    encode::Encode,
    frame::{Frame, Written},
    position::{Incarnation, Position},
};

/// A message of a subject or a stream.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its subject, without wildcards.
    pub subject: Box<str>,
    /// Its headers, if it has any.
    pub headers: Option<Box<HeaderMap>>,
    /// Its payload, in memory of its own.
    pub payload: Bytes,
    /// Where it is kept, if a stream keeps it.
    pub stored: Option<Stored>,
}

/// Where a message is kept.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The stream's name.
    pub stream: Arc<str>,
    /// Which of the streams of that name.
    pub incarnation: Incarnation,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When it was stored.
    pub time: OffsetDateTime,
}

impl Message {
    /// From what the client library read. A payload there is a slice of a read buffer, which would
    /// live as long as it: what is kept is copied.
    pub(super) fn of(message: &async_nats::Message, stored: Option<Stored>) -> Self {
        Self {
            subject: message.subject.as_str().into(),
            headers: message.headers.clone().filter(|headers| !headers.is_empty()).map(Box::new),
            payload: Bytes::copy_from_slice(&message.payload),
            stored,
        }
    }

    /// Memory that it takes, roughly, with its text in one format.
    pub(super) fn weight(&self) -> usize {
        const ENTRY: usize = 320;
        let headers = self.headers.iter().flat_map(|headers| headers.iter());
        let headers: usize = headers
            .flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
            .map(|(name, value)| 64 + AsRef::<str>::as_ref(name).len() + value.as_str().len())
            .sum();
        ENTRY + 2 * (self.subject.len() + headers + self.payload.len())
    }

    /// Its `id`, if a stream keeps it.
    pub fn position(&self) -> Option<Position> {
        self.stored.as_ref().map(|stored| Position {
            stream: Arc::clone(&stored.stream),
            incarnation: stored.incarnation,
            sequence: stored.sequence,
        })
    }
}

/// A message that many clients are sent.
#[derive(Debug)]
pub(super) struct Event {
    /// The message.
    pub(super) message: Message,
    /// By the format's name. Whoever is first writes it; nobody else pays.
    written: Mutex<Vec<(&'static str, Written)>>,
}

impl Event {
    /// An event that nobody was sent yet.
    pub(super) fn new(message: Message) -> Self {
        Self { message, written: Mutex::default() }
    }

    /// Its text in a format, shared by all who ask.
    pub(super) fn written(&self, encode: &dyn Encode) -> Written {
        let mut all = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, written)) = all.iter().find(|(name, _)| *name == encode.name()) {
            return written.clone();
        }
        let written = write(&self.message, encode);
        all.push((encode.name(), written.clone()));
        written
    }
}

/// The text of a message that only one client is sent.
pub(super) fn write(message: &Message, encode: &dyn Encode) -> Written {
    let mut frame = Frame::with_capacity(message.payload.len() + 192);
    if let (true, Some(position)) = (encode.resumes(), message.position()) {
        frame.id(&position);
    }
    encode.message(message, &mut frame);
    frame.written()
}
