//! What apply would do: the difference between what is declared and what runs.

use std::collections::BTreeMap;

use async_nats::Client;
use futures::{StreamExt, stream};
use serde::Serialize;
use serde_json::{Value, json};
use settings::{Fleet, Name, Node};

use crate::{
    api::StreamInfo,
    delivery,
    desired::{self, DesiredAccount, DesiredStore, OWNER, STORE, StoreKind},
    diff::{self, FieldChange},
    error::Error,
    observe::{Observed, observe},
    refusal::{self, Refusal},
    wire::Config,
};

/// Accounts looked at at once.
const AT_ONCE: usize = 16;

/// A connection for each account, as a user with the role `leafbox-apply`.
pub type Clients = BTreeMap<Name, Client>;

/// What an item is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// A stream.
    Stream,
    /// A key-value bucket.
    Kv,
    /// An object bucket.
    Object,
    /// A consumer of one of them.
    Consumer,
}

impl From<StoreKind> for ItemKind {
    fn from(kind: StoreKind) -> Self {
        match kind {
            StoreKind::Stream => Self::Stream,
            StoreKind::Kv => Self::Kv,
            StoreKind::Object => Self::Object,
        }
    }
}

/// What would happen to one store or consumer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// It would be made.
    Add,
    /// Its declaration changed: these fields would be set.
    Change {
        /// The fields.
        fields: Vec<FieldChange>,
    },
    /// It was changed by hand: these fields would be set back.
    Drift {
        /// The fields.
        fields: Vec<FieldChange>,
    },
    /// It exists and leafbox did not make it: it would be taken over, with these fields set.
    Adopt {
        /// The fields.
        fields: Vec<FieldChange>,
    },
    /// It would need data to be deleted, or cannot be done: nothing happens.
    Refused {
        /// Why, and how to do it by hand.
        #[serde(flatten)]
        refusal: Refusal,
        /// The fields that differ.
        fields: Vec<FieldChange>,
    },
    /// leafbox made it and it is no longer declared: it stays until `--prune`.
    Leftover {
        /// Messages that it holds; for a consumer, those it has yet to deliver or see acknowledged.
        messages: u64,
    },
    /// leafbox did not make it and it is not declared: never touched.
    Unmanaged {
        /// Messages that it holds.
        messages: u64,
    },
}

/// One store or consumer that differs from its declaration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    /// The account.
    pub account: Name,
    /// What it is.
    pub kind: ItemKind,
    /// The name as declared; for a consumer, its own.
    pub name: String,
    /// The stream that holds it.
    pub stream: String,
    /// What would happen.
    #[serde(flatten)]
    pub action: Action,
    /// What to send.
    #[serde(skip)]
    pub(crate) request: Option<Request>,
}

/// A request that makes or changes something.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub subject: String,
    pub body: Value,
}

/// An account that could not be looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// The account.
    pub account: Name,
    /// Why, and what to do.
    pub error: String,
}

/// What apply would do on this node.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    /// What differs, in the order in which it would be applied.
    pub items: Vec<Item>,
    /// Accounts that could not be looked at.
    pub failures: Vec<Failure>,
    /// What else a reader should know.
    pub notes: Vec<String>,
}

impl Plan {
    /// Whether what is declared is what runs. Unmanaged streams are no difference.
    pub fn is_empty(&self) -> bool {
        self.failures.is_empty()
            && self.items.iter().all(|item| matches!(item.action, Action::Unmanaged { .. }))
    }

    /// Whether apply would change something.
    pub fn has_work(&self) -> bool {
        self.items.iter().any(|item| item.request.is_some())
    }
}

/// Compares what is declared for this node with what its JetStream holds. Changes nothing.
///
/// An account that cannot be looked at becomes a [`Failure`]; the others are still compared.
pub async fn plan(fleet: &Fleet, node: &Node, clients: &Clients) -> Plan {
    let accounts = desired::desired(fleet, node);
    let owner = &fleet.name;
    // Collected first: a closure that borrows, kept across an await, is not provably Send.
    let looking: Vec<_> = accounts.into_iter().map(|account| look_at(owner, account, clients)).collect();
    let looked_at = stream::iter(looking).buffered(AT_ONCE).collect::<Vec<_>>().await;
    let mut plan = Plan { notes: desired::notes(fleet, node), ..Plan::default() };
    for account in looked_at {
        match account {
            Ok(items) => plan.items.extend(items),
            Err(failure) => plan.failures.push(failure),
        }
    }
    plan
}

async fn look_at(owner: &Name, account: DesiredAccount, clients: &Clients) -> Result<Vec<Item>, Failure> {
    let found = match clients.get(&account.name) {
        Some(client) => observe(&account, client).await,
        None => Err(Error::NoConnection(account.name.clone())),
    };
    match found {
        Ok(observed) => Ok(compare(owner, &account, &observed)),
        Err(error) => Err(Failure { account: account.name.clone(), error: error.to_string() }),
    }
}

/// The items of one account.
fn compare(owner: &Name, desired: &DesiredAccount, observed: &Observed) -> Vec<Item> {
    let account = &desired.name;
    let mut items = Vec::new();
    for store in &desired.stores {
        let consumers = consumers(account, store, observed);
        let stream = stream_item(owner, account, store, observed);
        let is_new = matches!(&stream, Some(Item { action: Action::Add, .. }));
        let blocked = matches!(&stream, Some(Item { action: Action::Refused { .. }, .. }))
            && !observed.streams.contains_key(&store.stream);
        if is_new {
            items.extend(stream);
            items.extend(consumers);
        } else if blocked {
            items.extend(stream);
        } else {
            // A consumer that another domain empties this stream through must know the stream's new
            // subjects no later than the stream does.
            items.extend(consumers);
            items.extend(stream);
        }
    }
    items.extend(undeclared(owner, desired, observed));
    items
}

