//! What was heard, on a page: a table whose newest row is first.

use async_nats::Message;
use maud::{Markup, html};

use crate::console::{
    figures::{bytes, moment, now},
    payload::{IN_LIST, headers, pairs, payload, summary},
    said::Said,
};

/// Messages on a page.
pub(super) const SHOWN: usize = 100;
/// After so long without a word of the console's the page says that it is old.
const LATE_MILLIS: u32 = 15_000;

/// The page's part before anything came.
pub(super) fn empty(subject: &str) -> Markup {
    html! {
        div data-late=(LATE_MILLIS) {
            (state(0))
            (said().part())
            div.scroll tabindex="0" role="region" aria-label="Messages" {
                table {
                    caption { "Messages on " code { (subject) } ", the newest first" }
                    thead {
                        tr {
                            th scope="col" { "Came" } th scope="col" { "Subject" }
                            th.number scope="col" { "Size" } th scope="col" { "Content" }
                        }
                    }
                    tbody #heard {}
                }
            }
            p.quiet { "The newest " (SHOWN) " are shown. What comes while it is paused is not kept." }
        }
    }
}

/// The fragment `#heard-state`.
pub(super) fn state(count: u64) -> Markup {
    html! {
        p.asof #heard-state {
            "Data as of " time datetime=(now()) { (now()) } ". "
            @match count { 0 => "Nothing came yet.", 1 => "1 message came.", _ => { (count) " messages came." } }
        }
    }
}

/// What is read out.
pub(super) fn said() -> Said {
    Said::new("heard-said", "message")
}

/// A row that is no message.
pub(super) fn remark(id: &str, words: &str) -> Markup {
    html! { tr id=(id) { td colspan="4" { p.quiet { (moment(&now())) " " (words) } } } }
}

/// A message.
pub(super) fn row(id: &str, came: &str, message: &Message) -> Markup {
    html! {
        tr id=(id) {
            td { (moment(came)) }
            td { code { (message.subject) } }
            td.number { (bytes(message.payload.len() as u64)) }
            td {
                details data-preserve-attr="open" {
                    summary { (summary(&message.payload)) }
                    @if message.reply.is_some() { p.quiet { "Who sent it waits for a reply." } }
                    (headers("Headers", pairs(message.headers.as_ref())))
                    (payload(&message.payload, None, IN_LIST))
                }
            }
        }
    }
}
