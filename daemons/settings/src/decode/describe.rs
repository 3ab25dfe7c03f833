//! The words for a mistake in a value.

use super::value::Mistake;
use crate::suggest::meant_or_list;

/// What is wrong and what to do, for a key whose value is written `found`.
pub(super) fn describe(mistake: &Mistake, key: &str, found: Option<&str>) -> (String, String) {
    match mistake {
        Mistake::UnknownKey { allowed } => {
            ("there is no such key".into(), meant_or_list(key, allowed, "the keys here are"))
        }
        Mistake::MissingKey("kind") => {
            ("this key is missing".into(), "add `kind = \"stream\"` or `kind = \"service\"`".into())
        }
        Mistake::MissingKey(key) => ("this key is missing".into(), format!("add `{key} = \"…\"`")),
        Mistake::UnknownWord { found, allowed } => (
            format!("this should be one of a few words, and is {found}"),
            meant_or_list(found.trim_matches('`'), allowed, "write one of"),
        ),
        Mistake::WrongType { found: kind, expected } => {
            let wanted = wanted(expected);
            // A number out of range needs no telling that it is a number.
            let is = if kind == "a number" && wanted.contains("number") {
                String::new()
            } else {
                format!(", and is {kind}")
            };
            (format!("this should be {wanted}{is}"), type_remedy(kind, key, expected, &wanted, found))
        }
        // The types that refuse a value say what is wrong, a colon, and what to do.
        Mistake::Refused(text) => match text.rsplit_once(": ") {
            Some((message, remedy)) => (message.to_owned(), remedy.to_owned()),
            None => (text.clone(), "write another value".into()),
        },
    }
}

fn wanted(expected: &str) -> String {
    let whole = |most: u64| format!("a whole number from 0 to {most}");
    match expected {
        "a map" => "a table".into(),
        "a sequence" => "an array".into(),
        "a boolean" => "true or false".into(),
        "a string" => "text in quotes".into(),
        "path string" => "a path in quotes".into(),
        "u8" => whole(u8::MAX.into()),
        "u32" => whole(u32::MAX.into()),
        "u64" => whole(i64::MAX as u64),
        other => match other.strip_prefix("struct ") {
            Some(_) => "a table".into(),
            None => other.into(),
        },
    }
}

fn type_remedy(kind: &str, key: &str, expected: &str, wanted: &str, found: Option<&str>) -> String {
    if wanted == "a table" {
        return format!("write a table, as `{key} = {{ … }}` or under a header of its own");
    }
    let Some(found) = found else { return format!("write {wanted}") };
    let inside = found.trim_matches(['"', '\'']);
    match expected {
        "a sequence" if kind != "a table" => format!("write [{found}]"),
        "a boolean" if matches!(inside, "true" | "false") => format!("write {inside}, without quotes"),
        "u8" | "u32" | "u64" if kind == "text" && inside.parse::<u32>().is_ok() => {
            format!("write {inside}, without quotes")
        }
        "a string" | "path string" if kind == "a number" || kind == "true or false" => {
            format!("write \"{found}\", in quotes")
        }
        _ => format!("write {wanted}"),
    }
}
