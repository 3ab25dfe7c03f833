//! `GET /streams/{account}/{stream}`: a stream, its consumers, and all that NATS says of it.

use std::{sync::Arc, time::Duration};

use axum::{extract::Path, http::HeaderMap, response::Response};
use maud::{Markup, html};
use serde_json::Value;

use super::{Place, declared_badge, number, text};
use crate::{
    Role,
    console::{
        command::command,
        events,
        failure::Failure,
        figures::{bytes, moment, now},
        form::confirm,
        jetstream::{Listed, NatsError, is_declared},
        link::trail,
        live::{again, live},
        visit::Visit,
    },
};

/// How often it is asked for while somebody looks.
const EVERY: Duration = Duration::from_secs(2);
/// After so long without an answer the page says that it is old.
const LATE_MILLIS: u32 = 12_000;

/// `GET /streams/{account}/{stream}`.
pub(super) async fn show(visit: Visit, Path((account, stream)): Path<(String, String)>) -> Response {
    let content = async {
        let place = Place::of(&visit, &account, &stream)?;
        let (info, consumers) =
            tokio::join!(place.account.stream(&place.stream), place.account.consumers(&place.stream));
        Ok::<_, Failure>(page(&visit, &place, &info?, &consumers))
    };
    match content.await {
        Ok(content) => visit.live_page(&stream, &content),
        Err(failure) => visit.failed(&stream, &failure),
    }
}

/// `GET /live/streams/{account}/{stream}`: what changes of it, again and again.
pub(super) async fn go_on(
    visit: Visit,
    Path((account, stream)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let place = match Place::of(&visit, &account, &stream) {
        Ok(place) => Arc::new(place),
        Err(failure) => return visit.failed(&stream, &failure),
    };
    let states = again(EVERY, move || {
        let place = Arc::clone(&place);
        async move {
            let (info, consumers) =
                tokio::join!(place.account.stream(&place.stream), place.account.consumers(&place.stream));
            let info = info.ok()?;
            Some(html! { (figures(&info)) (consumers_part(&place, &consumers)) (rest(&info)) })
        }
    });
    events::stream(&visit.console, &visit.caller, &headers, states)
}

fn page(visit: &Visit, place: &Place, info: &Value, consumers: &Result<Listed, NatsError>) -> Markup {
    let config = &info["config"];
    let name = place.stream.as_str();
    let changing = html! {
        (figures(info))
        p.actions {
            a.button href=(place.path(&["messages"])) { "Browse messages" }
            @if visit.may(Role::Admin) && place.stream.writable().is_ok() {
                a.button.quiet href=(place.path(&["edit"])) { "Edit" }
                a.button.quiet href=(place.path(&["new-consumer"])) { "New consumer" }
            }
        }
        h2 #consumers { "Consumers" }
        (consumers_part(place, consumers))
        h2 { "As NATS says it" }
        details open {
            summary { "Configuration" }
            pre tabindex="0" aria-label="Configuration" { code { (format!("{config:#}")) } }
        }
        (rest(info))
    };
    html! {
        (trail(&[("/streams", "Streams")]))
        p {
            "In the account " strong { (place.account.name) } ". " (declared_badge(config))
            @if let Some(description) = config["description"].as_str() { " " (description) }
        }
        (live(&format!("/live{}", place.path(&[])), &changing))
        (command(&["stream", "info", name]))
        (destruction(visit, place, config))
    }
}

/// The fragment `#figures`.
fn figures(info: &Value) -> Markup {
    let (config, state) = (&info["config"], &info["state"]);
    let facts = [
        ("Messages", number(&state["messages"])),
        ("Bytes", bytes(state["bytes"].as_u64().unwrap_or_default())),
        ("Sequences", format!("{} to {}", number(&state["first_seq"]), number(&state["last_seq"]))),
        ("Subjects", number(&state["num_subjects"])),
        ("Retention", text(&config["retention"]).to_owned()),
        ("Storage", text(&config["storage"]).to_owned()),
        ("Replicas", number(&config["num_replicas"])),
    ];
    html! {
        section #figures data-late=(LATE_MILLIS) {
            p.asof { "Data as of " time datetime=(now()) { (now()) } }
            dl.facts {
                @for (name, value) in facts { div { dt { (name) } dd { (value) } } }
                div { dt { "First message" } dd { (moment(text(&state["first_ts"]))) } }
                div { dt { "Last message" } dd { (moment(text(&state["last_ts"]))) } }
            }
        }
    }
}

