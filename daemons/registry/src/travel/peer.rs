//! Asks the registry at the other end of the link.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{Client, Message, StatusCode, Subscriber, connection::State};
use bytes::Bytes;
use futures::StreamExt;
use serde::Serialize;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::{
    error::TravelError,
    onward::Onward,
    pace::Pace,
    protocol::{
        self, ANSWER, Announce, Code, Gathered, Head, Operation, PATIENCE, Referrer, Refused, Resolve, Stat,
        VERSION, hub_subject, leaf_subject,
    },
};
use crate::{
    Digest, Reference, Repository,
    records::{Seconds, now},
};

/// Bytes of blobs that are asked for and have not arrived, of all fetches of this daemon: what a link
/// holds back for a slow reader is limited, and so is memory here.
const IN_FLIGHT: u64 = 16 * 1024 * 1024;
/// The unit in which they are counted.
pub(crate) const FLIGHT_UNIT: u64 = 16 * 1024;
/// Blobs that nobody waits for, at a time from one side.
pub(crate) const KEPT: usize = 2;

/// Which registry is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The hub's, from a leaf.
    Hub,
    /// The one of this leaf, from the hub.
    Leaf(String),
    /// An upstream registry, by its prefix in fleet.toml.
    Upstream(String),
}

impl fmt::Display for Side {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub => formatter.write_str("the hub"),
            Self::Leaf(name) => write!(formatter, "the leaf {name}"),
            Self::Upstream(prefix) => write!(formatter, "the upstream of {prefix}"),
        }
    }
}

/// When the other side last answered, and what went wrong since.
#[derive(Debug, Default)]
pub(crate) struct Contact(Mutex<(Option<Seconds>, Option<String>)>);

impl Contact {
    fn answered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (Some(now()), None);
    }

    fn failed(&self, error: &TravelError) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(error.to_string());
    }

    /// When it last answered, and the error since.
    pub(crate) fn last(&self) -> (Option<Seconds>, Option<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Where an answer is to come: nobody guesses it. Those of async-nats count up from one that was heard.
pub(crate) fn inbox() -> String {
    format!("_INBOX.{:032x}", rand::random::<u128>())
}

/// A manifest as some source has it.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) size: u64,
    /// Its bytes, unless they were known or are too many to come along.
    pub(crate) bytes: Option<Bytes>,
}

/// The registry at the other end of the link.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) client: Client,
    pub(crate) side: Side,
    subject: String,
    pub(crate) pace: Pace,
    pub(crate) in_flight: Arc<Semaphore>,
    pub(crate) kept: Arc<Semaphore>,
    pub(crate) onward: Onward,
    pub(crate) contact: Arc<Contact>,
}

/// Counts the bytes under way to this daemon, in [`FLIGHT_UNIT`]s.
pub(crate) fn in_flight() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(usize::try_from(IN_FLIGHT / FLIGHT_UNIT).unwrap_or(usize::MAX)))
}

impl Peer {
    /// The hub, as `leaf` asks it.
    pub(crate) fn hub(client: Client, leaf: &str, in_flight: Arc<Semaphore>) -> Self {
        Self::new(client, Side::Hub, hub_subject(leaf), in_flight)
    }

    /// That leaf, as the hub asks it.
    pub(crate) fn leaf(client: Client, leaf: &str, in_flight: Arc<Semaphore>) -> Self {
        Self::new(client, Side::Leaf(leaf.to_owned()), leaf_subject(leaf), in_flight)
    }

    fn new(client: Client, side: Side, subject: String, in_flight: Arc<Semaphore>) -> Self {
        let kept = Arc::new(Semaphore::new(KEPT));
        let (pace, onward, contact) = (Pace::default(), Onward::default(), Arc::default());
        Self { client, side, subject, pace, in_flight, kept, onward, contact }
    }

    /// Most bytes of a message that this side's server takes.
    pub(crate) fn most(&self) -> u64 {
        self.client.max_payload() as u64
    }

    /// Which manifest a reference stands for there; `None` when it has none. Bytes of the one that is
    /// `known` are not sent.
    pub(crate) async fn resolve(
        &self,
        repository: &Repository,
        reference: &Reference,
        known: Option<&Digest>,
    ) -> Result<Option<Resolved>, TravelError> {
        let request = Resolve {
            v: VERSION,
            repository: repository.clone(),
            reference: reference.to_string(),
            known: known.cloned(),
            most: self.most(),
        };
        let Some((head, payload)) = self.ask(Operation::Resolve, &request).await? else { return Ok(None) };
        let (Some(digest), Some(size)) = (head.digest, head.size) else {
            return Err(self.broken("a manifest without digest or size"));
        };
        let media_type = head.media_type.unwrap_or_default();
        Ok(Some(Resolved { digest, media_type, size, bytes: head.last.then_some(payload) }))
    }

