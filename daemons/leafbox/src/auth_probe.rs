//! Tries a user's permissions on a running server, both ways: what its role allows must be
//! allowed, and all else that its account speaks of must be refused.
//!
//! A publish probe is an empty message with the header `Leafbox-Auth-Test`, and with
//! `Nats-Expected-Stream` naming a stream that does not exist, so that no stream stores it. It goes
//! to subjects with a token of its own in place of a wildcard. A subject that stands whole in the
//! file is published to only where that must be refused: a service may act on it. Subjects that
//! start with `$` are not published to at all: a probe of `$JS.API.STREAM.PURGE.X` would purge.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result};
use async_nats::{Client, ConnectOptions, Event, HeaderMap, ServerError};
use runtime::LocalTls;
use serde::Serialize;
use settings::{Account, Name, Subject, fleet::Role};
use tokio::sync::mpsc;

/// How long to wait for a refusal that should come. The server answers in the order of the
/// requests, so that only a refusal that never comes takes this long.
const REFUSAL_DEADLINE: Duration = Duration::from_secs(2);
/// How long to listen for refusals that should not come, when no expected one follows them.
const STRAY_DEADLINE: Duration = Duration::from_millis(250);
/// The token that stands for a wildcard.
const OWN_TOKEN: &str = "leafbox-auth-test";
/// async-nats drops events past 128 that wait.
const BATCH: usize = 32;

/// Which way a permission goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// May it publish?
    Publish,
    /// May it subscribe?
    Subscribe,
}

/// One permission, as declared and as found.
#[derive(Clone, Debug, Serialize)]
pub struct Probe {
    /// Publish or subscribe.
    pub direction: Direction,
    /// The subject that was tried.
    pub subject: String,
    /// What fleet.toml says.
    pub declared: bool,
    /// What the server does.
    pub allowed: bool,
}

impl Probe {
    /// Whether the server does what fleet.toml says.
    pub fn holds(&self) -> bool {
        self.declared == self.allowed
    }
}

/// The server to try.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its URL.
    pub url: String,
    /// The certificate of its client listener, where that speaks TLS.
    pub tls: Option<LocalTls>,
}

/// Sample subjects of everything that the account's roles speak of, and one that none does.
pub fn samples(account: &Account) -> BTreeSet<String> {
    let roles = account.all_roles();
    let mentioned = roles.iter().filter(|(name, _)| !name.starts_with(settings::builtin::RESERVED_PREFIX));
    let subjects = mentioned.flat_map(|(_, role)| {
        [&role.publish, &role.publish_deny, &role.subscribe, &role.subscribe_deny].into_iter().flatten()
    });
    subjects.map(|subject| sample(subject)).chain(["leafbox-auth-test.undeclared".to_owned()]).collect()
}

/// A subject without wildcards that `pattern` covers.
fn sample(pattern: &str) -> String {
    let tokens = pattern.split('.').map(|token| if matches!(token, "*" | ">") { OWN_TOKEN } else { token });
    tokens.collect::<Vec<_>>().join(".")
}

/// Whether a role allows a subject without wildcards: some allow covers it and no deny does.
pub fn allows(role: &Role, direction: Direction, subject: &str) -> bool {
    let (allow, deny) = match direction {
        Direction::Publish => (&role.publish, &role.publish_deny),
        Direction::Subscribe => (&role.subscribe, &role.subscribe_deny),
    };
    let covers = |patterns: &[Subject]| patterns.iter().any(|pattern| pattern.covers(subject));
    covers(allow) && !covers(deny)
}

/// Connects with a creds file and tries every sample both ways.
///
/// # Errors
/// When the server refuses the user, or the connection breaks.
pub async fn run(
    target: &Target,
    creds: &str,
    service: &Name,
    role: &Role,
    samples: &BTreeSet<String>,
) -> Result<Vec<Probe>> {
    let (refusals, mut refused) = mpsc::unbounded_channel();
    let mut options = ConnectOptions::with_credentials(creds)
        .with_context(|| format!("the creds file of {service} is damaged"))?
        .name(format!("leafbox auth test {service}"))
        .event_callback(move |event| {
            let refusals = refusals.clone();
            async move {
                if let Event::ServerError(ServerError::Other(text)) = event {
                    // The receiver is gone only when the probes are over.
                    let _ = refusals.send(text);
                }
            }
        });
    if let Some(tls) = &target.tls {
        options = options.tls_client_config(tls.config()?);
    }
    let client = options
        .connect(&target.url)
        .await
        .with_context(|| format!("the server does not let {service} in: run `leafbox apply`"))?;

    let planned: Vec<(Direction, &String, bool)> = [Direction::Publish, Direction::Subscribe]
        .into_iter()
        .flat_map(|direction| samples.iter().map(move |subject| (direction, subject)))
        .map(|(direction, subject)| (direction, subject, allows(role, direction, subject)))
        .filter(|(direction, subject, declared)| {
            *direction == Direction::Subscribe || is_harmless(subject, *declared)
        })
        .collect();
    let mut seen = Refusals::default();
    let (allowed, denied): (Vec<_>, Vec<_>) = planned.iter().partition(|(_, _, declared)| *declared);
    // Refusals come in order, so that the last of the denied ones tells that all have come.
    let ordered: Vec<_> = allowed.into_iter().chain(denied).collect();
    for batch in ordered.chunks(BATCH) {
        for (direction, subject, _) in batch {
            send(&client, *direction, subject).await?;
        }
        client.flush().await.context("the connection broke during the test")?;
        let last_denied = batch.iter().rev().find(|(_, _, declared)| !declared);
        seen.collect(&mut refused, last_denied.map(|(direction, subject, _)| (*direction, subject.as_str())))
            .await;
    }
    let probes = planned.into_iter().map(|(direction, subject, declared)| Probe {
        direction,
        subject: subject.clone(),
        declared,
        allowed: !seen.contains(direction, subject),
    });
    Ok(probes.collect())
}