/// The fragment `#rest`.
fn rest(info: &Value) -> Markup {
    html! {
        details #rest data-preserve-attr="open" {
            summary { "State and all else" }
            pre tabindex="0" aria-label="State" { code { (format!("{:#}", without_config(info))) } }
        }
    }
}

/// The rest of what NATS answered, whatever it is.
pub(super) fn without_config(info: &Value) -> Value {
    let mut rest = info.clone();
    if let Some(rest) = rest.as_object_mut() {
        rest.shift_remove("config");
        rest.shift_remove("type");
    }
    rest
}

/// The fragment `#consumers-part`.
fn consumers_part(place: &Place, consumers: &Result<Listed, NatsError>) -> Markup {
    html! { div #consumers-part { (consumers_table(place, consumers)) } }
}

fn consumers_table(place: &Place, consumers: &Result<Listed, NatsError>) -> Markup {
    let consumers = match consumers {
        Ok(consumers) => &consumers.items,
        Err(error) => return html! { p.notice { (error.to_string()) } },
    };
    html! {
        @if consumers.is_empty() { p { "It has none." } } @else {
            div.scroll tabindex="0" role="region" aria-labelledby="consumers" {
                table aria-labelledby="consumers" {
                    thead {
                        tr {
                            th scope="col" { "Name" } th scope="col" { "Kind" }
                            th.number scope="col" { "Pending" } th.number scope="col" { "Ack pending" }
                            th.number scope="col" { "Redelivered" } th scope="col" { "Last delivery" }
                            th scope="col" { "Declared" }
                        }
                    }
                    tbody {
                        @for consumer in consumers {
                            tr {
                                th scope="row" {
                                    a href=(place.path(&["consumers", text(&consumer["name"])])) { (text(&consumer["name"])) }
                                }
                                td { @if consumer["config"]["deliver_subject"].is_string() { "push" } @else { "pull" } }
                                td.number { (number(&consumer["num_pending"])) }
                                td.number { (number(&consumer["num_ack_pending"])) }
                                td.number { (number(&consumer["num_redelivered"])) }
                                td { (moment(text(&consumer["delivered"]["last_active"]))) }
                                td { (declared_badge(&consumer["config"])) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn destruction(visit: &Visit, place: &Place, config: &Value) -> Markup {
    let name = place.stream.as_str();
    if place.stream.writable().is_err() || !visit.may(Role::Operator) {
        return html! {};
    }
    html! {
        h2 { "Destroy" }
        details {
            summary { "Purge messages" }
            form.danger method="post" action=(place.path(&["purge"])) {
                label for="purge-filter" { "Only of this subject" }
                input #purge-filter name="filter" aria-describedby="purge-filter-hint";
                p.hint #purge-filter-hint { "Such as orders.old.>; all messages when empty." }
                label for="purge-keep" { "Keep the newest" }
                input #purge-keep name="keep" inputmode="numeric" pattern="[0-9]*" aria-describedby="purge-keep-hint";
                p.hint #purge-keep-hint { "A number of messages; none when empty." }
                (confirm("purge-confirm", name))
                button.danger type="submit" { "Purge" }
            }
            (command(&["stream", "purge", name]))
        }
        @if visit.may(Role::Admin) && !is_declared(config) {
            details {
                summary { "Delete the stream" }
                form.danger method="post" action=(place.path(&["delete"])) {
                    p { "Its messages and consumers go with it, and do not come back." }
                    (confirm("delete-confirm", name))
                    button.danger type="submit" { "Delete" }
                }
                (command(&["stream", "rm", name]))
            }
        }
    }
}
