//! `leafbox enroll list` and `revoke`, and what the operator's commands share: the keys, signing,
//! and bringing it to the servers.

use std::{collections::BTreeSet, time::SystemTime};

use anyhow::{Context, Result, bail};
use identity::{
    EnrolledNode, JwtSet, KeyStore, Ledger,
    enrolled::{held_in, take_back_others},
    enrolment::Request,
    layout, remove_enrolled,
};
use serde_json::json;
use settings::{Name, NodeRole, builtin::LEAF_ROLE};

use super::paste;
use crate::{cli, converge, figures::date, say, session::Session, setup, table::Table};

/// The keys of this machine, which must be the operator's.
pub(crate) fn operator_keys(session: &Session) -> Result<KeyStore> {
    let keys = if session.keys.exists() { Some(KeyStore::open(&session.keys)?) } else { None };
    keys.filter(KeyStore::has_operator).with_context(|| {
        format!(
            "{} has no operator's keys: run this where they are (`leafbox enroll status` is for boxes)",
            session.keys.display()
        )
    })
}

/// What was signed, and who knows.
pub(crate) struct Signed {
    pub(crate) set: JwtSet,
    pub(crate) pushed: Pushed,
}

/// Whether servers have what was signed.
pub(crate) enum Pushed {
    /// Those that a node here reaches have it.
    Yes,
    /// No node runs here that could reach any.
    NoNode,
    /// They could not be told.
    Failed(anyhow::Error),
}

impl Pushed {
    /// Says what is left to do, and gives the exit code.
    pub(crate) fn tell(&self, effect: &str) -> u8 {
        eprintln!("{}", self.words(effect));
        if matches!(self, Self::Failed(_)) { runtime::exit::FAILURE } else { runtime::exit::SUCCESS }
    }

    /// Who knows, and what is left to do.
    pub(crate) fn words(&self, effect: &str) -> String {
        match self {
            Self::Yes => "the running hub knows".to_owned(),
            Self::NoNode => format!(
                "no node runs here: `leafbox apply` where the hub runs pushes the change, which {effect} \
                 (`leafbox apply --export DIR` writes it for a hub that gets its JWTs from git)"
            ),
            Self::Failed(error) => format!(
                "! signed, but the running hub was not told: {}; `leafbox apply` pushes it, which {effect}",
                crate::explain(error)
            ),
        }
    }
}

/// Signs the fleet with the nodes that are let in now, and pushes it where a node runs here.
pub(crate) async fn sign_and_push(session: &Session, keys: &KeyStore) -> Result<Signed> {
    let folder = session.settings.jwts_dir();
    if session.require_running().is_ok() && layout::system_creds(&session.keys).exists() {
        let pushed = match converge::converge_accounts(session, keys).await {
            Ok(_) => Pushed::Yes,
            Err(error) => Pushed::Failed(error),
        };
        if matches!(pushed, Pushed::Yes) {
            let set = setup::previous(&folder)?.context("nothing was signed")?;
            return Ok(Signed { set, pushed });
        }
        let set = sign(session, keys)?;
        return Ok(Signed { set, pushed });
    }
    Ok(Signed { set: sign(session, keys)?, pushed: Pushed::NoNode })
}

fn sign(session: &Session, keys: &KeyStore) -> Result<JwtSet> {
    let (fleet, folder, now) = (&session.settings.fleet, session.settings.jwts_dir(), SystemTime::now());
    identity::ensure_fleet_keys(keys, fleet, now)?;
    let signed = Ledger::new(keys, &folder)
        .sign(now, |previous| identity::sign(keys, fleet, previous, now))
        .with_context(|| setup::cannot_sign(&folder, &session.keys))?;
    Ok(signed.set)
}

