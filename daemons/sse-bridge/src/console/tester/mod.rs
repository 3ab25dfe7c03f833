//! `/publish`: a message by hand and what answers it, and what others publish, as it comes.

mod heard;
mod listen;
mod publish;

use axum::{
    Router,
    extract::Query,
    http::{HeaderMap, StatusCode},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    Console,
    command::command,
    form::Inputs,
    link::escaped,
    live::live,
    visit::{Operator, Visit},
};
use crate::{
    Role,
    feed::{LEAFBOX, SYS},
};

const TITLE: &str = "Publish and subscribe";

/// The tester.
pub(super) fn router() -> Router<Console> {
    Router::new().route("/publish", get(show).post(publish)).route("/live/subscribe", get(listen::live))
}

/// What somebody listens to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    account: String,
    subject: String,
    /// Messages that the page has already.
    shown: usize,
}

/// `GET /publish`.
async fn show(visit: Visit, Query(asked): Query<Asked>) -> Response {
    if asked.subject.trim().is_empty() {
        return visit.page(TITLE, &page(&visit, &Inputs::default(), &html! {}, &asked));
    }
    match listen::Place::of(&visit, &asked) {
        Ok(_) => visit.live_page(TITLE, &page(&visit, &Inputs::default(), &html! {}, &asked)),
        Err(failure) => visit.failed(TITLE, &failure),
    }
}

/// `POST /publish`. The answer is on the page itself: nobody wants to publish again to see it again. A
/// script that sends the form has the answer alone, so that the page goes on listening.
async fn publish(Operator(visit): Operator, headers: HeaderMap, request: axum::extract::Request) -> Response {
    let inputs = match Inputs::of(request).await {
        Ok(inputs) => inputs,
        Err(failure) => return visit.failed(TITLE, &failure),
    };
    let sent = publish::send(&visit, &inputs).await;
    let told = match &sent {
        Ok(outcome) => publish::told(outcome),
        Err(failure) => failure.markup(),
    };
    let told = html! { (told) (publish::as_command(&inputs)) };
    if headers.contains_key("datastar-request") {
        return (StatusCode::OK, Html(outcome(&told).into_string())).into_response();
    }
    let page = page(&visit, &inputs, &told, &Asked::default());
    if sent.is_ok() { visit.page(TITLE, &page) } else { visit.form_again(TITLE, &page) }
}

/// The fragment `#outcome`: what came of a message.
fn outcome(told: &Markup) -> Markup {
    html! { div #outcome aria-live="polite" { (told) } }
}

fn page(visit: &Visit, inputs: &Inputs, told: &Markup, asked: &Asked) -> Markup {
    html! {
        @if visit.may(Role::Operator) {
            (outcome(told))
            h2 { "Publish" }
            (publish::form(visit, inputs))
            @if inputs.0.is_empty() { (publish::as_command(inputs)) }
        } @else {
            p.quiet { "Publishing takes the role operator." }
        }
        h2 #subscribe { "Subscribe" }
        noscript {
            p.notice { strong { "Subscribing needs a script. " } "Without one, use the command below, or look at what a stream stored." }
        }
        form method="get" action="/publish#subscribe" {
            label for="heard-account" { "Account" }
            (accounts(visit, "heard-account", &asked.account))
            label for="heard-subject" { "Subject" }
            input #heard-subject name="subject" value=(asked.subject) required placeholder="orders.>" autocomplete="off" autocapitalize="none" spellcheck="false" aria-describedby="heard-hint";
            p.hint #heard-hint { "* stands for one word and > for all that follow. What your role may watch is listened to." }
            button type="submit" { "Listen" }
            @if !asked.subject.is_empty() { " " a.button.quiet href="/publish" { "Stop" } }
        }
        @if asked.subject.trim().is_empty() { (command(&["sub", "SUBJECT"])) } @else {
            (live(&path(asked), &heard::empty(asked.subject.trim())))
            (command(&["sub", asked.subject.trim()]))
        }
    }
}

/// The path of what comes. It is evaluated by the page, which tells how many messages it has.
fn path(asked: &Asked) -> String {
    let (account, subject) = (escaped(&asked.account), escaped(asked.subject.trim()));
    let shown = "document.getElementById('heard').rows.length";
    format!("/live/subscribe?account={account}&subject={subject}&shown=' + {shown} + '")
}

/// A choice of the accounts in which there is something to try: leafbox's own comes last.
fn accounts(visit: &Visit, id: &str, chosen: &str) -> Markup {
    let mut accounts: Vec<&str> = visit.console.accounts.names().filter(|name| *name != SYS).collect();
    accounts.sort_by_key(|name| *name == LEAFBOX);
    html! {
        select id=(id) name="account" {
            @for account in accounts { option value=(account) selected[account == chosen] { (account) } }
        }
    }
}
