//! Bodies on their way in and out: counted, and never waited for without end.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::{metrics::Metrics, storage::BodyError};

/// How long a client may take for the next [`PROGRESS`] bytes. What this node itself takes to store
/// them does not count.
const STALL: Duration = Duration::from_secs(60);
/// Bytes that are progress: a client that sends one a minute holds on to memory, and is not slow but
/// hostile. The slowest modem brings more.
const PROGRESS: usize = 4096;
/// Bytes of a refused body that are still read. A client that is cut off while it sends often never
/// reads why.
const DRAINED: usize = 16 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Why a body ended before it should. It is what a [`BodyError`] holds.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cut {
    /// The connection failed, or what came over it is no HTTP.
    #[error("the client is gone: {0}")]
    Gone(#[source] axum::BoxError),
    /// Too little came in too long a time.
    #[error("the client sent next to nothing for {STALL:?}: go on with the upload where it stopped")]
    Stalled,
    /// The client said that there were fewer bytes.
    #[error("the body is longer than its `Content-Range`: ask how far the upload is, and go on there")]
    TooLong,
    /// The client said that there were more bytes.
    #[error("the body is shorter than its `Content-Range`: ask how far the upload is, and go on there")]
    TooShort,
}

impl From<Cut> for BodyError {
    fn from(cut: Cut) -> Self {
        Self(Box::new(cut))
    }
}

/// The body of a request.
pub(crate) struct Arriving {
    body: BodyDataStream,
    metrics: Metrics,
    /// Bytes in this window, and for how long they were waited for.
    bytes: usize,
    waited: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    /// Bytes that may still come, where the client said how many.
    left: Option<u64>,
    ended: bool,
}

impl Arriving {
    pub(crate) fn new(body: Body, metrics: Metrics) -> Self {
        Self {
            body: body.into_data_stream(),
            metrics,
            bytes: 0,
            waited: Duration::ZERO,
            waiting: None,
            left: None,
            ended: false,
        }
    }

    /// Takes exactly so many bytes: more or fewer are an error.
    pub(crate) fn expect(&mut self, bytes: u64) {
        self.left = Some(bytes);
    }

    /// Reads the rest of a body that nobody wants, within bounds.
    pub(crate) async fn drain(&mut self) {
        self.left = None;
        let rest = async {
            let mut drained = 0;
            while let Some(Ok(bytes)) = self.next().await {
                drained += bytes.len();
                if drained > DRAINED {
                    break;
                }
            }
        };
        let _ = timeout(DRAIN_TIME, rest).await;
    }

    /// All of it.
    ///
    /// # Errors
    /// As soon as it is longer than `limit`.
    pub(crate) async fn whole(&mut self, limit: u64) -> Result<Vec<u8>, Unread> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.next().await {
            let bytes = bytes.map_err(Unread::Body)?;
            if (whole.len() + bytes.len()) as u64 > limit {
                return Err(Unread::TooLong(limit));
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole)
    }

    fn arrived(&mut self, bytes: Bytes) -> Result<Bytes, BodyError> {
        self.metrics.received(bytes.len());
        if let Some((since, _)) = self.waiting.take() {
            self.waited += since.elapsed();
        }
        self.bytes += bytes.len();
        if self.bytes >= PROGRESS {
            (self.bytes, self.waited) = (0, Duration::ZERO);
        }
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(bytes.len() as u64).ok_or(Cut::TooLong)?;
        }
        Ok(bytes)
    }
}

impl Stream for Arriving {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = match self.body.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(bytes))) => Some(self.arrived(bytes)),
            Poll::Ready(Some(Err(source))) => Some(Err(Cut::Gone(source.into_inner()).into())),
            Poll::Ready(None) if self.left.is_some_and(|left| left > 0) => Some(Err(Cut::TooShort.into())),
            Poll::Ready(None) => None,
            Poll::Pending => {
                let deadline = Instant::now() + STALL.saturating_sub(self.waited);
                let (_, sleep) =
                    self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep_until(deadline))));
                if sleep.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                Some(Err(Cut::Stalled.into()))
            }
        };
        self.ended = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }
}

/// A body that was to be read whole, and was not.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It is longer than these bytes.
    TooLong(u64),
    /// It did not arrive.
    Body(BodyError),
}

/// A body that is counted on its way out.
pub(crate) fn leaving<E>(
    bytes: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    metrics: Metrics,
) -> Body
where
    E: std::error::Error + Send + Sync + 'static,
{
    Body::from_stream(bytes.inspect(move |bytes| match bytes {
        Ok(bytes) => metrics.sent(bytes.len()),
        // The status is sent already: all that can be done is to cut the connection short, which hyper
        // does, so that the client knows that it does not have the whole.
        Err(error) => tracing::warn!("a blob could not be sent to its end: {error}"),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::convert::Infallible;

    use futures::stream;
    use tokio::time::sleep;

    use super::*;

    /// A body of pieces of this length, each after a wait.
    fn arriving(pieces: usize, length: usize, wait: Duration) -> Arriving {
        let pieces = stream::iter(0..pieces).then(move |_| async move {
            sleep(wait).await;
            Ok::<_, Infallible>(Bytes::from(vec![1; length]))
        });
        Arriving::new(Body::from_stream(pieces), Metrics::default())
    }

    fn why(error: &BodyError) -> &Cut {
        error.0.downcast_ref().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_is_heard_to_its_end() {
        let mut body = arriving(100, PROGRESS, Duration::from_secs(50));
        let Ok(whole) = body.whole(u64::MAX).await else { panic!("it was cut") };
        assert_eq!(whole.len(), 100 * PROGRESS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_next_to_nothing_is_not() {
        for (length, wait) in [(1, 1), (PROGRESS / 100, 1), (1, 59), (PROGRESS, 61)] {
            let mut body = arriving(1000, length, Duration::from_secs(wait));
            let began = Instant::now();
            let Err(Unread::Body(error)) = body.whole(u64::MAX).await else { panic!("{length} in {wait} s") };
            assert!(matches!(why(&error), Cut::Stalled), "{error}");
            assert!(began.elapsed() <= 2 * STALL);
            assert!(body.next().await.is_none(), "it ends after an error");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_registry_takes_to_store_it_is_not_the_clients_fault() {
        let mut body = arriving(10, 1, Duration::from_secs(5));
        let mut pieces = 0;
        while let Some(piece) = body.next().await {
            pieces += piece.unwrap().len();
            sleep(Duration::from_secs(100)).await;
        }
        assert_eq!(pieces, 10);
    }

    #[tokio::test]
    async fn a_body_is_as_long_as_it_was_said_to_be() {
        let of = async |expected| {
            let mut body = arriving(3, 4, Duration::ZERO);
            body.expect(expected);
            body.whole(u64::MAX).await
        };
        assert!(matches!(of(12).await, Ok(whole) if whole.len() == 12));
        let Err(Unread::Body(error)) = of(11).await else { panic!("it is longer") };
        assert!(matches!(why(&error), Cut::TooLong), "{error}");
        let Err(Unread::Body(error)) = of(13).await else { panic!("it is shorter") };
        assert!(matches!(why(&error), Cut::TooShort), "{error}");
        assert!(matches!(arriving(3, 4, Duration::ZERO).whole(11).await, Err(Unread::TooLong(11))));
    }
}
