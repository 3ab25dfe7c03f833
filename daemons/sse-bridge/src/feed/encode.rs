//! How events are written: raw JSON here, whatever a page needs elsewhere.

use std::fmt::Write;

use bytes::BufMut;
use data_encoding::BASE64;
use serde::{Serialize, de::IgnoredAny};
use time::format_description::well_known::Rfc3339;

use super::{frame::Frame, message::Message};

/// A format of events. Each message of a feed is written once in each format that somebody watches,
/// and what was written is shared: it may depend on the message alone, not on who watches.
pub trait Encode: Send + Sync + 'static {
    /// Tells formats apart: two of one name are the same.
    fn name(&self) -> &'static str;

    /// Writes a message. A format that has nothing to say of it writes nothing.
    fn message(&self, message: &Message, frame: &mut Frame);

    /// Writes what else there is to tell.
    fn notice(&self, notice: &Notice, frame: &mut Frame) {
        match notice {
            Notice::Gap(gap) => frame.json("gap", gap),
            Notice::Snapshot(snapshot) => frame.json("snapshot", snapshot),
            Notice::Removed(removed) => frame.json("removed", removed),
            Notice::End(end) => frame.json("end", end),
        }
    }

    /// Whether a client of this format resumes: its events then have an `id` where there is one.
    fn resumes(&self) -> bool {
        true
    }
}

/// What a client is told besides messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Messages that it was not sent, and will not be.
    Gap(Gap),
    /// What was before this is all that there was when it connected.
    Snapshot(Snapshot),
    /// A subject has no message any more.
    Removed(Removed),
    /// The last event: the server closes.
    End(End),
}

/// Messages that a client was not sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The stream, if it is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<Box<str>>,
    /// The subject that is watched, where no stream is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Box<str>>,
    /// The first sequence that is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Why.
    pub reason: Reason,
}

/// Why messages are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The stream does not keep them any more.
    Expired,
    /// The stream was deleted and made anew: nothing of the old one is there, and what follows is
    /// the new one from its beginning.
    Remade,
    /// The stream ends before where the client was: it was restored from an older copy.
    Rewound,
    /// They are more than the bridge replays to one client.
    TooMany,
    /// The connection to nats-server was lost, and core subjects are not kept.
    Disconnected,
}

/// How much a client was sent before what comes live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Subjects that have a value.
    pub subjects: usize,
    /// Whether these are all: false when there are more than the bridge keeps.
    pub complete: bool,
}

/// A subject that has no message any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// The subject.
    pub subject: Box<str>,
}

/// Why the server closes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    /// Why.
    pub reason: EndReason,
    /// In words, where more is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<str>>,
}

/// Why the server closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The session or its user was revoked.
    Session,
    /// The client took too long: it connects again and resumes.
    Slow,
    /// The bridge stops.
    Shutdown,
    /// What it watched cannot be watched.
    Feed,
}

/// `{"subject":…,"headers":{…},"data"|"text"|"base64":…,"sequence":…,"time":…}`: a payload that is
/// JSON as it is, other UTF-8 as a text, and the rest in base64. The event's name is left to its
/// default, which is `message`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawJson;

impl Encode for RawJson {
    fn name(&self) -> &'static str {
        "json"
    }

    fn message(&self, message: &Message, frame: &mut Frame) {
        let text = frame.text();
        text.put_slice(b"data: {\"subject\":");
        put_string(text, &message.subject);
        text.put_slice(b",\"headers\":{");
        for (number, (name, values)) in message.headers.iter().flat_map(|headers| headers.iter()).enumerate()
        {
            if number > 0 {
                text.put_u8(b',');
            }
            put_string(text, AsRef::<str>::as_ref(name));
            text.put_slice(b":[");
            for (number, value) in values.iter().enumerate() {
                if number > 0 {
                    text.put_u8(b',');
                }
                put_string(text, value.as_str());
            }
            text.put_u8(b']');
        }
        text.put_slice(b"},");
        put_payload(text, &message.payload);
        if let Some(stored) = &message.stored {
            let _ = write!(text, ",\"sequence\":{}", stored.sequence);
            if let Ok(time) = stored.time.format(&Rfc3339) {
                let _ = write!(text, ",\"time\":\"{time}\"");
            }
        }
        text.put_slice(b"}\n\n");
    }
}

