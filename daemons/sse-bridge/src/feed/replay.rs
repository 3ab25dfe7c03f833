//! What one client missed and the ring of its feed has not: read from the stream for it alone, as fast
//! as the client takes it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_nats::Subscriber;
use futures::{FutureExt, StreamExt};
use time::OffsetDateTime;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    config::FeedConfig,
    encode::{Gap, Reason},
    jetstream::{Consumer, Delivery, JetStream, JetStreamError, Start, StreamInfo},
    message::{Message, Stored},
    metrics::Metrics,
    position::Incarnation,
    query::Since,
    shared::Feed,
    subject::Pattern,
};

/// Of one pull: what a client that stops reading holds.
const PULL: (usize, Option<usize>) = (128, Some(256 << 10));
/// How long nats-server may take for a pull.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a client wants to begin.
#[derive(Clone, Copy, Debug)]
pub(super) enum From {
    /// Where it was.
    Position { incarnation: Incarnation, next: u64 },
    /// As its request says.
    Since(Since),
}

/// Where it may begin, and what it has to be told before.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) incarnation: Incarnation,
    pub(super) next: u64,
    pub(super) last: u64,
    pub(super) gaps: Vec<Gap>,
    /// What the ring has not. None where there is nothing to read.
    pub(super) replay: Option<Replay>,
}

/// A client could not be told where it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    #[error(transparent)]
    JetStream(#[from] JetStreamError),
    #[error("the stream was made anew meanwhile")]
    Remade,
}

/// What is needed to find a client's place.
#[derive(Clone, Debug)]
pub(super) struct Locate {
    pub(super) jetstream: JetStream,
    pub(super) feed: Arc<Feed>,
    pub(super) stream: Arc<str>,
    pub(super) filters: Vec<Pattern>,
    pub(super) config: Arc<FeedConfig>,
    pub(super) slots: Arc<Semaphore>,
    pub(super) metrics: Metrics,
}

impl Locate {
    /// Finds where a client begins, and begins to read what the ring has not. Waits for its turn where
    /// many replay.
    pub(super) async fn find(self, from: From) -> Result<Located, ReplayError> {
        let info = self.jetstream.info(&self.stream).await?;
        let mut located = Located {
            incarnation: info.incarnation,
            next: info.last + 1,
            last: info.last,
            gaps: Vec::new(),
            replay: None,
        };
        match from {
            From::Position { incarnation, next } if incarnation != info.incarnation => {
                located.gaps.push(self.gap(next, None, Reason::Remade));
                located.next = info.first;
            }
            From::Position { next, .. } if next > info.last + 1 => {
                located.gaps.push(self.gap(info.last + 1, Some(next - 1), Reason::Rewound));
            }
            From::Position { next, .. } => {
                if next < info.first {
                    located.gaps.push(self.gap(next, Some(info.first - 1), Reason::Expired));
                }
                located.next = next.max(info.first);
            }
            From::Since(since) => located.next = self.since(since, &info).await?,
        }
        let in_ring = self
            .feed
            .log(|log| log.incarnation == Some(info.incarnation) && log.ring.floor() <= located.next);
        if in_ring != Some(true) && located.next <= info.last {
            self.replay(&mut located, &info).await?;
        }
        Ok(located)
    }

    async fn replay(&self, located: &mut Located, info: &StreamInfo) -> Result<(), ReplayError> {
        let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return Ok(()) };
        // Read before the consumer is made: what it has by then is all that the ring has not.
        let floor =
            self.feed.log(|log| (log.incarnation == Some(info.incarnation)).then(|| log.ring.floor()));
        let floor = floor.flatten().unwrap_or_default();
        let most = self.config.replay_messages;
        let (inbox, subscriber) = self.jetstream.inbox().await?;
        let mut consumer =
            self.jetstream.pull(&self.stream, &self.filters, Start::Sequence(located.next)).await?;
        if consumer.pending > most {
            self.jetstream.forget(&self.stream, &consumer.name).await;
            let next = (info.last + 1).saturating_sub(most).max(located.next);
            located.gaps.push(self.gap(located.next, Some(next - 1), Reason::TooMany));
            located.next = next;
            consumer = self.jetstream.pull(&self.stream, &self.filters, Start::Sequence(next)).await?;
        }
        if self.jetstream.info(&self.stream).await?.incarnation != info.incarnation {
            return Err(ReplayError::Remade);
        }
        self.metrics.replay(1);
        located.replay = Some(Replay {
            locate: self.clone(),
            incarnation: info.incarnation,
            inbox,
            subscriber,
            consumer,
            floor,
            one: false,
            asked: 0,
            number: 0,
            bytes: 0,
            ready: VecDeque::new(),
            _slot: slot,
        });
        Ok(())
    }

    fn gap(&self, from: u64, to: Option<u64>, reason: Reason) -> Gap {
        Gap { stream: Some(self.stream.as_ref().into()), subject: None, from: Some(from), to, reason }
    }

    async fn since(&self, since: Since, info: &StreamInfo) -> Result<u64, ReplayError> {
        match since {
            Since::Now | Since::Messages(0) => Ok(info.last + 1),
            Since::All => Ok(info.first),
            Since::Messages(count) => self.newest(count, info).await,
            Since::Within(within) => {
                let time = OffsetDateTime::now_utc() - within;
                Ok(self.probe(Start::Time(time)).await?.begins.clamp(info.first, info.last + 1))
            }
        }
    }

    /// The sequence from which on there are as many messages that match: the server counts them, and
    /// halving finds it in some twenty steps whatever the stream's size.
    async fn newest(&self, count: u64, info: &StreamInfo) -> Result<u64, ReplayError> {
        let (mut low, mut high) = (info.first, info.last + 1);
        if self.probe(Start::Sequence(low)).await?.pending <= count {
            return Ok(low);
        }
        // From `low` on there are more, from `high` on there are at most as many.
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.probe(Start::Sequence(middle)).await?.pending > count {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(high)
    }

    /// A consumer that is made to ask what it would send.
    async fn probe(&self, start: Start) -> Result<Consumer, ReplayError> {
        let consumer = self.jetstream.pull(&self.stream, &self.filters, start).await?;
        self.jetstream.forget(&self.stream, &consumer.name).await;
        Ok(consumer)
    }
}

