//! Which servers there are: those that answer `$SYS.REQ.SERVER.PING.IDZ`.

use std::{collections::BTreeMap, time::Duration};

use async_nats::Client;
use bytes::Bytes;
use futures::StreamExt;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::AskError;

/// How long what was found out is good.
const FRESH: Duration = Duration::from_secs(5);
/// How long answers are waited for at most.
const WINDOW: Duration = Duration::from_secs(1);
/// After so long without another answer no more are expected, of those who are not known.
const QUIET: Duration = Duration::from_millis(300);
/// The same once everybody has answered who was known.
const SETTLED: Duration = Duration::from_millis(30);
/// How long one stays listed that answers no more.
pub(super) const REMEMBERED: Duration = Duration::from_secs(300);
/// Servers that are remembered at most.
const MOST: usize = 10_000;

/// A server that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::console) struct Heard {
    /// A leaf's that its console answers for is its name.
    pub(in crate::console) id: String,
    pub(in crate::console) name: String,
}

#[derive(Default)]
pub(super) struct Directory {
    /// By id: the name, and when it was heard.
    servers: BTreeMap<String, (String, Instant)>,
    asked: Option<Instant>,
}

/// The answer to IDZ, which is in no envelope.
#[derive(Deserialize)]
struct Id {
    id: String,
    name: String,
}

impl Directory {
    /// All that were heard within [`REMEMBERED`]. Whoever waits for the directory meanwhile is
    /// answered from the same questions.
    pub(super) async fn heard(&mut self, client: &Client) -> Result<Vec<Heard>, AskError> {
        if self.asked.is_none_or(|asked| asked.elapsed() > FRESH) {
            self.ask(client).await?;
        }
        let servers = self.servers.iter();
        Ok(servers.map(|(id, (name, _))| Heard { id: id.clone(), name: name.clone() }).collect())
    }

    async fn ask(&mut self, client: &Client) -> Result<(), AskError> {
        let inbox = client.new_inbox();
        let mut answers =
            client.subscribe(inbox.clone()).await.map_err(|error| AskError::Ping(Box::new(error)))?;
        let begun = Instant::now();
        client
            .publish_with_reply("$SYS.REQ.SERVER.PING.IDZ", inbox, Bytes::new())
            .await
            .map_err(|error| AskError::Ping(Box::new(error)))?;
        let (mut last, mut count) = (begun, 0);
        loop {
            let missing = self.servers.values().any(|(_, at)| *at < begun);
            let patience = match (count, missing) {
                (0, _) | (_, true) => WINDOW,
                _ if self.asked.is_some() => SETTLED,
                _ => QUIET,
            };
            let until = (last + patience).min(begun + WINDOW);
            let Ok(Some(answer)) = timeout_at(until, answers.next()).await else { break };
            // A server that closes down answers nothing; what is no answer of IDZ is of no use here.
            let Ok(Id { id, name }) = serde_json::from_slice(&answer.payload) else { continue };
            if is_id(&id) && (self.servers.len() < MOST || self.servers.contains_key(&id)) {
                last = Instant::now();
                count += 1;
                self.servers.insert(id, (name, last));
            }
        }
        if count == 0 {
            return Err(AskError::Away);
        }
        self.asked = Some(begun);
        self.forget(begun);
        Ok(())
    }

    /// Forgets who was not heard for long, and what a server was before it was started again.
    fn forget(&mut self, now: Instant) {
        let here: Vec<String> =
            self.servers.values().filter(|(_, at)| *at >= now).map(|(name, _)| name.clone()).collect();
        self.servers.retain(|_, (name, at)| *at >= now || (now - *at < REMEMBERED && !here.contains(name)));
    }
}

/// Whether it may be a part of a subject.
fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn who_is_missing_stays_for_a_while_unless_it_is_back_under_another_id() {
        let now = Instant::now() + REMEMBERED * 2;
        let before = |seconds| now - Duration::from_secs(seconds);
        let mut directory = Directory::default();
        for (id, name, at) in [
            ("A", "hub-1", now),
            ("B", "hub-2", before(9)),
            ("C", "hub-1", before(9)),
            ("D", "hub-3", before(999)),
        ] {
            directory.servers.insert(id.to_owned(), (name.to_owned(), at));
        }
        directory.forget(now);
        assert_eq!(directory.servers.keys().collect::<Vec<_>>(), ["A", "B"]);
    }

    #[test]
    fn an_id_cannot_be_more_than_one_part_of_a_subject() {
        assert!(is_id("NDHUXD6Q5ZVW"));
        for other in ["", "A.B", ">", "*", "A B", &"A".repeat(65)] {
            assert!(!is_id(other), "{other}");
        }
    }
}
