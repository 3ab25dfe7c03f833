//! A stream: one push consumer in memory, made again at the next sequence whenever a message is
//! missing, a heartbeat does not come or the connection was lost.
//!
//! Invariant: a consumer is of the incarnation that the feed says. It is asked for before the consumer
//! is made and after; a stream that was made anew in between takes the consumer with it, and that
//! shows by its silence.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_nats::{Message as NatsMessage, Subscriber, connection::State};
use tokio::time::{Instant, sleep, timeout_at};

use super::{Pump, burst, wait};
use crate::feed::{
    encode::{Gap, Reason},
    jetstream::{Consumer, Delivery, JetStream, JetStreamError, Start, StreamInfo},
    message::{Event, Message, Stored},
    position::Incarnation,
    query::Kind,
    ring::{Item, Ring},
    shared::{Phase, ring_limits},
    subject::Pattern,
};

/// Why a consumer is made again.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    JetStream(#[from] JetStreamError),
    #[error("the stream was made anew meanwhile")]
    Remade,
    #[error("a message is missing")]
    Missing,
    #[error("nats-server says nothing")]
    Silent,
    #[error("the connection was lost")]
    Reconnected,
}

/// A consumer under way.
struct Session<'a> {
    stream: &'a Arc<str>,
    incarnation: Incarnation,
    consumer: Consumer,
    subscriber: Subscriber,
    /// Messages that the consumer has sent.
    number: u64,
    /// For a state that is read anew: what was there.
    there: Option<HashSet<Arc<str>>>,
}

impl Pump {
    pub(super) async fn stream(&self, jetstream: &JetStream, stream: &Arc<str>, filters: &[Pattern]) {
        let mut attempts = 0;
        loop {
            let connects = self.connects();
            let broken = match self.open(jetstream, stream, filters).await {
                Ok(mut session) => {
                    attempts = 0;
                    self.feed.begin();
                    let broken = self.follow(jetstream, &mut session, connects).await;
                    // A nats-server that is away would be waited for.
                    if self.client.connection_state() == State::Connected {
                        jetstream.forget(stream, &session.consumer.name).await;
                    }
                    broken
                }
                Err(broken) => broken,
            };
            tracing::debug!(stream.name = &**stream, "the consumer of {stream} is made again: {broken}");
            self.metrics.restarted(1);
            if let Broken::JetStream(error) = &broken
                && error.is_final()
                && matches!(*self.feed.changed.borrow(), Phase::Starting)
            {
                self.feed.changed.send_modify(|phase| *phase = Phase::Refused(error.to_string().into()));
                return;
            }
            sleep(wait(attempts)).await;
            attempts += 1;
        }
    }

