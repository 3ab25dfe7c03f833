//! An edit of what fleet.toml declares, as what to write there.

use std::fmt::Write;

use maud::{Markup, html};
use serde_json::Value;

use super::Definition;

/// Fields of NATS's and the keys of fleet.toml that say the same.
type Keys = &'static [(&'static str, &'static str)];

/// Those of a stream.
pub(in crate::console) const STREAM: Keys = &[
    ("description", "description"),
    ("subjects", "subjects"),
    ("retention", "retention"),
    ("discard", "discard"),
    ("discard_new_per_subject", "discard_new_per_subject"),
    ("max_msgs", "max_messages"),
    ("max_msgs_per_subject", "max_messages_per_subject"),
    ("max_bytes", "max_bytes"),
    ("max_age", "max_age"),
    ("max_msg_size", "max_message_size"),
    ("max_consumers", "max_consumers"),
    ("duplicate_window", "duplicate_window"),
    ("num_replicas", "replicas"),
    ("storage", "storage"),
    ("compression", "compression"),
    ("allow_direct", "allow_direct"),
    ("allow_rollup_hdrs", "allow_rollup"),
    ("allow_msg_ttl", "allow_message_ttl"),
    ("deny_delete", "deny_delete"),
    ("deny_purge", "deny_purge"),
];
/// Those of a stream that is an outbox here; all else of it is the hub's or leafbox's.
pub(in crate::console) const OUTBOX: Keys = &[
    ("description", "description"),
    ("subjects", "subjects"),
    ("max_msgs", "outbox.max_messages"),
    ("max_bytes", "outbox.max_bytes"),
    ("max_msg_size", "max_message_size"),
    ("storage", "storage"),
    ("compression", "compression"),
];
/// Those of a bucket of keys and values.
pub(in crate::console) const KV: Keys = &[
    ("description", "description"),
    ("max_msgs_per_subject", "history"),
    ("max_bytes", "max_bytes"),
    ("max_age", "max_age"),
    ("max_msg_size", "max_value_size"),
    ("subject_delete_marker_ttl", "limit_marker_ttl"),
    ("num_replicas", "replicas"),
    ("storage", "storage"),
    ("compression", "compression"),
];
/// Those of a bucket of objects.
pub(in crate::console) const OBJECTS: Keys = &[
    ("description", "description"),
    ("max_bytes", "max_bytes"),
    ("max_age", "max_age"),
    ("num_replicas", "replicas"),
    ("storage", "storage"),
    ("compression", "compression"),
];
/// Those of a consumer.
pub(in crate::console) const CONSUMER: Keys = &[
    ("description", "description"),
    ("filter_subjects", "filter"),
    ("filter_subject", "filter"),
    ("deliver_policy", "deliver"),
    ("opt_start_seq", "start_sequence"),
    ("opt_start_time", "start_time"),
    ("ack_policy", "ack"),
    ("ack_wait", "ack_wait"),
    ("max_deliver", "max_deliver"),
    ("max_ack_pending", "max_ack_pending"),
    ("max_waiting", "max_waiting"),
    ("max_batch", "max_batch"),
    ("max_bytes", "max_pull_bytes"),
    ("max_expires", "max_expires"),
    ("replay_policy", "replay"),
    ("inactive_threshold", "inactive_threshold"),
    ("num_replicas", "replicas"),
    ("mem_storage", "memory_storage"),
    ("headers_only", "headers_only"),
    ("rate_limit_bps", "rate_limit_bits"),
    ("sample_freq", "sample_frequency"),
    ("deliver_subject", "deliver_subject"),
    ("deliver_group", "deliver_group"),
    ("flow_control", "flow_control"),
    ("idle_heartbeat", "idle_heartbeat"),
];

/// What to change in fleet.toml so that the definition at `root` becomes `now` in place of `was`.
pub(in crate::console) fn patch(
    definition: &Definition,
    table: &[&str],
    keys: Keys,
    root: &str,
    (was, now): (&Value, &Value),
) -> Markup {
    let (toml, others) = text(definition, table, keys, root, (was, now));
    html! {
        p.message.bad role="alert" {
            strong { "✗ Nothing was changed. " }
            "It is declared in fleet.toml: a change made here would be undone, or the file would no longer say what is."
        }
        @match toml {
            Some(toml) => {
                p { "Write this there, and run " code { "leafbox apply" } ":" }
                pre tabindex="0" aria-label="What to write into fleet.toml" { code { (toml) } }
            }
            None if others.is_empty() => p { "Nothing differs from what is there." },
            None => {}
        }
        @if !others.is_empty() {
            p { "What follows has no key of its own in fleet.toml; leafbox decides it:" }
            ul { @for other in &others { li { code { (other) } } } }
        }
    }
}

