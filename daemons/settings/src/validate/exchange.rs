//! Exports and imports: what one account gives and another takes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Tenant};
use crate::{
    fleet::{Account, Export, ExportKind, Fleet, Import, LEAFBOX_ACCOUNT, ResponseKind, SYSTEM_ACCOUNT},
    names::{Name, Subject},
    path::KeyPath,
    suggest::{list, meant_or_list},
};

/// Exports by the tokens of their subject before its first wildcard; those that start with a
/// wildcard are left out.
pub(super) struct OpenExports<'f>(BTreeMap<&'f str, Vec<(&'f Name, &'f Export)>>);

impl<'f> OpenExports<'f> {
    pub(super) fn of(fleet: &'f Fleet) -> Self {
        let mut exports: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (name, account) in &fleet.accounts {
            for export in &account.exports {
                let subject = export.subject.as_str();
                let wildcard = subject.find(['*', '>']).unwrap_or(subject.len());
                let literal = subject[..wildcard].trim_end_matches('.');
                if !literal.is_empty() {
                    exports.entry(literal).or_default().push((name, export));
                }
            }
        }
        Self(exports)
    }

    /// Every export that covers a subject, and whose it is.
    pub(super) fn covering(&self, subject: &str) -> impl Iterator<Item = (&'f Name, &'f Export)> {
        let ends = subject.match_indices('.').map(|(end, _)| end).chain([subject.len()]);
        ends.filter_map(|end| self.0.get(&subject[..end]))
            .flatten()
            .filter(move |(_, export)| export.subject.covers(subject))
            .copied()
    }
}

pub(super) fn word(kind: ExportKind) -> &'static str {
    match kind {
        ExportKind::Stream => "stream",
        ExportKind::Service => "service",
    }
}

/// Whether `account` may import this export.
pub(super) fn is_open_to(export: &Export, account: &Name) -> bool {
    export.to.is_empty() || export.to.contains(account)
}

/// The subject as the importing account names it, references to wildcards (`$1`) as wildcards.
pub(super) fn local(import: &Import) -> Subject {
    let local = import.local.as_ref().unwrap_or(&import.subject);
    let tokens: Vec<&str> =
        local.split('.').map(|token| if reference(token).is_some() { "*" } else { token }).collect();
    tokens.join(".").parse().unwrap_or_else(|_| local.clone())
}

fn reference(token: &str) -> Option<usize> {
    token.strip_prefix('$')?.parse().ok()
}

pub(super) fn check(tenant: &Tenant<'_>, broken: &BTreeSet<String>, findings: &mut Findings) {
    exports(tenant, broken, findings);
    for (index, import) in tenant.account.imports.iter().enumerate() {
        let path = tenant.path.key("imports").index(index);
        renaming(import, &path, findings);
        if import.share && import.kind == ExportKind::Stream {
            findings.error(
                path.key("share"),
                "only the import of a service can tell who asks",
                "remove `share`, or import a service",
            );
        }
        for earlier in &tenant.account.imports[..index] {
            if earlier.kind == import.kind && local(earlier).overlaps(&local(import)) {
                findings.error(
                    path.clone(),
                    format!(
                        "two imports have the local subject `{}`: messages would be doubled or go astray",
                        local(import)
                    ),
                    "give one of them another `local` subject, or remove it",
                );
            }
        }
        if !broken.contains(import.from.as_str()) {
            exporter(tenant, import, &path, findings);
        }
    }
}

fn exports(tenant: &Tenant<'_>, broken: &BTreeSet<String>, findings: &mut Findings) {
    for (index, export) in tenant.account.exports.iter().enumerate() {
        let path = tenant.path.key("exports").index(index);
        for earlier in &tenant.account.exports[..index] {
            let nested = earlier.subject.covers(&export.subject) || export.subject.covers(&earlier.subject);
            if earlier.kind == export.kind && nested {
                findings.error(
                    path.key("subject"),
                    format!("`{}` is already exported by `{}`", export.subject, earlier.subject),
                    "keep the wider of the two",
                );
            }
        }
        if export.kind == ExportKind::Stream && export.response != ResponseKind::Singleton {
            findings.error(path.key("response"), "a stream has no responses", "remove `response`");
        }
        if export.subject.as_str() == ">" {
            findings.warn(
                path.key("subject"),
                "this exports everything, replies and JetStream's own messages too",
                "export the subjects that others need",
            );
        }
        for (place, to) in export.to.iter().enumerate() {
            let path = path.key("to").index(place);
            if to == tenant.name {
                findings.error(path, "an account needs no export to itself", "remove it");
            } else if !tenant.fleet.accounts.contains_key(to) && !broken.contains(to.as_str()) {
                findings.error(path, format!("there is no account `{to}`"), known_accounts(tenant.fleet, to));
            }
        }
    }
}

fn known_accounts(fleet: &Fleet, wanted: &str) -> String {
    let accounts: Vec<&str> = fleet.accounts.keys().map(|name| name.as_str()).collect();
    if accounts.len() > 20 {
        return meant_or_list(wanted, &[], "declare it, or use one of the fleet's accounts")
            .trim_end()
            .to_owned();
    }
    meant_or_list(wanted, &accounts, "the accounts are")
}

