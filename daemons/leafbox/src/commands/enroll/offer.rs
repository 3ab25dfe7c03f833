//! What a box asks for, checked, and letting it in: the same for `leafbox enroll approve` and for the
//! signer that the web console asks.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use anyhow::Result;
use identity::{
    JwtSet, KeyStore, Ledger, add_enrolled,
    enrolled::{check_offered, take_back_others},
    enrolment::{Answer, Request},
};
use settings::{
    Fleet, Name, NodeRole,
    builtin::{APPLY_ROLE, CONSOLE_ROLE, HEALTH_SERVICE, LEAF_ROLE, PUSH_ROLE, REGISTRY_SERVICE},
};

use super::{kind, nodes};
use crate::{contradiction, session::Session};

/// A request that this fleet may approve.
pub(crate) struct Offer {
    keys: KeyStore,
    known: Option<JwtSet>,
    request: Request,
}

/// A box that was let in.
pub(crate) struct LetIn {
    pub(crate) answer: Answer,
    pub(crate) pushed: nodes::Pushed,
}

impl Offer {
    /// Reads a request, and refuses what the fleet does not know or give to a node of its kind.
    pub(crate) fn read(session: &Session, text: &str) -> Result<Self> {
        let keys = nodes::operator_keys(session)?;
        let request = Request::parse(text)?;
        check(&session.settings.fleet, &request)?;
        let known = Ledger::new(&keys, &session.settings.jwts_dir()).read(SystemTime::now())?;
        check_offered(&keys, known.as_ref(), &request.node, &request.keys)?;
        Ok(Self { keys, known, request })
    }

    /// What the box wrote.
    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    /// What the box is, in a word.
    pub(crate) fn kind(&self) -> &'static str {
        kind(self.request.role)
    }

    /// Whether it was let in before, in words.
    pub(crate) fn before(&self) -> Result<String> {
        let request = &self.request;
        let known = identity::enrolled(&self.keys)?.into_iter().find(|known| known.node == request.node);
        Ok(match known {
            Some(known) if known.keys == request.keys => "let in with the same keys".to_owned(),
            Some(known) if known.keys.is_empty() => "its keys were taken back; these are new".to_owned(),
            Some(known) => {
                let offered: BTreeSet<&String> =
                    request.keys.values().flat_map(|roles| roles.values()).collect();
                let gone = known.public_keys().filter(|key| !offered.contains(key)).count();
                let new = offered.len() + gone - known.public_keys().count();
                format!("let in; {new} keys are new, and {gone} of the old ones are taken back")
            }
            None => "never let in".to_owned(),
        })
    }

    /// What its keys are good for, by account.
    pub(crate) fn may(&self) -> BTreeMap<String, String> {
        let of = |(account, roles): (&Name, &BTreeMap<Name, String>)| {
            (account.to_string(), may(account, roles.keys(), &self.request.node))
        };
        self.request.keys.iter().map(of).collect()
    }

    /// Signs the fleet with the box in it, and pushes that where a node runs here.
    pub(crate) async fn let_in(self, session: &Session) -> Result<LetIn> {
        let Self { keys, known, request } = self;
        let now = SystemTime::now();
        add_enrolled(&keys, &request.node, request.keys.clone(), now)?;
        if let Some(known) = &known {
            take_back_others(&keys, known, &request.node, now)?;
        }
        let signed = nodes::sign_and_push(session, &keys).await?;
        let (fleet, fingerprint) = (session.settings.fleet.name.clone(), request.fingerprint());
        let answer = Answer { fleet, node: request.node, fingerprint, jwts: signed.set };
        Ok(LetIn { answer, pushed: signed.pushed })
    }
}

/// Refuses what the fleet does not know, or does not let a node of this kind do.
fn check(fleet: &Fleet, request: &Request) -> Result<()> {
    let Request { node, role, .. } = request;
    if request.fleet != fleet.name {
        contradiction!(
            "the request is of the fleet {}, and this machine has the keys of {}: take it to the right operator",
            request.fleet,
            fleet.name
        );
    }
    let (ours, ours_key, others, others_kind) = match role {
        NodeRole::Leaf => (&fleet.nodes.leaves, "leaves", &fleet.nodes.hub, NodeRole::Hub),
        NodeRole::Hub => (&fleet.nodes.hub, "hub", &fleet.nodes.leaves, NodeRole::Leaf),
    };
    if !ours.contains(node) {
        if others.contains(node) {
            contradiction!(
                "{node} asks to be {}, and fleet.toml lists it as {}: put `role` right in its node.toml",
                kind(*role),
                kind(others_kind)
            );
        }
        contradiction!(
            "fleet.toml does not know {node}: if it is wanted, add it to `nodes.{ours_key}` first"
        );
    }
    let allowed = fleet.roles_of_node(*role);
    for (account, roles) in &request.keys {
        for role in roles.keys() {
            if !allowed.get(account).is_some_and(|roles| roles.contains(role)) {
                contradiction!(
                    "{node} asks to sign users with the role {role} in {account}, which fleet.toml here does not \
                     give {}: bring both machines to the same fleet.toml, then run `leafbox enroll request` there \
                     again",
                    kind(request.role)
                );
            }
        }
    }
    for (account, roles) in allowed {
        let offered = request.keys.get(&account);
        let lacking: Vec<&str> = roles
            .iter()
            .filter(|role| !offered.is_some_and(|offered| offered.contains_key(*role)))
            .map(|role| role.as_str())
            .collect();
        if !lacking.is_empty() {
            contradiction!(
                "{node} offers no key for {} in {account}: its fleet.toml or its leafbox is older than what is here; \
                 bring it up to date, then run `leafbox enroll request` there again",
                lacking.join(", ")
            );
        }
    }
    Ok(())
}

/// What the keys for these roles are good for.
fn may<'a>(account: &Name, roles: impl Iterator<Item = &'a Name>, node: &Name) -> String {
    let (mut words, mut declared) = (Vec::new(), Vec::new());
    for role in roles {
        match role.as_str() {
            LEAF_ROLE => words.push("join the hub".to_owned()),
            APPLY_ROLE => words.push("apply its stores".to_owned()),
            PUSH_ROLE => words.push("push account claims".to_owned()),
            CONSOLE_ROLE => words.push("run its web console".to_owned()),
            HEALTH_SERVICE if account.as_str() == settings::LEAFBOX_ACCOUNT => {
                words.push(format!("report the health of {node}"));
            }
            REGISTRY_SERVICE if account.as_str() == settings::LEAFBOX_ACCOUNT => {
                words.push(format!("run the container registry of {node}"));
            }
            other => declared.push(other),
        }
    }
    if !declared.is_empty() {
        words.push(format!("make users with the roles {}", declared.join(", ")));
    }
    words.join("; ")
}
