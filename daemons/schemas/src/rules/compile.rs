//! From the text of a schema to [`Rule`]s. A keyword that is not known is an error.

use regex::Regex;
use serde_json::{Map, Value};

use super::{Additional, Rule, Type, Unsupported};
use crate::{corrections::correct, violation::join};

/// Keywords that check nothing. `missing` is a property that jsm.go has put beside `properties` by
/// mistake, in `consumer_list_response`.
const ANNOTATIONS: [&str; 4] = ["$schema", "$id", "title", "missing"];

pub(super) fn document(text: &str) -> Result<Rule, Unsupported> {
    let mut schema = serde_json::from_str(text).map_err(|error| unsupported("", error.to_string()))?;
    correct(&mut schema);
    rule(&schema, "")
}

fn unsupported(path: &str, reason: impl Into<String>) -> Unsupported {
    Unsupported { path: path.to_owned(), reason: reason.into() }
}

fn rule(schema: &Value, path: &str) -> Result<Rule, Unsupported> {
    let mut rule = Rule::default();
    for (keyword, value) in object(schema, path)? {
        let path = join(path, keyword);
        match keyword.as_str() {
            "type" => rule.types = types(value, &path)?,
            "description" => rule.description = Some(string(value, &path)?),
            "$comment" => rule.comment = Some(string(value, &path)?),
            "default" => rule.default = Some(value.clone()),
            "deprecationMessage" => rule.deprecated = Some(string(value, &path)?),
            "const" => rule.choices = vec![value.clone()],
            "enum" => rule.choices = array(value, &path)?.clone(),
            "minimum" => rule.minimum = Some(bound(value, &path)?),
            "maximum" => rule.maximum = Some(bound(value, &path)?),
            "minLength" => rule.min_length = Some(length(value, &path)?),
            "maxLength" => rule.max_length = Some(length(value, &path)?),
            "pattern" => rule.pattern = Some(pattern(&string(value, &path)?, &path)?),
            "format" => {
                if value != "date-time" {
                    return Err(unsupported(&path, format!("the format {value}")));
                }
                rule.date_time = true;
            }
            "properties" => rule.properties = named(value, &path)?,
            "required" => {
                let names = array(value, &path)?.iter().map(|name| string(name, &path));
                rule.required = names.collect::<Result<_, _>>()?;
            }
            "patternProperties" => {
                rule.patterns = named(value, &path)?
                    .into_iter()
                    .map(|(text, rule)| Ok((pattern(&text, &path)?, rule)))
                    .collect::<Result<_, _>>()?;
            }
            "additionalProperties" => {
                rule.additional = match value {
                    Value::Bool(true) => Additional::Allowed,
                    Value::Bool(false) => Additional::Closed,
                    each => Additional::Each(Box::new(self::rule(each, &path)?)),
                };
            }
            "items" => rule.items = Some(Box::new(self::rule(value, &path)?)),
            "allOf" => rule.all_of = branches(value, &path)?,
            "oneOf" => rule.one_of = branches(value, &path)?,
            known if ANNOTATIONS.contains(&known) => {}
            _ => return Err(unsupported(&path, "an unknown keyword")),
        }
    }
    Ok(rule)
}

fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Map<String, Value>, Unsupported> {
    value.as_object().ok_or_else(|| unsupported(path, "not an object"))
}

fn array<'a>(value: &'a Value, path: &str) -> Result<&'a Vec<Value>, Unsupported> {
    value.as_array().ok_or_else(|| unsupported(path, "not an array"))
}

fn string(value: &Value, path: &str) -> Result<String, Unsupported> {
    value.as_str().map(str::to_owned).ok_or_else(|| unsupported(path, "not a string"))
}

fn types(value: &Value, path: &str) -> Result<Vec<Type>, Unsupported> {
    let names = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    let of = |name: &Value| match name.as_str() {
        Some("object") => Ok(Type::Object),
        Some("array") => Ok(Type::Array),
        Some("string") => Ok(Type::String),
        Some("integer") => Ok(Type::Integer),
        Some("number") => Ok(Type::Number),
        Some("boolean") => Ok(Type::Boolean),
        Some("null") => Ok(Type::Null),
        _ => Err(unsupported(path, format!("the type {name}"))),
    };
    names.iter().map(of).collect()
}

fn bound(value: &Value, path: &str) -> Result<i128, Unsupported> {
    value.as_number().and_then(crate::number::whole).ok_or_else(|| unsupported(path, "not a 64-bit integer"))
}

fn length(value: &Value, path: &str) -> Result<usize, Unsupported> {
    value
        .as_u64()
        .and_then(|length| usize::try_from(length).ok())
        .ok_or_else(|| unsupported(path, "not a length"))
}

/// JSON Schema's expressions are JavaScript's, whose `\d` has ten digits; Rust's has all of Unicode's.
fn pattern(text: &str, path: &str) -> Result<Regex, Unsupported> {
    Regex::new(&text.replace(r"\d", "[0-9]")).map_err(|error| unsupported(path, error.to_string()))
}

fn named(value: &Value, path: &str) -> Result<Vec<(String, Rule)>, Unsupported> {
    let each = object(value, path)?.iter();
    each.map(|(name, schema)| Ok((name.clone(), rule(schema, &join(path, name))?))).collect()
}

fn branches(value: &Value, path: &str) -> Result<Vec<Rule>, Unsupported> {
    let each = array(value, path)?.iter().enumerate();
    each.map(|(index, schema)| rule(schema, &join(path, &index.to_string()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_checked_is_refused_with_its_place() {
        for (schema, path) in [
            (r#"{"properties":{"a/b":{"exclusiveMinimum":1}}}"#, "/properties/a~1b/exclusiveMinimum"),
            (r#"{"allOf":[{"format":"uri"}]}"#, "/allOf/0/format"),
            (r#"{"type":"decimal"}"#, "/type"),
            (r#"{"items":[{}]}"#, "/items"),
            (r#"{"minimum":0.5}"#, "/minimum"),
            (r#"{"pattern":"("}"#, "/pattern"),
            (r##"{"$ref":"#/definitions/a"}"##, "/$ref"),
            ("[]", ""),
            ("{", ""),
        ] {
            let refused = document(schema).err().map(|error| error.path);
            assert_eq!(refused.as_deref(), Some(path), "{schema}");
        }
    }

    #[test]
    fn branches_that_a_property_tells_apart_have_a_discriminator() {
        let told = |schema| document(schema).ok()?.discriminator().map(str::to_owned);
        let by_kind = r#"{"oneOf":[{"properties":{"a":{},"kind":{"const":"x"}}},
            {"properties":{"kind":{"enum":["y","z"]}}}]}"#;
        assert_eq!(told(by_kind).as_deref(), Some("kind"));
        let overlapping = r#"{"oneOf":[{"properties":{"kind":{"const":"x"}}},
            {"properties":{"kind":{"enum":["x","z"]}}}]}"#;
        assert_eq!(told(overlapping), None);
        assert_eq!(told(r#"{"oneOf":[{"required":["error"]},{"required":["config"]}]}"#), None);
        assert_eq!(told("{}"), None);
    }
}
