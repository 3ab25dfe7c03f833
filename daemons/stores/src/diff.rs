//! Comparing what is wanted with what a server holds, field by field.
//!
//! Only fields that the wanted side names are compared. A field that the server leaves out equals
//! its zero value, and so does -1, which the API uses for "unlimited".

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{delivery, desired::APPLIED, wire::Config};

/// Metadata that says nothing about the declaration: the server's own, and the mark that
/// [`crate::nudge`] leaves.
pub(crate) const NUDGED: &str = "leafbox.nudged";
const SERVER_PREFIX: &str = "_nats.";
/// Lists whose order means nothing.
const SETS: [&str; 4] = ["subjects", "sources", "filter_subjects", "tags"];

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldChange {
    /// Its name in the JetStream API; a key of the metadata is written `metadata.<key>`.
    pub field: String,
    /// What the server holds; null when nothing.
    pub from: Value,
    /// What is wanted; null when nothing.
    pub to: Value,
}

/// Whether a value says no more than its absence.
pub(crate) fn is_absent(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Bool(flag)) => !flag,
        Some(Value::Number(number)) => matches!(number.as_i64(), Some(0 | -1)),
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(fields)) => fields.values().all(|field| is_absent(Some(field))),
    }
}

/// The fields of a configuration in the form in which equal ones are equal: without fields that
/// equal their absence, keys sorted, and lists sorted where order means nothing.
pub(crate) fn canonical_fields(config: &Config) -> Config {
    let mut fields: Vec<(String, Value)> = config
        .iter()
        .filter(|(_, value)| !is_absent(Some(value)))
        .map(|(key, value)| (key.clone(), canonical(key, value)))
        .collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    fields.into_iter().collect()
}

fn canonical(key: &str, value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(canonical_fields(fields)),
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(|item| canonical("", item)).collect();
            if SETS.contains(&key) {
                items.sort_by_cached_key(Value::to_string);
            }
            Value::Array(items)
        }
        Value::String(subject) if key == "deliver_subject" => delivery::stem(subject).into(),
        // Go and serde may write one number with and without a sign or fraction; all here are whole.
        other => other.clone(),
    }
}

/// The fields in which `held` differs from `wanted`. Metadata is compared key by key, and whole:
/// a key that is not declared goes.
pub(crate) fn differences(wanted: &Config, held: &Config) -> Vec<FieldChange> {
    let held = with_filter_list(held);
    let mut changes = Vec::new();
    for (field, to) in wanted.iter().filter(|(field, _)| *field != "metadata") {
        let from = held.get(field).unwrap_or(&Value::Null);
        if !same(field, from, to) {
            changes.push(FieldChange { field: field.clone(), from: shown(from), to: shown(to) });
        }
    }
    let empty = Map::new();
    let wanted_metadata = metadata(wanted).unwrap_or(&empty);
    let held_metadata = metadata(&held).unwrap_or(&empty);
    let keys =
        wanted_metadata.keys().chain(held_metadata.keys().filter(|key| !wanted_metadata.contains_key(*key)));
    for key in keys.filter(|key| *key != NUDGED && !key.starts_with(SERVER_PREFIX)) {
        let from = held_metadata.get(key).unwrap_or(&Value::Null);
        let to = wanted_metadata.get(key).unwrap_or(&Value::Null);
        if from != to {
            changes.push(FieldChange {
                field: format!("metadata.{key}"),
                from: from.clone(),
                to: to.clone(),
            });
        }
    }
    changes
}

/// The configuration to send: what the server holds, with every wanted field put in, so that a
/// field leafbox does not know survives.
pub(crate) fn merged(wanted: &Config, held: &Config) -> Config {
    let mut merged = with_filter_list(held);
    merged.extend(wanted.iter().map(|(key, value)| (key.clone(), value.clone())));
    let mut marks: Map<String, Value> = metadata(wanted).cloned().unwrap_or_default();
    if let Some(held) = metadata(held) {
        let kept = held.iter().filter(|(key, _)| *key == NUDGED || key.starts_with(SERVER_PREFIX));
        marks.extend(kept.map(|(key, value)| (key.clone(), value.clone())));
    }
    merged.insert("metadata".into(), marks.into());
    delivery::keep(&mut merged, held);
    merged
}

