//! Audit events: who did what, in the stream `LEAFBOX_AUDIT`, which travels to the hub.
//!
//! An event is at `leafbox.audit.<node>.registry.<what>`. Requests never wait for one: a queue of
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
use data_encoding::HEXLOWER;
use runtime::Backoff;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    Digest, Repository,
    records::{Seconds, now},
};

/// Events that wait at most; each is under a KiB.
const QUEUE: usize = 1024;
/// How long what waits at the end may take.
const DRAIN: Duration = Duration::from_secs(6);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A token was made.
    TokenMinted,
    /// A token was revoked.
    TokenRevoked,
    /// Somebody gave a name or token that is not right. At most ten a minute for each peer.
    LoginFailed,
    /// A manifest was pushed, by tag or by digest.
    Pushed,
    /// A manifest, a tag or a blob was deleted.
    Deleted,
    /// A blob of another repository was mounted.
    Mounted,
}

impl What {
    fn token(self) -> &'static str {
        match self {
            Self::TokenMinted => "token-minted",
            Self::TokenRevoked => "token-revoked",
            Self::LoginFailed => "login-failed",
            Self::Pushed => "pushed",
            Self::Deleted => "deleted",
            Self::Mounted => "mounted",
        }
    }
}

/// One event. Make it with [`Event::new`] and set the fields that it is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    pub what: What,
    /// When, by this node's clock.
    pub at: Seconds,
    /// The name of a token, `anonymous`, or `command`; of a failed login, the name that was given.
    pub who: String,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// The repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<Repository>,
    /// The tag, where one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// More in words: the token that was minted, why a login failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Event {
    /// An event of now.
    pub fn new(what: What, who: impl Into<String>) -> Self {
        Self {
            what,
            at: now(),
            who: who.into(),
            peer: None,
            repository: None,
            reference: None,
            digest: None,
            detail: None,
        }
    }
}

/// Takes events. Clones share the queue; the [`Publisher`] ends when all are dropped.
#[derive(Clone, Debug)]
pub struct Audit {
    queue: mpsc::Sender<Event>,
    dropped: Arc<AtomicU64>,
}

/// Publishes what an [`Audit`] takes.
#[derive(Debug)]
pub struct Publisher {
    queue: mpsc::Receiver<Event>,
    dropped: Arc<AtomicU64>,
    context: jetstream::Context,
    subject: String,
}

/// A queue of audit events of this node, and what publishes them with a client of `LEAFBOX`.
pub fn channel(client: &Client, node: &str) -> (Audit, Publisher) {
    let (sender, queue) = mpsc::channel(QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    let audit = Audit { queue: sender, dropped: Arc::clone(&dropped) };
    let mut context = jetstream::new(client.clone());
    context.set_timeout(Duration::from_secs(5));
    (audit, Publisher { queue, dropped, context, subject: format!("leafbox.audit.{node}.registry") })
}

impl Audit {
    /// Takes an event, at once.
    pub fn record(&self, event: Event) {
        if let Err(error) = self.queue.try_send(event) {
            lose(&self.dropped, 1, &error);
        }
    }

    /// Events that were lost since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Counts lost events, and tells of the 1st, 2nd, 4th, 8th and so on: a line for each would drown the
/// log just when something is wrong.
fn lose(dropped: &AtomicU64, count: u64, why: &dyn std::fmt::Display) {
    if count == 0 {
        return;
    }
    let before = dropped.fetch_add(count, Ordering::Relaxed);
    let after = before + count;
    if before.checked_ilog2() != after.checked_ilog2() {
        tracing::warn!(
            registry.audit.dropped = after,
            "{after} audit events were lost since the start ({why}): look whether the stream LEAFBOX_AUDIT takes writes"
        );
    }
}

impl Publisher {
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
                    lose(&self.dropped, 1 + self.queue.len() as u64, &"the registry stopped");
                    return;
                }
            }
        }
    }

    /// Publishes one, again and again until JetStream has it; the id makes it one in the stream.
    async fn publish(&self, event: &Event) {
        let id = HEXLOWER.encode(&rand::random::<[u8; 16]>());
        let payload = serde_json::to_vec(event).expect("an event is plain JSON");
        let subject = format!("{}.{}", self.subject, event.what.token());
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
