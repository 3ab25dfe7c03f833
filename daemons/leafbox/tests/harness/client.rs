//! Publishers and readers with the creds files that leafbox wrote.

use std::{
    collections::BTreeSet,
    ops::Range,
    path::Path,
    time::{Duration, Instant},
};

use async_nats::{Client, ConnectOptions, HeaderMap};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;

/// Messages published before their acknowledgements are waited for.
const WINDOW: usize = 250;
/// `err_code` of an answer that says that a stream holds nothing at a sequence.
const NO_MESSAGE: u64 = 10037;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) async fn connect(url: &str, creds: &Path) -> Client {
    ConnectOptions::with_credentials_file(creds).await.unwrap().connect(url).await.unwrap()
}

/// Publishes `subject` once for each number, as `<tag>-<number>`, and returns when the server has
/// acknowledged all. Repeats a window that was not acknowledged in time; `Nats-Msg-Id` keeps it
/// from being stored twice.
///
/// It takes one inbox of two tokens, since `_INBOX.*` of the school's permission table admits no
/// longer one.
pub(crate) async fn publish(client: &Client, subject: &str, tag: &str, numbers: Range<usize>) {
    let all: Vec<usize> = numbers.collect();
    for window in all.chunks(WINDOW) {
        while !publish_window(client, subject, tag, window).await {}
    }
}

async fn publish_window(client: &Client, subject: &str, tag: &str, window: &[usize]) -> bool {
    let inbox = client.new_inbox();
    let mut acks = client.subscribe(inbox.clone()).await.unwrap();
    for number in window {
        let id = format!("{tag}-{number}");
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id.as_str());
        let sent =
            client.publish_with_reply_and_headers(subject.to_owned(), inbox.clone(), headers, id.into());
        sent.await.unwrap();
    }
    let mut acknowledged = BTreeSet::new();
    while acknowledged.len() < window.len() {
        let Ok(Some(message)) = timeout(Duration::from_secs(3), acks.next()).await else { return false };
        let Ok(ack) = serde_json::from_slice::<Value>(&message.payload) else { return false };
        match ack["seq"].as_u64() {
            Some(sequence) => acknowledged.insert(sequence),
            None => return false,
        };
    }
    true
}

/// The `state` of a stream.
pub(crate) async fn state(client: &Client, stream: &str) -> Option<Value> {
    request(client, &format!("$JS.API.STREAM.INFO.{stream}"), &json!({}))
        .await
        .map(|info| info["state"].clone())
}

/// The messages in a stream; none if it is not there.
pub(crate) async fn count(client: &Client, stream: &str) -> u64 {
    state(client, stream).await.and_then(|state| state["messages"].as_u64()).unwrap_or(0)
}

pub(crate) async fn request(client: &Client, subject: &str, body: &Value) -> Option<Value> {
    let answer = client.request(subject.to_owned(), body.to_string().into());
    let answer = timeout(Duration::from_secs(5), answer).await.ok()?.ok()?;
    serde_json::from_slice(&answer.payload).ok()
}

/// The payloads of a stream in order, read one by one: a work queue admits no reader beside its own.
///
/// Every sequence is asked for until there is an answer that says what it holds. Only a message that
/// was deleted is left out, and the stream must count as many as were read.
pub(crate) async fn payloads(client: &Client, stream: &str) -> Vec<String> {
    let before = known_state(client, stream).await;
    if before["messages"] == 0 {
        return Vec::new();
    }
    let sequences = before["first_seq"].as_u64().unwrap()..=before["last_seq"].as_u64().unwrap();
    let asked = sequences.map(|sequence| payload(client, stream, sequence));
    let found: Vec<String> =
        futures::stream::iter(asked).buffered(100).filter_map(std::future::ready).collect().await;
    let after = known_state(client, stream).await;
    if before == after {
        assert_eq!(
            before["messages"],
            found.len(),
            "{stream} counts messages that it does not give: {after:#}"
        );
    }
    found
}

/// The `state` of a stream that is there, also while its leader is elected.
async fn known_state(client: &Client, stream: &str) -> Value {
    let started = Instant::now();
    loop {
        if let Some(state) = state(client, stream).await.filter(Value::is_object) {
            return state;
        }
        assert!(started.elapsed() < super::DEADLINE, "{stream} does not give its state");
        tokio::time::sleep(PAUSE).await;
    }
}

/// What a stream holds at a sequence; `None` when nothing.
///
/// A node of a cluster that knows no leader at the moment answers 503, also when another node has it
/// all: that says nothing about the message.
async fn payload(client: &Client, stream: &str, sequence: u64) -> Option<String> {
    let subject = format!("$JS.API.STREAM.MSG.GET.{stream}");
    let started = Instant::now();
    loop {
        let answer = request(client, &subject, &json!({ "seq": sequence })).await.unwrap_or_default();
        if answer["message"].is_object() {
            let data = answer["message"]["data"].as_str().unwrap_or("");
            return Some(String::from_utf8(data_encoding::BASE64.decode(data.as_bytes()).unwrap()).unwrap());
        }
        if answer["error"]["err_code"] == NO_MESSAGE {
            return None;
        }
        assert!(started.elapsed() < super::DEADLINE, "{stream} does not give message {sequence}: {answer}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asserts that the stream holds `<tag>-<number>` for each number exactly once.
pub(crate) async fn assert_exactly(client: &Client, stream: &str, tag: &str, numbers: Range<usize>) {
    let prefix = format!("{tag}-");
    let payloads = payloads(client, stream).await;
    let found: Vec<usize> =
        payloads.iter().filter_map(|payload| payload.strip_prefix(&prefix)?.parse().ok()).collect();
    let distinct: BTreeSet<usize> = found.iter().copied().collect();
    assert_eq!(found.len(), distinct.len(), "{stream} holds {tag} messages twice");
    let expected: BTreeSet<usize> = numbers.collect();
    let missing: Vec<_> = expected.difference(&distinct).take(5).collect();
    assert!(
        missing.is_empty(),
        "{stream} lacks {tag} {missing:?} and maybe more: {} of {}",
        distinct.len(),
        expected.len()
    );
    assert_eq!(distinct.len(), expected.len(), "{stream} holds {tag} messages that nobody published");
}