/// The lines for fleet.toml, if any, and the fields that have no key there.
fn text(
    definition: &Definition,
    table: &[&str],
    keys: Keys,
    root: &str,
    (was, now): (&Value, &Value),
) -> (Option<String>, Vec<String>) {
    let empty = serde_json::Map::new();
    let (was, now) = (was.as_object().unwrap_or(&empty), now.as_object().unwrap_or(&empty));
    let names = was.keys().chain(now.keys().filter(|name| !was.contains_key(*name)));
    let (mut lines, mut others) = (String::new(), Vec::new());
    for name in names.filter(|name| was.get(*name) != now.get(*name)) {
        let Some((_, key)) = keys.iter().find(|(known, _)| known == name) else {
            others.push(name.clone());
            continue;
        };
        let path = format!("{root}/{name}");
        let _ = match now.get(name).filter(|value| says_something(value)) {
            None => writeln!(lines, "# {key}: take this line out"),
            Some(value) => match (definition.with_unit(&path, value), value) {
                (Some(text), _) => writeln!(lines, "{key} = {}", Value::from(text)),
                (None, Value::String(text)) if *key == "filter" => {
                    writeln!(lines, "{key} = [{}]", Value::from(text.as_str()))
                }
                (None, value) => writeln!(lines, "{key} = {value}"),
            },
        };
    }
    if lines.is_empty() {
        return (None, others);
    }
    let table: Vec<String> = table.iter().map(|name| bare(name)).collect();
    (Some(format!("[{}]\n{lines}", table.join("."))), others)
}

/// Whether a value is more than "no limit", "nothing" or "no".
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Number(number) => !matches!(number.as_i64(), Some(0 | -1)),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        // No is said where yes is the default.
        Value::Bool(_) => true,
    }
}

/// A name as a key of TOML.
fn bare(name: &str) -> String {
    let is_bare = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '-';
    if !name.is_empty() && name.chars().all(is_bare) {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::console::definition::{CONSUMERS, STREAMS_EDITED};

    #[test]
    fn an_edit_becomes_lines_that_fleet_toml_takes() {
        let was = json!({
            "subjects": ["orders.>"], "max_msgs": -1, "max_bytes": 1 << 30, "max_age": 0, "deny_purge": false,
            "mirror_direct": false, "num_replicas": 1,
        });
        let now = json!({
            "subjects": ["orders.>", "returns.>"], "max_msgs": 5000, "max_bytes": -1,
            "max_age": 604_800_000_000_000_i64, "deny_purge": true, "mirror_direct": true, "num_replicas": 1,
        });
        let definition = Definition::of(&STREAMS_EDITED);
        let (toml, others) =
            text(&definition, &["accounts", "SHOP", "streams", "ORDERS"], STREAM, "", (&was, &now));
        let toml = toml.unwrap();
        assert_eq!(
            toml,
            "[accounts.SHOP.streams.ORDERS]\nsubjects = [\"orders.>\",\"returns.>\"]\nmax_messages = 5000\n\
             # max_bytes: take this line out\nmax_age = \"7d\"\ndeny_purge = true\n"
        );
        assert_eq!(others, ["mirror_direct"]);
        let fleet = format!("name = \"shop\"\n[nodes]\nhub = [\"hub-1\"]\n{toml}");
        let checked = settings::check_text(settings::File::Fleet, "fleet.toml".as_ref(), &fleet);
        assert!(checked.0.is_empty(), "{checked}");
        assert_eq!(text(&definition, &["a"], STREAM, "", (&was, &was)), (None, Vec::new()));
    }

    #[test]
    fn what_an_outbox_holds_is_said_of_the_outbox() {
        let definition = Definition::of(&STREAMS_EDITED);
        let (was, now) = (
            json!({ "max_bytes": 1, "retention": "workqueue" }),
            json!({ "max_bytes": 1024, "retention": "limits" }),
        );
        let (toml, others) =
            text(&definition, &["accounts", "SHOP", "streams", "ORDERS"], OUTBOX, "", (&was, &now));
        assert_eq!(toml.unwrap(), "[accounts.SHOP.streams.ORDERS]\noutbox.max_bytes = \"1KiB\"\n");
        assert_eq!(others, ["retention"]);
    }

    #[test]
    fn a_consumer_s_filter_is_a_list_there() {
        let definition = Definition::of(&CONSUMERS);
        let (was, now) =
            (json!({}), json!({ "filter_subject": "orders.new", "ack_wait": 5_000_000_000_i64 }));
        let (toml, _) = text(&definition, &["c d"], CONSUMER, "/config", (&was, &now));
        assert_eq!(toml.unwrap(), "[\"c d\"]\nfilter = [\"orders.new\"]\nack_wait = \"5s\"\n");
    }
}
