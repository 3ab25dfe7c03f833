//! Making what runs equal to what is declared: accounts first, then the stores of this node.

use std::{collections::BTreeMap, collections::BTreeSet, path::Path, time::SystemTime};

use anyhow::{Context, Result};
use futures::{StreamExt, stream};
use identity::{
    AccountChange, KeyStore, KeyStoreError, Ledger, SignError, layout,
    push::{InForce, PushOptions, PushReport},
};
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
    /// What is signed and not in force on every server yet.
    pub unpushed: Vec<AccountChange>,
    /// Signed accounts that fleet.toml does not declare any more.
    pub undeclared: Vec<Name>,
    /// Why the servers could not be asked, where they could not.
    pub unknown: Option<String>,
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
    defer_to_accounts(&mut stores, &accounts);
    Ok(Plan { accounts, stores, restart: drift::of(session)? })
}

/// An account that is yet to be made has no stores to look at, which is no failure.
fn defer_to_accounts(plan: &mut stores::Plan, accounts: &Accounts) {
    let pending = accounts.changes.iter().chain(&accounts.unpushed).chain(&accounts.waiting);
    let new: BTreeSet<&Name> = pending
        .filter(|change| change.what == "account" && change.from.is_none())
        .map(|change| &change.account)
        .collect();
    plan.failures.retain(|failure| !new.contains(&failure.account));
    plan.notes
        .extend(new.into_iter().map(|name| format!("the stores of {name} are made once the account is")));
}

/// What differs between the accounts in force and those declared. Writes nothing and makes no key.
pub async fn plan_accounts(session: &Session) -> Result<Accounts> {
    let (folder, now) = (session.settings.jwts_dir(), SystemTime::now());
    let fleet = &session.settings.fleet;
    let keys = KeyStore::open(&session.keys)?;
    if !keys.has_operator() {
        let signed = setup::known(&session.settings)?.with_context(|| {
            format!(
                "{} holds no account JWTs: get them from the operator's `leafbox apply --export`",
                folder.display()
            )
        })?;
        let waiting = identity::needs_operator(&signed, fleet);
        let undeclared = identity::undeclared(&signed, fleet);
        return Ok(Accounts { waiting, undeclared, ..Accounts::default() });
    }
    let cannot = || setup::cannot_sign(&folder, &session.keys);
    let (used, unknown) = ask_servers(session, &keys).await;
    let set = used.as_ref().and_then(InForce::as_set);
    let ledger = Ledger { in_force: set.as_ref(), ..Ledger::new(&keys, &folder) };
    let previous = ledger.read(now).with_context(cannot)?;
    let (changes, signed) = match (identity::sign(&keys, fleet, previous.as_ref(), now), previous) {
        (Ok(signed), previous) => (identity::changes(previous.as_ref(), &signed), signed),
        // An account or role that is new in fleet.toml: apply makes its key, a plan makes none.
        (Err(SignError::Keys(KeyStoreError::NoKey { .. })), Some(previous)) => {
            (identity::needs_operator(&previous, fleet), previous)
        }
        (Err(error), _) => return Err(error).with_context(cannot),
    };
    let mut accounts = Accounts { changes, unknown, ..Accounts::default() };
    accounts.undeclared = identity::undeclared(&signed, fleet);
    if let Some(used) = &used {
        accounts.unpushed = identity::changes_in_force(used, &signed);
    }
    Ok(accounts)
}

/// What the servers use of the accounts that are known here, or why they could not be asked.
async fn ask_servers(session: &Session, keys: &KeyStore) -> (Option<InForce>, Option<String>) {
    let asked = async {
        let known = Ledger::new(keys, &session.settings.jwts_dir()).read(SystemTime::now())?;
        let mut accounts: BTreeMap<Name, String> = BTreeMap::new();
        for name in session.settings.fleet.all_accounts().into_keys() {
            // One without a key is new, and no server has it.
            if let Ok(key) = keys.account(&name) {
                accounts.insert(name, key.public_key());
            }
        }
        let known = known.into_iter().flat_map(|set| set.accounts);
        accounts.extend(known.map(|(name, account)| (name, account.public_key)));
        let client = session.connect(&layout::system_creds(&session.keys), "leafbox plan").await?;
        anyhow::Ok(identity::push::in_force_of(&client, &accounts, &push_options(session)).await?)
    };
    match asked.await {
        Ok(used) => (Some(used), None),
        Err(error) => (None, Some(crate::explain(&error))),
    }
}

