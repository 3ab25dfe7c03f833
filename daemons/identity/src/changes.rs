//! What differs between what accounts are and what they should be, in words for people.
//!
//! Works without any key: a node that cannot sign still tells which changes wait for the operator.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use settings::{Account, Fleet, Name};

use crate::{
    activation::word,
    claims::{
        AccountBody, ExportClaim, ImportClaim, Limits, Permission, Permissions, SigningKeyClaim, UNLIMITED,
    },
    declared,
    jwt_set::JwtSet,
    push::InForce,
    sign::AT_NODE,
};

/// One thing about an account that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountChange {
    /// The account.
    pub account: Name,
    /// What differs, such as `role till publish` or `limit connections`.
    pub what: String,
    /// What it is; nothing when it is not there.
    pub from: Option<String>,
    /// What it should be; nothing when it should not be there.
    pub to: Option<String>,
}

/// What an account is like, line by line.
type Lines = BTreeMap<String, String>;

/// What the next signed set changes over the previous one, keys and revocations included.
pub fn changes(previous: Option<&JwtSet>, next: &JwtSet) -> Vec<AccountChange> {
    let lines = |set: &JwtSet| -> BTreeMap<Name, Lines> {
        set.accounts
            .iter()
            .map(|(name, account)| (name.clone(), signed(set, &account.claims().nats, true)))
            .collect()
    };
    let mut found = difference(&previous.map(lines).unwrap_or_default(), &lines(next));
    // Signed anew by another signing key, or in a form that reads the same.
    for (name, account) in &next.accounts {
        let before = previous.and_then(|set| set.accounts.get(name));
        if before.is_some_and(|before| before.jwt != account.jwt)
            && !found.iter().any(|change| change.account == *name)
        {
            let date = |at: i64| Some(format!("of second {at}"));
            let (from, to) = (before.and_then(|before| date(before.issued_at)), date(account.issued_at));
            found.push(AccountChange { account: name.clone(), what: "signature".into(), from, to });
        }
    }
    found
}

/// What a push of `next` changes on the servers.
pub fn changes_in_force(in_force: &InForce, next: &JwtSet) -> Vec<AccountChange> {
    let mut found = Vec::new();
    for name in in_force.differs_from(next) {
        let account = &next.accounts[name];
        let change = |what: &str, from: Option<&str>, to: &str| AccountChange {
            account: name.clone(),
            what: what.into(),
            from: from.map(Into::into),
            to: Some(to.into()),
        };
        let Some(before) = in_force.newest(name) else {
            found.push(change("account", None, "new"));
            continue;
        };
        if account.is_removed() {
            found.push(change("account", Some("in force"), "removed"));
            continue;
        }
        let lines = |body| BTreeMap::from([(name.clone(), signed(next, body, true))]);
        let differing = difference(&lines(&before.nats), &lines(&account.claims().nats));
        if differing.is_empty() {
            // Signed anew, or some server lacks what another has.
            found.push(change("account", Some("not in force on every server"), "in force"));
        }
        found.extend(differing);
    }
    found
}

/// What is declared and not signed yet: it waits for a run where the operator's keys are. Empty
/// when the signed set says what the fleet says.
pub fn needs_operator(set: &JwtSet, fleet: &Fleet) -> Vec<AccountChange> {
    let fleet = fleet.all_accounts();
    let wanted = fleet.iter().map(|(name, account)| (name.clone(), wanted(&fleet, account))).collect();
    let is = set.accounts.iter().filter(|(name, account)| fleet.contains_key(*name) && !account.is_removed());
    let is = is.map(|(name, account)| (name.clone(), signed(set, &account.claims().nats, false))).collect();
    difference(&is, &wanted)
}

/// Accounts that are signed and not declared any more. They stay as they are until removed.
pub fn undeclared(set: &JwtSet, fleet: &Fleet) -> Vec<Name> {
    let declared = fleet.all_accounts();
    let still_there =
        set.accounts.iter().filter(|(name, account)| !declared.contains_key(*name) && !account.is_removed());
    still_there.map(|(name, _)| name.clone()).collect()
}