/// A text in the metadata of a configuration.
pub(crate) fn mark<'a>(config: &'a Config, key: &str) -> Option<&'a str> {
    metadata(config)?.get(key)?.as_str()
}

/// Whether the declaration is still the one that was applied last, so that a difference was made by
/// hand.
pub(crate) fn declaration_unchanged(wanted: &Config, held: &Config) -> bool {
    let applied = mark(held, APPLIED);
    applied.is_some() && applied == mark(wanted, APPLIED)
}

fn metadata(config: &Config) -> Option<&Map<String, Value>> {
    config.get("metadata")?.as_object()
}

/// The API has one field for one filter and another for several; leafbox writes the list only.
fn with_filter_list(held: &Config) -> Config {
    let mut held = held.clone();
    if let Some(filter) = held.remove("filter_subject").filter(|filter| !is_absent(Some(filter))) {
        held.insert("filter_subjects".into(), vec![filter].into());
    }
    held
}

fn same(field: &str, one: &Value, other: &Value) -> bool {
    (is_absent(Some(one)) && is_absent(Some(other))) || canonical(field, one) == canonical(field, other)
}

fn shown(value: &Value) -> Value {
    if is_absent(Some(value)) && !value.is_boolean() && !value.is_number() {
        Value::Null
    } else {
        value.clone()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(value: Value) -> Config {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_a_server_adds_or_leaves_out_is_no_difference() {
        let wanted = config(json!({
            "max_msgs": -1, "max_age": 0, "placement": null, "subjects": ["b", "a"],
            "sources": [{ "name": "S", "external": { "api": "$JS.x.API" }, "filter_subject": null }],
            "metadata": { "leafbox.owner": "f" },
        }));
        let held = config(json!({
            "subjects": ["a", "b"], "a_new_field": true,
            "sources": [{ "name": "S", "external": { "api": "$JS.x.API", "deliver": "" } }],
            "metadata": { "leafbox.owner": "f", "_nats.ver": "2.15.1", "leafbox.nudged": "3" },
        }));
        assert_eq!(differences(&wanted, &held), []);
        assert_eq!(canonical_fields(&wanted)["subjects"], json!(["a", "b"]));
    }

    #[test]
    fn each_difference_names_its_field_and_both_values() {
        let wanted = config(json!({ "max_msgs": 5, "discard": "new", "metadata": { "team": "a" } }));
        let held = config(json!({ "max_msgs": -1, "discard": "new", "metadata": { "by": "hand" } }));
        let change = |field: &str, from, to| FieldChange { field: field.into(), from, to };
        assert_eq!(
            differences(&wanted, &held),
            [
                change("max_msgs", json!(-1), json!(5)),
                change("metadata.team", Value::Null, json!("a")),
                change("metadata.by", json!("hand"), Value::Null),
            ]
        );
    }

    #[test]
    fn what_leafbox_does_not_know_survives_an_update() {
        let wanted = config(json!({ "max_msgs": 5, "metadata": { "team": "a" } }));
        let held = config(
            json!({ "max_msgs": 1, "first_seq": 9, "metadata": { "_nats.ver": "2.15.1", "by": "hand" } }),
        );
        let merged = Value::from(merged(&wanted, &held));
        assert_eq!(
            merged,
            json!({ "max_msgs": 5, "first_seq": 9, "metadata": { "team": "a", "_nats.ver": "2.15.1" } })
        );
    }

    #[test]
    fn one_filter_is_a_list_of_one() {
        let wanted = config(json!({ "filter_subjects": ["a.>"] }));
        assert_eq!(differences(&wanted, &config(json!({ "filter_subject": "a.>" }))), []);
        assert_eq!(differences(&wanted, &config(json!({}))).len(), 1);
    }
}
