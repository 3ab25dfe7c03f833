//! `GET /streams`: all streams of all accounts.

use std::time::Duration;

use axum::{extract::Query, http::HeaderMap, response::Response};
use futures::future::join_all;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::{declared_badge, number, text};
use crate::{
    Role,
    console::{
        command::command,
        events,
        figures::{bytes, moment, now},
        jetstream::{Account, Listed, NatsError, config_name},
        link,
        live::{again, live},
        visit::Visit,
    },
    feed::SYS,
};

/// Streams on a page.
const PAGE: usize = 200;

/// What of the list is shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// A part of the name.
    name: String,
    /// One account.
    account: String,
    /// Streams before the first one of the page.
    from: usize,
}

type Answered = (Account, Result<Listed, NatsError>);

/// How often it is asked for while somebody looks.
const EVERY: Duration = Duration::from_secs(5);
/// After so long without another list the page says that it is old.
const LATE_MILLIS: u32 = 20_000;

/// `GET /streams`.
pub(super) async fn show(visit: Visit, Query(asked): Query<Asked>) -> Response {
    let answered = gather(&visit, &asked).await;
    let content = html! {
        form.actions method="get" action="/streams" {
            label { "Name has" input type="search" name="name" value=(asked.name); }
            button type="submit" { "Filter" }
            @if visit.may(Role::Admin) { a.button.quiet href="/streams/new" { "New stream" } }
        }
        (live(&at("/live/streams", &asked, asked.from), &part(&asked, &answered)))
        (command(&["stream", "ls", "--all"]))
    };
    visit.live_page("Streams", &content)
}

/// `GET /live/streams`: the list, again and again.
pub(super) async fn go_on(visit: Visit, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    let (console, caller) = (visit.console.clone(), visit.caller.clone());
    let lists = again(EVERY, move || {
        let (visit, asked) = (visit.clone(), asked.clone());
        async move {
            let answered = gather(&visit, &asked).await;
            answered.iter().any(|(_, listed)| listed.is_ok()).then(|| part(&asked, &answered))
        }
    });
    events::stream(&console, &caller, &headers, lists)
}

async fn gather(visit: &Visit, asked: &Asked) -> Vec<Answered> {
    let names = visit
        .console
        .accounts
        .names()
        .filter(|name| *name != SYS && (asked.account.is_empty() || asked.account == *name));
    let accounts = names.filter_map(|name| visit.account(name).ok());
    join_all(accounts.map(|account| async move {
        let listed = account.streams().await;
        (account, listed)
    }))
    .await
}

/// The fragment `#streams`.
fn part(asked: &Asked, answered: &[Answered]) -> Markup {
    let mut streams: Vec<(&str, &Value)> = Vec::new();
    for (account, listed) in answered {
        let items = listed.iter().flat_map(|listed| &listed.items);
        let wanted = items.filter(|stream| config_name(stream).contains(&asked.name));
        streams.extend(wanted.map(|stream| (&*account.name, stream)));
    }
    streams.sort_by_key(|(account, stream)| (*account, config_name(stream)));
    let total = streams.len();
    let shown = streams.into_iter().skip(asked.from).take(PAGE).collect::<Vec<_>>();
    html! {
        section #streams data-late=(LATE_MILLIS) {
        p.asof { "Data as of " time datetime=(now()) { (now()) } }
        @for (account, listed) in answered {
            @match listed {
                Err(error) => p.notice { strong { "The account " (account.name) " is not shown. " } (error.to_string()) },
                Ok(listed) if !listed.is_whole => p.notice { "Not all streams of the account " (account.name) " are shown." },
                Ok(_) => {}
            }
        }
        @if shown.is_empty() {
            p { "There is no stream" @if !asked.name.is_empty() { " whose name has “" (asked.name) "”" } "." }
        } @else {
            div.scroll tabindex="0" role="region" aria-label="Streams" {
                table {
                    caption { (total) @if total == 1 { " stream" } @else { " streams" } }
                    thead {
                        tr {
                            th scope="col" { "Name" } th scope="col" { "Account" }
                            th.number scope="col" { "Messages" } th.number scope="col" { "Bytes" }
                            th.number scope="col" { "Consumers" } th scope="col" { "Last message" }
                            th scope="col" { "Declared" }
                        }
                    }
                    tbody { @for (account, stream) in &shown { (row(account, stream)) } }
                }
            }
            (pager(asked, total))
        }
        }
    }
}

fn row(account: &str, stream: &Value) -> Markup {
    let (name, state) = (config_name(stream), &stream["state"]);
    html! {
        tr {
            th scope="row" { a href=(link::path(&["streams", account, name])) { (name) } }
            td { (account) }
            td.number { (number(&state["messages"])) }
            td.number { (bytes(state["bytes"].as_u64().unwrap_or_default())) }
            td.number { (number(&state["consumer_count"])) }
            td { (moment(text(&state["last_ts"]))) }
            td { (declared_badge(&stream["config"])) }
        }
    }
}

/// The address of a page of the list, or of its events.
fn at(path: &str, asked: &Asked, from: usize) -> String {
    let (name, account) = (link::escaped(&asked.name), link::escaped(&asked.account));
    format!("{path}?name={name}&account={account}&from={from}")
}

fn pager(asked: &Asked, total: usize) -> Markup {
    let at = |from: usize| at("/streams", asked, from);
    html! {
        @if total > PAGE {
            nav.pager aria-label="Pages of the list" {
                @if asked.from > 0 { a href=(at(asked.from.saturating_sub(PAGE))) { "Before" } }
                span { (asked.from + 1) " to " ((asked.from + PAGE).min(total)) " of " (total) }
                @if asked.from + PAGE < total { a href=(at(asked.from + PAGE)) { "After" } }
            }
        }
    }
}
