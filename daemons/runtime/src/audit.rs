//! Audit events: who did what, in the stream `LEAFBOX_AUDIT`, which travels to the hub.
//!
//! An event is at `leafbox.audit.<node>.<daemon>.<what>`. Requests never wait for one: a queue of
//! bounded length is emptied by a task of its own, which repeats what JetStream did not acknowledge.
//! What the queue cannot take is dropped, counted and logged.

use std::{
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
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Backoff;

/// Events that wait at most; each is under a KiB.
const QUEUE: usize = 1024;
/// How long what waits at the end may take.
const DRAIN: Duration = Duration::from_secs(6);

/// What a daemon tells of: a small record with a plain JSON form.
pub trait AuditEvent: Serialize {
    /// What happened: the last token of the subject, of small letters and hyphens.
    fn what(&self) -> &'static str;
}

/// Takes events. Clones share the queue; the [`Publisher`] ends when all are dropped.
#[derive(Debug)]
pub struct Audit<E> {
    queue: mpsc::Sender<E>,
    dropped: Arc<AtomicU64>,
    daemon: &'static str,
}

impl<E> Clone for Audit<E> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), dropped: Arc::clone(&self.dropped), daemon: self.daemon }
    }
}

/// Publishes what an [`Audit`] takes.
#[derive(Debug)]
pub struct Publisher<E> {
    queue: mpsc::Receiver<E>,
    dropped: Arc<AtomicU64>,
    daemon: &'static str,
    context: jetstream::Context,
    subject: String,
}

/// A queue of audit events of this node's `daemon`, and what publishes them with a client of `LEAFBOX`.
pub fn channel<E: AuditEvent>(client: &Client, node: &str, daemon: &'static str) -> (Audit<E>, Publisher<E>) {
    let (sender, queue) = mpsc::channel(QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    let audit = Audit { queue: sender, dropped: Arc::clone(&dropped), daemon };
    let mut context = jetstream::new(client.clone());
    context.set_timeout(Duration::from_secs(5));
    let subject = format!("leafbox.audit.{node}.{daemon}");
    (audit, Publisher { queue, dropped, daemon, context, subject })
}

impl<E> Audit<E> {
    /// Takes an event, at once.
    pub fn record(&self, event: E) {
        if let Err(error) = self.queue.try_send(event) {
            lose(self.daemon, &self.dropped, 1, &error);
        }
    }

    /// Events that were lost since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
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

impl<E: AuditEvent> Publisher<E> {
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
                    lose(self.daemon, &self.dropped, 1 + self.queue.len() as u64, &"the daemon stopped");
                    return;
                }
            }
        }
    }

    /// Publishes one, again and again until JetStream has it; the id makes it one in the stream.
    async fn publish(&self, event: &E) {
        let id = format!("{:032x}", rand::random::<u128>());
        let payload = serde_json::to_vec(event).expect("an event is plain JSON");
        let subject = format!("{}.{}", self.subject, event.what());
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
