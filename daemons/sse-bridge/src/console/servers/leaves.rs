//! The servers of leaves, as the hub's consoles ask for them: each leaf's own console answers.
//!
//! Not over `$SYS`, where a leaf's link carries claims alone. A server is asked there at
//! `$SYS.REQ.SERVER.<id>.<Z>`, by an id that changes with each start: a link that hears such questions
//! hears them for all servers, and what it may answer, a stolen box answers in the name of the hub. The
//! subjects here have the node's name in them, and its link says and hears its own alone
//! ([`settings::builtin::CONSOLE_SERVERS`]):
//!
//! | subject | who says it | what |
//! |---|---|---|
//! | `_SERVERS.ask` | hub | who is there? |
//! | `_SERVERS.here.<leaf>` | leaf | I am |
//! | `_SERVERS.leaf.<leaf>` | hub | a [`Question`] |
//! | `_SERVERS.hub.<leaf>.<number>` | leaf | what its server says |
//!
//! A leaf does what reads and nothing else, and asks the hub nothing: whatever it could, a stolen box
//! could too. What it shows of the hub is its own end of the link.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{Client, Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use settings::builtin::CONSOLE_SERVERS;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{AskError, Endpoint, Servers, directory::REMEMBERED};

/// How often leaves are asked whether they are there.
const EVERY: Duration = Duration::from_secs(10);
/// Questions that a leaf answers at once.
const AT_ONCE: usize = 8;
/// Leaves that are remembered at most.
const MOST: usize = 10_000;

/// What the hub asks a leaf for.
#[derive(Debug, Deserialize, Serialize)]
struct Question {
    /// As in NATS's subjects.
    what: String,
    options: Value,
}

/// The leaves that a hub's console has heard. A clone is the same.
#[derive(Clone)]
pub(super) struct Leaves {
    leafbox: Client,
    /// When each was heard, by its name.
    heard: Arc<Mutex<BTreeMap<String, Instant>>>,
}

impl Leaves {
    pub(super) fn new(leafbox: Client) -> Self {
        Self { leafbox, heard: Arc::default() }
    }

    /// Those that were heard within some minutes.
    pub(super) fn names(&self) -> Vec<String> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.retain(|_, at| at.elapsed() < REMEMBERED);
        heard.keys().cloned().collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }

    /// Keeps itself up to date until `shutdown`.
    pub(super) async fn follow(self, shutdown: CancellationToken) {
        let Some(mut said) = listen(&self.leafbox, format!("{CONSOLE_SERVERS}.here.*")).await else {
            return;
        };
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => say(&self.leafbox, format!("{CONSOLE_SERVERS}.ask"), Bytes::new()).await,
                message = said.next() => match message {
                    Some(message) => self.note(&message),
                    None => return,
                },
            }
        }
    }

    fn note(&self, message: &Message) {
        // The subject says who it is, which the hub's nats-server has checked.
        let Some(name) = message.subject.split('.').nth(2) else { return };
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.len() < MOST || heard.contains_key(name) {
            heard.insert(name.to_owned(), Instant::now());
        }
    }

    /// What the server of a leaf says.
    pub(super) async fn ask(
        &self,
        leaf: &str,
        what: &str,
        options: &Value,
        within: Duration,
    ) -> Result<Bytes, AskError> {
        let number: u64 = rand::random();
        let to = format!("{CONSOLE_SERVERS}.hub.{leaf}.{number}");
        let mut answer = self.leafbox.subscribe(to.clone()).await.map_err(|_| AskError::Away)?;
        let question = json!(Question { what: what.to_owned(), options: options.clone() }).to_string();
        let asked = format!("{CONSOLE_SERVERS}.leaf.{leaf}");
        self.leafbox.publish_with_reply(asked, to, question.into()).await.map_err(|_| AskError::Away)?;
        match timeout(within, answer.next()).await {
            Ok(Some(message)) if message.status == Some(StatusCode::NO_RESPONDERS) => {
                Err(AskError::Cut(leaf.to_owned()))
            }
            Ok(Some(message)) => Ok(message.payload),
            Ok(None) => Err(AskError::Away),
            Err(_) => Err(AskError::Silent { server: leaf.to_owned(), what: what.to_owned(), within }),
        }
    }
}

/// Answers the hub's consoles for the server of this leaf, until `shutdown`.
pub(super) async fn answer(servers: Servers, node: String, shutdown: CancellationToken) {
    let leafbox = &servers.leaves.leafbox;
    let Some(mut asked) = listen(leafbox, format!("{CONSOLE_SERVERS}.ask")).await else { return };
    let questions = listen(leafbox, format!("{CONSOLE_SERVERS}.leaf.{node}")).await;
    let Some(mut questions) = questions else { return };
    let mut answering = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            Some(_) = asked.next() => say(leafbox, format!("{CONSOLE_SERVERS}.here.{node}"), Bytes::new()).await,
            Some(question) = questions.next(), if answering.len() < AT_ONCE => {
                // Elsewhere it would be this console that speaks, which may more than who asks.
                let answers = format!("{CONSOLE_SERVERS}.hub.{node}.");
                if let Some(to) = question.reply.filter(|to| to.starts_with(&answers)) {
                    answering.spawn(answer_to(servers.clone(), question.payload, to));
                }
            }
            Some(_) = answering.join_next() => {}
            else => return,
        }
    }
}

async fn answer_to(servers: Servers, question: Bytes, to: Subject) {
    let leafbox = &servers.leaves.leafbox;
    let mut said = said(&servers, &question).await;
    if said.len() > leafbox.server_info().max_payload {
        said = refusal("it is larger than a message may be: ask for less of it, with limit and offset");
    }
    say(leafbox, to.into_string(), said).await;
}

async fn said(servers: &Servers, question: &[u8]) -> Bytes {
    let read = serde_json::from_slice::<Question>(question).ok().and_then(|question| {
        let endpoint = Endpoint::ALL.into_iter().find(|endpoint| endpoint.token() == question.what)?;
        Some((endpoint, question.options))
    });
    let Some((endpoint, options)) = read else { return refusal("a leaf answers what reads alone") };
    let said = async { servers.ask(&servers.own()?, endpoint, &options).await };
    said.await.unwrap_or_else(|error| refusal(&error.to_string()))
}

/// As nats-server says no.
fn refusal(description: &str) -> Bytes {
    json!({ "error": { "code": 503, "description": description } }).to_string().into()
}

async fn listen(client: &Client, subject: String) -> Option<Subscriber> {
    let listening = client.subscribe(subject.clone()).await;
    listening.inspect_err(|error| tracing::error!("{subject} cannot be listened to: {error}")).ok()
}

async fn say(client: &Client, subject: String, payload: Bytes) {
    if let Err(error) = client.publish(subject.clone(), payload).await {
        tracing::debug!("{subject} was not said: {error}");
    }
}
