//! Sends a window of a blob.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures::StreamExt;

use super::{
    Core,
    answer::{Reply, failed, told, unknown},
    blobs,
    protocol::{Code, Head, LONGEST_PIECE, LONGEST_WINDOW, Refused, Window, most_payload},
    source::Bytestream,
};

/// Bytes that are handed to the connection before it is waited for: what it has not sent yet is in
/// this daemon's memory.
const UNSENT: u64 = 1024 * 1024;

/// Sends the bytes that were asked for, or why there are none.
pub(super) async fn send(core: &Arc<Core>, reply: &mut Reply, asked: &Window) {
    if let Err(refused) = send_pieces(core, reply, asked).await {
        reply.send(&refused.into(), Bytes::new()).await;
    }
}

async fn send_pieces(core: &Arc<Core>, reply: &mut Reply, asked: &Window) -> Result<(), Refused> {
    let (size, range, mut bytes) = open(core, reply, asked).await?;
    let piece = most_payload(core.client.max_payload() as u64, asked.most).min(LONGEST_PIECE);
    let piece = usize::try_from(piece).unwrap_or(usize::MAX);
    let (mut offset, mut unsent) = (range.start, 0);
    let mut waiting = Bytes::new();
    loop {
        while waiting.is_empty() && offset < range.end {
            let next = bytes.next().await.ok_or_else(|| failed(EndedEarly))?;
            waiting = next.map_err(told)?;
        }
        let payload = waiting.split_to(piece.min(waiting.len()));
        let length = payload.len() as u64;
        let last = offset + length >= range.end;
        let head = Head { offset: Some(offset), size: Some(size), last, ..Head::new() };
        reply.send(&head, payload).await;
        core.counters.sent(length);
        offset += length;
        unsent += length;
        if last || unsent >= UNSENT {
            unsent = 0;
            reply.client.flush().await.map_err(failed)?;
        }
        if last {
            return Ok(());
        }
    }
}

/// The storage gave fewer bytes than the blob has.
#[derive(Debug, thiserror::Error)]
#[error("a stored blob ended early")]
struct EndedEarly;

/// The blob's size, which bytes of it are sent, and those.
async fn open(
    core: &Arc<Core>,
    reply: &mut Reply,
    asked: &Window,
) -> Result<(u64, Range<u64>, Bytestream), Refused> {
    let (repository, digest) = (&asked.repository, &asked.digest);
    let range = |size: u64| {
        let start = asked.offset.min(size);
        start..start.saturating_add(asked.length.min(LONGEST_WINDOW)).min(size)
    };
    if let Some(size) = core.size(repository, digest).await.map_err(failed)? {
        if asked.offset > size {
            return Err(Refused::new(Code::Malformed, format!("{digest} has {size} bytes only")));
        }
        let range = range(size);
        return Ok((size, range.clone(), blobs::stored(core, digest, range)));
    }
    let Some(source) = core.source(repository) else {
        return Err(unknown(&format!("{repository}@{digest}")));
    };
    source.onward().follow(reply).await?;
    let following = blobs::follow(core, repository, digest).await.map_err(told)?;
    let following = following.ok_or_else(|| unknown(&format!("{repository}@{digest}")))?;
    let range = range(following.size);
    Ok((following.size, range.clone(), following.stream(range)))
}
