//! Brotli (RFC 7932) over a stream of events: one encoder for as long as the client stays, flushed after
//! each piece, so that an event costs what is new in it.
//!
//! An encoder remembers what it sent, which differs from client to client, so that it cannot be shared.
//! Measured with events of 260 bytes: 62 bytes each, 350 kB of memory a client and 10 us of CPU an event,
//! which is as much again as without. So it is for the first so many clients only.

use std::{io::Write, sync::Arc};

use brotli::CompressorWriter;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The least at which an encoder looks back beyond one event: 0 and 1 compress each by itself.
const QUALITY: u32 = 2;
/// Bits of the window: 16 KiB hold some tens of events, which are what the next one is like.
const WINDOW: u32 = 14;
/// Bytes that are compressed at once.
const BUFFER: usize = 1024;

/// A place among those who are sent brotli.
#[derive(Debug)]
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
}

/// A place, if the client takes brotli and there is one.
pub(super) fn slot(accepted: Option<&str>, slots: &Arc<Semaphore>) -> Option<Slot> {
    if !accepts(accepted?) {
        return None;
    }
    Arc::clone(slots).try_acquire_owned().ok().map(|permit| Slot { _permit: permit })
}

/// Whether an `Accept-Encoding` has brotli in it (RFC 9110, 12.5.3).
fn accepts(text: &str) -> bool {
    text.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("br"));
        let refused = parts.filter_map(|part| part.split_once('=')).any(|(name, value)| {
            name.eq_ignore_ascii_case("q") && value.parse::<f32>().is_ok_and(|value| value <= 0.0)
        });
        named && !refused
    })
}

/// The events, compressed.
pub(super) fn compressed(
    events: impl Stream<Item = Bytes> + Send + 'static,
    slot: Slot,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let mut encoder = Encoder::new();
    events.map(move |bytes| {
        let _held = &slot;
        encoder.encode(&bytes)
    })
}

struct Encoder(CompressorWriter<Vec<u8>>);

impl Encoder {
    fn new() -> Self {
        Self(CompressorWriter::new(Vec::new(), BUFFER, QUALITY, WINDOW))
    }

    /// What a client that has all before it reads this from.
    fn encode(&mut self, bytes: &[u8]) -> Bytes {
        // A Vec takes all that is written to it.
        let written = self.0.write_all(bytes).and_then(|()| self.0.flush());
        debug_assert!(written.is_ok());
        std::mem::take(self.0.get_mut()).into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Read;

    use super::*;

    fn event(number: usize) -> String {
        format!(
            "id: EVENTS:ev2qk6gfw1c0:{number}\ndata: {{\"subject\":\"$SYS.ACCOUNT.LEAFBOX.CONNECT\",\"headers\":{{}},\
             \"data\":{{\"type\":\"io.nats.server.advisory.v1.client_connect\",\"id\":\"{:x}\",\"client\":\
             {{\"start\":\"2026-11-21T22:{:02}:09.123Z\",\"host\":\"127.0.0.1\",\"id\":{number},\"acc\":\"LEAFBOX\",\
             \"user\":\"till-{}\",\"lang\":\"rust\",\"ver\":\"0.51.0\",\"kind\":\"Client\"}}}},\"sequence\":{number}}}\n\n",
            number * 0x9e37_79b9_7f4a,
            number % 60,
            number % 7
        )
    }

    #[test]
    fn each_piece_can_be_read_when_it_has_come_and_costs_what_is_new() {
        let mut encoder = Encoder::new();
        let (mut sent, mut plain) = (Vec::new(), String::new());
        let mut sizes = Vec::new();
        for number in 0..100 {
            let text = event(number);
            let bytes = encoder.encode(text.as_bytes());
            sizes.push(bytes.len());
            sent.extend_from_slice(&bytes);
            plain.push_str(&text);
            // All but the stream's end: what there is so far is what was sent so far.
            let mut read = vec![0; plain.len()];
            brotli::Decompressor::new(&sent[..], 4096).read_exact(&mut read).unwrap();
            assert_eq!(read, plain.as_bytes());
        }
        let followers: usize = sizes[50..].iter().sum::<usize>() / 50;
        assert!(followers * 4 < plain.len() / 100, "{sizes:?}");
    }

    #[test]
    fn brotli_is_for_who_asks_for_it_while_there_is_room() {
        let slots = Arc::new(Semaphore::new(1));
        for text in ["gzip, deflate", "br;q=0", "br; q=0.0, gzip", "xbr", ""] {
            assert!(slot(Some(text), &slots).is_none(), "{text}");
        }
        assert!(slot(None, &slots).is_none());
        for text in ["br", "gzip, deflate, br, zstd", "BR;q=0.5"] {
            let held = slot(Some(text), &slots);
            assert!(held.is_some(), "{text}");
            assert!(slot(Some(text), &slots).is_none(), "more than there is room for");
        }
    }
}
