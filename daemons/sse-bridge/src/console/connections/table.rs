//! The table of connections: the same function for the page and for what keeps it up to date.

use maud::{Markup, html};

use super::{
    gather::{Connections, Row},
    query::View,
};
use crate::console::{
    command::command,
    figures::{bytes, moment},
};

/// After so long without another table the page says that it is old.
const LATE_MILLIS: u32 = 20_000;

/// The fragment `#connections`.
pub(super) fn table(connections: &Connections, view: &View) -> Markup {
    let Connections { rows, found, failed, slow, at, .. } = connections;
    html! {
        section #connections data-late=(LATE_MILLIS) {
            p.asof { "Data as of " time datetime=(at) { (at) } }
            @for failed in failed { p.message.bad { strong { "✗ " } (failed) } }
            @if !slow.is_empty() {
                p.notice {
                    strong { "Slow consumers. " }
                    "Cut off since the start of the server, as they did not take what was sent to them: "
                    @for (number, (server, count)) in slow.iter().enumerate() {
                        @if number > 0 { ", " }
                        (count) " at " (server)
                    }
                    ". They are among " a href="/connections?state=closed&sort=start" { "those that ended" } "."
                }
            }
            div.scroll role="region" aria-label="Connections" tabindex="0" {
                table {
                    caption {
                        (found) @if view.closed { " ended" } @else { " connected" }
                        @if *found > rows.len() { ", of which " (rows.len()) " are shown: choose an account, or look for a text" }
                    }
                    thead {
                        tr {
                            @for column in ["Name", "Account", "User", "State", "Server", "Address", "Kind", "Since", "Round trip"] {
                                th scope="col" { (column) }
                            }
                            @for column in ["Subscriptions", "In", "Out", "Pending"] { th.number scope="col" { (column) } }
                        }
                    }
                    tbody {
                        @for row in rows { (one(row)) }
                        @if rows.is_empty() { tr { td colspan="13" { "None." } } }
                    }
                }
            }
        }
    }
}

fn one(row: &Row) -> Markup {
    let (info, server) = (&row.info, &row.server);
    let name = if info.name.is_empty() { format!("cid {}", info.cid) } else { info.name.clone() };
    html! {
        tr id=(format!("c-{}-{}", server.id, info.cid)) {
            th scope="row" { a href=(format!("/connections/{}/{}", server.id, info.cid)) { (name) } }
            td { (row.account) }
            td { (row.user()) }
            td { (state(row)) }
            td { (server.name) }
            td { (info.ip) ":" (info.port) }
            td { (info.kind) @if !info.protocol.is_empty() { " (" (info.protocol) ")" } }
            td { (moment(&info.start)) }
            td { (info.rtt) }
            td.number { (info.subscriptions) }
            td.number { (info.in_msgs) br; span.quiet { (bytes(info.in_bytes)) } }
            td.number { (info.out_msgs) br; span.quiet { (bytes(info.out_bytes)) } }
            td.number { (bytes(info.pending_bytes)) }
        }
    }
}

/// Whether it is there and keeps up, in words.
pub(super) fn state(row: &Row) -> Markup {
    html! {
        @match (row.slow(), &row.info.stop) {
            (Some(slow), _) => span.slow { "⚠ " (slow) },
            (None, Some(stop)) => { "ended " (moment(stop)) ": " (row.info.reason) },
            (None, None) => "✓ connected",
        }
    }
}

/// What shows the same. `account` is what servers call the one that is looked for.
pub(super) fn commands(view: &View, account: &str) -> Markup {
    let mut arguments = vec!["server", "report", "connections"];
    if !account.is_empty() {
        arguments.extend(["--account", account]);
    }
    if view.closed {
        arguments.extend(["--state", "closed"]);
    }
    command(&arguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::servers::{ConnInfo, Heard};

    #[test]
    fn what_clients_call_themselves_is_no_html_and_who_is_slow_is_marked_in_words() {
        let server = Heard { id: "N1".to_owned(), name: "hub-1".to_owned() };
        let info = ConnInfo {
            cid: 7,
            name: "<script>x</script>".to_owned(),
            stalls: 1,
            in_msgs: u64::MAX,
            ..ConnInfo::default()
        };
        let row = Row { server, account: "SHOP".to_owned(), info };
        let connections = Connections { rows: vec![row], found: 900, ..Connections::default() };
        let html = table(&connections, &View::default()).into_string();
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script>"), "{html}");
        assert!(html.contains("⚠ slow: it held others up 1 times"), "{html}");
        assert!(html.contains("of which 1 are shown") && html.contains("18446744073709551615"), "{html}");
        assert!(html.contains("href=\"/connections/N1/7\""), "{html}");
    }
}
