//! Consumers made and defined otherwise: `/streams/{account}/{stream}/new-consumer` and
//! `/streams/{account}/{stream}/consumers/{consumer}/edit`.

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
        definition::{CONSUMER, CONSUMERS, Definition, Draft, patch},
        failure::Failure,
        form::Inputs,
        guard,
        jetstream::is_declared,
        link::trail,
        told::Message,
        visit::Admin,
    },
};

/// `GET /streams/{account}/{stream}/new-consumer`.
pub(super) async fn new(Admin(visit): Admin, Path((account, stream)): Path<(String, String)>) -> Response {
    let content = async {
        let place = Place::of(&visit, &account, &stream)?;
        place.stream.writable()?;
        place.account.stream(&place.stream).await?;
        let definition = Definition::of(&CONSUMERS);
        Ok::<_, Failure>(new_page(&place, &definition, &definition.new_draft()))
    };
    visit.answer(&format!("New consumer of {stream}"), content.await)
}

/// `POST /streams/{account}/{stream}/new-consumer`.
pub(super) async fn create(
    Admin(visit): Admin,
    Path((account, stream)): Path<(String, String)>,
    request: Request,
) -> Response {
    let title = format!("New consumer of {stream}");
    let there = async {
        let inputs = Inputs::of(request).await?;
        let place = Place::of(&visit, &account, &stream)?;
        place.stream.writable()?;
        Ok::<_, Failure>((inputs, place))
    };
    let (inputs, place) = match there.await {
        Ok(there) => there,
        Err(failure) => return visit.failed(&title, &failure),
    };
    let definition = Definition::of(&CONSUMERS);
    let again = |draft: &Draft| visit.form_again(&title, &new_page(&place, &definition, draft));
    let document = match definition.read(&inputs, &base(&stream, "create", &json!({}))) {
        Ok(document) => document,
        Err(draft) => return again(&draft),
    };
    match write(&place, document).await {
        Ok(name) => {
            visit.tell(What::ConsumerCreated, format!("{account}/{stream}/{name}"));
            let path = place.path(&["consumers", &name]);
            visit.go(&path, Message::done(format!("the consumer {name} of {stream} is made")))
        }
        Err(failure) => again(&definition.refused(&inputs, failure)),
    }
}

/// `GET /streams/{account}/{stream}/consumers/{consumer}/edit`.
pub(super) async fn edit(
    Admin(visit): Admin,
    Path((account, stream, consumer)): Path<(String, String, String)>,
) -> Response {
    let content = async {
        let place = Place::of(&visit, &account, &stream)?;
        place.stream.writable()?;
        let name = guard::consumer(&consumer)?;
        let config = place.account.consumer(&place.stream, name).await?["config"].take();
        let document = base(&stream, "update", &config);
        let definition = Definition::of(&CONSUMERS);
        Ok::<_, Failure>(edit_page(&place, name, &definition, &definition.draft_of(&document), &document))
    };
    visit.answer(&format!("Edit {consumer}"), content.await)
}

/// `POST /streams/{account}/{stream}/consumers/{consumer}/edit`.
pub(super) async fn update(
    Admin(visit): Admin,
    Path((account, stream, consumer)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    let title = format!("Edit {consumer}");
    let there = async {
        let inputs = Inputs::of(request).await?;
        let place = Place::of(&visit, &account, &stream)?;
        place.stream.writable()?;
        let name = guard::consumer(&consumer)?;
        let config = place.account.consumer(&place.stream, name).await?["config"].take();
        Ok::<_, Failure>((inputs, place, base(&stream, "update", &config)))
    };
    let (inputs, place, was) = match there.await {
        Ok(there) => there,
        Err(failure) => return visit.failed(&title, &failure),
    };
    let definition = Definition::of(&CONSUMERS);
    let again =
        |draft: &Draft| visit.form_again(&title, &edit_page(&place, &consumer, &definition, draft, &was));
    let mut now = match definition.read(&inputs, &was) {
        Ok(now) => now,
        Err(draft) => return again(&draft),
    };
    if is_declared(&was["config"]) {
        let table = ["accounts", &account, "streams", &stream, "consumers", &consumer];
        let edit = (&was["config"], &now["config"]);
        let content = html! {
            (trail(&[("/streams", "Streams"), (&place.path(&[]), &stream), (&place.path(&["consumers", &consumer]), &consumer)]))
            (patch(&definition, &table, CONSUMER, "/config", edit))
        };
        return visit.form_again(&title, &content);
    }
    now["config"]["name"] = consumer.as_str().into();
    match write(&place, now).await {
        Ok(name) => {
            visit.tell(What::ConsumerUpdated, format!("{account}/{stream}/{name}"));
            let path = place.path(&["consumers", &name]);
            visit.go(&path, Message::done(format!("the consumer {name} of {stream} is defined anew")))
        }
        Err(failure) => again(&definition.refused(&inputs, failure)),
    }
}

/// A request about a consumer.
fn base(stream: &str, action: &str, config: &Value) -> Value {
    json!({ "stream_name": stream, "action": action, "config": config })
}

/// Has nats-server make or change a consumer, and gives its name.
async fn write(place: &Place, mut document: Value) -> Result<String, Failure> {
    guard::consumer_config(&document["config"])?;
    let config = &document["config"];
    let name = [&config["durable_name"], &config["name"]].into_iter().map(text).find(|name| !name.is_empty());
    let name = guard::consumer(name.unwrap_or_default())?.to_owned();
    document["config"]["name"] = name.as_str().into();
    document["stream_name"] = place.stream.as_str().into();
    let request = format!("CONSUMER.CREATE.{}.{name}", place.stream.as_str());
    place.account.write(&request, &document).await?;
    Ok(name)
}

fn new_page(place: &Place, definition: &Definition, draft: &Draft) -> Markup {
    let stream = place.stream.as_str();
    let example = base(
        stream,
        "create",
        &json!({ "durable_name": "NAME", "deliver_policy": "all", "ack_policy": "explicit", "replay_policy": "instant" }),
    );
    html! {
        (trail(&[("/streams", "Streams"), (&place.path(&[]), stream)]))
        (definition.markup(draft, &place.path(&["new-consumer"]), |_| html! {}, &example))
        (command(&["consumer", "add", stream, "NAME", "--config", "config.json"]))
    }
}

fn edit_page(place: &Place, name: &str, definition: &Definition, draft: &Draft, document: &Value) -> Markup {
    let stream = place.stream.as_str();
    html! {
        (trail(&[("/streams", "Streams"), (&place.path(&[]), stream), (&place.path(&["consumers", name]), name)]))
        @if is_declared(&document["config"]) {
            p.notice { strong { "It is declared in fleet.toml. " } "What you save is not done: you get what to write there." }
        }
        (definition.markup(draft, &place.path(&["consumers", name, "edit"]), |_| html! {}, document))
        (command(&["consumer", "edit", stream, name, "--config", "config.json"]))
    }
}
