//! JSON Schema of the two files, for editors and for the overrides.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value};

use crate::{fleet::Fleet, node::Node};

/// One of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum File {
    /// `fleet.toml`.
    Fleet,
    /// `node.toml`.
    Node,
}

impl File {
    /// Its usual name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fleet => "fleet.toml",
            Self::Node => "node.toml",
        }
    }
}

/// The JSON Schema (draft 2020-12) of a file.
pub fn schema(file: File) -> Value {
    match file {
        File::Fleet => of::<Fleet>("fleet", "leafbox fleet.toml"),
        File::Node => of::<Node>("node", "leafbox node.toml"),
    }
}

fn of<T: JsonSchema>(id: &str, title: &str) -> Value {
    let mut value = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value();
    without_null(&mut value);
    if let Value::Object(object) = &mut value {
        // A URN, because nothing is served under any URL.
        object.insert("$id".into(), format!("urn:leafbox:schema:{id}").into());
        object.insert("title".into(), title.into());
    }
    value
}

/// Takes out null, which TOML does not have: an optional key is left out.
fn without_null(value: &mut Value) {
    match value {
        Value::Array(array) => array.iter_mut().for_each(without_null),
        Value::Object(object) => {
            object.retain(|_, value| !value.is_null());
            object.values_mut().for_each(without_null);
            if let Some(types) = object.get_mut("type")
                && let Value::Array(names) = types
            {
                names.retain(|name| name != "null");
                if let [only] = names.as_slice() {
                    *types = only.clone();
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    object.extend(only);
                }
            }
        }
        _ => {}
    }
}

/// What a variable that sets a key is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Boolean,
    Array,
}

/// Every key of `node.toml` that has a value of its own, with its path.
pub(crate) fn node_keys() -> Vec<(Vec<String>, Kind)> {
    let schema = schema(File::Node);
    let mut keys = Vec::new();
    collect(&schema, &schema, &mut Vec::new(), &mut keys);
    keys
}

fn collect(root: &Value, schema: &Value, path: &mut Vec<String>, keys: &mut Vec<(Vec<String>, Kind)>) {
    let schema = resolved(root, schema);
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (name, property) in properties {
            path.push(name.clone());
            collect(root, property, path, keys);
            path.pop();
        }
        return;
    }
    let kind = match schema.get("type").and_then(Value::as_str) {
        Some("integer") => Kind::Integer,
        Some("boolean") => Kind::Boolean,
        Some("array") => Kind::Array,
        _ => Kind::Text,
    };
    keys.push((path.clone(), kind));
}

fn resolved<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let reference = schema.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix("#/$defs/"));
    reference
        .and_then(|name| {
            root.get("$defs").and_then(Value::as_object).and_then(|defs: &Map<_, _>| defs.get(name))
        })
        .unwrap_or(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `check` for every table in a schema, with the name of the definition it is in.
    fn tables(schema: &Value, check: &mut impl FnMut(&Map<String, Value>)) {
        match schema {
            Value::Array(array) => array.iter().for_each(|value| tables(value, check)),
            Value::Object(object) => {
                if object.contains_key("properties") && object.contains_key("type") {
                    check(object);
                }
                object.values().for_each(|value| tables(value, check));
            }
            _ => {}
        }
    }

    #[test]
    fn every_key_is_documented_and_no_other_is_allowed() {
        for file in [File::Fleet, File::Node] {
            let schema = schema(file);
            assert!(schema["$id"].as_str().is_some_and(|id| id.starts_with("urn:leafbox:")));
            assert!(schema["description"].is_string());
            let mut count = 0;
            tables(&schema, &mut |table| {
                count += 1;
                assert_eq!(table.get("additionalProperties"), Some(&Value::Bool(false)), "{table:?}");
                for (name, property) in table["properties"].as_object().expect("properties is a map") {
                    assert!(property.get("description").is_some(), "{file:?}: {name} has no description");
                }
            });
            assert!(count > 5, "{count} tables");
            assert!(!schema.to_string().contains("null"), "TOML has no null");
        }
    }

    #[test]
    fn the_keys_of_a_node_have_their_types() {
        let keys = node_keys();
        let kind = |path: &str| keys.iter().find(|(keys, _)| keys.join(".") == path).map(|(_, kind)| *kind);
        assert_eq!(kind("nats.client"), Some(Kind::Text));
        assert_eq!(kind("nats.max_connections"), Some(Kind::Integer));
        assert_eq!(kind("nats.tls.client.verify"), Some(Kind::Boolean));
        assert_eq!(kind("uplink.urls"), Some(Kind::Array));
        assert_eq!(kind("jetstream.encryption"), Some(Kind::Text));
        assert_eq!(kind("nats"), None);
    }
}
