//! `/events`: what happens on the servers and in JetStream of every account, as it happens.

mod list;
mod query;

use axum::{
    Extension, Router,
    extract::{RawQuery, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::Stream;
use maud::{Markup, html};

pub(super) use list::{follow, live_path, shown};
pub(super) use query::{Sought, after};

use super::{Console, command::command, journal::Kind, live::live, visit::Visit};
use crate::{Caller, feed::Frame};

/// The routes.
pub(super) fn router() -> Router<Console> {
    Router::new().route("/events", get(show)).route("/live/events", get(go_on))
}

async fn show(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let sought = Sought::of(query.as_deref().unwrap_or_default());
    let journal = &visit.console.journal;
    let content = html! {
        p { "Advisories of JetStream in each account, and what the servers tell of connections." }
        (form(&sought, &journal.accounts()))
        (live(&live_path("/live/events", &sought.query()), &shown(journal, &sought.wanted())))
        (command(&["events", "--all"]))
    };
    visit.live_page("Events", &content)
}

async fn go_on(
    State(console): State<Console>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    let events = follow(console.journal.clone(), Sought::of(&query).wanted(), after(&query, &headers));
    stream(&console, &caller, &headers, events)
}

/// Answers with events.
pub(super) fn stream(
    console: &Console,
    caller: &Caller,
    headers: &HeaderMap,
    events: impl Stream<Item = Frame> + Send + 'static,
) -> Response {
    let encoding = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    match console.feeds.answer(caller, encoding, events) {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    }
}

fn form(sought: &Sought, accounts: &[String]) -> Markup {
    let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Gap);
    html! {
        form.filter method="get" action="/events" {
            fieldset {
                legend { "Kinds; none is all but counts, which come every half minute" }
                @for kind in kinds {
                    label { input type="checkbox" name="kind" value=(kind.name()) checked[sought.kinds.contains(&kind)]; " " (kind.title()) }
                }
            }
            (accounts_and_text(sought, accounts))
            button { "Filter" }
            @if *sought != Sought::default() { a href="/events" { "Show all" } }
        }
    }
}

/// Inputs for the account and the text.
pub(super) fn accounts_and_text(sought: &Sought, accounts: &[String]) -> Markup {
    let known = accounts.iter().filter(|account| !account.is_empty());
    let is_known = sought.account.is_empty() || accounts.contains(&sought.account);
    html! {
        label { "Account "
            select name="account" {
                option value="" { "all" }
                @if !is_known { option value=(sought.account) selected { (sought.account) } }
                @for account in known {
                    option value=(account) selected[*account == sought.account] { (account) }
                }
            }
        }
        label { "Text " input type="search" name="text" maxlength="100" value=(sought.text); }
    }
}
