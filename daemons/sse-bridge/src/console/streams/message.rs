//! `GET /streams/{account}/{stream}/messages/{sequence}`: one message, as JSON, text or bytes.

use axum::{
    extract::{Path, Query},
    response::Response,
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::Place;
use crate::{
    Role,
    console::{
        command::command,
        download::download,
        failure::Failure,
        figures::{bytes, moment},
        form::confirm,
        link::trail,
        payload::{ALONE, View, headers, payload},
        stored::Stored,
        visit::Visit,
    },
};

/// How to show it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(rename = "as")]
    view: Option<String>,
}

/// `GET /streams/{account}/{stream}/messages/{sequence}`.
pub(super) async fn show(
    visit: Visit,
    Path((account, stream, sequence)): Path<(String, String, u64)>,
    Query(asked): Query<Asked>,
) -> Response {
    let content = async {
        let place = Place::of(&visit, &account, &stream)?;
        let message = find(&place, sequence).await?;
        Ok::<_, Failure>(page(&visit, &place, &message, asked.view.as_deref().and_then(View::named)))
    };
    visit.answer(&format!("Message {sequence} of {stream}"), content.await)
}

/// `GET /streams/{account}/{stream}/messages/{sequence}/raw`: its bytes, as a file.
pub(super) async fn raw(
    visit: Visit,
    Path((account, stream, sequence)): Path<(String, String, u64)>,
) -> Response {
    let content = async {
        let place = Place::of(&visit, &account, &stream)?;
        find(&place, sequence).await
    };
    match content.await {
        Ok(message) => download(&format!("{stream}-{sequence}"), message.data.into()),
        Err(failure) => visit.failed("Message", &failure),
    }
}

async fn find(place: &Place, sequence: u64) -> Result<Stored, Failure> {
    let found = place.account.message(&place.stream, &json!({ "seq": sequence })).await?;
    let missing = || Failure::Missing(format!("message {sequence}: it was deleted, or is not stored yet"));
    found.map(|found| Stored::of(&found)).ok_or_else(missing)
}

fn page(visit: &Visit, place: &Place, message: &Stored, view: Option<View>) -> Markup {
    let sequence = message.sequence.to_string();
    let own = place.path(&["messages", &sequence]);
    let shown = view.unwrap_or_else(|| View::of(&message.data));
    html! {
        (trail(&[
            ("/streams", "Streams"),
            (&place.path(&[]), place.stream.as_str()),
            (&place.path(&["messages"]), "Messages"),
        ]))
        dl {
            dt { "Subject" } dd { code { (message.subject) } }
            dt { "Stored" } dd { (moment(&message.time)) }
            dt { "Size" } dd { (bytes(message.data.len() as u64)) }
        }
        (headers("Headers", message.headers()))
        h2 { "Payload" }
        nav.pager aria-label="How the payload is shown" {
            @for other in View::ALL {
                a href={ (own) "?as=" (other.name()) } aria-current=[(other == shown).then_some("true")] { "As " (other.name()) }
            }
            a href={ (own) "/raw" } { "Download" }
        }
        (payload(&message.data, Some(shown), ALONE))
        nav.pager aria-label="Other messages" {
            a href={ (place.path(&["messages"])) "?seq=" (message.sequence.saturating_add(1)) } { "Those after it" }
        }
        (command(&["stream", "get", place.stream.as_str(), &sequence]))
        @if visit.may(Role::Operator) && place.stream.writable().is_ok() {
            h2 { "Destroy" }
            details {
                summary { "Delete the message" }
                form.danger method="post" action={ (own) "/delete" } {
                    (confirm("delete-confirm", &sequence))
                    button.danger type="submit" { "Delete" }
                }
                (command(&["stream", "rmm", place.stream.as_str(), &sequence]))
            }
        }
    }
}
