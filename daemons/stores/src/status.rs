//! How the stores of this node are: what they hold, and how far their copies lag.

use std::time::Duration;

use futures::{StreamExt, stream};
use serde::Serialize;
use serde_json::Value;
use settings::{Fleet, Name, Node};

use crate::{
    api::{Api, StreamInfo, Upstream},
    delivery,
    desired::{DesiredAccount, DesiredStore, StoreKind, desired},
    error::Error,
    plan::{Clients, Failure},
};

/// Accounts looked at at once.
const AT_ONCE: usize = 16;
/// A copy that has not heard from its origin for this long is asleep: heartbeats come each second.
const ASLEEP: Duration = Duration::from_secs(5);
/// The same where a consumer at the origin wakes it: only one that found no consumer needs help.
const ASLEEP_DESPITE_CONSUMER: Duration = Duration::from_secs(20);

/// One declared store.
#[derive(Clone, Debug, Serialize)]
pub struct StoreStatus {
    /// The account.
    pub account: Name,
    /// What it is.
    pub kind: StoreKind,
    /// Its declared name.
    pub name: String,
    /// What it holds; `None` when it does not exist here.
    pub holds: Option<Holds>,
    /// The mirrored stream, or the streams it gathers from.
    pub origins: Vec<Origin>,
}

/// What a store holds.
#[derive(Clone, Debug, Serialize)]
pub struct Holds {
    /// Messages, for a bucket keys and markers.
    pub messages: u64,
    /// Bytes.
    pub bytes: u64,
    /// The first sequence.
    pub first: u64,
    /// The last sequence.
    pub last: u64,
    /// When the last message came, RFC 3339.
    pub last_time: String,
    /// Consumers.
    pub consumers: u64,
}

/// Where a copy comes from.
#[derive(Clone, Debug, Serialize)]
pub struct Origin {
    /// The JetStream domain, when it is another.
    pub domain: Option<String>,
    /// The stream there.
    pub stream: String,
    /// Takes only these messages.
    pub filter: Option<String>,
    /// Messages that are yet to come, as far as is known here.
    pub lag: u64,
    /// How long ago it was last heard of; `None` when never.
    pub silent_for: Option<Duration>,
    /// Why it cannot be reached, in the server's words.
    pub error: Option<String>,
    /// Whether it comes through a consumer made at the origin, whose heartbeat wakes the copy.
    pub through_consumer: bool,
}

impl Origin {
    /// Whether the copy waits for its next try instead of listening.
    pub fn is_asleep(&self) -> bool {
        let limit = if self.through_consumer { ASLEEP_DESPITE_CONSUMER } else { ASLEEP };
        self.silent_for.is_none_or(|silent| silent > limit)
    }
}

/// The declared stores of this node, in the order of their declaration, and the accounts that could
/// not be looked at.
pub async fn status(fleet: &Fleet, node: &Node, clients: &Clients) -> (Vec<StoreStatus>, Vec<Failure>) {
    let looked_at = stream::iter(desired(fleet, node))
        .map(|account| async move {
            let found = account_status(&account, clients).await;
            found.map_err(|error| Failure { account: account.name, error: error.to_string() })
        })
        .buffered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let (mut stores, mut failures) = (Vec::new(), Vec::new());
    for account in looked_at {
        match account {
            Ok(status) => stores.extend(status),
            Err(failure) => failures.push(failure),
        }
    }
    (stores, failures)
}

async fn account_status(account: &DesiredAccount, clients: &Clients) -> Result<Vec<StoreStatus>, Error> {
    let client = clients.get(&account.name).ok_or_else(|| Error::NoConnection(account.name.clone()))?;
    let (streams, _) = Api::local(&account.name, client).streams().await?;
    let held = |store: &DesiredStore| {
        streams
            .iter()
            .find(|info| info.config.get("name").and_then(|name| name.as_str()) == Some(&store.stream))
    };
    let stores = account.stores.iter().map(|store| StoreStatus {
        account: account.name.clone(),
        kind: store.kind,
        name: store.name.clone(),
        holds: held(store).map(holds),
        origins: held(store).map(origins).unwrap_or_default(),
    });
    Ok(stores.collect())
}

fn holds(info: &StreamInfo) -> Holds {
    Holds {
        messages: info.state.messages,
        bytes: info.state.bytes,
        first: info.state.first_seq,
        last: info.state.last_seq,
        last_time: info.state.last_ts.clone(),
        consumers: info.state.consumer_count,
    }
}

/// Where the copies in a stream come from.
pub(crate) fn origins(info: &StreamInfo) -> Vec<Origin> {
    let sources = info.config.get("sources").and_then(Value::as_array);
    info.mirror.iter().chain(&info.sources).map(|upstream| origin(upstream, sources)).collect()
}

fn origin(upstream: &Upstream, sources: Option<&Vec<Value>>) -> Origin {
    let api = upstream.external.as_ref().map(|external| external.api.as_str());
    let is_this = |source: &&Value| {
        source["name"] == upstream.name && source.pointer("/external/api").and_then(Value::as_str) == api
    };
    let declared = sources.and_then(|sources| sources.iter().find(is_this));
    Origin {
        domain: api.and_then(domain).map(str::to_owned),
        stream: upstream.name.clone(),
        filter: upstream.filter_subject.clone().filter(|filter| !filter.is_empty()),
        lag: upstream.lag,
        silent_for: u64::try_from(upstream.active).ok().map(Duration::from_nanos),
        error: upstream.error.as_ref().and_then(|error| Some(error.get("description")?.as_str()?.to_owned())),
        through_consumer: declared.is_some_and(|source| source.get("consumer").is_some()),
    }
}

/// The domain in `$JS.<domain>.API`, or of an outbox.
pub(crate) fn domain(api: &str) -> Option<&str> {
    let outbox = api.strip_prefix(delivery::API_PREFIX);
    outbox.or_else(|| api.strip_prefix("$JS.")?.strip_suffix(".API"))
}
