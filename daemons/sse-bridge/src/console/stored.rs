//! A stored message, as JetStream's API answers it.

use data_encoding::BASE64;
use serde_json::Value;

/// A stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) subject: String,
    pub(super) sequence: u64,
    pub(super) time: String,
    headers: String,
    pub(super) data: Vec<u8>,
}

impl Stored {
    /// From what `STREAM.MSG.GET` answers.
    pub(super) fn of(message: &Value) -> Self {
        let text = |name: &str| message[name].as_str().unwrap_or_default();
        let decoded = |name: &str| BASE64.decode(text(name).as_bytes()).unwrap_or_default();
        Self {
            subject: text("subject").to_owned(),
            sequence: message["seq"].as_u64().unwrap_or_default(),
            time: text("time").to_owned(),
            headers: String::from_utf8_lossy(&decoded("hdrs")).into_owned(),
            data: decoded("data"),
        }
    }

    /// Names and values of its headers, in their order.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.headers.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.map(|(name, value)| (name, value.trim()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn headers_are_read_off_as_they_stand() {
        let hdrs = BASE64.encode(b"NATS/1.0\r\nA: 1\r\nB:2: 3\r\n\r\n");
        let stored =
            Stored::of(&json!({ "subject": "s", "seq": 3, "time": "t", "hdrs": hdrs, "data": "eA==" }));
        assert_eq!(stored.headers().collect::<Vec<_>>(), [("A", "1"), ("B", "2: 3")]);
        assert_eq!((stored.sequence, &stored.data[..]), (3, &b"x"[..]));
    }
}