    /// Bytes of a blob; `None` when the repository has none of that digest there.
    pub(crate) async fn stat(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<u64>, TravelError> {
        let request = Stat { v: VERSION, repository: repository.clone(), digest: digest.clone() };
        let Some((head, _)) = self.ask(Operation::Stat, &request).await? else { return Ok(None) };
        head.size.map(Some).ok_or_else(|| self.broken("a blob without size"))
    }

    /// The manifests that refer to one.
    pub(crate) async fn referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Vec<Referrer>, TravelError> {
        let request = Stat { v: VERSION, repository: repository.clone(), digest: digest.clone() };
        let Some((_, payload)) = self.ask(Operation::Referrers, &request).await? else {
            return Ok(Vec::new());
        };
        serde_json::from_slice(&payload)
            .map_err(|error| self.broken(&format!("a list of referrers: {error}")))
    }

    /// Tells the hub of a tag, and hears how far it is with it.
    pub(crate) async fn announce(&self, announce: &Announce) -> Result<Gathered, TravelError> {
        let answer = self.ask(Operation::Announce, announce).await?;
        let (head, _) = answer.ok_or_else(|| TravelError::Unknown { side: self.side.clone() })?;
        head.gathered.ok_or_else(|| self.broken("an answer to an announcement that says nothing"))
    }

    /// Asks, and waits for one answer; `None` when the other side says that there is no such thing.
    async fn ask(
        &self,
        operation: Operation,
        request: &impl Serialize,
    ) -> Result<Option<(Head, Bytes)>, TravelError> {
        let answer = self.ask_once(operation, request).await;
        match &answer {
            Ok(_) => self.contact.answered(),
            Err(error) => self.contact.failed(error),
        }
        answer
    }

    async fn ask_once(
        &self,
        operation: Operation,
        request: &impl Serialize,
    ) -> Result<Option<(Head, Bytes)>, TravelError> {
        let inbox = inbox();
        let mut replies = self.subscribe(inbox.clone()).await?;
        self.publish(operation, inbox, request).await?;
        let mut patience = ANSWER;
        let asked = Instant::now();
        loop {
            let reply = timeout_at(asked + patience, replies.next()).await;
            let reply = reply.map_err(|_| self.silent(patience))?;
            let (head, payload) = self.read(reply)?;
            match head.refused {
                None => return Ok(Some((head, payload))),
                Some(Refused { code: Code::Unknown, .. }) => return Ok(None),
                Some(Refused { code: Code::Wait, .. }) => patience = ANSWER + PATIENCE,
                Some(refused) => return Err(self.refused(refused)),
            }
        }
    }

    pub(crate) async fn subscribe(&self, subject: String) -> Result<Subscriber, TravelError> {
        // What is published without a connection is kept and sent later, when nobody waits for it.
        if self.client.connection_state() != State::Connected {
            return Err(TravelError::NotConnected);
        }
        self.client.subscribe(subject).await.map_err(|_| TravelError::NotConnected)
    }

    pub(crate) async fn publish(
        &self,
        operation: Operation,
        reply: String,
        request: &impl Serialize,
    ) -> Result<(), TravelError> {
        let subject = format!("{}.{}", self.subject, operation.token());
        let sent = self.client.publish_with_reply(subject, reply, protocol::request(request)).await;
        sent.map_err(|_| TravelError::NotConnected)
    }

    /// The head and payload of a reply, whatever it says.
    pub(crate) fn read(&self, reply: Option<Message>) -> Result<(Head, Bytes), TravelError> {
        let Some(reply) = reply else { return Err(TravelError::NotConnected) };
        if reply.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(TravelError::NobodyAnswers { side: self.side.clone() });
        }
        let head = Head::read(reply.headers.as_ref());
        let head = head.ok_or_else(|| self.broken("a message that is no reply of a registry"))?;
        Ok((head, reply.payload))
    }

    pub(crate) fn refused(&self, refused: Refused) -> TravelError {
        let (side, message) = (self.side.clone(), refused.message);
        match refused.code {
            Code::Denied => TravelError::Denied { side, message },
            Code::Busy | Code::Wait => TravelError::Busy { side, message },
            Code::Unknown => TravelError::Unknown { side },
            Code::Malformed | Code::Failed => TravelError::Failed { side, message },
        }
    }

    pub(crate) fn silent(&self, after: Duration) -> TravelError {
        TravelError::Silent { side: self.side.clone(), after }
    }

    pub(crate) fn broken(&self, message: &str) -> TravelError {
        TravelError::Broken { side: self.side.clone(), message: message.to_owned() }
    }

    /// Notes how a transfer of a blob went.
    pub(crate) fn note(&self, outcome: Result<(), &TravelError>) {
        match outcome {
            Ok(()) => self.contact.answered(),
            Err(error) => self.contact.failed(error),
        }
    }
}