fn stream_item(owner: &Name, account: &Name, store: &DesiredStore, observed: &Observed) -> Option<Item> {
    let item = |action, request| {
        let (kind, name) = (store.kind.into(), store.name.clone());
        Item { account: account.clone(), kind, name, stream: store.stream.clone(), action, request }
    };
    let refused = |refusal, fields| item(Action::Refused { refusal, fields }, None);
    if let Some(problem) = &store.problem {
        return Some(refused(refusal::of_problem(problem), Vec::new()));
    }
    if observed.silent.contains(&store.stream) {
        return Some(refused(refusal::of_silence(&store.stream), Vec::new()));
    }
    let Some(held) = observed.streams.get(&store.stream) else {
        let subject = format!("STREAM.CREATE.{}", store.stream);
        let request = Request { subject, body: store.config.clone().into() };
        return Some(item(Action::Add, Some(request)));
    };
    let fields = diff::differences(&store.config, &held.config);
    let held_owner = diff::mark(&held.config, OWNER).filter(|owner| !owner.is_empty());
    if let Some(other) = held_owner.filter(|other| *other != owner.as_str()) {
        return Some(refused(refusal::of_other_owner(&store.stream, other), fields));
    }
    if fields.is_empty() {
        return None;
    }
    let most_of_one_subject = observed.most_of_one_subject.get(&store.stream).copied();
    if let Some(refusal) = refusal::of_stream(store, held, &fields, most_of_one_subject) {
        return Some(refused(refusal, fields));
    }
    let action = action(held_owner.is_some(), &store.config, &held.config, fields);
    let subject = format!("STREAM.UPDATE.{}", store.stream);
    let body = diff::merged(&store.config, &held.config).into();
    Some(item(action, Some(Request { subject, body })))
}

fn consumers(account: &Name, store: &DesiredStore, observed: &Observed) -> Vec<Item> {
    let held_ones = observed.consumers.get(&store.stream);
    let items = store.consumers.iter().filter_map(|(name, wanted)| {
        let item = |action, request| Item {
            account: account.clone(),
            kind: ItemKind::Consumer,
            name: name.clone(),
            stream: store.stream.clone(),
            action,
            request,
        };
        let request = |action: &str, config: Config| {
            let subject = format!("CONSUMER.CREATE.{}.{name}", store.stream);
            let body = json!({ "stream_name": store.stream, "config": config, "action": action });
            Some(Request { subject, body })
        };
        let Some(held) = held_ones.and_then(|held| held.get(name)) else {
            return Some(item(Action::Add, request("create", delivery::drawn(wanted.clone()))));
        };
        let fields = diff::differences(wanted, &held.config);
        if fields.is_empty() {
            return None;
        }
        if let Some(refusal) = refusal::of_consumer(&store.stream, name, &fields) {
            return Some(item(Action::Refused { refusal, fields }, None));
        }
        let owned = diff::mark(&held.config, OWNER).is_some();
        let action = action(owned, wanted, &held.config, fields);
        Some(item(action, request("update", diff::merged(wanted, &held.config))))
    });
    items.collect()
}

fn action(owned: bool, wanted: &Config, held: &Config, fields: Vec<FieldChange>) -> Action {
    if !owned {
        Action::Adopt { fields }
    } else if diff::declaration_unchanged(wanted, held) {
        Action::Drift { fields }
    } else {
        Action::Change { fields }
    }
}

/// Streams and consumers that are there and not declared.
fn undeclared(owner: &Name, desired: &DesiredAccount, observed: &Observed) -> Vec<Item> {
    let account = &desired.name;
    let declared: BTreeMap<&str, &DesiredStore> =
        desired.stores.iter().map(|store| (store.stream.as_str(), store)).collect();
    let owned = |config: &Config| diff::mark(config, OWNER) == Some(owner.as_str());
    let streams = observed.streams.iter().filter(|(stream, _)| !declared.contains_key(stream.as_str()));
    let streams = streams.map(|(stream, held)| {
        let messages = held.state.messages;
        let action =
            if owned(&held.config) { Action::Leftover { messages } } else { Action::Unmanaged { messages } };
        let (kind, name) = named(stream, held);
        Item { account: account.clone(), kind, name, stream: stream.clone(), action, request: None }
    });
    // Consumers that applications make for themselves are theirs, and no news.
    let consumers = observed.consumers.iter().filter(|(stream, _)| declared.contains_key(stream.as_str()));
    let consumers = consumers.flat_map(|(stream, held)| {
        let wanted = &declared[stream.as_str()].consumers;
        let left = held.values().filter(|held| !wanted.contains_key(&held.name) && owned(&held.config));
        left.map(|held| Item {
            account: account.clone(),
            kind: ItemKind::Consumer,
            name: held.name.clone(),
            stream: stream.clone(),
            action: Action::Leftover { messages: held.num_pending + held.num_ack_pending },
            request: None,
        })
    });
    streams.chain(consumers).collect()
}

/// What an undeclared stream is, by its mark, and by its name where it has none.
fn named(stream: &str, held: &StreamInfo) -> (ItemKind, String) {
    let by_name = |prefix: &str| stream.strip_prefix(prefix).map(str::to_owned);
    let mark = diff::mark(&held.config, STORE);
    match (mark, by_name("KV_"), by_name("OBJ_")) {
        (Some("kv") | None, Some(bucket), _) => (ItemKind::Kv, bucket),
        (Some("object") | None, _, Some(bucket)) => (ItemKind::Object, bucket),
        _ => (ItemKind::Stream, stream.to_owned()),
    }
}