fn difference(is: &BTreeMap<Name, Lines>, wanted: &BTreeMap<Name, Lines>) -> Vec<AccountChange> {
    let mut found = Vec::new();
    for account in is.keys().chain(wanted.keys()).collect::<BTreeSet<_>>() {
        let change = |what: &str, from: Option<&str>, to: Option<&str>| AccountChange {
            account: account.clone(),
            what: what.into(),
            from: from.map(Into::into),
            to: to.map(Into::into),
        };
        match (is.get(account), wanted.get(account)) {
            (None, Some(_)) => found.push(change("account", None, Some("new"))),
            (Some(_), None) => found.push(change("account", Some("signed"), None)),
            (Some(is), Some(wanted)) => {
                for what in is.keys().chain(wanted.keys()).collect::<BTreeSet<_>>() {
                    let (from, to) = (is.get(what), wanted.get(what));
                    if from != to {
                        found.push(change(what, from.map(String::as_str), to.map(String::as_str)));
                    }
                }
            }
            (None, None) => {}
        }
    }
    found
}

fn wanted(fleet: &BTreeMap<Name, Account>, account: &Account) -> Lines {
    let mut lines = Lines::new();
    let private = |import: &settings::fleet::Import| {
        let offered = fleet.get(&import.from).map(|exporter| exporter.exports.as_slice()).unwrap_or_default();
        offered.iter().any(|export| declared::covers(export, import) && !export.to.is_empty())
    };
    limits(&mut lines, &declared::limits(account));
    describe(&mut lines, account.description.as_deref().unwrap_or_default());
    for (name, role) in account.all_roles() {
        permissions(&mut lines, &name, &declared::permissions(&role));
        if let Some(description) = role.description.filter(|text| !text.is_empty()) {
            lines.insert(format!("role {name} description"), description);
        }
    }
    for export in &account.exports {
        export_line(&mut lines, &declared::export(export));
    }
    for import in &account.imports {
        let local = import.local.as_deref().unwrap_or_default();
        import_line(
            &mut lines,
            &import.from,
            import.kind,
            &import.subject,
            local,
            import.share,
            private(import),
        );
    }
    lines
}

/// `whole` adds what a fleet file does not declare: keys, other nodes' keys and revocations.
fn signed(set: &JwtSet, body: &AccountBody, whole: bool) -> Lines {
    let mut lines = Lines::new();
    limits(&mut lines, &body.limits);
    describe(&mut lines, &body.description);
    for claim in &body.signing_keys {
        match claim {
            SigningKeyClaim::Plain(key) => {
                lines.insert(format!("signing key {key}"), "any permission".into());
            }
            SigningKeyClaim::Scoped(scope) if scope.role.contains(AT_NODE) => {
                if whole {
                    lines.insert(format!("role {} key", scope.role), scope.key.clone());
                }
            }
            SigningKeyClaim::Scoped(scope) => {
                permissions(&mut lines, &scope.role, &scope.template);
                if !scope.description.is_empty() {
                    lines.insert(format!("role {} description", scope.role), scope.description.clone());
                }
                if whole {
                    lines.insert(format!("role {} key", scope.role), scope.key.clone());
                }
            }
        }
    }
    for export in &body.exports {
        export_line(&mut lines, export);
    }
    for ImportClaim { account, subject, local_subject, kind, share, token, .. } in &body.imports {
        let from = set.name_of(account).map_or(account.as_str(), Name::as_str);
        import_line(&mut lines, from, *kind, subject, local_subject, *share, !token.is_empty());
    }
    if whole {
        for (user, at) in &body.revocations {
            lines.insert(format!("revoked {user}"), format!("signed until second {at}"));
        }
    }
    for (field, value) in &body.other {
        let empty = value.as_object().is_some_and(|object| {
            object.values().all(|value| value.as_object().is_some_and(|inner| inner.is_empty()))
        });
        if !empty {
            lines.insert(field.clone(), value.to_string());
        }
    }
    lines
}

