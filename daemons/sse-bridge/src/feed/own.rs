//! Events that the console makes by itself, answered under the same rules as others: they count among
//! a user's streams, end with the session, and carry heartbeats.

use std::{convert::Infallible, time::Duration};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    compress::{compressed, slot},
    encode::{End, EndReason},
    failure::Failure,
    frame::{Frame, HEARTBEAT},
    hub::Feeds,
};
use crate::Caller;

impl Feeds {
    /// Answers with events, until they end or the session does.
    ///
    /// # Errors
    /// When the user, or everybody together, has too many streams of events already.
    pub(crate) fn answer(
        &self,
        caller: &Caller,
        accept_encoding: Option<&str>,
        events: impl Stream<Item = Frame> + Send + 'static,
    ) -> Result<Response, Failure> {
        let inner = &self.0;
        let place = inner.limits.enter(&caller.name)?;
        let (session, shutdown, metrics) =
            (caller.ended.clone(), inner.shutdown.clone(), inner.metrics.clone());
        let mut beats = interval(inner.config.heartbeat.max(Duration::from_millis(10)));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let retry = Bytes::from(format!("retry: {}\n\n", inner.config.retry.as_millis()));
        let state = (Box::pin(events), beats, session, shutdown, place, false);
        let pieces =
            stream::unfold(state, move |(mut events, mut beats, session, shutdown, place, ended)| {
                let metrics = metrics.clone();
                async move {
                    if ended {
                        return None;
                    }
                    let (bytes, ended) = tokio::select! {
                        biased;
                        () = session.cancelled() => (end(EndReason::Session), true),
                        () = shutdown.cancelled() => (end(EndReason::Shutdown), true),
                        event = events.next() => (event?.bytes(), false),
                        _ = beats.tick() => (HEARTBEAT, false),
                    };
                    metrics.sent_bytes(bytes.len() as u64);
                    Some((bytes, (events, beats, session, shutdown, place, ended)))
                }
            });
        let pieces = stream::once(std::future::ready(retry)).chain(pieces);
        let slot = slot(accept_encoding, &inner.compressed);
        let brotli = slot.is_some();
        let mut response = Response::new(match slot {
            Some(slot) => Body::from_stream(compressed(pieces, slot).map(Ok::<_, Infallible>)),
            None => Body::from_stream(pieces.map(Ok::<_, Infallible>)),
        });
        super::route::of_events(response.headers_mut(), brotli);
        Ok(response)
    }
}

fn end(reason: EndReason) -> Bytes {
    let mut frame = Frame::default();
    frame.json("end", &End { reason, message: None });
    frame.bytes()
}
