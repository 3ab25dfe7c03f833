//! Making what runs equal to what is declared: accounts first, then the stores of this node.

use std::{path::Path, time::SystemTime};

use anyhow::{Context, Result};
use futures::{StreamExt, stream};
use identity::{AccountChange, JwtSet, KeyStore, KeyStoreError, SignError, layout, push::PushOptions};
use serde::Serialize;
use settings::{Name, NodeRole, SYSTEM_ACCOUNT};
use stores::{Applied, Clients};

use runtime::reachable;

use crate::{drift, session::Session, setup};

/// Connections opened at once.
const AT_ONCE: usize = 16;

/// What apply would do to accounts and stores.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// The accounts.
    pub accounts: Accounts,
    /// The stores of this node.
    pub stores: stores::Plan,
    /// Lines of nats-server's configuration that only a restart of the node changes.
    pub restart: Vec<String>,
}

impl Plan {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.stores.is_empty() && self.restart.is_empty()
    }
}

/// How the accounts that run differ from those that are declared.
#[derive(Debug, Default, Serialize)]
pub struct Accounts {
    /// What would be signed here and pushed.
    pub changes: Vec<AccountChange>,
    /// What is declared, and waits for the operator, since this machine cannot sign.
    pub waiting: Vec<AccountChange>,
    /// Signed accounts that the servers do not have in force yet.
    pub unpushed: Vec<Name>,
    /// Signed accounts that fleet.toml does not declare any more.
    pub undeclared: Vec<Name>,
    /// Why the servers could not be asked, where they could not.
    pub unknown: Option<String>,
    #[serde(skip)]
    signed: Option<JwtSet>,
}

impl Accounts {
    /// Whether nothing differs. What waits for the operator differs.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.waiting.is_empty() && self.unpushed.is_empty()
    }
}

/// Compares everything that is declared with what runs. Changes nothing.
pub async fn plan(session: &Session) -> Result<Plan> {
    let accounts = plan_accounts(session).await?;
    let (clients, failures) = connect_stores(session).await;
    let mut stores = stores::plan(&session.settings.fleet, &session.settings.node, &clients).await;
    replace_failures(&mut stores, failures);
    Ok(Plan { accounts, stores, restart: drift::of(session)? })
}

/// What differs between the accounts in force and those declared.
pub async fn plan_accounts(session: &Session) -> Result<Accounts> {
    let folder = session.settings.jwts_dir();
    let previous = setup::previous(&folder)?;
    let fleet = &session.settings.fleet;
    let mut accounts = Accounts::default();
    let keys = KeyStore::open(&session.keys)?;
    accounts.signed = if keys.has_operator() {
        match (identity::sign(&keys, fleet, previous.as_ref(), SystemTime::now()), previous) {
            (Ok(signed), previous) => {
                accounts.changes = identity::changes(previous.as_ref(), &signed);
                Some(signed)
            }
            // An account or role that is new in fleet.toml: apply makes its key, a plan makes none.
            (Err(SignError::Keys(KeyStoreError::NoKey { .. })), Some(previous)) => {
                accounts.changes = identity::needs_operator(&previous, fleet);
                Some(previous)
            }
            (Err(error), _) => {
                return Err(error).with_context(|| setup::cannot_sign(&folder, &session.keys));
            }
        }
    } else {
        let previous = previous.with_context(|| {
            format!(
                "{} holds no account JWTs: get them from the operator's `leafbox apply --export`",
                folder.display()
            )
        })?;
        accounts.waiting = identity::needs_operator(&previous, fleet);
        Some(previous)
    };
    if let Some(signed) = &accounts.signed {
        accounts.undeclared = identity::undeclared(signed, fleet);
        let creds = layout::system_creds(&session.keys);
        let pushable = keys.has_operator() && creds.exists();
        if pushable {
            match session.connect(&creds, "leafbox plan").await {
                Ok(client) => match identity::push::in_force(&client, signed, &push_options(session)).await {
                    Ok(found) => {
                        accounts.unpushed = found.differs_from(signed).into_iter().cloned().collect()
                    }
                    Err(error) => accounts.unknown = Some(error.to_string()),
                },
                Err(error) => accounts.unknown = Some(format!("{error:#}")),
            }
        }
    }
    Ok(accounts)
}

/// What became of an apply.
#[derive(Debug)]
pub struct Converged {
    /// What was signed and pushed.
    pub accounts: Accounts,
    /// How the push went, where one was needed.
    pub push: Option<identity::push::PushReport>,
    /// The plan that was carried out.
    pub stores: stores::Plan,
    /// What became of it.
    pub applied: Applied,
}

impl Converged {
    /// What could not be done, in words; a refused change is none, since nobody can do it.
    pub fn problems(&self) -> Vec<String> {
        let failed = self
            .applied
            .failed
            .iter()
            .map(|(item, error)| format!("{} {}: {error}", item.account, item.name));
        let unseen =
            self.stores.failures.iter().map(|failure| format!("{}: {}", failure.account, failure.error));
        let unpushed = self.push.iter().flat_map(|push| {
            push.failures()
                .map(|(account, server, why)| format!("the claims of {account} on {server}: {why}"))
        });
        unpushed.chain(failed).chain(unseen).chain(self.accounts.unknown.clone()).collect()
    }

