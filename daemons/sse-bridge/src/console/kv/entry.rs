//! What a key had at a revision.

use async_nats::HeaderMap;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::Bucket;
use crate::{
    console::{failure::Failure, stored::Stored},
    feed::Message,
};

/// What was done to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Put,
    /// Deleted; what was before is there.
    Delete,
    /// Purged, with what was before.
    Purge,
    /// Its time was over.
    Expired,
}

/// What a key had at a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) revision: u64,
    pub(super) time: String,
    pub(super) operation: Operation,
    pub(super) value: Vec<u8>,
}

impl Operation {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Delete => "deleted",
            Self::Purge => "purged",
            Self::Expired => "expired",
        }
    }

    fn of<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Self {
        match (header("KV-Operation"), header("Nats-Marker-Reason")) {
            (Some("DEL"), _) => Self::Delete,
            (Some("PURGE"), _) | (_, Some("Purge")) => Self::Purge,
            (_, Some("MaxAge")) => Self::Expired,
            (_, Some(_)) => Self::Delete,
            _ => Self::Put,
        }
    }
}

impl Entry {
    /// From a stored message of the bucket whose subjects begin with `prefix`.
    pub(super) fn stored(prefix: &str, stored: Stored) -> Option<Self> {
        let key = stored.subject.strip_prefix(prefix)?.to_owned();
        let operation =
            Operation::of(|name| stored.headers().find(|(known, _)| *known == name).map(|it| it.1));
        Some(Self { key, revision: stored.sequence, time: stored.time, operation, value: stored.data })
    }

    /// From a message as feeds have it.
    pub(super) fn message(prefix: &str, message: &Message) -> Option<Self> {
        let stored = message.stored.as_ref()?;
        let headers: Option<&HeaderMap> = message.headers.as_deref();
        let header = |name: &str| headers?.get(name).map(|value| value.as_str());
        Some(Self {
            key: message.subject.strip_prefix(prefix)?.to_owned(),
            revision: stored.sequence,
            time: stored.time.format(&Rfc3339).unwrap_or_default(),
            operation: Operation::of(header),
            value: message.payload.to_vec(),
        })
    }
}

impl Bucket {
    /// The newest entry of a key; none where there was never one.
    pub(super) async fn newest(&self, key: &str) -> Result<Option<Entry>, Failure> {
        let by = json!({ "last_by_subj": format!("{}{key}", self.prefix()) });
        self.entry(&by).await
    }

    /// The first entry of a key from a revision on.
    pub(super) async fn next(&self, key: &str, revision: u64) -> Result<Option<Entry>, Failure> {
        let by = json!({ "seq": revision, "next_by_subj": format!("{}{key}", self.prefix()) });
        self.entry(&by).await
    }

    async fn entry(&self, by: &Value) -> Result<Option<Entry>, Failure> {
        let found = self.account.message(self.name.stream(), by).await?;
        Ok(found.and_then(|found| Entry::stored(&self.prefix(), Stored::of(&found))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_read_off_the_headers() {
        for (name, value, operation) in [
            ("", "", Operation::Put),
            ("KV-Operation", "PUT", Operation::Put),
            ("KV-Operation", "DEL", Operation::Delete),
            ("KV-Operation", "PURGE", Operation::Purge),
            ("Nats-Marker-Reason", "MaxAge", Operation::Expired),
            ("Nats-Marker-Reason", "Purge", Operation::Purge),
            ("Nats-Marker-Reason", "Remove", Operation::Delete),
        ] {
            assert_eq!(Operation::of(|asked| (asked == name).then_some(value)), operation, "{name} {value}");
        }
    }
}
