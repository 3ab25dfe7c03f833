//! Names that are taken, and names that are two only where letter case counts: names become
//! files, and on macOS `Orders` and `orders` are one file.

use std::collections::BTreeMap;

use super::{Findings, Tenant};
use crate::{
    builtin::RESERVED_PREFIX,
    fleet::{Fleet, HUB_DOMAIN, LEAFBOX_ACCOUNT, SYSTEM_ACCOUNT},
    names::Name,
    path::KeyPath,
};

pub(super) fn fleet(fleet: &Fleet, findings: &mut Findings) {
    let accounts = KeyPath::of(["accounts"]);
    for name in fleet.accounts.keys() {
        for (taken, owner) in
            [(SYSTEM_ACCOUNT, "the system account"), (LEAFBOX_ACCOUNT, "leafbox's own account")]
        {
            if name.eq_ignore_ascii_case(taken) {
                findings.error(
                    accounts.key(name),
                    format!("`{taken}` is {owner}, which exists without being declared"),
                    "give your account another name",
                );
            }
        }
    }
    // Account JWTs are files named after their account, beside the operator's.
    if let Some(name) = fleet.accounts.keys().find(|name| name.eq_ignore_ascii_case("operator")) {
        findings.error(
            accounts.key(name),
            "its JWT would take the place of the operator's, `operator.jwt`".to_owned(),
            "give your account another name",
        );
    }
    distinct(fleet.accounts.keys(), &accounts, "account", findings);
    nodes(fleet, findings);
}

fn nodes(fleet: &Fleet, findings: &mut Findings) {
    let lists = [("hub", &fleet.nodes.hub), ("leaves", &fleet.nodes.leaves)];
    let mut seen: BTreeMap<String, &Name> = BTreeMap::new();
    for (list, names) in lists {
        for (index, name) in names.iter().enumerate() {
            let path = KeyPath::of(["nodes", list]).index(index);
            if name.eq_ignore_ascii_case(HUB_DOMAIN) {
                findings.error(
                    path.clone(),
                    format!("`{HUB_DOMAIN}` is the JetStream domain of the whole hub"),
                    "name the node after the machine, such as `hub-1`",
                );
            }
            if let Some(earlier) = seen.insert(name.to_ascii_lowercase(), name) {
                let message = if earlier == name {
                    format!("the node `{name}` is listed twice")
                } else {
                    format!("`{name}` and `{earlier}` differ only in letter case")
                };
                findings.error(path, message, "every node has one name and one role: keep one");
            }
        }
    }
    let hubs = fleet.nodes.hub.len();
    if hubs > 0 && hubs.is_multiple_of(2) {
        findings.warn(
            KeyPath::of(["nodes", "hub"]),
            format!("a hub of {hubs} nodes survives no more losses than one of {}", hubs - 1),
            "use one, three or five hub nodes",
        );
    }
}

pub(super) fn account(tenant: &Tenant<'_>, findings: &mut Findings) {
    let account = tenant.account;
    let roles = tenant.path.key("roles");
    let services = tenant.path.key("services");
    for (path, names) in
        [(&roles, account.roles.keys().collect::<Vec<_>>()), (&services, account.services.keys().collect())]
    {
        for name in names {
            if name.to_ascii_lowercase().starts_with(RESERVED_PREFIX) {
                findings.error(
                    path.key(name),
                    format!("names that start with `{RESERVED_PREFIX}` are leafbox's own"),
                    "give it another name",
                );
            }
        }
    }
    distinct(account.roles.keys(), &roles, "role", findings);
    distinct(account.services.keys(), &services, "service", findings);
    distinct(account.streams.keys(), &tenant.path.key("streams"), "stream", findings);
    distinct(account.kv.keys(), &tenant.path.key("kv"), "bucket", findings);
    distinct(account.objects.keys(), &tenant.path.key("objects"), "bucket", findings);
}

fn distinct<'a>(names: impl Iterator<Item = &'a Name>, path: &KeyPath, what: &str, findings: &mut Findings) {
    let mut seen: BTreeMap<String, &Name> = BTreeMap::new();
    for name in names {
        if let Some(earlier) = seen.insert(name.to_ascii_lowercase(), name) {
            findings.error(
                path.key(name),
                format!(
                    "the {what}s `{earlier}` and `{name}` differ only in letter case, and would share files"
                ),
                "rename one of them",
            );
        }
    }
}