    /// How many store changes are refused.
    pub fn refused(&self) -> usize {
        self.stores.items.iter().filter(|item| matches!(item.action, stores::Action::Refused { .. })).count()
    }

    /// Leaves word for the health daemon.
    fn record(&self, session: &Session) -> Result<()> {
        let problems = self.problems();
        let ok = problems.is_empty();
        let refused = self.refused();
        let notes = [
            (refused > 0).then(|| format!("{refused} changes are refused, see `leafbox plan`")),
            (!self.accounts.waiting.is_empty()).then(|| "account changes wait for the operator".to_owned()),
        ];
        let waiting = problems.into_iter().chain(notes.into_iter().flatten()).collect();
        health::Applied::now(ok, waiting, session.settings.fleet.name.as_str()).write(session.data.root())?;
        Ok(())
    }
}

/// Signs and pushes what changed, then applies the stores of this node.
pub async fn converge(session: &Session) -> Result<Converged> {
    // Nothing is signed for a server that would then not take its stores.
    let healthy = ask_healthy(session).await?;
    let keys = KeyStore::open(&session.keys)?;
    if keys.has_operator() {
        identity::ensure_fleet_keys(&keys, &session.settings.fleet, SystemTime::now())?;
    }
    let accounts = plan_accounts(session).await?;
    let push = push_accounts(session, &accounts).await?;
    let (clients, failures) = connect_stores(session).await;
    let mut stores = stores::plan(&session.settings.fleet, &session.settings.node, &clients).await;
    replace_failures(&mut stores, failures);
    let applied = stores::apply(&stores, &clients, healthy).await;
    let converged = Converged { accounts, push, stores, applied };
    converged.record(session)?;
    Ok(converged)
}

/// Proof that nats-server calls itself healthy.
pub async fn ask_healthy(session: &Session) -> Result<stores::Healthy> {
    let address = session.addresses.monitoring.context("node.toml turns the monitoring listener off")?;
    Ok(stores::Healthy::ask(reachable(address)).await?)
}

async fn push_accounts(session: &Session, accounts: &Accounts) -> Result<Option<identity::push::PushReport>> {
    let Some(signed) = &accounts.signed else { return Ok(None) };
    if accounts.changes.is_empty() && accounts.unpushed.is_empty() {
        return Ok(None);
    }
    signed.write_dir(&session.settings.jwts_dir())?;
    let creds = layout::system_creds(&session.keys);
    let client = session.connect(&creds, "leafbox push").await?;
    let report = identity::push::push(&client, signed, &push_options(session)).await?;
    Ok(Some(report))
}

/// Which servers owe an answer: all of the hub, or this leaf alone.
fn push_options(session: &Session) -> PushOptions {
    let expected = match session.settings.node.role {
        NodeRole::Hub => session.settings.fleet.nodes.hub.iter().map(ToString::to_string).collect(),
        NodeRole::Leaf => vec![session.settings.node.name.to_string()],
    };
    PushOptions { expected, ..PushOptions::default() }
}

/// Signs what is declared and writes the JWTs into a folder; no server is asked or told.
pub fn export(session: &Session, folder: &Path) -> Result<(usize, Vec<AccountChange>)> {
    let keys = KeyStore::open(&session.keys)?;
    let own = session.settings.jwts_dir();
    let previous = setup::previous(&own)?;
    let set = if keys.has_operator() {
        identity::ensure_fleet_keys(&keys, &session.settings.fleet, SystemTime::now())?;
        let signed = identity::sign(&keys, &session.settings.fleet, previous.as_ref(), SystemTime::now())?;
        signed.write_dir(&own)?;
        signed
    } else {
        previous.context("this machine has neither the operator's keys nor signed JWTs: run this where the operator's keys are")?
    };
    set.write_dir(folder)?;
    Ok((set.accounts.len(), identity::needs_operator(&set, &session.settings.fleet)))
}

/// A connection for every account with JetStream, and why some have none.
pub async fn connect_stores(session: &Session) -> (Clients, Vec<String>) {
    let accounts = session.settings.fleet.all_accounts();
    let wanted = accounts
        .into_iter()
        .filter(|(name, account)| name.as_str() != SYSTEM_ACCOUNT && account.jetstream.enabled)
        .map(|(name, _)| name);
    let connecting: Vec<_> = wanted
        .map(|name| async move {
            let client = session.connect_apply(&name).await;
            (name, client)
        })
        .collect();
    let connected: Vec<_> = stream::iter(connecting).buffer_unordered(AT_ONCE).collect().await;
    let (mut clients, mut failures) = (Clients::new(), Vec::new());
    for (name, client) in connected {
        match client {
            Ok(client) => {
                clients.insert(name, client);
            }
            Err(error) => failures.push(format!("{name}: {error:#}")),
        }
    }
    failures.sort();
    (clients, failures)
}

/// Why a connection failed says more than that there is none.
fn replace_failures(plan: &mut stores::Plan, connecting: Vec<String>) {
    for failure in &mut plan.failures {
        let prefix = format!("{}: ", failure.account);
        if let Some(why) = connecting.iter().find_map(|text| text.strip_prefix(&prefix)) {
            failure.error = why.to_owned();
        }
    }
}
