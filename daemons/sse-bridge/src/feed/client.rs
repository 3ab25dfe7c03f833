//! One client: its cursors, as the body of an answer.
//!
//! No task runs for a client. hyper asks for the next piece when the last one has gone to the socket,
//! so that a client that does not read costs its place in each feed and nothing else.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, Stream, future::select_all, stream};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    cursor::{Cursor, Step},
    encode::{Encode, End, EndReason, Notice},
    frame::{Frame, HEARTBEAT},
    limits::Place,
    metrics::Metrics,
    out::{Out, Positions},
};

/// What a client is made of.
pub(super) struct Parts {
    pub(super) cursors: Vec<Cursor>,
    /// How many of them have positions.
    pub(super) streams: usize,
    pub(super) encode: Arc<dyn Encode>,
    pub(super) session: CancellationToken,
    pub(super) shutdown: CancellationToken,
    pub(super) heartbeat: Duration,
    pub(super) retry: Duration,
    pub(super) metrics: Metrics,
    pub(super) place: Place,
}

struct Client {
    cursors: Box<[Cursor]>,
    positions: Positions,
    encode: Arc<dyn Encode>,
    session: CancellationToken,
    shutdown: CancellationToken,
    heartbeat: Duration,
    beat: Pin<Box<Sleep>>,
    /// Whether something was sent since the last beat.
    sent: bool,
    preamble: Option<Bytes>,
    ended: bool,
    metrics: Metrics,
    _place: Place,
}

/// The events of a client, until they end.
pub(super) fn events(parts: Parts) -> impl Stream<Item = Bytes> + Send + 'static {
    let Parts { cursors, streams, encode, session, shutdown, heartbeat, retry, metrics, place } = parts;
    let client = Box::new(Client {
        positions: Positions::new(cursors.len(), streams),
        cursors: cursors.into(),
        encode,
        session,
        shutdown,
        heartbeat,
        beat: Box::pin(sleep(heartbeat)),
        sent: true,
        preamble: Some(format!("retry: {}\n\n", retry.as_millis()).into()),
        ended: false,
        metrics,
        _place: place,
    });
    stream::unfold(client, |mut client| async move {
        let bytes = client.next().await?;
        client.metrics.sent_bytes(bytes.len() as u64);
        Some((bytes, client))
    })
}

impl Client {
    /// What is sent next; nothing when all was.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.ended {
                return None;
            }
            // Looked at first: a client that is sent something all the time ends as soon as others.
            if self.session.is_cancelled() {
                return Some(self.end(EndReason::Session));
            }
            if self.shutdown.is_cancelled() {
                return Some(self.end(EndReason::Shutdown));
            }
            let (bytes, more) = self.take();
            if !bytes.is_empty() {
                self.sent = true;
                return Some(bytes);
            }
            if more {
                continue;
            }
            tokio::select! {
                () = self.session.cancelled() => {}
                () = self.shutdown.cancelled() => {}
                () = wait(&mut self.cursors) => {}
                () = &mut self.beat => {
                    let quiet = !std::mem::take(&mut self.sent);
                    self.beat.as_mut().reset(Instant::now() + self.heartbeat / 2);
                    if quiet {
                        return Some(HEARTBEAT);
                    }
                }
            }
        }
    }

    /// What the cursors have, and whether they may have more.
    fn take(&mut self) -> (Bytes, bool) {
        let encode = Arc::clone(&self.encode);
        let mut out = Out::new(&*encode, &mut self.positions);
        out.push(self.preamble.take().unwrap_or_default());
        let (mut more, mut end) = (false, None);
        for cursor in &mut self.cursors {
            loop {
                match cursor.take(&mut out) {
                    Step::Wait => break,
                    Step::More if out.is_full() => {
                        more = true;
                        break;
                    }
                    Step::More => {}
                    Step::End(reason) => {
                        end = Some(reason);
                        break;
                    }
                }
            }
        }
        if let Some(end) = end {
            self.ended = true;
            self.metrics.dropped_slow(u64::from(end.reason == EndReason::Slow));
            out.notice(&Notice::End(end), None);
        }
        self.metrics.sent(out.events);
        self.metrics.gap(out.gaps);
        (out.into_bytes(), more)
    }

    fn end(&mut self, reason: EndReason) -> Bytes {
        self.ended = true;
        let mut frame = Frame::default();
        self.encode.notice(&Notice::End(End { reason, message: None }), &mut frame);
        frame.bytes()
    }
}

/// Waits for any of the cursors.
async fn wait(cursors: &mut [Cursor]) {
    match cursors {
        [] => std::future::pending().await,
        [one] => one.wait().await,
        many => drop(select_all(many.iter_mut().map(|cursor| cursor.wait().boxed())).await),
    }
}
