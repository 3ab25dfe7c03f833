//! Audit events: who did what, in the stream `LEAFBOX_AUDIT`, which each JetStream domain has one of.
//!
//! An event is at `leafbox.audit.<node>.<daemon>.<what>`. It stays where it happened: nothing takes it
//! from a leaf to the hub. Requests never wait for one: a queue of
//! bounded length is emptied by a task of its own, which repeats what JetStream did not acknowledge.
//! What the queue cannot take is dropped, counted and logged.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::{
    Client, HeaderMap,
    header::NATS_MESSAGE_ID,
    jetstream::{self, context::PublishError},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    Backoff,
    clock::{Seconds, now},
};

/// Events that wait at most; each is under a KiB.
const QUEUE: usize = 1024;
/// How long what waits at the end may take.
const DRAIN: Duration = Duration::from_secs(6);

/// What a daemon tells of. In JSON each is a name of small letters and hyphens, which is the last token
/// of the subject too.
pub trait What: Serialize {
    /// The daemon's token in the subject.
    const DAEMON: &'static str;
    /// What its events say beside what all of them do: optional fields, with other names.
    type About: Default + Serialize;
}

/// One event. Make it with [`Event::new`] and set the fields that it is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "W: Deserialize<'de>, W::About: Deserialize<'de>"))]
pub struct Event<W: What> {
    /// What happened.
    pub what: W,
    /// When, by this node's clock.
    pub at: Seconds,
    /// Who did it: a name that the daemon knows, `command`, or the name that was given in vain.
    pub who: String,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// What it is about.
    #[serde(flatten)]
    pub about: W::About,
    /// More in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl<W: What> Event<W> {
    /// An event of now.
    pub fn new(what: W, who: impl Into<String>) -> Self {
        Self { what, at: now(), who: who.into(), peer: None, about: W::About::default(), detail: None }
    }
}

/// Takes events. Clones share the queue; the [`Publisher`] ends when all are dropped.
#[derive(Debug)]
pub struct Audit<W: What> {
    queue: mpsc::Sender<Event<W>>,
    dropped: Arc<AtomicU64>,
}

impl<W: What> Clone for Audit<W> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), dropped: Arc::clone(&self.dropped) }
    }
}

/// Publishes what an [`Audit`] takes.
#[derive(Debug)]
pub struct Publisher<W: What> {
    queue: mpsc::Receiver<Event<W>>,
    dropped: Arc<AtomicU64>,
    context: jetstream::Context,
    subject: String,
}

/// A queue of audit events of this node, and what publishes them with a client of `LEAFBOX`.
pub fn channel<W: What>(client: &Client, node: &str) -> (Audit<W>, Publisher<W>) {
    let (sender, queue) = mpsc::channel(QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    let audit = Audit { queue: sender, dropped: Arc::clone(&dropped) };
    let mut context = jetstream::new(client.clone());
    context.set_timeout(Duration::from_secs(5));
    let subject = format!("leafbox.audit.{node}.{}", W::DAEMON);
    (audit, Publisher { queue, dropped, context, subject })
}

impl<W: What> Audit<W> {
    /// Takes an event, at once.
    pub fn record(&self, event: Event<W>) {
        if let Err(error) = self.queue.try_send(event) {
            lose(W::DAEMON, &self.dropped, 1, &error);
        }
    }

    /// Events that were lost since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The last token of the subject: what the event itself says.
fn token(what: &impl Serialize) -> String {
    match serde_json::to_value(what) {
        Ok(Value::String(name)) => name,
        other => unreachable!("what happened is a name in JSON, not {other:?}"),
    }
}

/// Counts lost events, and tells of the 1st, 2nd, 4th, 8th and so on: a line for each would drown the
/// log just when something is wrong.
fn lose(daemon: &str, dropped: &AtomicU64, count: u64, why: &dyn std::fmt::Display) {
    if count == 0 {
        return;
    }
    let before = dropped.fetch_add(count, Ordering::Relaxed);
    let after = before + count;
    if before.checked_ilog2() != after.checked_ilog2() {
        tracing::warn!(
            audit.daemon = daemon,
            audit.dropped = after,
            "{after} audit events of {daemon} were lost since the start ({why}): look whether the stream LEAFBOX_AUDIT takes writes"
        );
    }
}

impl<W: What> Publisher<W> {
    /// Publishes events in order until every [`Audit`] is dropped, or `finish` is cancelled and the
    /// queue is empty: it may take 6 s more then. `finish` comes after the last request, not with the
    /// signal to stop.
    pub async fn run(mut self, finish: CancellationToken) {
        let deadline = async {
            finish.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::pin!(deadline);
        loop {
            let event = tokio::select! {
                biased;
                event = self.queue.recv() => event,
                () = finish.cancelled() => None,
            };
            let Some(event) = event else { return };
            tokio::select! {
                () = self.publish(&event) => {}
                () = &mut deadline => {
                    lose(W::DAEMON, &self.dropped, 1 + self.queue.len() as u64, &"the daemon stopped");
                    return;
                }
            }
        }
    }

    /// Publishes one, again and again until JetStream has it; the id makes it one in the stream.
    async fn publish(&self, event: &Event<W>) {
        let id = format!("{:032x}", rand::random::<u128>());
        let payload = serde_json::to_vec(event).expect("an event is plain JSON");
        let subject = format!("{}.{}", self.subject, token(&event.what));
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        loop {
            match self.publish_once(&subject, &id, payload.clone()).await {
                Ok(()) => return,
                Err(error) => tracing::debug!("the audit event {subject} is not stored yet: {error}"),
            }
            tokio::time::sleep(backoff.wait()).await;
        }
    }

    async fn publish_once(&self, subject: &str, id: &str, payload: Vec<u8>) -> Result<(), PublishError> {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, id);
        let sent = self.context.publish_with_headers(subject.to_owned(), headers, payload.into()).await?;
        sent.await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Baked {
        BreadBurnt,
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct About {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        loaves: Option<u32>,
    }

    impl What for Baked {
        const DAEMON: &'static str = "oven";
        type About = About;
    }

    #[test]
    fn the_subject_says_what_the_event_says_and_details_stand_beside_it() {
        let plain = Event { at: 7, ..Event::new(Baked::BreadBurnt, "ada") };
        let text = serde_json::to_value(&plain).unwrap();
        assert_eq!(text, json!({ "what": "bread-burnt", "at": 7, "who": "ada" }));
        assert_eq!(text["what"], token(&plain.what));
        let full = Event { about: About { loaves: Some(3) }, detail: Some("dark".into()), ..plain };
        let text = serde_json::to_value(&full).unwrap();
        assert_eq!((&text["loaves"], &text["detail"]), (&json!(3), &json!("dark")));
        assert_eq!(serde_json::from_value::<Event<Baked>>(text).unwrap(), full);
    }
}
