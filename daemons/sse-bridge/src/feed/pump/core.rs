//! A subject of core NATS: what is published while somebody watches.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::{Pump, burst};
use crate::feed::{
    encode::{Gap, Reason},
    message::{Event, Message},
    query::Kind,
    ring::Item,
    subject::Pattern,
};

/// How often it is asked whether the connection was lost.
const LOOK: Duration = Duration::from_millis(250);

impl Pump {
    pub(super) async fn core(&self, subject: &Pattern) {
        let mut connects = self.connects();
        let mut subscriber = match self.client.subscribe(subject.as_str().to_owned()).await {
            Ok(subscriber) => subscriber,
            Err(error) => {
                let text = format!("{subject} cannot be subscribed to: {error}");
                self.feed
                    .changed
                    .send_modify(|phase| *phase = crate::feed::shared::Phase::Refused(text.into()));
                return;
            }
        };
        self.feed.state(|state| state.whole = Some(0));
        self.feed.begin();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut messages = Vec::new();
        loop {
            tokio::select! {
                more = burst(&mut subscriber, &mut messages) => {
                    if !more {
                        return;
                    }
                }
                _ = look.tick() => {}
            }
            let now = self.connects();
            if now != connects {
                // 0 is the first time: nothing was missed that could have been heard.
                if connects > 0 {
                    self.missed(subject);
                }
                connects = now;
            }
            if !messages.is_empty() {
                self.metrics.received(messages.len() as u64);
                let events: Vec<_> =
                    messages.drain(..).map(|message| Event::new(Message::of(&message, None))).collect();
                self.take(events);
                self.feed.tell();
            }
        }
    }

    fn take(&self, events: Vec<Event>) {
        match self.feed.key.kind {
            Kind::Log => drop(self.feed.log(|log| {
                for event in events {
                    let next = log.ring.next();
                    log.ring.push(next, Item::Event(Arc::new(event)));
                }
            })),
            Kind::State => drop(self.feed.state(|state| {
                for event in events {
                    state.latest.put(Arc::new(event));
                }
            })),
        }
    }

    /// What was published while the connection was away is kept nowhere. The latest of a subject is
    /// still the latest that is known.
    fn missed(&self, subject: &Pattern) {
        self.feed.log(|log| {
            let gap = Gap {
                stream: None,
                subject: Some(subject.as_str().into()),
                from: None,
                to: None,
                reason: Reason::Disconnected,
            };
            let next = log.ring.next();
            log.ring.push(next, Item::Gap(Arc::new(gap)));
        });
        self.feed.tell();
    }
}
