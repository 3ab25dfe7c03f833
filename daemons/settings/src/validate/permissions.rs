//! Roles and services: who may publish and subscribe what.

use super::{Findings, Tenant};
use crate::{fleet::Responses, names::Subject, path::KeyPath, suggest::meant_or_list};

/// The permissions of a role or of a service.
struct Permissions<'a> {
    publish: &'a [Subject],
    publish_deny: &'a [Subject],
    subscribe: &'a [Subject],
    subscribe_deny: &'a [Subject],
    responses: Option<&'a Responses>,
}

pub(super) fn check(tenant: &Tenant<'_>, findings: &mut Findings) {
    let account = tenant.account;
    for (name, role) in &account.roles {
        let permissions = Permissions {
            publish: &role.publish,
            publish_deny: &role.publish_deny,
            subscribe: &role.subscribe,
            subscribe_deny: &role.subscribe_deny,
            responses: role.responses.as_ref(),
        };
        check_permissions(&permissions, "role", &tenant.path.key("roles").key(name), findings);
    }
    for (name, service) in &account.services {
        let path = tenant.path.key("services").key(name);
        if let Some(role) = &service.role {
            if !account.roles.contains_key(role) {
                let declared: Vec<&str> = account.roles.keys().map(|role| role.as_str()).collect();
                let remedy = if declared.is_empty() {
                    format!(
                        "declare it as [{}.roles.{role}], or give the service permissions of its own",
                        tenant.path
                    )
                } else {
                    meant_or_list(role, &declared, "the roles of this account are")
                };
                findings.error(path.key("role"), format!("this account has no role `{role}`"), remedy);
            }
            if service.has_own_permissions() {
                findings.error(
                    path.key("role"),
                    "a service has a role or permissions of its own, not both: NATS takes them from one signing key",
                    "remove `role`, or move the permissions to the role",
                );
            }
            continue;
        }
        if account.roles.contains_key(name) {
            findings.error(
                path.clone(),
                format!("the role `{name}` has the name of this service, which does not use it"),
                format!("add `role = \"{name}\"` in place of the permissions, or rename one of the two"),
            );
        }
        let permissions = Permissions {
            publish: &service.publish,
            publish_deny: &service.publish_deny,
            subscribe: &service.subscribe,
            subscribe_deny: &service.subscribe_deny,
            responses: service.responses.as_ref(),
        };
        check_permissions(&permissions, "service", &path, findings);
    }
}

fn check_permissions(permissions: &Permissions<'_>, what: &str, path: &KeyPath, findings: &mut Findings) {
    if permissions.publish.is_empty() && permissions.subscribe.is_empty() {
        findings.error(
            path.clone(),
            format!("this {what} may neither publish nor subscribe anything"),
            "add `publish = [\"…\"]` or `subscribe = [\"…\"]`, or remove it",
        );
    }
    for (list, allowed, denied) in [
        ("publish", permissions.publish, permissions.publish_deny),
        ("subscribe", permissions.subscribe, permissions.subscribe_deny),
    ] {
        repeated(allowed, &path.key(list), findings);
        let deny = path.key(&format!("{list}_deny"));
        repeated(denied, &deny, findings);
        for (index, subject) in denied.iter().enumerate() {
            if !allowed.iter().any(|wider| wider.overlaps(subject)) {
                findings.warn(
                    deny.index(index),
                    format!("`{subject}` is not in `{list}`, so there is nothing to take out"),
                    format!("remove it, or add what it belongs to to `{list}`"),
                );
            }
        }
    }
    inbox(permissions.subscribe, &path.key("subscribe"), findings);
    if let Some(responses) = permissions.responses {
        let path = path.key("responses");
        if responses.max == 0 {
            findings.error(path.key("max"), "no reply would be allowed", "write 1, or remove `responses`");
        }
        if responses.expires.0.is_zero() {
            findings.error(
                path.key("expires"),
                "no reply could come in time",
                "write a time such as \"60s\"",
            );
        }
    }
}

/// Most client libraries take replies on one subscription to `_INBOX.<id>.*`, which `_INBOX.*`
/// does not allow.
fn inbox(subscribe: &[Subject], path: &KeyPath, findings: &mut Findings) {
    let enough = subscribe.iter().any(|subject| subject.covers("_INBOX.a.b"));
    if let Some(index) = subscribe.iter().position(|subject| subject.as_str() == "_INBOX.*")
        && !enough
    {
        findings.warn(
            path.index(index),
            "`_INBOX.*` is one token deep, and most clients take replies on `_INBOX.<id>.*`: their requests will be refused",
            "write `_INBOX.>`, unless your client is known to use short inboxes",
        );
    }
}

fn repeated(subjects: &[Subject], path: &KeyPath, findings: &mut Findings) {
    for (index, subject) in subjects.iter().enumerate() {
        if subjects[..index].contains(subject) {
            findings.warn(path.index(index), format!("`{subject}` stands here twice"), "remove one");
        }
    }
}
