//! The limits of an account, in words. What a newer server knows besides is shown by NATS's name.

use maud::{Markup, html};
use serde_json::{Map, Value};

use crate::console::figures::bytes;

/// What NATS calls it, what readers do, whether it is in bytes, and what stands for no limit.
const LIMITS: [(&str, &str, Unit, i64); 16] = [
    ("conn", "Connections at once", Unit::Count, -1),
    ("leaf", "Leaf node links at once", Unit::Count, -1),
    ("subs", "Subscriptions at once", Unit::Count, -1),
    ("payload", "Size of a message", Unit::Bytes, -1),
    ("data", "Bytes in flight", Unit::Bytes, -1),
    ("imports", "Imports", Unit::Count, -1),
    ("exports", "Exports", Unit::Count, -1),
    ("disk_storage", "JetStream files", Unit::Bytes, -1),
    ("mem_storage", "JetStream memory", Unit::Bytes, -1),
    ("streams", "Streams", Unit::Count, -1),
    ("consumer", "Consumers", Unit::Count, -1),
    ("max_ack_pending", "Unacknowledged messages of a consumer", Unit::Count, 0),
    ("disk_max_stream_bytes", "Files of a stream", Unit::Bytes, 0),
    ("mem_max_stream_bytes", "Memory of a stream", Unit::Bytes, 0),
    ("max_bytes_required", "Each stream must say max_bytes", Unit::Flag, 0),
    ("wildcards", "Exports may have wildcards", Unit::Flag, 0),
];

#[derive(Clone, Copy)]
enum Unit {
    Count,
    Bytes,
    Flag,
}

/// The limits as a table.
pub(super) fn table(limits: &Map<String, Value>) -> Markup {
    let others = limits.iter().filter(|(name, _)| !LIMITS.iter().any(|(known, ..)| known == name));
    html! {
        table {
            caption { "Limits" }
            thead { tr { th scope="col" { "Limit" } th scope="col" { "Value" } } }
            tbody {
                @for (name, words, unit, none) in LIMITS {
                    tr { th scope="row" { (words) } td { (value(limits.get(name), unit, none)) } }
                }
                @for (name, value) in others { tr { th scope="row" { code { (name) } } td { (value) } } }
            }
        }
    }
}

/// A limit that is left out is 0.
fn value(value: Option<&Value>, unit: Unit, none: i64) -> String {
    let number = value.and_then(Value::as_i64).unwrap_or_default();
    match unit {
        Unit::Flag => if value == Some(&Value::Bool(true)) { "yes" } else { "no" }.to_owned(),
        _ if number == none || number == -1 => "unlimited".to_owned(),
        _ if number == 0 => "0: none may be".to_owned(),
        Unit::Count => number.to_string(),
        Unit::Bytes => bytes(number.unsigned_abs()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_limit_says_what_it_limits_and_what_is_left_out_is_none() {
        let limits = json!({ "conn": 5, "subs": -1, "payload": 2048, "max_bytes_required": true, "new": 3 });
        let table = table(limits.as_object().unwrap_or(&Map::new())).into_string();
        for row in [
            "Connections at once</th><td>5<",
            "Subscriptions at once</th><td>unlimited<",
            "Size of a message</th><td>2.0 KiB<",
            "Streams</th><td>0: none may be<",
            "Files of a stream</th><td>unlimited<",
            "Each stream must say max_bytes</th><td>yes<",
            "<code>new</code></th><td>3<",
        ] {
            assert!(table.contains(row), "{row}: {table}");
        }
    }
}
