//! One thing that happened.

use schemas::of_message;
use serde_json::Value;

use crate::console::{figures, servers::name_in_jwt};

/// The longest JSON that is kept, bytes; advisories have some hundreds.
const LONGEST: usize = 32 << 10;
/// Keys whose values let in who has them.
const SECRET: [&str; 3] = ["jwt", "nonce", "bearer_token"];

/// What an entry is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::console) enum Kind {
    Connect,
    Disconnect,
    AuthError,
    Counts,
    Server,
    Stream,
    Consumer,
    Metric,
    Other,
    Gap,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub(in crate::console) struct Entry {
    pub(in crate::console) number: u64,
    /// When, in RFC 3339: as the event says, else when it was heard.
    pub(in crate::console) at: String,
    /// The account's name.
    pub(in crate::console) account: String,
    pub(in crate::console) kind: Kind,
    pub(in crate::console) subject: String,
    /// In a line what it is about.
    pub(in crate::console) about: String,
    /// The title of NATS's schema of it, and what that says of it.
    pub(in crate::console) schema: Option<(&'static str, String)>,
    /// The event without its secrets; empty where it is no JSON.
    pub(in crate::console) json: String,
}

impl Kind {
    pub(in crate::console) const ALL: [Self; 10] = [
        Self::Connect,
        Self::Disconnect,
        Self::AuthError,
        Self::Counts,
        Self::Server,
        Self::Stream,
        Self::Consumer,
        Self::Metric,
        Self::Other,
        Self::Gap,
    ];

    /// As in queries.
    pub(in crate::console) const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Disconnect => "disconnect",
            Self::AuthError => "auth-error",
            Self::Counts => "counts",
            Self::Server => "server",
            Self::Stream => "stream",
            Self::Consumer => "consumer",
            Self::Metric => "metric",
            Self::Other => "other",
            Self::Gap => "gap",
        }
    }

    /// For readers, with a sign so that no colour is needed.
    pub(in crate::console) const fn title(self) -> &'static str {
        match self {
            Self::Connect => "→ connected",
            Self::Disconnect => "← disconnected",
            Self::AuthError => "✗ not let in",
            Self::Counts => "Σ counts of an account",
            Self::Server => "■ server",
            Self::Stream => "≡ stream",
            Self::Consumer => "▷ consumer",
            Self::Metric => "◷ metric",
            Self::Other => "· other",
            Self::Gap => "⚠ gap",
        }
    }

    /// What a subject is of.
    fn of(subject: &str) -> Self {
        let tokens: Vec<&str> = subject.split('.').collect();
        match &tokens[..] {
            ["$SYS", "ACCOUNT", _, "CONNECT"] => Self::Connect,
            ["$SYS", "ACCOUNT", _, "DISCONNECT"] => Self::Disconnect,
            ["$SYS", .., "CLIENT", "AUTH", "ERR"] => Self::AuthError,
            ["$SYS", .., "CONNS"] => Self::Counts,
            ["$SYS", .., "LEAFNODE", "CONNECT"] | ["$SYS", "SERVER", ..] => Self::Server,
            ["$JS", "EVENT", "ADVISORY", "STREAM", ..] => Self::Stream,
            ["$JS", "EVENT", "ADVISORY", "CONSUMER", ..] => Self::Consumer,
            ["$JS", "EVENT", "ADVISORY", ..] => Self::Server,
            ["$JS", "EVENT", "METRIC", ..] => Self::Metric,
            _ => Self::Other,
        }
    }
}

impl Entry {
    /// An entry of now, without JSON.
    pub(in crate::console) fn of(account: &str, kind: Kind, subject: &str, about: String) -> Self {
        Self {
            number: 0,
            at: figures::now(),
            account: account.to_owned(),
            kind,
            subject: subject.to_owned(),
            about,
            schema: None,
            json: String::new(),
        }
    }

    /// The entry of a message.
    pub(super) fn read(account: &str, subject: &str, payload: &[u8]) -> Self {
        let kind = Kind::of(subject);
        let entry = |about| Self::of(account, kind, subject, about);
        let Ok(mut message @ Value::Object(_)) = serde_json::from_slice::<Value>(payload) else {
            // An account's JWT, for one.
            return entry(format!("{} bytes that are no JSON, which are not shown", payload.len()));
        };
        let user = text(&message, "/client/jwt").and_then(name_in_jwt);
        redact(&mut message);
        let schema = of_message(subject, &message).map(|found| found.schema);
        let schema = schema.map(|schema| {
            let text: Value = serde_json::from_str(schema.text()).unwrap_or_default();
            (schema.title(), text["description"].as_str().unwrap_or_default().to_owned())
        });
        let json = serde_json::to_string_pretty(&message).unwrap_or_default();
        let json = if json.len() > LONGEST { String::new() } else { json };
        let mut entry = entry(about(kind, user.as_deref(), &message));
        if let Some(at) = text(&message, "/timestamp").or_else(|| text(&message, "/server/time")) {
            entry.at = at.to_owned();
        }
        Self { schema, json, ..entry }
    }

    /// The public key or name by which the event calls its account.
    pub(super) fn named_account(subject: &str) -> Option<&str> {
        let rest = subject.strip_prefix("$SYS.ACCOUNT.")?;
        rest.split_once('.').map(|(account, _)| account)
    }

