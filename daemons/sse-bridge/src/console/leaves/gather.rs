//! What this node knows of the others: fleet.toml lists them, the claims name those that hold keys,
//! servers their links, heartbeats say that they live, and the signer whom it has let in.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use async_nats::jetstream;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::json;
use settings::{LEAFBOX_ACCOUNT, builtin::NODES_BUCKET};
use tokio::time::timeout;

use crate::{
    console::{
        Console, accounts,
        servers::{AskError, Endpoint, Leafz, Said},
    },
    signing::{EnrolledBox, Signer},
};

/// How long the heartbeats may take.
const READING: Duration = Duration::from_secs(2);
/// Heartbeats that are read at most, and at once.
const MOST: usize = 1000;
const AT_ONCE: usize = 32;

/// The nodes, by name.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    pub(super) rows: BTreeMap<String, Row>,
    /// Why something is missing.
    pub(super) troubles: Vec<String>,
}

/// A node.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// As fleet.toml lists it.
    pub(super) kind: Option<&'static str>,
    pub(super) enrolled: Option<EnrolledBox>,
    /// Whether the claims of LEAFBOX have keys of its own.
    pub(super) holds_keys: bool,
    /// The accounts that its link is for.
    pub(super) links: BTreeSet<String>,
    pub(super) heard: Option<Heartbeat>,
}

/// What of a heartbeat is shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Heartbeat {
    pub(super) at: String,
    pub(super) ready: bool,
}

impl Nodes {
    pub(super) async fn gather(console: &Console, signer: Option<&Signer>) -> Self {
        let mut nodes = Self::default();
        let listed = &console.fleet.nodes;
        for (names, kind) in [(&listed.hub, "hub node"), (&listed.leaves, "leaf")] {
            for name in names {
                nodes.row(name).kind = Some(kind);
            }
        }
        for enrolled in signer.iter().flat_map(|signer| &signer.boxes) {
            nodes.row(&enrolled.node).enrolled = Some(enrolled.clone());
        }
        let (heard, links, holders) =
            tokio::join!(heartbeats(console), leafs(console), accounts::holders(console, LEAFBOX_ACCOUNT));
        match heard {
            Some(heard) => heard.into_iter().for_each(|(name, beat)| nodes.row(&name).heard = Some(beat)),
            None => nodes
                .troubles
                .push("The heartbeats could not be read: nats-server did not answer.".to_owned()),
        }
        match links {
            Ok(links) => links.into_iter().for_each(|(name, account)| {
                nodes.row(&name).links.insert(account);
            }),
            Err(error) => nodes.troubles.push(error.to_string()),
        }
        // Without the system account the one trouble says it for both.
        for name in holders.unwrap_or_default() {
            nodes.row(&name).holds_keys = true;
        }
        nodes
    }

    fn row(&mut self, name: &str) -> &mut Row {
        self.rows.entry(name.to_owned()).or_default()
    }
}

/// The last heartbeat of each node; nothing where they cannot be read.
async fn heartbeats(console: &Console) -> Option<Vec<(String, Heartbeat)>> {
    let reading = async {
        let bucket = jetstream::new(console.leafbox().ok()?.client).get_key_value(NODES_BUCKET).await.ok()?;
        let names: Vec<String> = bucket.keys().await.ok()?.take(MOST).try_collect().await.ok()?;
        let read = names.into_iter().map(|name| {
            let bucket = &bucket;
            async move {
                let value = bucket.get(name.as_str()).await.ok().flatten()?;
                Some((name, serde_json::from_slice::<Heartbeat>(&value).ok()?))
            }
        });
        Some(stream::iter(read).buffered(AT_ONCE).filter_map(std::future::ready).collect::<Vec<_>>().await)
    };
    timeout(READING, reading).await.ok().flatten()
}

/// The nodes at the other end of links of the servers that are heard, each with an account.
async fn leafs(console: &Console) -> Result<Vec<(String, String)>, AskError> {
    let mut found = Vec::new();
    for Said { said, .. } in console.servers.read_all::<Leafz>(Endpoint::Leafz, &json!({})).await? {
        for link in said.map(|leafz| leafz.leafs).unwrap_or_default() {
            let account = console.servers.account_name(&link.account).await;
            found.push((link.name, account));
        }
    }
    Ok(found)
}