/// Whether an empty message may be published to a subject that is declared so.
fn is_harmless(subject: &str, declared: bool) -> bool {
    !subject.starts_with('$') && (!declared || subject.contains(OWN_TOKEN))
}

async fn send(client: &Client, direction: Direction, subject: &str) -> Result<()> {
    match direction {
        Direction::Publish => {
            let mut headers = HeaderMap::new();
            headers.insert("Leafbox-Auth-Test", "1");
            headers.insert("Nats-Expected-Stream", "leafbox-auth-test");
            client.publish_with_headers(subject.to_owned(), headers, "".into()).await?;
        }
        Direction::Subscribe => {
            // Dropped at once: the server has answered by then, or does before the flush returns.
            let subscription = client.subscribe(subject.to_owned()).await?;
            drop(subscription);
        }
    }
    Ok(())
}

#[derive(Default)]
struct Refusals {
    texts: BTreeMap<Direction, BTreeSet<String>>,
}

impl Refusals {
    fn contains(&self, direction: Direction, subject: &str) -> bool {
        self.texts.get(&direction).is_some_and(|subjects| subjects.contains(subject))
    }

    /// Takes refusals in until the awaited one is there, or for a while when none is awaited.
    async fn collect(
        &mut self,
        refused: &mut mpsc::UnboundedReceiver<String>,
        awaited: Option<(Direction, &str)>,
    ) {
        let deadline = if awaited.is_some() { REFUSAL_DEADLINE } else { STRAY_DEADLINE };
        let give_up = tokio::time::Instant::now() + deadline;
        while !awaited.is_some_and(|(direction, subject)| self.contains(direction, subject)) {
            match tokio::time::timeout_at(give_up, refused.recv()).await {
                Ok(Some(text)) => self.note(&text),
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Reads `Permissions Violation for Publish to "a.b"`.
    fn note(&mut self, text: &str) {
        let lower = text.to_lowercase();
        let direction = if lower.contains("violation for publish") {
            Direction::Publish
        } else if lower.contains("violation for subscription") {
            Direction::Subscribe
        } else {
            return;
        };
        if let Some(subject) = text.split('"').nth(1) {
            self.texts.entry(direction).or_default().insert(subject.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn samples_hold_no_wildcard_and_one_subject_nobody_declared() {
        let account: Account = toml::from_str(
            r#"
            [services.a]
            publish = ["teacher.*", "events.>"]
            subscribe = ["_INBOX.*"]
            "#,
        )
        .unwrap();
        let samples = samples(&account);
        assert!(
            samples.contains("teacher.leafbox-auth-test") && samples.contains("leafbox-auth-test.undeclared")
        );
        assert!(samples.iter().all(|subject| !subject.contains(['*', '>'])));
    }

    #[test]
    fn a_whole_subject_is_published_to_only_where_it_must_be_refused() {
        assert!(is_harmless("orders.leafbox-auth-test", true) && is_harmless("billing.charge", false));
        assert!(!is_harmless("billing.charge", true) && !is_harmless("$JS.API.STREAM.PURGE.X", false));
    }

    #[test]
    fn a_deny_takes_out_of_an_allow() {
        let role: Role = toml::from_str("publish = [\"a.>\"]\npublish_deny = [\"a.b\"]").unwrap();
        assert!(allows(&role, Direction::Publish, "a.c") && !allows(&role, Direction::Publish, "a.b"));
        assert!(!allows(&role, Direction::Subscribe, "a.c"), "an empty list allows nothing");
    }

    #[test]
    fn refusals_are_read_from_what_the_server_says() {
        let mut refusals = Refusals::default();
        refusals.note("Permissions Violation for Publish to \"a.b\"");
        refusals.note("Permissions Violation for Subscription to \"c\"");
        assert!(refusals.contains(Direction::Publish, "a.b") && refusals.contains(Direction::Subscribe, "c"));
        assert!(!refusals.contains(Direction::Subscribe, "a.b"));
    }
}
