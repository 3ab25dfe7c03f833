//! `leafbox enroll approve`: lets a box in, and prints the answer for it.
//!
//! What is said to people goes to stderr, so that `> answer` takes the answer alone.

use std::{collections::BTreeSet, path::Path, time::SystemTime};

use anyhow::{Result, bail};
use identity::{
    KeyStore, Ledger, add_enrolled,
    enrolled::{check_offered, take_back_others},
    enrolment::{Answer, Request},
};
use settings::{
    Fleet, Name, NodeRole,
    builtin::{APPLY_ROLE, CONSOLE_ROLE, HEALTH_SERVICE, LEAF_ROLE, PUSH_ROLE, REGISTRY_SERVICE},
};

use super::{kind, nodes, paste};
use crate::{cli, contradiction, data::write_whole, say, session::Session};

/// Checks the request, asks, signs, pushes where it can, and gives the answer.
pub(super) async fn run(session: &Session, arguments: &cli::EnrollApprove) -> Result<u8> {
    let keys = nodes::operator_keys(session)?;
    let request = Request::parse(&paste::read(&arguments.request, "request")?)?;
    let fleet = &session.settings.fleet;
    check(fleet, &request)?;
    let known = Ledger::new(&keys, &session.settings.jwts_dir()).read(SystemTime::now())?;
    check_offered(&keys, known.as_ref(), &request.node, &request.keys)?;
    show(&keys, fleet, &request)?;
    if !arguments.yes && !confirm(&arguments.request)? {
        bail!("not approved; nothing was changed");
    }
    let now = SystemTime::now();
    add_enrolled(&keys, &request.node, request.keys.clone(), now)?;
    if let Some(known) = &known {
        take_back_others(&keys, known, &request.node, now)?;
    }
    let signed = nodes::sign_and_push(session, &keys).await?;
    let operator = signed.set.operator_claims();
    eprintln!("{} is let in by the operator {} ({})", request.node, operator.subject, operator.name);
    let (fleet, node, fingerprint) = (fleet.name.clone(), request.node.clone(), request.fingerprint());
    let answer = Answer { fleet, node, fingerprint, jwts: signed.set };
    match &arguments.output {
        Some(file) => {
            write_whole(file, answer.armored().as_bytes(), 0o644)?;
            eprintln!("the answer, which holds no secret, is in {}", file.display());
        }
        None => say!("{}", answer.armored().trim_end()),
    }
    eprintln!("on the box: `leafbox enroll accept -` and paste it, or name its file instead of -");
    Ok(signed.pushed.tell("lets the box join"))
}

fn confirm(request: &Path) -> Result<bool> {
    let question = "Is it the one that the box shows, and do you let it in?";
    if paste::is_pasted(request) { paste::confirm_after_paste(question) } else { paste::confirm(question) }
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

/// Shows who asks and for what.
fn show(keys: &KeyStore, fleet: &Fleet, request: &Request) -> Result<()> {
    eprintln!("{}, {} of the fleet {}, asks to be let in", request.node, kind(request.role), fleet.name);
    eprintln!();
    eprintln!("  fingerprint  {}", request.fingerprint());
    let known = identity::enrolled(keys)?.into_iter().find(|known| known.node == request.node);
    match known {
        Some(known) if known.keys == request.keys => eprintln!("  before       let in with the same keys"),
        Some(known) if known.keys.is_empty() => {
            eprintln!("  before       its keys were taken back; these are new")
        }
        Some(known) => {
            let offered: BTreeSet<&String> = request.keys.values().flat_map(|roles| roles.values()).collect();
            let gone = known.public_keys().filter(|key| !offered.contains(key)).count();
            let new = offered.len() + gone - known.public_keys().count();
            eprintln!("  before       let in; {new} keys are new, and {gone} of the old ones are taken back");
        }
        None => eprintln!("  before       never let in"),
    }
    eprintln!("  it may");
    for (account, roles) in &request.keys {
        eprintln!("    {account}: {}", may(account, roles.keys(), &request.node));
    }
    eprintln!();
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
