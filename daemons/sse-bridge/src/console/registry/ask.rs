//! What the registry of this node answers. What an older or newer one says otherwise is left out.

use async_nats::Request;
use maud::{Markup, html};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::console::{
    Console,
    failure::Failure,
    jetstream::{NatsError, READING, answered},
};

/// How it is and what it has under way.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) address: String,
    pub(super) ready: bool,
    pub(super) tags: u64,
    pub(super) manifests: u64,
    pub(super) blobs: u64,
    pub(super) uploads: Vec<Upload>,
    pub(super) cache: Cache,
    pub(super) audit_dropped: u64,
    pub(super) collected: Totals,
    pub(super) last_collection: Option<Report>,
    pub(super) travel: Option<Travel>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Upload {
    pub(super) repository: String,
    pub(super) offset: u64,
    pub(super) size: Option<u64>,
    pub(super) touched: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cache {
    pub(super) bytes: u64,
    pub(super) limit: u64,
}

/// What the collector did since the registry started.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Totals {
    pub(super) passes: u64,
    pub(super) failures: u64,
    pub(super) bytes: u64,
}

/// Its last pass.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Report {
    pub(super) at: u64,
    pub(super) waiting: u64,
    pub(super) waiting_bytes: u64,
    pub(super) next: Option<u64>,
    pub(super) unreadable: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Travel {
    pub(super) hub: Option<Hub>,
    pub(super) fetches: Vec<Fetch>,
    pub(super) missing: u64,
    pub(super) announcements: Vec<Announcement>,
    pub(super) refused: Vec<(String, String)>,
    pub(super) travelled: Travelled,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Hub {
    pub(super) answered: Option<u64>,
    pub(super) error: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Travelled {
    pub(super) from_hub: u64,
    pub(super) from_leaves: u64,
    pub(super) from_upstreams: u64,
    pub(super) sent: u64,
}

/// A blob on its way here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fetch {
    pub(super) digest: String,
    pub(super) repositories: Vec<String>,
    pub(super) from: String,
    pub(super) done: u64,
    pub(super) total: Option<u64>,
    pub(super) flows: bool,
    pub(super) error: Option<String>,
}

/// A tag on its way to the hub.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Announcement {
    pub(super) repository: String,
    pub(super) tag: String,
    pub(super) since: u64,
    pub(super) done: u64,
    pub(super) total: u64,
    pub(super) error: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Repositories {
    pub(super) repositories: Vec<Repository>,
    pub(super) more: bool,
    pub(super) bytes: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Repository {
    pub(super) repository: String,
    pub(super) tags: u64,
    pub(super) bytes: u64,
    pub(super) shared: u64,
    pub(super) changed: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tags {
    pub(super) exists: bool,
    pub(super) tags: Vec<Tag>,
    pub(super) more: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tag {
    pub(super) tag: String,
    pub(super) key: String,
    pub(super) digest: String,
    pub(super) media_type: String,
    pub(super) bytes: u64,
    pub(super) at: u64,
    pub(super) by: String,
    pub(super) origin: Value,
    pub(super) waits_for_hub: bool,
}

/// The subject on which the registry of this node is asked.
pub(super) fn subject(console: &Console) -> String {
    format!("leafbox.registry.status.{}", console.node)
}

/// Asks the registry of this node; null asks for its status.
pub(super) async fn ask<T: DeserializeOwned>(console: &Console, question: &Value) -> Result<T, Failure> {
    let subject = subject(console);
    let body = if question.is_null() { String::new() } else { question.to_string() };
    let request = Request::new().payload(body.into());
    let answer = answered(&console.leafbox()?.client, &subject, request, READING).await?;
    let understood = serde_json::from_value(answer);
    understood.map_err(|source| NatsError::Answer { subject, source }.into())
}

/// The tags of a repository after one; of an older registry none.
pub(super) async fn tags(console: &Console, repository: &str, after: &str) -> Result<Tags, Failure> {
    let mut asked = json!({ "repository": repository });
    if !after.is_empty() {
        asked["after"] = after.into();
    }
    ask(console, &json!({ "tags": asked })).await
}

/// Where something came from, in words.
pub(super) fn origin(origin: &Value) -> String {
    match origin {
        Value::String(text) if text == "pushed" => "pushed here".to_owned(),
        Value::String(text) => format!("the {text}"),
        Value::Object(fields) => fields
            .iter()
            .map(|(kind, name)| format!("{kind} {}", name.as_str().unwrap_or_default()))
            .collect::<Vec<_>>()
            .join(", "),
        _ => String::new(),
    }
}

/// Why there is nothing to show, and what to do.
pub(super) fn silent(failure: &Failure) -> Markup {
    html! {
        p.notice {
            strong { "The registry of this node does not answer. " }
            "It runs where node.toml has " code { "[registry]" } "; " code { "leafbox registry status" }
            " and " code { "leafbox logs registry" } " on the machine tell more."
        }
        p.quiet { (failure.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn origins_are_in_words_and_what_is_not_known_is_left_out() {
        assert_eq!(origin(&json!("pushed")), "pushed here");
        assert_eq!(origin(&json!("hub")), "the hub");
        assert_eq!(origin(&json!({ "leaf": "shop-1" })), "leaf shop-1");
        let status: Status = serde_json::from_value(json!({ "ready": true, "new": [1] })).unwrap();
        assert!(status.ready && status.address.is_empty() && status.travel.is_none());
    }
}
