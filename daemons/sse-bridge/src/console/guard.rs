//! What no page does for anybody, whatever the role: the names of streams, buckets and subjects that
//! come from outside are read here, and nothing asks NATS for one that was not.
//!
//! - The users of the console and the secrets of the registry are neither read nor written.
//! - What leafbox itself keeps in its account is shown, and changed by leafbox alone.
//! - Nothing is published that JetStream, the servers or leafbox act upon.

use serde_json::Value;
use settings::{
    LEAFBOX_ACCOUNT,
    builtin::{CONSOLE_USERS, REGISTRY_RECORDS},
};

use crate::feed::{Pattern, SYS};

/// The longest name of a stream, consumer, bucket or key, bytes.
const LONGEST_NAME: usize = 255;
/// Subjects that are acted upon: requests to JetStream and the servers, buckets, answers to others.
const INTERNAL: [&str; 9] =
    ["$SYS.>", "$JS.>", "$JSC.>", "$KV.>", "$O.>", "_INBOX.>", "_R_.>", "_REGISTRY.>", "_SERVERS.>"];
/// Leafbox's own subjects.
const OWN: &str = "leafbox.>";

/// What is not done for anybody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// A text that is no name.
    #[error("`{name}` is no name of a {what}: it has 1 to {LONGEST_NAME} characters and none of {not}")]
    Name { what: &'static str, name: String, not: &'static str },
    /// A text that is no subject.
    #[error(transparent)]
    Subject(#[from] crate::feed::BadSubject),
    /// Keys and sessions are in it.
    #[error(
        "`{0}` holds secrets of leafbox, which no page shows or changes: `leafbox console` and `leafbox registry` manage what is in it"
    )]
    Secret(String),
    /// It is leafbox's own to change.
    #[error("`{0}` is kept by leafbox itself: fleet.toml and the `leafbox` command change it")]
    Own(String),
    /// It is acted upon.
    #[error(
        "`{0}` is a subject that NATS or leafbox acts upon: the pages for streams, buckets and servers do what is safe there"
    )]
    Internal(String),
    /// It cannot be published to.
    #[error("`{0}` has a wildcard: publish to one subject, such as orders.new")]
    Wildcard(String),
    /// It has servers publish by themselves.
    #[error("the header `{0}` has servers publish to another subject: leave it out")]
    Traced(String),
    /// It would record what others ask and answer.
    #[error("`{0}` is where others ask and are answered: no stream made here captures it")]
    Captured(String),
}

/// The name of a stream that may be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StreamName {
    name: String,
    is_own: bool,
}

/// The name of a bucket that may be read, of keys and values or of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BucketName {
    name: String,
    stream: StreamName,
}

/// A subject that may be listened to, with wildcards or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard(Pattern);

/// A subject that may be published to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Published(String);

impl StreamName {
    /// The name of a stream of `account` that somebody asked for.
    pub(super) fn read(account: &str, name: &str) -> Result<Self, Refused> {
        token("stream", name)?;
        if secret_streams().any(|secret| secret == name) {
            return Err(Refused::Secret(name.to_owned()));
        }
        let is_own = account == LEAFBOX_ACCOUNT
            && ["LEAFBOX_", "KV_leafbox_", "OBJ_leafbox_"].iter().any(|own| name.starts_with(own));
        Ok(Self { name: name.to_owned(), is_own })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.name
    }

    /// The same, if it may be changed, in what it holds or how it is defined.
    pub(super) fn writable(&self) -> Result<&Self, Refused> {
        if self.is_own { Err(Refused::Own(self.name.clone())) } else { Ok(self) }
    }
}

impl BucketName {
    /// A bucket of keys and values.
    pub(super) fn kv(account: &str, name: &str) -> Result<Self, Refused> {
        Self::read(account, name, "KV_")
    }

    /// A bucket of objects.
    pub(super) fn objects(account: &str, name: &str) -> Result<Self, Refused> {
        Self::read(account, name, "OBJ_")
    }