/// Messages on their way to one client.
#[derive(Debug)]
pub(super) struct Replay {
    locate: Locate,
    incarnation: Incarnation,
    inbox: String,
    subscriber: Subscriber,
    consumer: Consumer,
    /// Where the ring began before this did: when all is read, the client is there.
    floor: u64,
    /// The next message is larger than a pull.
    one: bool,
    /// Messages of the last pull that did not come yet.
    asked: usize,
    number: u64,
    bytes: u64,
    ready: VecDeque<Message>,
    _slot: OwnedSemaphorePermit,
}

/// What a replay comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// Messages, to be had with [`Replay::pop`].
    Messages,
    /// All was read: the client has everything before this sequence.
    Whole { next: u64 },
    /// It is more than one client is replayed.
    TooMuch,
    /// It is to be begun anew where the client is.
    Broken,
}

impl Replay {
    /// A message that has come.
    pub(super) fn pop(&mut self) -> Option<Message> {
        self.ready.pop_front()
    }

    /// Waits for more. It may be dropped and called again: nothing is lost.
    pub(super) async fn come(&mut self) -> Came {
        if self.bytes > self.locate.config.replay_bytes {
            return Came::TooMuch;
        }
        if self.consumer.pending == 0 {
            return Came::Whole { next: self.floor };
        }
        if self.asked == 0 {
            let Locate { jetstream, stream, .. } = &self.locate;
            let pull = if self.one { (1, None) } else { PULL };
            if jetstream.pull_more(stream, &self.consumer.name, &self.inbox, pull).await.is_err() {
                return Came::Broken;
            }
            self.asked = pull.0;
        }
        let Ok(Some(mut message)) = timeout(PATIENCE, self.subscriber.next()).await else {
            return Came::Broken;
        };
        loop {
            if !self.take(&message) {
                return Came::Broken;
            }
            match self.subscriber.next().now_or_never() {
                Some(Some(next)) if self.ready.len() < PULL.0 => message = next,
                // It is lost with the turn, and shows as a missing number.
                Some(Some(_)) | Some(None) => return Came::Broken,
                None => return Came::Messages,
            }
        }
    }

    /// Takes what came; false where it is not what was to come.
    fn take(&mut self, message: &async_nats::Message) -> bool {
        if let Some(status) = message.status {
            // Fewer than were asked for, or less than would fit: ask again. A consumer that has gone says 409 too.
            self.asked = 0;
            self.one = message.description.as_deref().is_some_and(|text| text.contains("MaxBytes"));
            let deleted = message.description.as_deref().is_some_and(|text| text.contains("Deleted"));
            return matches!(status.as_u16(), 404 | 408 | 409) && !deleted;
        }
        let Some(delivery) = message.reply.as_deref().and_then(Delivery::of) else { return false };
        if delivery.number != self.number + 1 {
            return false;
        }
        self.number = delivery.number;
        self.one = false;
        self.asked = self.asked.saturating_sub(1);
        self.consumer.pending = delivery.pending;
        self.bytes += message.payload.len() as u64;
        self.locate.metrics.replayed(1);
        let stored = Stored {
            stream: Arc::clone(&self.locate.stream),
            incarnation: self.incarnation,
            sequence: delivery.sequence,
            time: delivery.time,
        };
        self.ready.push_back(Message::of(message, Some(stored)));
        true
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        let (jetstream, stream) = (self.locate.jetstream.clone(), Arc::clone(&self.locate.stream));
        let name = std::mem::take(&mut self.consumer.name);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { jetstream.forget(&stream, &name).await });
        }
    }
}
