//! `leafbox apply`: makes what runs equal to what is declared.

use std::{collections::BTreeSet, fmt, path::Path, time::SystemTime};

use anyhow::{Context, Result, bail};
use identity::{KeyStore, Ledger, SignError, layout};
use serde::Serialize;
use serde_json::{Value, json};
use settings::Name;

use crate::{
    cli,
    converge::{self, Converged},
    say,
    session::Session,
    setup,
};

/// nats-server's code for an account that has no JetStream.
const NOT_ENABLED_FOR_ACCOUNT: u32 = 10039;

/// Applies, exports, or applies and prunes.
///
/// # Errors
/// When something failed or is refused, after everything else was done.
pub(crate) async fn run(session: &Session, arguments: &cli::Apply) -> Result<()> {
    if let Some(folder) = &arguments.export {
        return export(session, folder).await;
    }
    session.require_running()?;
    let converged = converge::converge(session).await?;
    let (accounts, delete) = tell_apart(session, &converged, &arguments.delete)?;
    let pruned = if arguments.prune {
        let (clients, _) = converge::connect_stores(session).await;
        let healthy = converge::ask_healthy(session).await?;
        Some(stores::prune(&converged.stores, &clients, &delete, healthy).await?)
    } else {
        None
    };
    let mut removed = Vec::new();
    for name in &accounts {
        removed.push(remove_account(session, name).await?);
    }
    let refused = converged.refused();
    let restart = crate::drift::of(session)?;
    // Claims that a server did not take are a failure too.
    let failed = converged.problems().len() + pruned.as_ref().map_or(0, |pruned| pruned.failed.len());
    if arguments.json {
        let failures: Vec<_> = converged
            .applied
            .failed
            .iter()
            .map(|(item, error)| json!({ "item": item, "error": error.to_string() }))
            .collect();
        say!(
            "{}",
            serde_json::to_string_pretty(&json!({
                "accounts": converged.accounts,
                "pushed": converged.push,
                "stores": converged.stores,
                "applied": converged.applied.done,
                "failed": failures,
                "restart": restart,
                "removed": pruned.as_ref().map(|pruned| &pruned.removed),
                "kept": pruned.as_ref().map(|pruned| &pruned.kept),
                "removed_accounts": removed,
            }))?
        );
    } else {
        super::plan::print_accounts(&converged.accounts);
        say!("{}", converged.stores);
        if let Some(push) = &converged.push {
            say!("{push}");
        }
        say!("{}", converged.applied);
        if let Some(pruned) = &pruned {
            say!("{pruned}");
        }
        for account in &removed {
            say!("{account}");
        }
        super::plan::print_restart(&restart);
    }
    if failed > 0 {
        bail!("not all could be applied: the lines above with ! say why");
    }
    if refused > 0 {
        bail!(
            "{refused} changes are refused, since data would be lost: the lines above say why and how to make them by hand"
        );
    }
    Ok(())
}

/// Accounts to be removed, and the names that are of stores.
fn tell_apart(
    session: &Session,
    converged: &Converged,
    names: &[String],
) -> Result<(Vec<Name>, BTreeSet<String>)> {
    let signed = setup::known(&session.settings)?;
    let declared = session.settings.fleet.all_accounts();
    let (mut accounts, mut stores) = (Vec::new(), BTreeSet::new());
    for name in names {
        // Among them one whose removal was not finished, since a server was down.
        let known = signed.as_ref().and_then(|set| set.accounts.get_key_value(name.as_str()));
        let Some((account, _)) = known.filter(|(account, _)| !declared.contains_key(*account)) else {
            stores.insert(name.clone());
            continue;
        };
        let is_leftover = |item: &&stores::Item| {
            matches!(item.action, stores::Action::Leftover { .. })
                && (item.name == *name || item.stream == *name)
        };
        if let Some(item) = converged.stores.items.iter().find(is_leftover) {
            bail!(
                "{name} is an account and a store, both no longer declared: remove the store first, as `--delete {}/{name}`; neither was removed",
                item.account
            );
        }
        accounts.push(account.clone());
    }
    Ok((accounts, stores))
}

