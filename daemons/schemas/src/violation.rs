//! What is wrong with a document, and where.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// How much of a value an error shows, in characters.
const SHOWN: usize = 80;

/// Something in a document that its schema does not allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Where: a JSON pointer (RFC 6901), such as `/config/max_age`; empty for the whole document.
    pub path: String,
    /// What is wrong with it.
    pub problem: Problem,
    /// What is there, as JSON, cut to 80 characters; `None` where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What would be right, in words: `an integer from 0 to 5`.
    pub expected: String,
}

/// The kinds of [`Violation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Problem {
    /// It must be there and is not.
    Missing,
    /// It must not be there.
    Unknown,
    /// It is another thing than it should be.
    Wrong,
}

impl Violation {
    pub(crate) fn wrong(path: &str, found: &Value, expected: impl Into<String>) -> Self {
        let (path, expected) = (path.to_owned(), expected.into());
        Self { path, problem: Problem::Wrong, found: Some(shown(found)), expected }
    }

    pub(crate) fn missing(path: &str, name: &str, expected: impl Into<String>) -> Self {
        let (path, expected) = (join(path, name), expected.into());
        Self { path, problem: Problem::Missing, found: None, expected }
    }

    pub(crate) fn unknown(path: &str, name: &str, found: &Value, expected: impl Into<String>) -> Self {
        let (path, expected) = (join(path, name), expected.into());
        Self { path, problem: Problem::Unknown, found: Some(shown(found)), expected }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the document" } else { &self.path };
        let expected = &self.expected;
        match (self.problem, &self.found) {
            (Problem::Missing, _) => write!(formatter, "{path} is missing: expected {expected}"),
            (Problem::Unknown, _) => write!(formatter, "{path} is unknown: expected {expected}"),
            (Problem::Wrong, Some(found)) => write!(formatter, "{path} is {found}: expected {expected}"),
            (Problem::Wrong, None) => write!(formatter, "{path} is wrong: expected {expected}"),
        }
    }
}

/// A pointer one step further.
pub(crate) fn join(path: &str, name: &str) -> String {
    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The steps of a pointer.
pub(crate) fn steps(path: &str) -> impl Iterator<Item = String> {
    path.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"))
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_violation_tells_where_what_and_what_would_be_right() {
        let wrong = Violation::wrong("/config/max_age", &json!(-5), "an integer from 0 to 5");
        assert_eq!(wrong.to_string(), "/config/max_age is -5: expected an integer from 0 to 5");
        let missing = Violation::missing("", "name", "a string");
        assert_eq!(missing.to_string(), "/name is missing: expected a string");
        let whole = Violation::wrong("", &json!([]), "an object");
        assert_eq!(whole.to_string(), "the document is []: expected an object");
    }

    #[test]
    fn a_long_value_is_cut_and_a_name_is_escaped() {
        let long = Violation::wrong("", &json!("ü".repeat(500)), "a short string");
        assert!(long.found.is_some_and(|found| found.chars().count() == SHOWN + 1));
        let odd = Violation::missing("/a", "b/c~d", "a string");
        assert_eq!(odd.path, "/a/b~1c~0d");
        assert_eq!(steps(&odd.path).collect::<Vec<_>>(), ["a", "b/c~d"]);
    }
}