    fn read(account: &str, name: &str, prefix: &str) -> Result<Self, Refused> {
        token("bucket", name)?;
        let stream = StreamName::read(account, &format!("{prefix}{name}"))?;
        Ok(Self { name: name.to_owned(), stream })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.name
    }

    /// The stream that holds it.
    pub(super) fn stream(&self) -> &StreamName {
        &self.stream
    }
}

impl Heard {
    /// A subject of `account` that somebody wants to listen to. Whose role suffices, the table of feeds
    /// says ([`crate::feed::Policy`]).
    pub(super) fn read(account: &str, subject: &str) -> Result<Self, Refused> {
        let pattern: Pattern = subject.parse()?;
        // Its events hold the JWTs of those who connect: the page of events shows them without.
        if account == SYS {
            return Err(Refused::Internal(format!("{subject} of the account {SYS}")));
        }
        let secret = |bucket| overlap(&format!("$KV.{bucket}.>"), &pattern);
        if account == LEAFBOX_ACCOUNT && [CONSOLE_USERS, REGISTRY_RECORDS].into_iter().any(secret) {
            return Err(Refused::Secret(subject.to_owned()));
        }
        Ok(Self(pattern))
    }

    pub(super) fn pattern(&self) -> &Pattern {
        &self.0
    }
}

