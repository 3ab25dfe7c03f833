//! Names and subjects, refused here when NATS would refuse or misread them later.

use std::{borrow::Borrow, fmt, ops::Deref, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::units::string_value;

/// Longest name leafbox accepts, in bytes; nats-server's own limit for streams is 255, but a name
/// becomes a file name, a metric label and a column.
pub const LONGEST_NAME: usize = 64;

/// A name of an account, role, service, store or node: one NATS token of ASCII letters, digits,
/// `_` and `-`, at most [`LONGEST_NAME`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a name cannot be empty".into());
        }
        if text.len() > LONGEST_NAME {
            return Err(format!("`{text}` is {} bytes long: use {LONGEST_NAME} at most", text.len()));
        }
        let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
        if let Some(bad) = text.chars().find(|character| !allowed(*character)) {
            return Err(format!(
                "`{text}` has the character `{}`, which NATS would refuse or misread in a name: use letters, digits, `_` and `-`",
                bad.escape_default()
            ));
        }
        if text.starts_with('-') {
            return Err(format!(
                "`{text}` starts with `-`, which reads as an option: start with a letter or a digit"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A NATS subject, which may hold the wildcards `*` and `>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(String);

impl Subject {
    /// Whether every subject that matches `other` matches this one too.
    pub fn covers(&self, other: &str) -> bool {
        covers(&self.0, other)
    }

    /// Whether some subject matches both.
    pub fn overlaps(&self, other: &str) -> bool {
        overlap(&self.0, other)
    }

    /// Whether it holds `*` or `>` as a token.
    pub fn has_wildcard(&self) -> bool {
        self.0.split('.').any(|token| matches!(token, "*" | ">"))
    }
}

/// Whether every subject that matches `inner` matches `outer` too: a `*` of the inner one is covered by
/// a wildcard alone, a `>` by a `>` alone.
pub fn covers(outer: &str, inner: &str) -> bool {
    let (mut outer, mut inner) = (outer.split('.'), inner.split('.'));
    loop {
        match (outer.next(), inner.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(one), Some(two)) if one == two => {}
            _ => return false,
        }
    }
}

/// Whether some subject matches both.
pub fn overlap(one: &str, other: &str) -> bool {
    let (mut left, mut right) = (one.split('.'), other.split('.'));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (Some(one), Some(two)) if one == two || one == "*" || two == "*" => {}
            _ => return false,
        }
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a subject cannot be empty".into());
        }
        if let Some(bad) = text.chars().find(|character| character.is_whitespace() || character.is_control())
        {
            return Err(format!(
                "the subject `{text}` holds `{}`, and NATS refuses white space: take it out, or write a dot between tokens",
                bad.escape_default()
            ));
        }
        let tokens: Vec<&str> = text.split('.').collect();
        if tokens.iter().any(|token| token.is_empty()) {
            return Err(format!(
                "the subject `{text}` has an empty token: take out the doubled, leading or trailing dot"
            ));
        }
        if let Some(place) = tokens.iter().position(|token| *token == ">")
            && place + 1 != tokens.len()
        {
            return Err(format!(
                "the subject `{text}` has `>` before its end: it may only be the last token"
            ));
        }
        if let Some(token) = tokens.iter().find(|token| token.len() > 1 && token.contains(['*', '>'])) {
            return Err(format!(
                "the subject `{text}` has a wildcard inside the token `{token}`: a wildcard stands alone between dots"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

macro_rules! text {
    ($type:ty) => {
        impl $type {
            /// The text as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $type {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

text!(Name);
text!(Subject);
string_value!(Name, "Name", "^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$", "a name of letters, digits, `_` and `-`");
string_value!(
    Subject,
    "Subject",
    "^[^\\s.]+(\\.[^\\s.]+)*$",
    "a NATS subject in quotes, such as \"orders.>\""
);

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(text: &str) -> Subject {
        text.parse().expect("a valid subject")
    }

    #[test]
    fn names_nats_would_misread_are_refused() {
        assert!("teacher-service".parse::<Name>().is_ok());
        for bad in ["", "a.b", "a b", "a*", "-a", "ä", &"x".repeat(65)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn subjects_nats_would_refuse_are_refused() {
        for good in ["a", "a.*", "a.>", ">", "$JS.API.>", "*.b"] {
            assert!(good.parse::<Subject>().is_ok(), "{good}");
        }
        for bad in ["", ".a", "a.", "a..b", "a.>.b", "a b", "a.b*", "a.>x", "a\tb"] {
            assert!(bad.parse::<Subject>().is_err(), "{bad}");
        }
    }

    #[test]
    fn covering_and_overlap_follow_nats_matching() {
        assert!(subject("a.>").covers("a.b.c") && subject("a.*").covers("a.b") && subject(">").covers("a"));
        assert!(
            !subject("a.*").covers("a.b.c") && !subject("a.*").covers("a.>") && !subject("a.>").covers("a")
        );
        assert!(
            subject("a.*").overlaps("*.b")
                && subject("a.>").overlaps("a.*.c")
                && !subject("a.b").overlaps("a.c")
        );
        assert!(!subject("a.>").overlaps("a"));
    }
}