/// What became of an apply.
#[derive(Debug)]
pub struct Converged {
    /// What was signed and pushed.
    pub accounts: Accounts,
    /// How the push went, where one was needed.
    pub push: Option<PushReport>,
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
    let (accounts, push) = converge_accounts(session, &keys).await?;
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

/// Makes the keys that are missing, signs what changed, and pushes what is not in force.
pub(crate) async fn converge_accounts(
    session: &Session,
    keys: &KeyStore,
) -> Result<(Accounts, Option<PushReport>)> {
    if !keys.has_operator() {
        return Ok((plan_accounts(session).await?, None));
    }
    let (fleet, folder, now) = (&session.settings.fleet, session.settings.jwts_dir(), SystemTime::now());
    identity::ensure_fleet_keys(keys, fleet, now)?;
    let (used, unknown) = ask_servers(session, keys).await;
    let set = used.as_ref().and_then(InForce::as_set);
    let ledger = Ledger { in_force: set.as_ref(), ..Ledger::new(keys, &folder) };
    let signed = ledger
        .sign(now, |previous| identity::sign(keys, fleet, previous, now))
        .with_context(|| setup::cannot_sign(&folder, &session.keys))?;
    let mut accounts = Accounts {
        changes: identity::changes(signed.previous.as_ref(), &signed.set),
        undeclared: identity::undeclared(&signed.set, fleet),
        unknown,
        ..Accounts::default()
    };
    if let Some(used) = &used {
        accounts.unpushed = identity::changes_in_force(used, &signed.set);
    }
    if accounts.changes.is_empty() && accounts.unpushed.is_empty() {
        return Ok((accounts, None));
    }
    let client = session.connect(&layout::system_creds(&session.keys), "leafbox push").await?;
    let report = identity::push::push(&client, &signed.set, &push_options(session)).await?;
    Ok((accounts, Some(report)))
}

/// Which servers owe an answer: all of the hub, or this leaf alone.
pub(crate) fn push_options(session: &Session) -> PushOptions {
    let expected = match session.settings.node.role {
        NodeRole::Hub => session.settings.fleet.nodes.hub.iter().map(ToString::to_string).collect(),
        NodeRole::Leaf => vec![session.settings.node.name.to_string()],
    };
    PushOptions { expected, ..PushOptions::default() }
}

/// Signs what is declared and writes the JWTs into a folder; no server is told. What a running node
/// uses is asked for, so that no revocation is missing where the signed JWTs were lost.
pub async fn export(session: &Session, folder: &Path) -> Result<(usize, Vec<AccountChange>)> {
    let (keys, fleet) = (KeyStore::open(&session.keys)?, &session.settings.fleet);
    let (own, now) = (session.settings.jwts_dir(), SystemTime::now());
    let set = if keys.has_operator() {
        identity::ensure_fleet_keys(&keys, fleet, now)?;
        let used = if session.require_running().is_ok() { ask_servers(session, &keys).await.0 } else { None };
        let in_force = used.as_ref().and_then(InForce::as_set);
        let ledger = Ledger { keys: &keys, jwts: &own, copy: Some(folder), in_force: in_force.as_ref() };
        ledger.sign(now, |previous| identity::sign(&keys, fleet, previous, now))?.set
    } else {
        let set = setup::known(&session.settings)?.context("this machine has neither the operator's keys nor signed JWTs: run this where the operator's keys are")?;
        set.write_dir(folder)?;
        set
    };
    Ok((set.accounts.len(), identity::needs_operator(&set, fleet)))
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
