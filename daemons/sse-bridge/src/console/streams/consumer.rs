//! `GET /streams/{account}/{stream}/consumers/{consumer}`: one consumer.

use axum::{extract::Path, response::Response};
use maud::{Markup, html};
use serde_json::Value;

use super::{Place, declared_badge, number, show::without_config, text};
use crate::{
    Role,
    console::{
        command::command, failure::Failure, figures::moment, form::confirm, guard, jetstream::is_declared,
        link::trail, visit::Visit,
    },
};

/// `GET /streams/{account}/{stream}/consumers/{consumer}`.
pub(super) async fn show(
    visit: Visit,
    Path((account, stream, consumer)): Path<(String, String, String)>,
) -> Response {
    let content = async {
        let place = Place::of(&visit, &account, &stream)?;
        let name = guard::consumer(&consumer)?;
        let info = place.account.consumer(&place.stream, name).await?;
        Ok::<_, Failure>(page(&visit, &place, name, &info))
    };
    visit.answer(&consumer, content.await)
}

fn page(visit: &Visit, place: &Place, name: &str, info: &Value) -> Markup {
    let config = &info["config"];
    let stream = place.stream.as_str();
    let facts = [
        ("Pending", number(&info["num_pending"])),
        ("Ack pending", number(&info["num_ack_pending"])),
        ("Redelivered", number(&info["num_redelivered"])),
        ("Waiting pulls", number(&info["num_waiting"])),
        ("Last delivered sequence", number(&info["delivered"]["stream_seq"])),
        ("Ack floor", number(&info["ack_floor"]["stream_seq"])),
        ("Ack policy", text(&config["ack_policy"]).to_owned()),
    ];
    html! {
        (trail(&[("/streams", "Streams"), (&place.path(&[]), stream)]))
        p {
            "A consumer of " a href=(place.path(&[])) { (stream) } " in the account " strong { (place.account.name) }
            ". " (declared_badge(config))
            @if let Some(description) = config["description"].as_str() { " " (description) }
        }
        dl.facts {
            @for (name, value) in facts { div { dt { (name) } dd { (value) } } }
            div { dt { "Last delivery" } dd { (moment(text(&info["delivered"]["last_active"]))) } }
            div { dt { "Last ack" } dd { (moment(text(&info["ack_floor"]["last_active"]))) } }
        }
        @if visit.may(Role::Admin) && place.stream.writable().is_ok() {
            p.actions { a.button.quiet href=(place.path(&["consumers", name, "edit"])) { "Edit" } }
        }
        h2 { "As NATS says it" }
        details open {
            summary { "Configuration" }
            pre tabindex="0" aria-label="Configuration" { code { (format!("{config:#}")) } }
        }
        details {
            summary { "State and all else" }
            pre tabindex="0" aria-label="State" { code { (format!("{:#}", without_config(info))) } }
        }
        (command(&["consumer", "info", stream, name]))
        @if visit.may(Role::Admin) && !is_declared(config) && place.stream.writable().is_ok() {
            h2 { "Destroy" }
            details {
                summary { "Delete the consumer" }
                form.danger method="post" action=(place.path(&["consumers", name, "delete"])) {
                    p { "What it knows of its deliveries goes with it; the messages stay." }
                    (confirm("delete-confirm", name))
                    button.danger type="submit" { "Delete" }
                }
                (command(&["consumer", "rm", stream, name]))
            }
        }
    }
}
