//! `GET /accounts`: all accounts.

use axum::response::Response;
use maud::{Markup, html};
use settings::{Fleet, LEAFBOX_ACCOUNT, SYSTEM_ACCOUNT};

use super::{
    gather::{self, Known},
    path,
};
use crate::console::{command::command, failure::Failure, link::escaped, visit::Visit};

/// `GET /accounts`.
pub(super) async fn show(visit: Visit) -> Response {
    let known = gather::all(&visit.console.servers).await.map_err(Failure::from);
    let content = known.map(|(known, beyond)| table(&known, beyond, &visit.console.fleet));
    visit.answer("Accounts", content)
}

fn table(known: &[Known], beyond: usize, fleet: &Fleet) -> Markup {
    let is_known = |name: &str| known.iter().any(|account| account.detail.name() == name);
    let waiting: Vec<&str> =
        fleet.accounts.keys().map(|name| name.as_str()).filter(|name| !is_known(name)).collect();
    html! {
        p { "An account is a border: nobody sees into another one but by what both have agreed to." }
        @for name in waiting {
            p.notice {
                strong { (name) " is declared in fleet.toml, and not on this server. " }
                "Where the operator's keys are, " code { "leafbox apply" } " makes it."
            }
        }
        div.scroll tabindex="0" role="region" aria-label="Accounts" {
            table {
                caption { "Accounts on this node's nats-server" }
                thead {
                    tr {
                        th scope="col" { "Account" } th scope="col" { "For" } th scope="col" { "Declared" }
                        th.number scope="col" { "Roles" } th.number scope="col" { "Connections" }
                        th.number scope="col" { "Links" } th scope="col" { "JetStream" }
                        th.number scope="col" { "Revoked" }
                    }
                }
                tbody { @for account in known { (row(account, fleet)) } }
            }
        }
        @if beyond > 0 { p.notice { (beyond) " more are not shown." } }
        (command(&["server", "report", "accounts"]))
    }
}

fn row(account: &Known, fleet: &Fleet) -> Markup {
    let detail = &account.detail;
    let name = detail.name();
    let roles = detail.body().map_or(0, |body| body.scopes().filter(|scope| scope.node().is_none()).count());
    html! {
        tr {
            th scope="row" { a href=(path(name)) { (name) } }
            td { (detail.body().map_or("", |body| body.description.as_str())) }
            td { (declared(name, fleet)) }
            td.number { (roles) }
            td.number { a href={ "/connections?account=" (escaped(name)) } { (detail.client_connections) } }
            td.number { (detail.leafnode_connections) }
            td { @if detail.jetstream_enabled { "✓ on" } @else { "off" } }
            td.number { (detail.body().map_or(0, |body| body.revocations.len())) }
        }
    }
}

/// Who says that there is such an account.
pub(super) fn declared(name: &str, fleet: &Fleet) -> Markup {
    html! {
        @if [LEAFBOX_ACCOUNT, SYSTEM_ACCOUNT].contains(&name) {
            span.badge { "leafbox's own" }
        } @else if fleet.accounts.contains_key(name) {
            span.badge { "declared in fleet.toml" }
        } @else {
            span.badge data-warn { "⚠ not in fleet.toml" }
        }
    }
}