/// An account that was taken from the servers.
#[derive(Debug, Serialize)]
struct RemovedAccount {
    account: Name,
    /// Whether every server has deleted it; where not, nobody can use it all the same.
    deleted: bool,
    /// Servers that did not answer.
    silent: Vec<String>,
    /// The streams that it had on this node.
    streams: Vec<String>,
}

impl fmt::Display for RemovedAccount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, deleted, silent, streams } = self;
        write!(formatter, "- {account} account: ")?;
        if *deleted {
            write!(formatter, "removed")?;
        } else {
            let silent = silent.join(", ");
            write!(
                formatter,
                "nobody can use it any more; run this again once there is an answer from {silent}, to delete it there"
            )?;
        }
        if !streams.is_empty() {
            write!(formatter, "; with all that was in {} on this node", streams.join(", "))?;
        }
        Ok(())
    }
}

/// Removes an account that is no longer declared from all servers: its streams on this node, then a
/// tombstone, kept in the signed set, then the deletion.
///
/// The streams go first, since nats-server is never healthy again with a stream whose account may
/// have none.
async fn remove_account(session: &Session, name: &Name) -> Result<RemovedAccount> {
    let keys = KeyStore::open(&session.keys)?;
    if !keys.has_operator() {
        bail!("the account {name} is removed where the operator's keys are: run this there");
    }
    let (folder, now) = (session.settings.jwts_dir(), SystemTime::now());
    let known = setup::previous(&folder)?;
    let is_removed = known.is_some_and(|set| set.accounts.get(name).is_some_and(|known| known.is_removed()));
    let streams = if is_removed { Vec::new() } else { delete_streams(session, name).await? };
    let mut prepared = None;
    Ledger::new(&keys, &folder).sign(now, |known| match known {
        Some(known) => {
            let removal = identity::prepare_removal(&keys, known, name, now)?;
            Ok(prepared.insert(removal).set.clone())
        }
        None => Err(SignError::UnknownAccount { account: name.clone() }),
    })?;
    let removal = prepared.context("the account was not signed")?;
    let client = session.connect(&layout::system_creds(&session.keys), "leafbox apply").await?;
    let report = identity::push::remove(&client, &removal, &converge::push_options(session)).await?;
    Ok(RemovedAccount {
        account: name.clone(),
        deleted: report.deleted,
        silent: report.tombstone.silent,
        streams,
    })
}

/// Deletes every stream that an account has on this node.
async fn delete_streams(session: &Session, account: &Name) -> Result<Vec<String>> {
    let client = session.connect_apply(account).await?;
    let ask = async |subject: String| -> Result<Value> {
        let answer = client.request(subject.clone(), "".into()).await.with_context(|| subject.clone())?;
        let answer: Value = serde_json::from_slice(&answer.payload).with_context(|| subject.clone())?;
        match answer["error"]["description"].as_str() {
            // Without JetStream it has no streams.
            Some(_) if answer["error"]["err_code"] == NOT_ENABLED_FOR_ACCOUNT => Ok(Value::Null),
            Some(why) => bail!("{account}: nats-server refuses {subject}: {why}; the account is not removed"),
            None => Ok(answer),
        }
    };
    let mut deleted = Vec::new();
    // A page at a time: each deletion makes room for the next.
    loop {
        let page = ask("$JS.API.STREAM.NAMES".to_owned()).await?;
        let names: Vec<String> = page["streams"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(Into::into)
            .collect();
        if names.is_empty() {
            return Ok(deleted);
        }
        for name in names {
            ask(format!("$JS.API.STREAM.DELETE.{name}")).await?;
            deleted.push(name);
        }
    }
}

async fn export(session: &Session, folder: &Path) -> Result<()> {
    let (accounts, waiting) = converge::export(session, folder).await?;
    say!(
        "wrote operator.jwt and {accounts} account JWTs to {}: public, for git and for `jwts` in node.toml",
        folder.display()
    );
    if !waiting.is_empty() {
        bail!(
            "{} changes in fleet.toml wait for the operator: run this where the operator's keys are",
            waiting.len()
        );
    }
    Ok(())
}
