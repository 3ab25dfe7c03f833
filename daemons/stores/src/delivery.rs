//! The subjects on which outboxes deliver to the hub: another one each time an outbox is made.
//!
//! nats-server's source goes on listening where its outbox delivered, also once that one is gone: its
//! disk was lost, or it was deleted and applied again. If the new outbox delivered there too, the
//! source would take its first messages for old ones by their sequences, and answer its flow control
//! with the position that it had in the old one. That answer is the acknowledgement: messages would
//! leave the outbox that the hub never stored, as many as it had taken from the old one.
//!
//! So the declared subject is only the beginning, the stem. A token follows that is drawn when the
//! consumer is made; [`crate::nudge`] asks the leaf for it and has the hub listen there. What
//! listens anew asks which outbox it is first, and begins at its beginning.
//!
//! A subject without a token was made by a leafbox that drew none, and stays.

use std::hash::{BuildHasher, Hasher, RandomState};

use serde_json::Value;
use settings::HUB_DOMAIN;

use crate::wire::Config;

/// Under `$JS`, which no stream may capture.
const PREFIX: &str = "$JS.S.leafbox.";
/// The same for requests.
pub(crate) const API_PREFIX: &str = "$JS.leafbox.";
/// Tokens of a stem.
const STEM_TOKENS: usize = 6;

/// What all subjects of a leaf's outbox begin with.
pub(crate) fn stem_of(leaf: &str, stream: &str) -> String {
    format!("{PREFIX}{leaf}.{HUB_DOMAIN}.{stream}")
}

/// Where the hub asks a leaf's leafbox instead of its nats-server; see [`crate::resets`].
pub(crate) fn api_of(leaf: &str) -> String {
    format!("{API_PREFIX}{leaf}")
}

/// The stem of a subject; what is no outbox's is its own.
pub(crate) fn stem(subject: &str) -> &str {
    let end = subject.match_indices('.').nth(STEM_TOKENS - 1).map(|(at, _)| at);
    match end {
        Some(end) if subject.starts_with(PREFIX) && is_token(&subject[end + 1..]) => &subject[..end],
        _ => subject,
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|char| char.is_ascii_alphanumeric())
}

/// Where the consumer of a source delivers.
pub(crate) fn of_source(source: &Value) -> Option<&str> {
    source.pointer("/consumer/deliver_subject")?.as_str()
}

/// Sets where the consumer of a source delivers.
pub(crate) fn set_of_source(source: &mut Value, subject: &str) {
    if let Some(held) = source.pointer_mut("/consumer/deliver_subject") {
        *held = subject.into();
    }
}

/// A consumer as it is made: where it is an outbox's, it delivers where none did before.
pub(crate) fn drawn(mut consumer: Config) -> Config {
    if let Some(subject) = consumer.get_mut("deliver_subject")
        && let Some(stem) = subject.as_str().filter(|subject| subject.starts_with(PREFIX))
    {
        // Random for each that is made, which is what it is for.
        let token = RandomState::new().build_hasher().finish();
        *subject = format!("{stem}.{token:016x}").into();
    }
    consumer
}

/// Leaves the tokens of a stream's sources, or of a consumer, as they are held.
pub(crate) fn keep(wanted: &mut Config, held: &Config) {
    let same = |wanted: &Value, held: &Value| {
        ["/name", "/external/api"].iter().all(|path| wanted.pointer(path) == held.pointer(path))
    };
    let held_sources = held.get("sources").and_then(Value::as_array);
    for source in wanted.get_mut("sources").and_then(Value::as_array_mut).into_iter().flatten() {
        let kept = held_sources.and_then(|held| of_source(held.iter().find(|held| same(source, held))?));
        if let Some(kept) = kept.filter(|kept| of_source(source) == Some(stem(kept))) {
            set_of_source(source, kept);
        }
    }
    let [subject, kept] =
        [&*wanted, held].map(|config| config.get("deliver_subject").and_then(Value::as_str));
    let Some(subject) = subject.filter(|subject| subject.starts_with(PREFIX)) else { return };
    match kept.filter(|kept| subject == stem(kept)) {
        Some(kept) => drop(wanted.insert("deliver_subject".into(), kept.into())),
        None => *wanted = drawn(wanted.clone()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::diff;

    fn config(value: Value) -> Config {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn only_one_plain_token_follows_a_stem() {
        let of = stem_of("shop-1", "SALES");
        assert_eq!(stem(&format!("{of}.0af3")), of);
        for other in [&of, "a.b.c.d.e.f.g", &format!("{of}.a.b"), &format!("{of}.>"), &format!("{of}.")] {
            assert_eq!(stem(other), other);
        }
    }

    #[test]
    fn each_consumer_delivers_elsewhere_and_none_is_a_difference() {
        let declared = config(json!({ "deliver_subject": stem_of("shop-1", "SALES") }));
        let (one, other) = (drawn(declared.clone()), drawn(declared.clone()));
        assert_ne!(one, other);
        assert_eq!(diff::differences(&declared, &one), []);
        assert_eq!(diff::merged(&declared, &one)["deliver_subject"], one["deliver_subject"]);
        let elsewhere = config(json!({ "deliver_subject": "by.hand" }));
        assert_eq!(diff::differences(&declared, &elsewhere).len(), 1);
        assert_ne!(diff::merged(&declared, &elsewhere)["deliver_subject"], declared["deliver_subject"]);
        // What an application declares is taken at its word.
        assert_eq!(drawn(elsewhere.clone()), elsewhere);
    }

    #[test]
    fn an_update_of_the_hubs_stream_goes_on_listening_where_its_outboxes_deliver() {
        let source = |leaf: &str, subject: &str| crate::wire::consumer_feed("SALES", leaf, "c", subject);
        let [one, other] = ["shop-1", "shop-2"].map(|leaf| stem_of(leaf, "SALES"));
        let declared = config(json!({ "sources": [source("shop-2", &other), source("shop-1", &one)] }));
        let held = config(json!({ "sources": [source("shop-1", &format!("{one}.7"))] }));
        let sources = json!([source("shop-2", &other), source("shop-1", &format!("{one}.7"))]);
        assert_eq!(diff::merged(&declared, &held)["sources"], sources);
        assert_eq!(diff::differences(&declared, &config(json!({ "sources": sources }))), []);
    }
}
