//! Is a document right, and if not, what is wrong where.

mod branches;
mod expected;

use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    number,
    rules::{Additional, Rule, Rules, Type},
    violation::{Violation, join},
};

/// After so many violations the rest is not looked at.
const ENOUGH: usize = 100;

/// How closely a document must keep to its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For what is written: to the letter, and what nats-server could not read is refused.
    Strict,
    /// For what is read: servers newer than the schemas add properties.
    Tolerant,
}

impl Rules {
    /// Checks a document, and gives what is wrong with it in the order of the schema, at most 100
    /// violations.
    ///
    /// As draft 7 has it, with these differences:
    /// - integers are compared exactly, up to 64 bits of either sign;
    /// - [`Mode::Strict`]: an integer is written as one, since nats-server reads neither `1.0` nor
    ///   `1e3` into its own;
    /// - [`Mode::Strict`]: `additionalProperties: false` beside or inside `allOf` and `oneOf` knows the
    ///   properties of all of them. To the letter, no `stream_create_request` could have `pedantic`;
    /// - [`Mode::Tolerant`]: `additionalProperties: false` refuses nothing, and `oneOf` is content with
    ///   several: without the former, branches overlap;
    /// - `format: date-time` is checked.
    ///
    /// # Errors
    /// The violations; never none.
    pub fn check(&self, document: &Value, mode: Mode) -> Result<(), Vec<Violation>> {
        let mut violations = Vec::new();
        self.root.check(document, "", mode, &mut violations);
        violations.truncate(ENOUGH);
        if violations.is_empty() { Ok(()) } else { Err(violations) }
    }
}

impl Rule {
    fn check(&self, value: &Value, path: &str, mode: Mode, violations: &mut Vec<Violation>) {
        self.check_in(&self.family(), value, path, mode, violations);
    }

    /// `family`: all rules for this place, which is what a closed object knows.
    fn check_in(
        &self,
        family: &[&Rule],
        value: &Value,
        path: &str,
        mode: Mode,
        violations: &mut Vec<Violation>,
    ) {
        if violations.len() >= ENOUGH {
            return;
        }
        if !self.allows(value, mode) {
            violations.push(Violation::wrong(path, value, self.expected()));
            return;
        }
        match value {
            Value::Object(object) => self.check_object(family, object, path, mode, violations),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let Some(rule) = self.items.as_ref().filter(|_| violations.len() < ENOUGH) {
                        rule.check(item, &join(path, &index.to_string()), mode, violations);
                    }
                }
            }
            _ => {}
        }
        for part in &self.all_of {
            part.check_in(family, value, path, mode, violations);
        }
        if !self.one_of.is_empty() {
            self.check_branches(family, value, path, mode, violations);
        }
    }

    /// Whether the value itself is right, whatever is in it.
    pub(crate) fn allows(&self, value: &Value, mode: Mode) -> bool {
        let of_type = self.types.is_empty() || self.types.iter().any(|known| known.is_of(value, mode));
        let chosen = self.choices.is_empty() || self.choices.contains(value);
        of_type
            && chosen
            && match value {
                Value::Number(number) => number::within(number, self.minimum, self.maximum),
                Value::String(text) => self.allows_text(text),
                _ => true,
            }
    }

    fn allows_text(&self, text: &str) -> bool {
        let length = || text.chars().count();
        self.min_length.is_none_or(|least| length() >= least)
            && self.max_length.is_none_or(|most| length() <= most)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
            && (!self.date_time || OffsetDateTime::parse(text, &Rfc3339).is_ok())
    }

    fn check_object(
        &self,
        family: &[&Rule],
        object: &Map<String, Value>,
        path: &str,
        mode: Mode,
        violations: &mut Vec<Violation>,
    ) {
        for name in self.required.iter().filter(|name| !object.contains_key(name.as_str())) {
            let rule = family.iter().find_map(|rule| rule.property(name));
            violations.push(Violation::missing(path, name, rule.map_or("a value".into(), Rule::expected)));
        }
        for (name, rule) in &self.properties {
            if let Some(value) = object.get(name) {
                rule.check(value, &join(path, name), mode, violations);
            }
        }
        for (name, value) in object {
            if violations.len() >= ENOUGH {
                return;
            }
            for (_, rule) in self.patterns.iter().filter(|(pattern, _)| pattern.is_match(name)) {
                rule.check(value, &join(path, name), mode, violations);
            }
            let knows = |rule: &&Rule| {
                rule.property(name).is_some()
                    || rule.patterns.iter().any(|(pattern, _)| pattern.is_match(name))
            };
            match &self.additional {
                Additional::Closed if mode == Mode::Strict && !family.iter().any(knows) => {
                    violations.push(Violation::unknown(
                        path,
                        name,
                        value,
                        expected::instead_of(name, family),
                    ));
                }
                Additional::Each(rule) if !knows(&self) => {
                    rule.check(value, &join(path, name), mode, violations);
                }
                _ => {}
            }
        }
    }
}

impl Type {
    fn is_of(self, value: &Value, mode: Mode) -> bool {
        match (self, value) {
            (Self::Object, Value::Object(_))
            | (Self::Array, Value::Array(_))
            | (Self::String, Value::String(_))
            | (Self::Number, Value::Number(_))
            | (Self::Boolean, Value::Bool(_))
            | (Self::Null, Value::Null) => true,
            (Self::Integer, Value::Number(number)) => match mode {
                Mode::Strict => number::whole(number).is_some(),
                Mode::Tolerant => number::is_integral(number),
            },
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
