//! Streams made and defined otherwise: `/streams/new` and `/streams/{account}/{stream}/edit`.

use axum::{
    extract::{Path, Request},
    response::Response,
};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::{Place, text};
use crate::{
    audit::What,
    console::{
        command::command,
        definition::{Definition, Draft, KV, OBJECTS, OUTBOX, STREAM, STREAMS, STREAMS_EDITED, patch},
        failure::Failure,
        form::Inputs,
        guard,
        jetstream::is_declared,
        link::{self, trail},
        told::Message,
        visit::{Admin, Visit},
    },
    feed::SYS,
};

/// `GET /streams/new`.
pub(super) async fn new(Admin(visit): Admin) -> Response {
    let definition = Definition::of(&STREAMS);
    visit.page("New stream", &new_page(&visit, &definition, &definition.new_draft(), ""))
}

/// `POST /streams/new`.
pub(super) async fn create(Admin(visit): Admin, request: Request) -> Response {
    const TITLE: &str = "New stream";
    let inputs = match Inputs::of(request).await {
        Ok(inputs) => inputs,
        Err(failure) => return visit.failed(TITLE, &failure),
    };
    let definition = Definition::of(&STREAMS);
    let chosen = inputs.get("account");
    let again = |draft: &Draft| visit.form_again(TITLE, &new_page(&visit, &definition, draft, chosen));
    let config = match definition.read(&inputs, &Value::Null) {
        Ok(config) => config,
        Err(draft) => return again(&draft),
    };
    let made = async {
        let account = visit.account(chosen)?;
        let name = guard::stream_config(chosen, &config)?;
        name.writable()?;
        account.write(&format!("STREAM.CREATE.{}", name.as_str()), &config).await?;
        visit.tell(What::StreamCreated, format!("{chosen}/{}", name.as_str()));
        Ok::<_, Failure>(Place { account, stream: name })
    };
    match made.await {
        Ok(place) => {
            let message = format!("the stream {} is made", place.stream.as_str());
            visit.go(&place.path(&[]), Message::done(message))
        }
        Err(failure) => again(&definition.refused(&inputs, failure)),
    }
}

fn new_page(visit: &Visit, definition: &Definition, draft: &Draft, chosen: &str) -> Markup {
    let accounts = visit.console.accounts.names().filter(|name| *name != SYS);
    // One of the fleet's own is meant more often than leafbox's.
    let mut accounts: Vec<&str> = accounts.collect();
    accounts.sort_by_key(|name| *name == crate::feed::LEAFBOX);
    let choice = |id: &str| {
        html! {
            label for=(id) { "Account" }
            select id=(id) name="account" {
                @for account in &accounts { option value=(account) selected[*account == chosen] { (account) } }
            }
        }
    };
    let example = json!({
        "name": "ORDERS", "subjects": ["orders.>"], "retention": "limits", "storage": "file", "num_replicas": 1,
        "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 0,
    });
    html! {
        (trail(&[("/streams", "Streams")]))
        p.quiet {
            "What is made here is on this node alone. What all nodes should have belongs into fleet.toml."
        }
        (definition.markup(draft, "/streams/new", choice, &example))
        (command(&["stream", "add", "NAME", "--config", "config.json"]))
    }
}

/// `GET /streams/{account}/{stream}/edit`.
pub(super) async fn edit(Admin(visit): Admin, Path((account, stream)): Path<(String, String)>) -> Response {
    let content = async {
        let place = Place::of(&visit, &account, &stream)?;
        place.stream.writable()?;
        let config = place.account.stream(&place.stream).await?["config"].take();
        let definition = Definition::of(&STREAMS_EDITED);
        Ok::<_, Failure>(edit_page(&place, &definition, &definition.draft_of(&config), &config))
    };
    visit.answer(&format!("Edit {stream}"), content.await)
}

/// `POST /streams/{account}/{stream}/edit`.
pub(super) async fn update(
    Admin(visit): Admin,
    Path((account, stream)): Path<(String, String)>,
    request: Request,
) -> Response {
    let title = format!("Edit {stream}");
    let there = async {
        let inputs = Inputs::of(request).await?;
        let place = Place::of(&visit, &account, &stream)?;
        place.stream.writable()?;
        let config = place.account.stream(&place.stream).await?["config"].take();
        Ok::<_, Failure>((inputs, place, config))
    };
    let (inputs, place, was) = match there.await {
        Ok(there) => there,
        Err(failure) => return visit.failed(&title, &failure),
    };
    let definition = Definition::of(&STREAMS_EDITED);
    let again = |draft: &Draft| visit.form_again(&title, &edit_page(&place, &definition, draft, &was));
    let now = match definition.read(&inputs, &was) {
        Ok(now) => now,
        Err(draft) => return again(&draft),
    };
    if is_declared(&was) {
        return visit.form_again(&title, &declared(&visit, &place, &definition, (&was, &now)));
    }
    let done = async {
        let name = guard::stream_config(&account, &now)?;
        if name != place.stream {
            return Err(Failure::Body(format!("the name of a stream stays: `{}` is another", name.as_str())));
        }
        place.account.write(&format!("STREAM.UPDATE.{stream}"), &now).await?;
        visit.tell(What::StreamUpdated, format!("{account}/{stream}"));
        Ok::<_, Failure>(())
    };
    match done.await {
        Ok(()) => visit.go(&place.path(&[]), Message::done(format!("the stream {stream} is defined anew"))),
        Err(failure) => again(&definition.refused(&inputs, failure)),
    }
}

fn edit_page(place: &Place, definition: &Definition, draft: &Draft, config: &Value) -> Markup {
    let name = place.stream.as_str();
    html! {
        (trail(&[("/streams", "Streams"), (&place.path(&[]), name)]))
        @if is_declared(config) {
            p.notice { strong { "It is declared in fleet.toml. " } "What you save is not done: you get what to write there." }
        }
        (definition.markup(draft, &place.path(&["edit"]), |_| html! {}, config))
        (command(&["stream", "edit", name, "--config", "config.json"]))
    }
}

fn declared(visit: &Visit, place: &Place, definition: &Definition, (was, now): (&Value, &Value)) -> Markup {
    let (account, stream) = (&*place.account.name, place.stream.as_str());
    let (kind, name, keys) = match text(&was["metadata"]["leafbox.store"]) {
        "kv" => ("kv", stream.strip_prefix("KV_").unwrap_or(stream), KV),
        "object" => ("objects", stream.strip_prefix("OBJ_").unwrap_or(stream), OBJECTS),
        _ if visit.console.outboxes.contains(&(account.to_owned(), stream.to_owned())) => {
            ("streams", stream, OUTBOX)
        }
        _ => ("streams", stream, STREAM),
    };
    html! {
        (trail(&[("/streams", "Streams"), (&place.path(&[]), stream)]))
        (patch(definition, &["accounts", account, kind, name], keys, "", (was, now)))
        p { a href=(link::path(&["streams", account, stream])) { "Back to the stream" } }
    }
}
