//! Where a schema says other than every nats-server sends. The text that is shown stays jsm.go's; what
//! is checked is this. Each was found with nats-server 2.15, in its `server/jetstream_events.go` or on
//! the wire, and a test fails when jsm.go has mended one.

use serde_json::{Value, json};

const ADVISORY: &str = "io.nats.jetstream.advisory.v1.";

/// Sent as a number, not as a string.
const NUMBERS: [(&str, &str); 2] = [("nak", "consumer_seq"), ("terminated", "consumer_seq")];

/// Never sent, and required.
const NOT_SENT: [(&str, &str); 4] = [
    ("consumer_group_pinned", "server"),
    ("consumer_group_unpinned", "server"),
    ("snapshot_create", "blocks"),
    ("snapshot_create", "block_size"),
];

/// Sent as a list of such objects, or as null when it is empty.
const LISTS: [(&str, &str); 5] = [
    ("consumer_leader_elected", "replicas"),
    ("consumer_quorum_lost", "replicas"),
    ("domain_leader_elected", "replicas"),
    ("stream_leader_elected", "replicas"),
    ("stream_quorum_lost", "replicas"),
];

/// Corrects a schema before it is compiled, and gives how many corrections it needed.
pub(crate) fn correct(schema: &mut Value) -> usize {
    let title = schema.get("title").and_then(Value::as_str).unwrap_or_default();
    let Some(advisory) = title.strip_prefix(ADVISORY).map(str::to_owned) else { return 0 };
    let of_this = |(of, name): &(&'static str, &'static str)| (*of == advisory).then_some(*name);
    let mut corrected = 0;
    for name in NUMBERS.iter().filter_map(of_this) {
        if schema["properties"][name]["type"] == "string" {
            schema["properties"][name]["type"] = json!("integer");
            corrected += 1;
        }
    }
    for name in NOT_SENT.iter().filter_map(of_this) {
        if let Some(required) = schema["required"].as_array_mut() {
            let before = required.len();
            required.retain(|required| required != name);
            corrected += before - required.len();
        }
    }
    for name in LISTS.iter().filter_map(of_this) {
        let item = schema["properties"][name].take();
        let is_object = item["type"] == "object";
        schema["properties"][name] =
            if is_object { json!({ "type": ["array", "null"], "items": item }) } else { item };
        corrected += usize::from(is_object);
    }
    corrected
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Schema;

    #[test]
    fn every_correction_is_still_needed() {
        let needed: usize =
            Schema::all().map(|schema| correct(&mut serde_json::from_str(schema.text()).unwrap())).sum();
        assert_eq!(needed, NUMBERS.len() + NOT_SENT.len() + LISTS.len(), "take out what jsm.go has mended");
    }
}
