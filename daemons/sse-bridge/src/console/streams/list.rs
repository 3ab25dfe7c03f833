//! `GET /streams`: all streams of all accounts.

use axum::{extract::Query, response::Response};
use futures::future::join_all;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::{declared_badge, number, text};
use crate::{
    Role,
    console::{
        command::command,
        figures::{bytes, moment},
        jetstream::{Account, Listed, NatsError, config_name},
        link,
        visit::Visit,
    },
    feed::SYS,
};

/// Streams on a page.
const PAGE: usize = 200;

/// What of the list is shown.
#[derive(Debug, Default, Deserialize)]
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

/// `GET /streams`.
pub(super) async fn show(visit: Visit, Query(asked): Query<Asked>) -> Response {
    let names = visit
        .console
        .accounts
        .names()
        .filter(|name| *name != SYS && (asked.account.is_empty() || asked.account == *name));
    let accounts = names.filter_map(|name| visit.account(name).ok());
    let answered: Vec<Answered> = join_all(accounts.map(|account| async move {
        let listed = account.streams().await;
        (account, listed)
    }))
    .await;
    visit.page("Streams", &page(&visit, &asked, &answered))
}

fn page(visit: &Visit, asked: &Asked, answered: &[Answered]) -> Markup {
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
        @for (account, listed) in answered {
            @match listed {
                Err(error) => p.notice { strong { "The account " (account.name) " is not shown. " } (error.to_string()) },
                Ok(listed) if !listed.is_whole => p.notice { "Not all streams of the account " (account.name) " are shown." },
                Ok(_) => {}
            }
        }
        form.actions method="get" action="/streams" {
            label { "Name has" input type="search" name="name" value=(asked.name); }
            button type="submit" { "Filter" }
            @if visit.may(Role::Admin) { a.button.quiet href="/streams/new" { "New stream" } }
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
        (command(&["stream", "ls", "--all"]))
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

fn pager(asked: &Asked, total: usize) -> Markup {
    let at = |from: usize| {
        let (name, account) = (link::escaped(&asked.name), link::escaped(&asked.account));
        format!("/streams?name={name}&account={account}&from={from}")
    };
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
