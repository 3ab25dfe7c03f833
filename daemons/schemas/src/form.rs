//! Forms: the fields of a schema in a flat list, and documents from what was typed into them.
//!
//! A form is made on the server, as HTML or on a terminal, from [`Form::fields`] in their order. Each
//! input is named with the field's path, and what comes back, `(path, text)`, becomes a document by
//! [`Form::document`], which is then checked with [`Rules::check`]. No number passes through the
//! browser's JavaScript, which would round those above 2^53; bytes and times have units.
//!
//! What a form does with a [`Field`]:
//! - `*` in a path stands for the number of a row, from 0: `/sources/*/name` is named
//!   `/sources/0/name`. Numbers may have gaps, as where a row was taken out.
//! - [`Input::Group`] and [`Input::Rows`] are fieldsets; the fields in them follow, their paths longer.
//!   A group that is not [`Field::required`] may be left out as a whole: then what it requires is not
//!   required.
//! - A checkbox sends nothing when it is off, so put a hidden input with `false` before it: the last
//!   one of a path counts. Likewise a hidden empty input named as the rows themselves, `/sources`, so
//!   that the last row can be taken out.
//! - [`Field::only_when`]: show the field while another has one of those values. What is hidden and
//!   sent all the same is dropped.
//! - [`Field::default`] is what nats-server takes for a field that is left out. A new document should
//!   show it, as some schemas require what has a default.
//! - A choice with one option needs no input.
//!
//! Deliberately absent: what depends on the account, such as which streams there are, and rules that
//! only the server knows.

mod fill;
mod flatten;
mod text;
mod units;

use serde::Serialize;
use serde_json::{Number, Value};

use crate::Rules;

/// The fields of a schema.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Form {
    fields: Vec<Field>,
}

/// One input of a form.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Field {
    /// Where its value goes: a JSON pointer, with `*` for the number of a row.
    pub path: String,
    /// The name in words: `Max ack pending`.
    pub label: String,
    /// What it is for, as NATS says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What is put in.
    pub input: Input,
    /// Whether it must be there; see [`Input::Group`] for what is in a group that is left out.
    pub required: bool,
    /// What holds where it is left out, if the schema tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The number that means "no limit", if there is one: `unlimited` is read as it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlimited: Option<i64>,
    /// The field matters only while another has one of some values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_when: Option<Condition>,
    /// Why it should be used no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<String>,
    /// Whether `null` may stand for it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub nullable: bool,
}

/// When a field matters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Condition {
    /// The path of the field that decides.
    pub path: String,
    /// The values of it for which this one matters.
    pub any_of: Vec<Value>,
}

/// What is put into a field. Bounds are inclusive.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Input {
    /// An object: the fields in it follow.
    Group,
    /// A list of objects: the fields of a row follow, with `*` for its number.
    Rows,
    /// A line of text.
    Text {
        /// The least number of characters.
        #[serde(skip_serializing_if = "Option::is_none")]
        min_length: Option<usize>,
        /// The largest number of characters.
        #[serde(skip_serializing_if = "Option::is_none")]
        max_length: Option<usize>,
        /// An expression that it matches somewhere, good for HTML's `pattern` if it has `^` and `$`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pattern: Option<String>,
    },
    /// One of these values.
    Choice {
        /// The values.
        options: Vec<Value>,
    },
    /// A whole number.
    Integer(Bounds),
    /// A number.
    Number(Bounds),
    /// An amount of bytes: a whole number, or one with `B`, `KiB`, `MiB`, `GiB`, `TiB`.
    Bytes(Bounds),
    /// A length of time in nanoseconds, written as Go does, `1h30m`, with `d` for days.
    Duration(Bounds),
    /// Yes or no.
    Switch,
    /// A time in RFC 3339; without a zone it is read as UTC.
    Time,
    /// Several, one a line.
    List {
        /// What each is: no group, rows, list or map.
        of: Box<Input>,
    },
    /// Named values, `name=value`, one a line.
    Map {
        /// What each value is: no group, rows, list or map.
        of: Box<Input>,
    },
    /// Anything, as JSON.
    Json,
}

/// The least and the largest number.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Bounds {
    /// The least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Number>,
    /// The largest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<Number>,
}

impl Form {
    /// The form of a schema.
    pub fn of(rules: &Rules) -> Self {
        Self { fields: flatten::fields(&rules.root) }
    }

    /// The fields, in the order of the schema, those of a group after the group.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field for a path, in which rows have numbers or `*`.
    pub fn field(&self, path: &str) -> Option<&Field> {
        let fits = |pattern: &str| {
            let mut steps = path.split('/');
            pattern.split('/').all(|wanted| {
                steps
                    .next()
                    .is_some_and(|step| step == wanted || (wanted == "*" && step.parse::<usize>().is_ok()))
            }) && steps.next().is_none()
        };
        self.fields.iter().find(|field| fits(&field.path))
    }
}