fn put_string(text: &mut bytes::BytesMut, value: &str) {
    let _ = serde_json::to_writer(text.writer(), value);
}

fn put_payload(text: &mut bytes::BytesMut, payload: &[u8]) {
    match std::str::from_utf8(payload) {
        // serde_json does not look for UTF-8 in what it skips.
        Ok(_) if serde_json::from_slice::<IgnoredAny>(payload).is_ok() => {
            text.put_slice(b"\"data\":");
            // In valid JSON these are between values only, and an event's data may have no bare CR.
            text.extend(payload.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
        }
        Ok(plain) => {
            text.put_slice(b"\"text\":");
            put_string(text, plain);
        }
        Err(_) => {
            text.put_slice(b"\"base64\":\"");
            text.put_slice(BASE64.encode(payload).as_bytes());
            text.put_u8(b'"');
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::feed::message::write;

    fn encoded(payload: &[u8]) -> String {
        let payload = Bytes::copy_from_slice(payload);
        let message = Message { subject: "a.\"b".into(), headers: None, payload, stored: None };
        String::from_utf8(write(&message, &RawJson).with_id().to_vec()).unwrap()
    }

    #[test]
    fn json_stays_as_it_is_and_the_rest_is_text_or_base64() {
        let line = |rest| format!("data: {{\"subject\":\"a.\\\"b\",\"headers\":{{}},{rest}}}\n\n");
        assert_eq!(encoded(b"{\"a\":[1,2.50]}"), line("\"data\":{\"a\":[1,2.50]}"));
        assert_eq!(encoded(b"{\r\n  \"a\": 1}"), line("\"data\":{    \"a\": 1}"));
        assert_eq!(encoded(b"18446744073709551616"), line("\"data\":18446744073709551616"));
        assert_eq!(encoded(b"plain\ntext"), line("\"text\":\"plain\\ntext\""));
        assert_eq!(encoded(b""), line("\"text\":\"\""));
        assert_eq!(encoded(b"\"\xff\""), line("\"base64\":\"Iv8i\""));
        assert_eq!(encoded(&[b'['; 200]), line(&format!("\"text\":\"{}\"", "[".repeat(200))));
    }

    #[test]
    fn headers_are_lists_as_nats_has_them() {
        let mut headers = async_nats::HeaderMap::new();
        headers.append("A", "1");
        headers.append("A", "2");
        let payload = Bytes::from_static(b"1");
        let message =
            Message { subject: "s".into(), headers: Some(Box::new(headers)), payload, stored: None };
        let text = write(&message, &RawJson).with_id();
        assert_eq!(text, "data: {\"subject\":\"s\",\"headers\":{\"A\":[\"1\",\"2\"]},\"data\":1}\n\n");
    }

    proptest! {
        /// Whatever is published comes out as one event of one line of valid JSON that has it whole.
        #[test]
        fn any_payload_is_one_line_and_can_be_had_back(payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let text = encoded(&payload);
            let line = text.strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap();
            prop_assert!(!line.contains(['\r', '\n']));
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            if let Some(plain) = value.get("text") {
                prop_assert_eq!(plain.as_str().unwrap().as_bytes(), &payload[..]);
            } else if let Some(base64) = value.get("base64") {
                prop_assert_eq!(BASE64.decode(base64.as_str().unwrap().as_bytes()).unwrap(), payload);
            } else {
                prop_assert_eq!(&value["data"], &serde_json::from_slice::<serde_json::Value>(&payload).unwrap());
            }
        }
    }
}
