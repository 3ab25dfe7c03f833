//! JetStream of one account, as pages ask it: what it answers is kept as the JSON that it is.
//!
//! Not a client library's types: they know the fields of their own version, and a page shows what this
//! server says. Names come as the types of [`guard`](super::guard) alone.

use std::{sync::Arc, time::Duration};

use async_nats::{Client, RequestErrorKind};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::guard::StreamName;

/// How long nats-server may take to answer what reads.
pub(super) const READING: Duration = Duration::from_secs(2);
/// How long it may take to do what writes.
pub(super) const WRITING: Duration = Duration::from_secs(5);
/// Pages of a listing that are asked for at most: nats-server gives 256 streams in one.
const MOST_PAGES: usize = 40;

/// NATS did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum NatsError {
    /// It did not answer.
    #[error("nats-server did not answer {subject}: {why}")]
    Silent { subject: String, why: &'static str },
    /// It refused.
    #[error("NATS says: {description} ({err_code})")]
    Refused { code: u64, err_code: u64, description: String },
    /// Its answer is no JSON.
    #[error("what nats-server answered to {subject} is no JSON: {source}")]
    Answer { subject: String, source: serde_json::Error },
}

impl NatsError {
    /// Whether it says that there is no such stream, consumer or message.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { code: 404, .. })
    }
}

/// The connection to an account.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) name: Arc<str>,
    pub(super) client: Client,
}

/// A listing, and whether the account has more than it shows.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) items: Vec<Value>,
    pub(super) is_whole: bool,
}

impl Account {
    /// Asks JetStream's API what changes nothing; `request` is what follows `$JS.API.`.
    pub(super) async fn read(&self, request: &str, body: &Value) -> Result<Value, NatsError> {
        ask(&self.client, &format!("$JS.API.{request}"), body, READING).await
    }

    /// Has JetStream's API change something.
    pub(super) async fn write(&self, request: &str, body: &Value) -> Result<Value, NatsError> {
        ask(&self.client, &format!("$JS.API.{request}"), body, WRITING).await
    }

    /// All streams with configuration and state, but those that nobody reads.
    pub(super) async fn streams(&self) -> Result<Listed, NatsError> {
        let mut listed = self.list("STREAM.LIST", "streams").await?;
        listed.items.retain(|stream| StreamName::read(&self.name, config_name(stream)).is_ok());
        Ok(listed)
    }

    /// One stream.
    pub(super) async fn stream(&self, stream: &StreamName) -> Result<Value, NatsError> {
        self.read(&format!("STREAM.INFO.{}", stream.as_str()), &Value::Null).await
    }

    /// The consumers of a stream.
    pub(super) async fn consumers(&self, stream: &StreamName) -> Result<Listed, NatsError> {
        self.list(&format!("CONSUMER.LIST.{}", stream.as_str()), "consumers").await
    }

    /// One consumer; its name has been read by [`super::guard::consumer`].
    pub(super) async fn consumer(&self, stream: &StreamName, consumer: &str) -> Result<Value, NatsError> {
        self.read(&format!("CONSUMER.INFO.{}.{consumer}", stream.as_str()), &Value::Null).await
    }

    /// A stored message as `by` describes it; none where there is none.
    pub(super) async fn message(&self, stream: &StreamName, by: &Value) -> Result<Option<Value>, NatsError> {
        match self.read(&format!("STREAM.MSG.GET.{}", stream.as_str()), by).await {
            Ok(mut answer) => Ok(answer.get_mut("message").map(Value::take)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, request: &str, field: &str) -> Result<Listed, NatsError> {
        let mut items: Vec<Value> = Vec::new();
        for _ in 0..MOST_PAGES {
            let mut answer = self.read(request, &json!({ "offset": items.len() })).await?;
            let total = answer["total"].as_u64().unwrap_or_default();
            let page = match answer.get_mut(field).map(Value::take) {
                Some(Value::Array(page)) => page,
                _ => Vec::new(),
            };
            let is_last = page.is_empty();
            items.extend(page);
            if is_last || items.len() as u64 >= total {
                return Ok(Listed { items, is_whole: true });
            }
        }
        Ok(Listed { items, is_whole: false })
    }
}

/// Asks, and gives the answer's JSON, or the error that is in it.
async fn ask(client: &Client, subject: &str, body: &Value, within: Duration) -> Result<Value, NatsError> {
    let payload = if body.is_null() { String::new() } else { body.to_string() };
    answered(client, subject, async_nats::Request::new().payload(payload.into()), within).await
}

/// The same for a request that is made already. The subject has been read by [`super::guard`].
pub(super) async fn answered(
    client: &Client,
    subject: &str,
    request: async_nats::Request,
    within: Duration,
) -> Result<Value, NatsError> {
    let silent = |why| NatsError::Silent { subject: subject.to_owned(), why };
    let answer = client.send_request(subject.to_owned(), request.timeout(Some(within)));
    let answer = match timeout(within, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            return Err(silent(match error.kind() {
                RequestErrorKind::NoResponders => {
                    "nobody answers there; JetStream may be off for the account, or starting"
                }
                RequestErrorKind::TimedOut => "it took too long",
                RequestErrorKind::MaxPayloadExceeded => "it is larger than a message may be",
                _ => "the connection is lost, and tried again",
            }));
        }
        Err(_) => return Err(silent("it took too long")),
    };
    let answer: Value = serde_json::from_slice(&answer.payload)
        .map_err(|source| NatsError::Answer { subject: subject.to_owned(), source })?;
    match answer.get("error").filter(|error| error.is_object()) {
        None => Ok(answer),
        Some(error) => Err(NatsError::Refused {
            code: error["code"].as_u64().unwrap_or_default(),
            err_code: error["err_code"].as_u64().unwrap_or_default(),
            description: error["description"].as_str().unwrap_or("it does not say why").to_owned(),
        }),
    }
}

/// The name in a listing's entry.
pub(super) fn config_name(stream: &Value) -> &str {
    stream.pointer("/config/name").and_then(Value::as_str).unwrap_or_default()
}

/// Whether fleet.toml declares it: apply marks what it makes.
pub(super) fn is_declared(config: &Value) -> bool {
    config.pointer("/metadata/leafbox.owner").is_some()
}
