//! `/leaves`: the nodes of the fleet as far as this one knows them, and letting a box in.
//!
//! No request comes by the network: a box that was not let in can say nothing there. Somebody carries
//! its request here and the answer back, and compares a fingerprint.

mod approve;
mod gather;
mod take_back;

use axum::{
    Router,
    response::Response,
    routing::{get, post},
};
use maud::{Markup, html};

use super::{
    Console,
    command::{command, leafbox},
    failure::Failure,
    figures::{at, moment},
    signer::{BOX_ALONE, READING, ask, by_hand, shown},
    visit::Visit,
};
use crate::{
    Role,
    signing::{About, Signer},
};
use gather::{Nodes, Row};

/// What to type where the operator's keys are.
const BY_HAND: &[&[&str]] = &[&["enroll", "approve", "FILE"], &["enroll", "revoke", "NODE"]];

/// The routes.
pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/leaves", get(show))
        .route("/leaves/look", post(approve::look))
        .route("/leaves/approve", post(approve::approve))
        .route("/leaves/answer", post(approve::answer))
        .route("/leaves/{node}/take-back", post(take_back::take_back))
}

async fn show(visit: Visit) -> Response {
    let content = content(&visit, &approve::form("")).await;
    visit.page("Leaves", &content)
}

/// The page, with the form as it is to be filled in.
async fn content(visit: &Visit, form: &Markup) -> Markup {
    let signer = ask(&visit.console, &About {}, READING).await;
    let operator = signer.as_ref().ok().filter(|signer| signer.is_operator);
    let nodes = Nodes::gather(&visit.console, operator).await;
    html! {
        @for trouble in &nodes.troubles { p.notice { (trouble) } }
        (table(visit, &nodes, operator.is_some() && visit.may(Role::Admin) && visit.proven))
        h2 #let-in { "Let a box in" }
        (letting_in(visit, &signer, form))
        (command(&["server", "report", "leafnodes"]))
        (leafbox(&["enroll", "list"]))
    }
}

fn letting_in(visit: &Visit, signer: &Result<Signer, Failure>, form: &Markup) -> Markup {
    html! {
        @if !visit.may(Role::Admin) {
            p.quiet { "Letting a box in takes the role admin." }
        } @else {
            @match signer {
                Ok(signer) if signer.is_operator => {
                    (shown(signer))
                    @if visit.proven { (form) } @else { (visit.ask_for_passkey()) }
                },
                Ok(_) => (by_hand(BOX_ALONE, BY_HAND)),
                Err(failure) => (by_hand(failure, BY_HAND)),
            }
        }
    }
}

/// `takes_back`: whether who looks may take keys back, here and now.
fn table(visit: &Visit, nodes: &Nodes, takes_back: bool) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Nodes" {
            table {
                caption { "Nodes that fleet.toml lists, that were let in, or that were heard" }
                thead {
                    tr {
                        th scope="col" { "Node" } th scope="col" { "Kind" } th scope="col" { "Let in" }
                        th scope="col" { "Linked here" } th scope="col" { "Heard last" }
                        @if takes_back { th scope="col" { "Its keys" } }
                    }
                }
                tbody {
                    @for (name, row) in &nodes.rows { (line(visit, name, row, takes_back)) }
                    @if nodes.rows.is_empty() { tr { td colspan="6" { "None: fleet.toml lists no nodes." } } }
                }
            }
        }
        p.quiet { "Of links and heartbeats, this node knows what reaches it: a leaf its own, the hub those of all." }
    }
}

fn line(visit: &Visit, name: &str, row: &Row, takes_back: bool) -> Markup {
    html! {
        tr {
            th scope="row" { (name) @if name == visit.console.node { " " span.quiet { "(this node)" } } }
            td {
                @match row.kind { Some(kind) => (kind), None => span.badge data-warn { "⚠ not in fleet.toml" } }
            }
            td {
                @match &row.enrolled {
                    Some(enrolled) if enrolled.keys == 0 => "its keys were taken back",
                    Some(enrolled) => {
                        "✓ with " (enrolled.keys) " keys"
                        @if let Some(since) = enrolled.since { ", " (at(since)) }
                        @if let Some(fingerprint) = &enrolled.fingerprint { br; code { (fingerprint) } }
                    },
                    None if row.holds_keys => "✓ it holds keys of its own",
                    None => "no keys of its own",
                }
            }
            td { @if row.links.is_empty() { "–" } @else { "✓ " (row.links.iter().cloned().collect::<Vec<_>>().join(", ")) } }
            td {
                @match &row.heard { Some(heard) => { (moment(&heard.at)) @if !heard.ready { " " span.slow { "✗ not ready" } } }, None => "–" }
            }
            @if takes_back {
                td { @if row.enrolled.as_ref().is_some_and(|enrolled| enrolled.keys > 0) { (take_back::form(name)) } }
            }
        }
    }
}