impl Published {
    /// A subject that somebody wants to publish to.
    pub(super) fn read(subject: &str) -> Result<Self, Refused> {
        let pattern: Pattern = subject.parse()?;
        if subject.split('.').any(|token| token == "*" || token == ">") {
            return Err(Refused::Wildcard(subject.to_owned()));
        }
        // `$SRV` alone asks services how they are.
        let is_internal = INTERNAL.iter().chain([&OWN]).any(|internal| overlap(internal, &pattern));
        if is_internal || (subject.starts_with('$') && !subject.starts_with("$SRV.")) {
            return Err(Refused::Internal(subject.to_owned()));
        }
        Ok(Self(subject.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a header of a published message.
pub(super) fn header(name: &str) -> Result<&str, Refused> {
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(|it| it.is_ascii_graphic()) {
        let not = "characters other than letters, digits and signs of ASCII";
        return Err(Refused::Name { what: "header", name: name.escape_debug().to_string(), not });
    }
    // A server that sees one tells the subject in it what becomes of the message.
    let is_traced =
        name.to_ascii_lowercase().starts_with("nats-trace") || name.eq_ignore_ascii_case("traceparent");
    if is_traced { Err(Refused::Traced(name.to_owned())) } else { Ok(name) }
}

/// The name of a consumer.
pub(super) fn consumer(name: &str) -> Result<&str, Refused> {
    token("consumer", name)
}

/// A key of a bucket (ADR-8).
pub(super) fn key(name: &str) -> Result<&str, Refused> {
    let is_key = |it: char| it.is_ascii_alphanumeric() || "-/_=.".contains(it);
    if name.is_empty()
        || name.len() > LONGEST_NAME
        || !name.chars().all(is_key)
        || name.split('.').any(str::is_empty)
    {
        let not = "characters other than letters, digits and - / _ = with single dots between them";
        return Err(Refused::Name { what: "key", name: name.escape_debug().to_string(), not });
    }
    Ok(name)
}

/// Whether a stream may be defined so: it must neither copy secrets, nor write or record what it must not.
pub(super) fn stream_config(account: &str, config: &Value) -> Result<StreamName, Refused> {
    let name = StreamName::read(account, text(config.get("name")))?;
    let origins = config.get("sources").and_then(Value::as_array).into_iter().flatten();
    for origin in origins.chain(config.get("mirror")).filter(|origin| origin.is_object()) {
        StreamName::read(account, text(origin.get("name")))?;
        for delivers in ["/external/deliver", "/consumer/deliver_subject"] {
            destination(origin.pointer(delivers))?;
        }
        let mut transforms = origin.get("subject_transforms").and_then(Value::as_array).into_iter().flatten();
        transforms.try_for_each(|transform| stored_as(&name, transform.get("dest")))?;
    }
    for subject in config.get("subjects").and_then(Value::as_array).into_iter().flatten() {
        captured(&name, text(Some(subject)))?;
    }
    stored_as(&name, config.pointer("/subject_transform/dest"))?;
    destination(config.pointer("/republish/dest"))?;
    Ok(name)
}

/// Whether a consumer may be defined so: what it delivers is published.
pub(super) fn consumer_config(config: &Value) -> Result<(), Refused> {
    destination(config.get("deliver_subject"))
}

/// Where a stream or consumer publishes, in which `{{…}}`, `$1` and wildcards stand for tokens.
fn destination(subject: Option<&Value>) -> Result<(), Refused> {
    let subject = text(subject);
    if subject.is_empty() {
        return Ok(());
    }
    let refused = || Err(Refused::Internal(subject.to_owned()));
    // What stands for a token may become any.
    let Some(pattern) = as_pattern(subject) else { return refused() };
    let internal = INTERNAL.iter().chain([&OWN]);
    if internal.into_iter().any(|internal| overlap(internal, &pattern)) { refused() } else { Ok(()) }
}

/// A subject under which a stream stores. It is not published, yet may be a key of a bucket.
fn stored_as(stream: &StreamName, subject: Option<&Value>) -> Result<(), Refused> {
    let subject = text(subject);
    if subject.is_empty() { Ok(()) } else { captured(stream, subject) }
}

fn captured(stream: &StreamName, subject: &str) -> Result<(), Refused> {
    let Some(pattern) = as_pattern(subject) else { return Err(Refused::Captured(subject.to_owned())) };
    let own_keys = [("KV_", "$KV"), ("OBJ_", "$O")].into_iter().find_map(|(prefix, root)| {
        let bucket = stream.as_str().strip_prefix(prefix)?;
        format!("{root}.{bucket}.>").parse::<Pattern>().ok()
    });
    if own_keys.is_some_and(|own| own.covers(&pattern)) {
        return Ok(());
    }
    if INTERNAL.iter().any(|not| overlap(not, &pattern)) {
        return Err(Refused::Captured(subject.to_owned()));
    }
    Ok(())
}

/// A destination as the subjects that may come of it.
fn as_pattern(subject: &str) -> Option<Pattern> {
    // A mapping may have dots in its braces, and may make several tokens.
    let subject = match subject.find("{{") {
        Some(0) => ">".to_owned(),
        Some(start) => {
            let (before, partial) = subject[..start].rsplit_once('.')?;
            if partial.is_empty() { format!("{before}.>") } else { return None }
        }
        None => subject.to_owned(),
    };
    let tokens = subject.split('.').map(|token| {
        let stands_for_one = token.len() > 1
            && token.strip_prefix('$').is_some_and(|rest| rest.bytes().all(|it| it.is_ascii_digit()));
        if stands_for_one { "*" } else { token }
    });
    tokens.collect::<Vec<_>>().join(".").parse().ok()
}

fn overlap(internal: &str, pattern: &Pattern) -> bool {
    internal.parse::<Pattern>().is_ok_and(|internal| internal.overlaps(pattern))
}

fn secret_streams() -> impl Iterator<Item = String> {
    [CONSOLE_USERS, REGISTRY_RECORDS].into_iter().map(|bucket| format!("KV_{bucket}"))
}

fn token<'a>(what: &'static str, name: &'a str) -> Result<&'a str, Refused> {
    let not = ". * > / \\ and space";
    let bad = |it: char| it.is_whitespace() || it.is_control() || ".*>/\\".contains(it);
    if name.is_empty() || name.len() > LONGEST_NAME || name.contains(bad) {
        let name = name.chars().take(100).flat_map(char::escape_debug).collect();
        return Err(Refused::Name { what, name, not });
    }
    Ok(name)
}

fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
#[path = "guard/tests.rs"]
mod tests;