fn describe(lines: &mut Lines, description: &str) {
    if !description.is_empty() {
        lines.insert("description".into(), description.into());
    }
}

fn limits(lines: &mut Lines, limits: &Limits) {
    let mut limit = |what: &str, value: i64| {
        let text = if value == UNLIMITED { "unlimited".into() } else { value.to_string() };
        lines.insert(format!("limit {what}"), text);
    };
    limit("connections", limits.conn);
    limit("leaf connections", limits.leaf);
    limit("subscriptions", limits.subs);
    limit("payload", limits.payload);
    limit("data", limits.data);
    limit("imports", limits.imports);
    limit("exports", limits.exports);
    let enabled = limits.mem_storage != 0 || limits.disk_storage != 0;
    if enabled {
        limit("jetstream memory", limits.mem_storage);
        limit("jetstream storage", limits.disk_storage);
        limit("jetstream streams", limits.streams);
        limit("jetstream consumers", limits.consumer);
        for (what, value) in [
            ("jetstream max ack pending", limits.max_ack_pending),
            ("jetstream max memory stream", limits.mem_max_stream_bytes),
            ("jetstream max storage stream", limits.disk_max_stream_bytes),
        ] {
            limit(what, if value <= 0 { UNLIMITED } else { value });
        }
        lines.insert("jetstream max bytes required".into(), limits.max_bytes_required.to_string());
    }
    lines.insert("jetstream".into(), if enabled { "on" } else { "off" }.into());
}

fn permissions(lines: &mut Lines, role: &str, permissions: &Permissions) {
    lines.insert(format!("role {role} publish"), permission(&permissions.publish));
    lines.insert(format!("role {role} subscribe"), permission(&permissions.subscribe));
    if let Some(response) = &permissions.response {
        let seconds = response.ttl as f64 / 1e9;
        lines.insert(format!("role {role} responses"), format!("{} within {seconds} s", response.max));
    }
}

fn permission(permission: &Permission) -> String {
    let Permission { allow, deny } = permission;
    match (allow.is_empty(), deny.is_empty()) {
        (true, true) => "everything".into(),
        (true, false) if deny.iter().any(|subject| subject == ">") => "nothing".into(),
        (true, false) => format!("everything but {}", deny.join(", ")),
        (false, true) => allow.join(", "),
        (false, false) => format!("{} but not {}", allow.join(", "), deny.join(", ")),
    }
}

fn export_line(lines: &mut Lines, export: &ExportClaim) {
    let whom = if export.token_req { "to chosen accounts" } else { "to all" };
    let response = match export.response_type.as_str() {
        "" | "Singleton" => String::new(),
        other => format!(", replies {}", other.to_lowercase()),
    };
    let description =
        if export.description.is_empty() { String::new() } else { format!(", {}", export.description) };
    let what = format!("export {} {}", word(export.kind), export.subject);
    lines.insert(what, format!("{whom}{response}{description}"));
}

fn import_line(
    lines: &mut Lines,
    from: &str,
    kind: settings::fleet::ExportKind,
    subject: &str,
    local: &str,
    share: bool,
    activated: bool,
) {
    let share = share && kind == settings::fleet::ExportKind::Service;
    let mut text = format!("as {}", if local.is_empty() { subject } else { local });
    for (is_so, words) in [(share, ", telling who asks"), (activated, ", by leave")] {
        if is_so {
            text.push_str(words);
        }
    }
    // One subject may be taken twice under two names.
    let renamed = if local.is_empty() { String::new() } else { format!(" as {local}") };
    lines.insert(format!("import {} {subject} from {from}{renamed}", word(kind)), text);
}

#[cfg(test)]
mod tests;