/// The boxes that were let in.
pub(super) fn list(session: &Session, as_json: bool) -> Result<()> {
    let keys = operator_keys(session)?;
    let mut table = Table::new(&["NODE", "KEYS", "SINCE", "FINGERPRINT"]);
    let mut listed = Vec::new();
    for node in identity::enrolled(&keys)? {
        let since = node.changed_at.and_then(date).unwrap_or_else(|| "unknown".to_owned());
        let count = node.public_keys().count();
        let fingerprint = (count > 0).then(|| fingerprint(&session.settings.fleet.name, &node));
        let revoked = count == 0;
        table.row([
            node.node.to_string(),
            if revoked { "taken back".to_owned() } else { count.to_string() },
            since.clone(),
            fingerprint.clone().unwrap_or_default(),
        ]);
        listed.push(json!({
            "node": node.node,
            "keys": count,
            "since": since,
            "fingerprint": fingerprint,
            "taken_back": node.taken_back.len(),
        }));
    }
    if as_json {
        say!("{}", serde_json::to_string_pretty(&listed)?);
    } else if table.is_empty() {
        say!(
            "no box was let in yet: `leafbox enroll request` on a box makes what `leafbox enroll approve` takes"
        );
    } else {
        say!("{}", table.to_string().trim_end());
    }
    Ok(())
}

/// The fingerprint of the request that was approved.
pub(crate) fn fingerprint(fleet: &Name, node: &EnrolledNode) -> String {
    let is_leaf = node.keys.values().any(|roles| roles.contains_key(LEAF_ROLE));
    let role = if is_leaf { NodeRole::Leaf } else { NodeRole::Hub };
    let request = Request { fleet: fleet.clone(), node: node.node.clone(), role, keys: node.keys.clone() };
    request.fingerprint().to_string()
}

/// The keys of a box that was let in.
pub(crate) struct Held {
    pub(crate) node: Name,
    store: KeyStore,
    is_known: bool,
    set: Option<JwtSet>,
    pub(crate) keys: BTreeSet<String>,
}

impl Held {
    /// Those of a box; one that was never let in is refused.
    pub(crate) fn of(session: &Session, node: &str) -> Result<Self> {
        let store = operator_keys(session)?;
        let node: Name = node.parse().map_err(anyhow::Error::msg)?;
        let nodes = identity::enrolled(&store)?;
        let known = nodes.iter().find(|known| known.node == node);
        let set = Ledger::new(&store, &session.settings.jwts_dir()).read(SystemTime::now())?;
        // A restored backup may know less of its boxes than what was signed.
        let mut keys = set.as_ref().map(|set| held_in(set, &node)).unwrap_or_default();
        if known.is_none() && keys.is_empty() {
            let names: Vec<&str> = nodes.iter().map(|known| known.node.as_str()).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            bail!("{node} was never let in; those that were: {names}");
        }
        keys.extend(known.into_iter().flat_map(EnrolledNode::public_keys).cloned());
        Ok(Self { is_known: known.is_some(), node, store, set, keys })
    }

    /// Takes them back, for good, and tells the servers where a node runs here.
    pub(crate) async fn take_back(self, session: &Session) -> Result<Pushed> {
        let now = SystemTime::now();
        if self.is_known {
            remove_enrolled(&self.store, &self.node, now)?;
        }
        if let Some(set) = &self.set {
            take_back_others(&self.store, set, &self.node, now)?;
        }
        Ok(sign_and_push(session, &self.store).await?.pushed)
    }
}

/// Takes the keys of a box back.
pub(super) async fn revoke(session: &Session, arguments: &cli::EnrollRevoke) -> Result<u8> {
    let held = Held::of(session, &arguments.node)?;
    let (node, count) = (held.node.clone(), held.keys.len());
    if count > 0 && !arguments.yes {
        eprintln!("{node} has {count} keys. Its link and every user that it made are cut off, for good.");
        if !paste::confirm("Take them back?")? {
            bail!("not taken back; nothing was changed");
        }
    }
    let pushed = held.take_back(session).await?;
    say!("the keys of {node} are taken back, and are never accepted again");
    let code = pushed.tell("cuts it off");
    say!("");
    say!("What is left to do about a box that is lost:");
    say!("  - It still has its JetStream key: without a TPM, who has the disk reads what was stored on it.");
    say!(
        "  - Take {node} out of `nodes` in fleet.toml when it does not come back, and `leafbox apply`: the hub"
    );
    say!("    stops reading from it. Its stores on the hub stay.");
    say!("  - Replace what else was on it: a certificate for the uplink, creds of services of other nodes.");
    say!("  - A new box of the same name makes new keys: `leafbox enroll request` there.");
    Ok(code)
}
