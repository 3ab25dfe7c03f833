//! The roles of an account, each a signing key with the permissions of those whom it signs, and the
//! services that fleet.toml declares.

use std::collections::BTreeMap;

use maud::{Markup, html};
use settings::{Account, builtin::RESERVED_PREFIX};

use super::claims::{Body, Permission, Scope};

/// A role, as it stands in the claims: the fleet's key, and those that nodes hold for it.
struct Role<'a> {
    scope: &'a Scope,
    nodes: Vec<&'a str>,
}

/// Services as fleet.toml declares them.
pub(super) fn services(declared: &Account) -> Markup {
    html! {
        h2 { "Services" }
        @if declared.services.is_empty() { p { "fleet.toml declares none." } } @else {
            table {
                caption { "Services that fleet.toml declares" }
                thead { tr { th scope="col" { "Service" } th scope="col" { "Role" } th scope="col" { "For" } } }
                tbody {
                    @for (name, service) in &declared.services {
                        tr {
                            th scope="row" { (name) }
                            td { (declared.role_of(name).map_or(name.as_str(), |role| role.as_str())) }
                            td { (service.description.as_deref().unwrap_or_default()) }
                        }
                    }
                }
            }
        }
    }
}

/// The roles with their permissions. Those that leafbox adds to each account come last.
pub(super) fn roles(body: &Body) -> Markup {
    let roles = of(body);
    let unscoped = body.unscoped().count();
    html! {
        h2 { "Roles" }
        p.quiet { "Each is a signing key. Who is minted with it has these permissions, and gets new ones when they change." }
        @if roles.is_empty() { p { "There is none." } } @else {
            div.scroll tabindex="0" role="region" aria-label="Roles" {
                table {
                    caption { "Roles, as the claims have them" }
                    thead {
                        tr {
                            th scope="col" { "Role" } th scope="col" { "May publish" } th scope="col" { "May subscribe" }
                            th scope="col" { "May answer" } th scope="col" { "Nodes with a key" }
                        }
                    }
                    tbody { @for role in &roles { (row(role)) } }
                }
            }
        }
        @if unscoped > 0 {
            p.notice { strong { (unscoped) " signing keys have no role: " } "their users may do whatever they were minted with." }
        }
    }
}

fn of(body: &Body) -> Vec<Role<'_>> {
    let mut roles: BTreeMap<(bool, &str), Role<'_>> = BTreeMap::new();
    for scope in body.scopes() {
        let name = scope.role_name();
        let role = roles
            .entry((name.starts_with(RESERVED_PREFIX), name))
            .or_insert(Role { scope, nodes: Vec::new() });
        match scope.node() {
            Some(node) => role.nodes.push(node),
            None => role.scope = scope,
        }
    }
    roles.into_values().collect()
}

fn row(Role { scope, nodes }: &Role<'_>) -> Markup {
    let template = &scope.template;
    html! {
        tr {
            th scope="row" { (scope.role_name()) @if !scope.description.is_empty() { br; span.quiet { (scope.description) } } }
            td { (subjects(&template.publish)) }
            td { (subjects(&template.subscribe)) }
            td {
                @match &template.resp {
                    Some(responses) => { (responses.max) " within " (seconds(responses.ttl)) },
                    None => "no",
                }
            }
            td {
                (nodes.join(", "))
                @if let Some(networks) = &template.src { br; span.quiet { "from " code { (networks) } } }
            }
        }
    }
}

/// Where nothing is named, everything is allowed: so says NATS.
fn subjects(permission: &Permission) -> Markup {
    let is_nothing = permission.allow.is_empty() && permission.deny.iter().any(|subject| subject == ">");
    if is_nothing {
        return html! { "nothing" };
    }
    html! {
        @if permission.allow.is_empty() { @if permission.deny.is_empty() { "everything" } @else { "everything but" br; } }
        @for subject in &permission.allow { code { (subject) } br; }
        @if !permission.deny.is_empty() {
            @if !permission.allow.is_empty() { span.quiet { "but not" } br; }
            @for subject in &permission.deny { code { (subject) } br; }
        }
    }
}

/// A length of time in nanoseconds.
fn seconds(nanoseconds: i64) -> String {
    format!("{} s", nanoseconds.max(0) / 1_000_000_000)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_role_is_one_row_with_the_fleet_s_permissions_and_leafbox_s_own_come_last() {
        let body: Body = serde_json::from_value(json!({ "signing_keys": [
            { "key": "A1", "role": "leafbox-console", "template": { "pub": {}, "sub": { "deny": [">"] } } },
            { "key": "A2", "role": "till@van-1", "template": { "pub": { "allow": ["narrow.>"] } } },
            { "key": "A3", "role": "till", "template": { "pub": { "allow": ["orders.>"], "deny": ["orders.<b>"] } } },
        ] }))
        .unwrap();
        let html = roles(&body).into_string();
        assert!(html.contains("<code>orders.&gt;</code>") && !html.contains("narrow"), "{html}");
        assert!(html.contains("orders.&lt;b&gt;") && html.contains("but not"), "{html}");
        assert_eq!(html.matches("<th scope=\"row\">").count(), 2, "{html}");
        assert!(html.find(">till").unwrap() < html.find("leafbox-console").unwrap(), "{html}");
        assert!(html.contains("<td>van-1") && html.contains("<td>nothing</td>"), "{html}");
    }
}