/// `local` names each wildcard of `subject` once, as `*` or `$1`, and ends like it.
fn renaming(import: &Import, path: &KeyPath, findings: &mut Findings) {
    let Some(renamed) = &import.local else { return };
    let wildcards = import.subject.split('.').filter(|token| *token == "*").count();
    let references: Vec<usize> = renamed.split('.').filter_map(reference).collect();
    let named = references.len() + renamed.split('.').filter(|token| *token == "*").count();
    let ends_open = |subject: &str| subject == ">" || subject.ends_with(".>");
    if references.iter().any(|number| *number == 0 || *number > wildcards)
        || named != wildcards
        || ends_open(renamed) != ends_open(&import.subject)
    {
        findings.error(
            path.key("local"),
            format!("`{renamed}` does not stand for `{}`", import.subject),
            "name each `*` of `subject` once, as `*` or as `$1`, `$2`, and end with `>` if it does",
        );
    }
}

/// Whether the other account exports what is imported.
fn exporter(tenant: &Tenant<'_>, import: &Import, path: &KeyPath, findings: &mut Findings) {
    let (from, kind, subject) = (&import.from, word(import.kind), &import.subject);
    if from == tenant.name {
        findings.error(
            path.key("from"),
            "an account cannot import from itself",
            "remove the import: the account sees its own subjects",
        );
        return;
    }
    if matches!(from.as_str(), SYSTEM_ACCOUNT | LEAFBOX_ACCOUNT) {
        findings.error(
            path.key("from"),
            format!("`{from}` exports nothing: it is leafbox's own"),
            "remove the import",
        );
        return;
    }
    let Some(other) = tenant.fleet.accounts.get(from) else {
        findings.error(
            path.key("from"),
            format!("there is no account `{from}`"),
            known_accounts(tenant.fleet, from),
        );
        return;
    };
    let covering: Vec<&Export> =
        other.exports.iter().filter(|export| export.subject.covers(subject)).collect();
    match covering.iter().find(|export| export.kind == import.kind) {
        Some(export) if is_open_to(export, tenant.name) => {}
        Some(export) => findings.error(
            path.key("from"),
            format!("`{from}` exports `{}` to {} only", export.subject, list(&export.to)),
            format!("add \"{}\" to `to` of that export", tenant.name),
        ),
        None if !covering.is_empty() => findings.error(
            path.key("kind"),
            format!("`{from}` exports `{subject}`, but not as a {kind}"),
            format!("write kind = \"{}\"", word(covering[0].kind)),
        ),
        None => findings.error(
            path.key("subject"),
            format!("`{from}` does not export the {kind} `{subject}`{}", exported(other)),
            format!(
                "add to the fleet file: [[accounts.{from}.exports]] with subject = \"{subject}\" and kind = \"{kind}\""
            ),
        ),
    }
}

fn exported(account: &Account) -> String {
    let subjects: Vec<&str> = account.exports.iter().take(5).map(|export| export.subject.as_str()).collect();
    if subjects.is_empty() { ", nor anything else".into() } else { format!(", only {}", list(&subjects)) }
}

/// Imports that lead back to where they started: nats-server refuses the account that closes one.
pub(super) fn cycles(fleet: &Fleet, findings: &mut Findings) {
    for (name, account) in &fleet.accounts {
        for (index, import) in account.imports.iter().enumerate() {
            let mut circle = Circle {
                fleet,
                start: name,
                subject: local(import),
                way: vec![name],
                dead_ends: BTreeSet::new(),
            };
            if import.from != *name && circle.leads_back(import) {
                let way: Vec<&str> = circle.way.iter().map(|name| name.as_str()).collect();
                findings.error(
                    KeyPath::of(["accounts", name.as_str(), "imports"]).index(index),
                    format!("this import goes round in a circle: {}", way.join(" from ")),
                    "remove one import of the circle, or import under subjects that do not meet",
                );
            }
        }
    }
}

/// The search for a way from one import back to itself.
struct Circle<'f> {
    fleet: &'f Fleet,
    start: &'f Name,
    /// What the first import brings, in `start`.
    subject: Subject,
    way: Vec<&'f Name>,
    /// Imports that do not lead back, by account and place: each is followed once.
    dead_ends: BTreeSet<(&'f Name, usize)>,
}

impl<'f> Circle<'f> {
    /// Whether an import takes, by way of others, what `start` has by the first.
    fn leads_back(&mut self, import: &'f Import) -> bool {
        self.way.push(&import.from);
        if import.from == *self.start {
            if import.subject.overlaps(&self.subject) {
                return true;
            }
        } else if let Some(account) = self.fleet.accounts.get(&import.from) {
            for (index, further) in account.imports.iter().enumerate() {
                let goes_on = further.kind == import.kind && local(further).overlaps(&import.subject);
                if goes_on && self.dead_ends.insert((&import.from, index)) && self.leads_back(further) {
                    return true;
                }
            }
        }
        self.way.pop();
        false
    }
}