    /// Whether a text of small letters is in it.
    pub(super) fn contains(&self, wanted: &str) -> bool {
        [&self.about, &self.subject, &self.account, &self.json]
            .into_iter()
            .any(|text| text.to_lowercase().contains(wanted))
    }
}

/// Takes out what lets in who has it, wherever it is.
pub(in crate::console) fn redact(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for key in SECRET {
                // The field stays, so that a reader knows that there was one.
                if let Some(secret) = fields.get_mut(key) {
                    *secret = "(not shown)".into();
                }
            }
            fields.values_mut().for_each(redact);
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        // A JWT that stands in another field, such as a creds file in an error text.
        Value::String(text) if text.contains("eyJ0eXAiOiJKV1Qi") => {
            *text = "(not shown: it holds a JWT)".to_owned()
        }
        _ => {}
    }
}

fn text<'a>(message: &'a Value, pointer: &str) -> Option<&'a str> {
    message.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn about(kind: Kind, user: Option<&str>, message: &Value) -> String {
    let of = |pointer| text(message, pointer);
    let parts: Vec<String> = match kind {
        Kind::Connect | Kind::Disconnect | Kind::AuthError => {
            let user = user.or_else(|| of("/client/user"));
            let kind = of("/client/kind").filter(|kind| *kind != "Client");
            let cid = message.pointer("/client/id").and_then(Value::as_u64).map(|cid| format!("cid {cid}"));
            [
                of("/client/name").map(|name| format!("“{name}”")),
                user.map(|user| format!("user {user}")),
                kind.map(str::to_lowercase),
                of("/client/host").map(|host| format!("from {host}")),
                cid,
                of("/server/name").map(|server| format!("at {server}")),
                of("/reason").map(|reason| format!(": {reason}")),
            ]
            .into_iter()
            .flatten()
            .collect()
        }
        Kind::Counts => {
            let count = |key: &str| message.get(key).and_then(Value::as_u64).unwrap_or_default();
            vec![format!("{} connections, {} leaf nodes", count("conns"), count("leafnodes"))]
        }
        _ => {
            let fields = ["stream", "consumer", "action", "leader", "server", "reason", "domain"];
            let named = fields
                .into_iter()
                .filter_map(|field| Some(format!("{field} {}", text(message, &format!("/{field}"))?)));
            named.chain(of("/server/name").map(|server| format!("at {server}"))).collect()
        }
    };
    parts.join(" ").replace(" : ", ": ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_connection_s_jwt_is_kept_nowhere() {
        let event = json!({
            "type": "io.nats.server.advisory.v1.client_connect", "timestamp": "2026-11-22T01:02:03.4Z",
            "server": { "name": "hub-1" },
            "client": { "name": "till <7>", "user": "UABC", "host": "10.0.0.7", "id": 9, "kind": "Client",
                        "jwt": "eyJ0eXAiOiJKV1QiLCJ.eyJuYW1lIjoiYW5uYSJ9.secret", "nonce": "abc" },
        });
        let entry = Entry::read("SHOP", "$SYS.ACCOUNT.AAA.CONNECT", event.to_string().as_bytes());
        assert!(
            !format!("{entry:?}").contains("secret") && !format!("{entry:?}").contains("abc"),
            "{entry:?}"
        );
        assert_eq!(entry.about, "“till <7>” user anna from 10.0.0.7 cid 9 at hub-1");
        assert_eq!((entry.kind, entry.at.as_str()), (Kind::Connect, "2026-11-22T01:02:03.4Z"));
        assert_eq!(entry.schema.map(|(title, _)| title), Some("io.nats.server.advisory.v1.client_connect"));
        let error = json!({ "client": { "host": "10.0.0.9" }, "reason": "bad eyJ0eXAiOiJKV1QiLCJ.x.y" });
        let entry = Entry::read("", "$SYS.SERVER.N.CLIENT.AUTH.ERR", error.to_string().as_bytes());
        assert!(entry.kind == Kind::AuthError && !entry.about.contains("eyJ0"), "{entry:?}");
    }

    #[test]
    fn what_is_no_json_is_not_shown() {
        let entry = Entry::read("SHOP", "$SYS.ACCOUNT.AAA.CLAIMS.UPDATE", b"eyJ0eXAiOiJKV1QiLCJ");
        assert_eq!((entry.kind, entry.json.as_str()), (Kind::Other, ""));
        assert_eq!(entry.about, "19 bytes that are no JSON, which are not shown");
    }

    #[test]
    fn advisories_say_what_they_are_about() {
        let event = json!({ "type": "io.nats.jetstream.advisory.v1.stream_action", "stream": "ORDERS", "action": "create" });
        let entry =
            Entry::read("SHOP", "$JS.EVENT.ADVISORY.STREAM.CREATED.ORDERS", event.to_string().as_bytes());
        assert_eq!((entry.kind, entry.about.as_str()), (Kind::Stream, "stream ORDERS action create"));
        assert!(entry.schema.as_ref().is_some_and(|(_, description)| !description.is_empty()));
        assert!(entry.contains("orders") && !entry.contains("prices"));
    }
}
