//! The same as tables, with what the picture has no room for.

use maud::{Markup, html};

use super::gather::{Copies, Edge, Topology};
use crate::console::figures::{bytes, span};

/// Rows of the table of copies.
const MOST: usize = 500;

pub(super) fn servers(topology: &Topology) -> Markup {
    html! {
        h2 { "Servers" }
        div.scroll role="region" aria-label="Servers" tabindex="0" {
            table {
                caption { (topology.servers.len()) " heard, or named by a link" }
                thead { tr { th scope="col" { "Name" } th scope="col" { "State" } th scope="col" { "Id" } th scope="col" { "As it says itself" } } }
                tbody {
                    @for (name, server) in &topology.servers {
                        tr {
                            th scope="row" { (name) }
                            td {
                                @match (server.answers, &server.id) {
                                    (true, _) => "✓ answers",
                                    (false, Some(_)) => span.slow { "✗ does not answer" },
                                    (false, None) => "– known by its links alone",
                                }
                            }
                            td { @if let Some(id) = &server.id { code { (id) } } }
                            td {
                                @if let Some(id) = &server.id {
                                    a href=(format!("/api/varz?server={id}")) { "varz" span.unseen { " of " (name) } } " "
                                    a href=(format!("/api/jsz?server={id}&accounts=true")) { "jsz" span.unseen { " of " (name) } } " "
                                    a href=(format!("/api/healthz?server={id}")) { "healthz" span.unseen { " of " (name) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn links(topology: &Topology) -> Markup {
    html! {
        h2 { "Links" }
        div.scroll role="region" aria-label="Links" tabindex="0" {
            table {
                caption { "Routes, leaf nodes and gateways" }
                thead {
                    tr {
                        @for column in ["From", "Kind", "To", "Accounts"] { th scope="col" { (column) } }
                        @for column in ["Round trip", "Connections", "Messages", "Pending"] { th.number scope="col" { (column) } }
                    }
                }
                tbody {
                    @for edge in &topology.edges { (link(edge)) }
                    @if topology.edges.is_empty() { tr { td colspan="8" { "None: each server that is heard is alone." } } }
                }
            }
        }
    }
}

fn link(edge: &Edge) -> Markup {
    let accounts: Vec<&str> = edge.accounts.iter().map(String::as_str).collect();
    html! {
        tr {
            th scope="row" { (edge.from) }
            td { (edge.kind.name()) }
            td { (edge.to) }
            td { @if accounts.is_empty() { "all" } @else { (accounts.join(", ")) } }
            td.number { (rtt(edge.rtt)) }
            td.number { (edge.connections) }
            td.number { (edge.messages) }
            td.number { (bytes(edge.pending)) }
        }
    }
}

pub(super) fn copies(topology: &Topology) -> Markup {
    let all = &topology.copies;
    html! {
        h2 { "Copies and their lag" }
        div.scroll role="region" aria-label="Copies and their lag" tabindex="0" {
            table {
                caption {
                    (all.len()) " mirrors, sources and replicas, those that lag first"
                    @if all.len() > MOST { ", of which " (MOST) " are shown" }
                }
                thead {
                    tr {
                        @for column in ["Stream", "Account", "At", "Copy", "State"] { th scope="col" { (column) } }
                        @for column in ["Lag", "Heard before"] { th.number scope="col" { (column) } }
                    }
                }
                tbody {
                    @for copy in all.iter().take(MOST) { (one(copy)) }
                    @if all.is_empty() { tr { td colspan="7" { "No stream copies another, and none has replicas." } } }
                }
            }
        }
    }
}

fn one(copy: &Copies) -> Markup {
    html! {
        tr {
            th scope="row" { (copy.stream) }
            td { (copy.account) }
            td { (copy.server) }
            td { (copy.of) }
            td {
                @match (&copy.wrong, copy.lag) {
                    (Some(wrong), _) => span.slow { "✗ " (wrong) },
                    (None, 0) => "✓ has all",
                    (None, _) => "… on its way",
                }
            }
            td.number { (copy.lag) }
            td.number { (heard(copy.active)) }
        }
    }
}

/// A round trip.
pub(super) fn rtt(millis: Option<f64>) -> String {
    match millis {
        Some(millis) => format!("{millis:.2} ms"),
        None => "not known".to_owned(),
    }
}

fn heard(nanoseconds: i64) -> String {
    match u64::try_from(nanoseconds) {
        Ok(nanoseconds) => span(nanoseconds / 1_000_000_000),
        Err(_) => "never".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_in_words() {
        let copy = |lag, active, wrong: Option<&str>| Copies {
            account: "SHOP".to_owned(),
            stream: "ORDERS".to_owned(),
            server: "hub-1".to_owned(),
            of: "mirror of ORDERS".to_owned(),
            lag,
            active,
            wrong: wrong.map(str::to_owned),
        };
        let html = |copy| one(&copy).into_string();
        assert!(
            html(copy(0, 3_000_000_000, None)).contains("✓ has all")
                && html(copy(0, 3_000_000_000, None)).contains("3 s")
        );
        assert!(html(copy(u64::MAX, 0, None)).contains("18446744073709551615"));
        assert!(
            html(copy(0, -1, Some("<gone>"))).contains("✗ &lt;gone&gt;")
                && html(copy(0, -1, None)).contains("never")
        );
    }
}
