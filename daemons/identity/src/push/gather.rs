//! One question, an answer from every server.

use std::time::Duration;

use futures::StreamExt;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout_at};

use super::{PushError, Server};

/// One server's answer.
pub(super) struct Reply {
    /// As it came.
    pub(super) payload: Vec<u8>,
}

#[derive(Deserialize)]
struct Envelope {
    server: Server,
}

impl Reply {
    /// Who answers, where the answer says so.
    pub(super) fn server(&self) -> Option<Server> {
        self.json::<Envelope>().map(|envelope| envelope.server)
    }

    /// The answer, if it is of this shape.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.payload).ok()
    }
}

/// Whether more answers are worth waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Some are owed.
    Owed,
    /// None that is known of, but there may be more.
    Grace,
    /// None.
    Over,
}

impl Wait {
    pub(super) fn until(all_in: bool) -> Self {
        if all_in { Self::Over } else { Self::Owed }
    }
}

/// How long to wait for answers that nobody is known to owe.
const GRACE: Duration = Duration::from_millis(250);

/// Sends `payload` and collects answers until `wait` says so or the time is over. Answering too
/// few is not an error here; answering not at all is.
pub(super) async fn gather(
    client: &async_nats::Client,
    subject: &str,
    payload: &str,
    timeout: Duration,
    wait: impl Fn(&[Reply]) -> Wait,
) -> Result<Vec<Reply>, PushError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| PushError::Send {
        subject: subject.into(),
        source,
    };
    let mut deadline = Instant::now() + timeout;
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.map_err(|source| failed(source.into()))?;
    client
        .publish_with_reply(subject.to_owned(), inbox, payload.to_owned().into())
        .await
        .map_err(|source| failed(source.into()))?;
    let mut replies = Vec::new();
    let mut in_grace = false;
    loop {
        match wait(&replies) {
            Wait::Over => break,
            Wait::Grace if !in_grace => {
                in_grace = true;
                deadline = deadline.min(Instant::now() + GRACE);
            }
            Wait::Grace | Wait::Owed => {}
        }
        let Ok(Some(message)) = timeout_at(deadline, answers.next()).await else { break };
        if message.status == Some(async_nats::StatusCode::NO_RESPONDERS) {
            return Err(PushError::NoResponder { subject: subject.into() });
        }
        replies.push(Reply { payload: message.payload.to_vec() });
    }
    if replies.is_empty() {
        return Err(PushError::NoAnswer { subject: subject.into(), timeout });
    }
    Ok(replies)
}