    async fn open<'a>(
        &self,
        jetstream: &JetStream,
        stream: &'a Arc<str>,
        filters: &[Pattern],
    ) -> Result<Session<'a>, Broken> {
        let info = jetstream.info(stream).await?;
        let start = match self.feed.key.kind {
            Kind::Log => Start::Sequence(self.place(stream, &info)),
            Kind::State => Start::LastPerSubject,
        };
        let (inbox, subscriber) = jetstream.inbox().await?;
        let how = (inbox.as_str(), self.config.idle_heartbeat);
        let consumer = jetstream.push(stream, filters, start, how).await?;
        if jetstream.info(stream).await?.incarnation != info.incarnation {
            return Err(Broken::Remade);
        }
        let there = (self.feed.key.kind == Kind::State).then(HashSet::new);
        let mut session =
            Session { stream, incarnation: info.incarnation, consumer, subscriber, number: 0, there };
        if session.consumer.pending == 0 {
            self.whole(&mut session);
        }
        Ok(session)
    }

    /// Where a log goes on in the stream as it is now, after telling what it lost.
    fn place(&self, stream: &Arc<str>, info: &StreamInfo) -> u64 {
        let config = &self.config;
        let next = self.feed.log(|log| {
            log.last = info.last;
            let known = log.incarnation.replace(info.incarnation);
            if known != Some(info.incarnation) || log.ring.next() > info.last + 1 {
                // A stream that is new to the feed, or was made anew, or was restored from a copy: who
                // was elsewhere finds out by itself.
                let warm = (info.last + 1).saturating_sub(config.ring_warm).max(info.first);
                let next = if known == Some(info.incarnation) { info.last + 1 } else { warm };
                log.first = info.first;
                log.ring = Ring::starting_at(next, ring_limits(config));
            } else if log.ring.next() < info.first {
                let gap = Gap {
                    stream: Some(stream.as_ref().into()),
                    subject: None,
                    from: Some(log.ring.next()),
                    to: Some(info.first - 1),
                    reason: Reason::Expired,
                };
                log.ring.push(info.first - 1, Item::Gap(Arc::new(gap)));
            }
            log.ring.next()
        });
        self.feed.tell();
        next.unwrap_or(1)
    }

    /// Takes what the consumer sends until it breaks.
    async fn follow(&self, jetstream: &JetStream, session: &mut Session<'_>, connects: u64) -> Broken {
        let patience = self.config.idle_heartbeat.mul_f64(2.5);
        let mut messages = Vec::new();
        let mut heard = Instant::now();
        loop {
            // Looked at often: a nats-server that came back knows nothing of the consumer.
            let look = Instant::now() + Duration::from_millis(100).min(self.config.idle_heartbeat);
            match timeout_at(look, burst(&mut session.subscriber, &mut messages)).await {
                Ok(true) => heard = Instant::now(),
                Ok(false) => {
                    return Broken::JetStream(JetStreamError::Closed("its subscription ended".to_owned()));
                }
                Err(_) => {}
            }
            if self.connects() != connects {
                return Broken::Reconnected;
            }
            if heard.elapsed() > patience {
                return Broken::Silent;
            }
            if !messages.is_empty()
                && let Err(broken) = self.take_burst(jetstream, session, &mut messages).await
            {
                return broken;
            }
        }
    }

    async fn take_burst(
        &self,
        jetstream: &JetStream,
        session: &mut Session<'_>,
        messages: &mut Vec<NatsMessage>,
    ) -> Result<(), Broken> {
        let (mut events, mut whole, mut result) = (Vec::with_capacity(messages.len()), false, Ok(()));
        for message in messages.drain(..) {
            if message.status.is_some() {
                result = self.control(jetstream, session, &message).await;
            } else if let Some(delivery) = message.reply.as_deref().and_then(Delivery::of) {
                if delivery.number != session.number + 1 {
                    result = Err(Broken::Missing);
                } else {
                    session.number = delivery.number;
                    whole = delivery.pending == 0;
                    self.feed.lag.store(delivery.pending, Ordering::Relaxed);
                    events.push(event(session, &message, delivery));
                }
            }
            if result.is_err() {
                break;
            }
        }
        if !events.is_empty() {
            self.metrics.received(events.len() as u64);
            self.take_stored(session, events);
        }
        if whole && result.is_ok() {
            self.whole(session);
        }
        result
    }

    fn take_stored(&self, session: &mut Session<'_>, events: Vec<(u64, Event)>) {
        match self.feed.key.kind {
            Kind::Log => drop(self.feed.log(|log| {
                for (sequence, event) in events {
                    log.ring.push(sequence, Item::Event(Arc::new(event)));
                }
            })),
            Kind::State => drop(self.feed.state(|state| {
                for (_, event) in events {
                    if let Some(there) = &mut session.there {
                        there.insert(event.message.subject.as_ref().into());
                    }
                    state.latest.put(Arc::new(event));
                }
            })),
        }
        self.feed.tell();
    }

    /// The consumer has sent all that there was: a state is whole, and what was not there is gone.
    fn whole(&self, session: &mut Session<'_>) {
        let Some(there) = session.there.take() else { return };
        self.feed.state(|state| {
            state.latest.keep_only(&there);
            if state.whole.is_none() {
                state.whole = Some(state.latest.version());
            }
        });
        self.feed.tell();
    }

    /// Heartbeats and flow control.
    async fn control(
        &self,
        jetstream: &JetStream,
        session: &Session<'_>,
        message: &NatsMessage,
    ) -> Result<(), Broken> {
        let header = |name: &str| {
            message.headers.as_ref().and_then(|headers| headers.get(name)).map(|it| it.as_str().to_owned())
        };
        // Either asks for an answer before it sends more.
        let stalled = header("Nats-Consumer-Stalled");
        for reply in message.reply.as_deref().map(str::to_owned).into_iter().chain(stalled) {
            if let Err(error) = jetstream.client().publish(reply, bytes::Bytes::new()).await {
                return Err(JetStreamError::Closed(error.to_string()).into());
            }
        }
        match header("Nats-Last-Consumer").and_then(|last| last.parse::<u64>().ok()) {
            Some(last) if last != session.number => Err(Broken::Missing),
            _ => Ok(()),
        }
    }
}

fn event(session: &Session<'_>, message: &NatsMessage, delivery: Delivery) -> (u64, Event) {
    let stored = Stored {
        stream: Arc::clone(session.stream),
        incarnation: session.incarnation,
        sequence: delivery.sequence,
        time: delivery.time,
    };
    (delivery.sequence, Event::new(Message::of(message, Some(stored))))
}
