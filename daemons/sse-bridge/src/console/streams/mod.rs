//! Streams and their consumers: what they are, what they hold, and how they are changed.

mod consumer;
mod destroy;
mod edit;
mod edit_consumer;
mod follow;
mod list;
mod message;
mod messages;
mod show;

use axum::{
    Router,
    routing::{get, post},
};
use maud::{Markup, html};
use serde_json::Value;

use super::{
    Console,
    failure::Failure,
    guard::StreamName,
    jetstream::{Account, is_declared},
    link,
    visit::Visit,
};

/// The pages of streams.
pub(super) fn router() -> Router<Console> {
    let stream = "/streams/{account}/{stream}";
    let of = |rest: &str| format!("{stream}{rest}");
    Router::new()
        .route("/streams", get(list::show))
        .route("/live/streams", get(list::go_on))
        .route("/streams/new", get(edit::new).post(edit::create))
        .route(stream, get(show::show))
        .route(&format!("/live{stream}"), get(show::go_on))
        .route(&format!("/live{stream}/messages"), get(follow::go_on))
        .route(&of("/edit"), get(edit::edit).post(edit::update))
        .route(&of("/new-consumer"), get(edit_consumer::new).post(edit_consumer::create))
        .route(&of("/purge"), post(destroy::purge))
        .route(&of("/delete"), post(destroy::delete))
        .route(&of("/messages"), get(messages::show))
        .route(&of("/messages/{sequence}"), get(message::show))
        .route(&of("/messages/{sequence}/raw"), get(message::raw))
        .route(&of("/messages/{sequence}/delete"), post(destroy::delete_message))
        .route(&of("/consumers/{consumer}"), get(consumer::show))
        .route(&of("/consumers/{consumer}/edit"), get(edit_consumer::edit).post(edit_consumer::update))
        .route(&of("/consumers/{consumer}/delete"), post(destroy::delete_consumer))
}

/// A stream that a path names: it may be read, and the account is there.
struct Place {
    account: Account,
    stream: StreamName,
}

impl Place {
    fn of(visit: &Visit, account: &str, stream: &str) -> Result<Self, Failure> {
        Ok(Self { account: visit.account(account)?, stream: StreamName::read(account, stream)? })
    }

    /// The path of the stream's page and of what is below it.
    fn path(&self, below: &[&str]) -> String {
        let mut segments = vec!["streams", &self.account.name, self.stream.as_str()];
        segments.extend(below);
        link::path(&segments)
    }

    /// Refuses what fleet.toml declares: it would be made again, or the file would no longer say what is.
    async fn undeclared(&self) -> Result<(), Failure> {
        let info = self.account.stream(&self.stream).await?;
        undeclared(&info["config"], || format!("the stream {}", self.stream.as_str()))
    }
}

/// Refuses what fleet.toml declares, in the same words for a stream and a consumer.
fn undeclared(config: &Value, what: impl FnOnce() -> String) -> Result<(), Failure> {
    if is_declared(config) { Err(Failure::Declared { what: what() }) } else { Ok(()) }
}

/// Who declares it, where somebody does: fleet.toml, or leafbox for itself.
pub(super) fn declared_badge(config: &Value) -> Markup {
    let name = ["name", "durable_name"].iter().find_map(|key| config[*key].as_str()).unwrap_or_default();
    let name = name.trim_start_matches("KV_").trim_start_matches("OBJ_");
    let own = name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("leafbox"));
    html! {
        @if is_declared(config) {
            span.badge { @if own { "leafbox's own" } @else { "declared in fleet.toml" } }
        }
    }
}

/// A number of NATS's as it is.
fn number(value: &Value) -> String {
    if value.is_null() { "0".to_owned() } else { value.to_string() }
}

/// A text of NATS's; nothing where it has none.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
