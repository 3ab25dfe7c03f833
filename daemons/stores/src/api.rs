//! Requests to the JetStream API of one account.

use std::time::Duration;

use async_nats::Client;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use settings::Name;
use tokio::time::{Instant, sleep};

use crate::{
    error::Error,
    wire::{Config, api_prefix},
};

const PAUSE: Duration = Duration::from_millis(250);

/// The JetStream API of one account, on this node or in another domain.
pub(crate) struct Api<'a> {
    pub account: &'a Name,
    pub client: &'a Client,
    prefix: String,
}

/// A stream as `STREAM.LIST` and `STREAM.INFO` show it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StreamInfo {
    pub config: Config,
    pub state: StreamState,
    #[serde(default)]
    pub mirror: Option<Upstream>,
    #[serde(default)]
    pub sources: Vec<Upstream>,
}

/// What a stream holds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StreamState {
    pub messages: u64,
    pub bytes: u64,
    pub first_seq: u64,
    pub first_ts: String,
    pub last_seq: u64,
    pub last_ts: String,
    pub num_subjects: u64,
    pub consumer_count: u64,
    pub subjects: Option<std::collections::BTreeMap<String, u64>>,
}

/// Another stream that this one copies.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Upstream {
    pub name: String,
    #[serde(default)]
    pub lag: u64,
    /// Nanoseconds since it was last heard of; -1 when never.
    #[serde(default)]
    pub active: i64,
    #[serde(default)]
    pub external: Option<External>,
    #[serde(default)]
    pub filter_subject: Option<String>,
    #[serde(default)]
    pub error: Option<Value>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct External {
    pub api: String,
}

/// A consumer as `CONSUMER.LIST` shows it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ConsumerInfo {
    pub name: String,
    pub config: Config,
    #[serde(default)]
    pub num_pending: u64,
    #[serde(default)]
    pub num_ack_pending: u64,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    code: u64,
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
struct StreamPage {
    #[serde(default)]
    total: usize,
    #[serde(default)]
    streams: Option<Vec<StreamInfo>>,
    /// Streams that exist and whose leader did not answer.
    #[serde(default)]
    missing: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct ConsumerPage {
    #[serde(default)]
    total: usize,
    #[serde(default)]
    consumers: Option<Vec<ConsumerInfo>>,
}

impl<'a> Api<'a> {
    pub(crate) fn local(account: &'a Name, client: &'a Client) -> Self {
        Self { account, client, prefix: "$JS.API".into() }
    }

    pub(crate) fn of_domain(account: &'a Name, client: &'a Client, domain: &str) -> Self {
        Self { account, client, prefix: api_prefix(domain) }
    }

    /// One request, without patience.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, subject: &str, body: &Value) -> Result<T, Error> {
        let payload = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let asked = format!("{}.{subject}", self.prefix);
        let answer = self.client.request(asked, payload.into()).await.map_err(|source| Error::Request {
            account: self.account.clone(),
            subject: subject.to_owned(),
            source,
        })?;
        let broken =
            |source| Error::Answer { account: self.account.clone(), subject: subject.to_owned(), source };
        let mut answer: Value = serde_json::from_slice(&answer.payload).map_err(broken)?;
        if let Some(error) = answer.get_mut("error").map(Value::take) {
            let Failure { code, err_code, description } = serde_json::from_value(error).map_err(broken)?;
            let (account, subject) = (self.account.clone(), subject.to_owned());
            return Err(Error::Refused { account, subject, code, err_code, description });
        }
        serde_json::from_value(answer).map_err(broken)
    }

    /// One request, repeated while what refuses it passes by itself. Only for what is the same when it
    /// happens twice.
    pub(crate) async fn ask_patiently<T: DeserializeOwned>(
        &self,
        subject: &str,
        body: &Value,
    ) -> Result<T, Error> {
        let asked = Instant::now();
        loop {
            match self.ask(subject, body).await {
                Err(error) if error.passes_within().is_some_and(|limit| asked.elapsed() < limit) => {
                    sleep(PAUSE).await;
                }
                done => return done,
            }
        }
    }

    /// Every stream, and the names of those whose leader did not answer.
    pub(crate) async fn streams(&self) -> Result<(Vec<StreamInfo>, Vec<String>), Error> {
        let (mut all, mut missing) = (Vec::new(), Vec::new());
        loop {
            let page: StreamPage =
                self.ask_patiently("STREAM.LIST", &json!({ "offset": all.len() + missing.len() })).await?;
            let (streams, silent) = (page.streams.unwrap_or_default(), page.missing.unwrap_or_default());
            let end = streams.is_empty() && silent.is_empty();
            all.extend(streams);
            missing.extend(silent);
            if end || all.len() + missing.len() >= page.total {
                return Ok((all, missing));
            }
        }
    }

    /// Every consumer of a stream.
    pub(crate) async fn consumers(&self, stream: &str) -> Result<Vec<ConsumerInfo>, Error> {
        let mut all = Vec::new();
        loop {
            let page: ConsumerPage = self
                .ask_patiently(&format!("CONSUMER.LIST.{stream}"), &json!({ "offset": all.len() }))
                .await?;
            let consumers = page.consumers.unwrap_or_default();
            let end = consumers.is_empty();
            all.extend(consumers);
            if end || all.len() >= page.total {
                return Ok(all);
            }
        }
    }

    /// One stream.
    pub(crate) async fn stream(&self, stream: &str) -> Result<StreamInfo, Error> {
        self.ask_patiently(&format!("STREAM.INFO.{stream}"), &Value::Null).await
    }

    /// The most messages that a stream holds of one subject.
    pub(crate) async fn most_of_one_subject(&self, stream: &str) -> Result<u64, Error> {
        let (mut most, mut offset) = (0, 0);
        loop {
            let info: StreamInfo = self
                .ask_patiently(
                    &format!("STREAM.INFO.{stream}"),
                    &json!({ "subjects_filter": ">", "offset": offset }),
                )
                .await?;
            let subjects = info.state.subjects.unwrap_or_default();
            most = subjects.values().copied().chain([most]).max().unwrap_or(0);
            offset += subjects.len() as u64;
            if subjects.is_empty() || offset >= info.state.num_subjects {
                return Ok(most);
            }
        }
    }
}
