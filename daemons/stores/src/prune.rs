//! Removing what leafbox made and the fleet no longer declares: only what is empty, or named.

use std::{collections::BTreeSet, fmt};

use serde_json::{Value, json};
use settings::Name;
use tracing::info;

use crate::{
    api::{Api, StreamInfo},
    apply::Healthy,
    error::Error,
    plan::{Action, Clients, Item, ItemKind, Plan},
};

/// What became of the leftovers of a plan.
#[derive(Debug, Default)]
pub struct Pruned {
    /// Removed.
    pub removed: Vec<Item>,
    /// Left, because they hold messages and were not named.
    pub kept: Vec<Item>,
    /// What failed, and why.
    pub failed: Vec<(Item, Error)>,
}

/// Removes the leftovers of a plan that are empty, and those named in `delete` with all they hold.
///
/// A name is that of the store or its stream, with `ACCOUNT/` before it where several accounts have
/// such a leftover. A name that fits nothing fails before anything is removed.
pub async fn prune(
    plan: &Plan,
    clients: &Clients,
    delete: &BTreeSet<String>,
    _healthy: Healthy,
) -> Result<Pruned, Error> {
    let leftovers = || plan.items.iter().filter(|item| matches!(item.action, Action::Leftover { .. }));
    for name in delete {
        let accounts: BTreeSet<&str> =
            leftovers().filter(|item| is_called(item, name)).map(|item| item.account.as_str()).collect();
        match accounts.len() {
            0 => return Err(Error::UnknownDelete(name.clone())),
            1 => {}
            _ => {
                let accounts = accounts.into_iter().collect::<Vec<_>>().join(", ");
                return Err(Error::AmbiguousDelete { name: name.clone(), accounts });
            }
        }
    }
    let mut pruned = Pruned::default();
    for item in leftovers() {
        let named = delete.iter().any(|name| is_called(item, name));
        let Action::Leftover { messages } = item.action else { continue };
        if messages > 0 && !named {
            pruned.kept.push(item.clone());
            continue;
        }
        match remove(item, named, clients).await {
            Ok(()) => {
                info!(account.name = %item.account, stream.name = item.stream, "removed {} {}", item.kind, item.name);
                pruned.removed.push(item.clone());
            }
            Err(error) => pruned.failed.push((item.clone(), error)),
        }
    }
    Ok(pruned)
}

fn is_called(item: &Item, name: &str) -> bool {
    let name = match name.split_once('/') {
        Some((account, name)) if account == item.account.as_str() => name,
        Some(_) => return false,
        None => name,
    };
    item.name == name || (item.kind != ItemKind::Consumer && item.stream == name)
}

async fn remove(item: &Item, named: bool, clients: &Clients) -> Result<(), Error> {
    let client = clients.get(&item.account).ok_or_else(|| Error::NoConnection(item.account.clone()))?;
    let api = Api::local(&item.account, client);
    let removed = match item.kind {
        ItemKind::Consumer => {
            api.ask(&format!("CONSUMER.DELETE.{}.{}", item.stream, item.name), &Value::Null).await
        }
        ItemKind::Stream | ItemKind::Kv | ItemKind::Object => {
            if !named {
                close_if_empty(&api, &item.account, &item.stream).await?;
            }
            api.ask::<Value>(&format!("STREAM.DELETE.{}", item.stream), &Value::Null).await
        }
    };
    match removed {
        Err(error) if error.is_not_found() => Ok(()),
        other => other.map(|_| ()),
    }
}

/// Takes the stream's subjects away, so that nothing can be acknowledged between the look and the
/// removal; puts them back when something had come in.
async fn close_if_empty(api: &Api<'_>, account: &Name, stream: &str) -> Result<(), Error> {
    let before: StreamInfo = api.stream(stream).await?;
    let mut closed = before.config.clone();
    // A mirror has no subjects, and what it holds is at its origin too.
    if !crate::diff::is_absent(closed.get("subjects")) {
        closed.insert("subjects".into(), json!([format!("leafbox.closed.{stream}")]));
        closed.remove("republish");
        closed.remove("subject_transform");
        api.ask::<Value>(&format!("STREAM.UPDATE.{stream}"), &closed.into()).await?;
    }
    let now = api.stream(stream).await?;
    if now.state.messages == 0 {
        return Ok(());
    }
    api.ask::<Value>(&format!("STREAM.UPDATE.{stream}"), &before.config.into()).await?;
    Err(Error::NotEmptyAfterAll {
        account: account.clone(),
        stream: stream.to_owned(),
        messages: now.state.messages,
    })
}

impl fmt::Display for Pruned {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for item in &self.removed {
            writeln!(formatter, "- {} {} {}", item.account, item.kind, item.name)?;
        }
        for item in &self.kept {
            writeln!(formatter, "{item}")?;
        }
        for (item, error) in &self.failed {
            writeln!(formatter, "! {} {} {}: {error}", item.account, item.kind, item.name)?;
        }
        write!(
            formatter,
            "stores: {} removed, {} kept, {} failed",
            self.removed.len(),
            self.kept.len(),
            self.failed.len()
        )
    }
}
