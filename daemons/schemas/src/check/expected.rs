//! What a rule wants, in words.

use std::fmt::Write;

use crate::rules::{Rule, Type};

impl Rule {
    /// What would be right: `an integer from 0 to 5`, `one of "file", "memory"`.
    pub(crate) fn expected(&self) -> String {
        match self.choices.as_slice() {
            [] => {}
            [only] => return only.to_string(),
            several => {
                let choices: Vec<String> = several.iter().map(ToString::to_string).collect();
                return format!("one of {}", choices.join(", "));
            }
        }
        if self.types.is_empty() {
            // A place that only its branches describe.
            let branches: Vec<String> = self.one_of.iter().map(Self::expected).collect();
            return if branches.is_empty() { "a value".to_owned() } else { branches.join(", or ") };
        }
        let each: Vec<String> = self.types.iter().map(|of| self.expected_of(*of)).collect();
        each.join(" or ")
    }

    fn expected_of(&self, of: Type) -> String {
        match of {
            Type::Object => "an object".to_owned(),
            Type::Array => "an array".to_owned(),
            Type::Boolean => "true or false".to_owned(),
            Type::Null => "null".to_owned(),
            Type::Integer => format!("an integer{}", self.range()),
            Type::Number => format!("a number{}", self.range()),
            Type::String if self.date_time => {
                "a time in RFC 3339, such as \"2026-01-31T12:00:00Z\"".to_owned()
            }
            Type::String => {
                let mut text = "a string".to_owned();
                match (self.min_length.filter(|least| *least > 0), self.max_length) {
                    (None, None) => {}
                    (Some(1), None) => text.push_str(" that is not empty"),
                    (Some(least), None) => _ = write!(text, " of at least {least} characters"),
                    (None, Some(most)) => _ = write!(text, " of at most {most} characters"),
                    (Some(least), Some(most)) => _ = write!(text, " of {least} to {most} characters"),
                }
                if let Some(pattern) = &self.pattern {
                    _ = write!(text, " that matches {pattern}");
                }
                text
            }
        }
    }

    fn range(&self) -> String {
        match (self.minimum, self.maximum) {
            (None, None) => String::new(),
            (Some(least), None) => format!(" of at least {least}"),
            (None, Some(most)) => format!(" of at most {most}"),
            (Some(least), Some(most)) => format!(" from {least} to {most}"),
        }
    }
}

/// What there should be in place of an unknown property.
pub(super) fn instead_of(name: &str, family: &[&Rule]) -> String {
    let known = family.iter().flat_map(|rule| &rule.properties).map(|(known, _)| known.as_str());
    let nearest = known
        .map(|known| (strsim::normalized_damerau_levenshtein(name, known), known))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|left, right| left.0.total_cmp(&right.0));
    match nearest {
        Some((_, known)) => format!("no such property; did you mean `{known}`?"),
        None => "no such property".to_owned(),
    }
}
