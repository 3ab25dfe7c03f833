//! A schema compiled: what holds at each place of a document.

mod compile;

use regex::Regex;
use serde_json::Value;

/// A schema, compiled to check documents and to make forms.
#[derive(Debug)]
pub struct Rules {
    pub(crate) root: Rule,
}

/// A schema says what this crate does not check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} in the schema is not supported: {reason}; teach crate `schemas` what it means")]
pub struct Unsupported {
    /// Where, as a JSON pointer into the schema.
    pub path: String,
    /// What is there.
    pub reason: String,
}

impl Rules {
    /// Compiles the text of a schema.
    ///
    /// # Errors
    /// When it is no schema, or uses a keyword or a form of one that is not checked.
    pub fn compile(text: &str) -> Result<Self, Unsupported> {
        compile::document(text).map(|root| Self { root })
    }
}

/// What a value is allowed to be. All parts must hold.
#[derive(Debug, Default)]
pub(crate) struct Rule {
    /// Any, when empty.
    pub(crate) types: Vec<Type>,
    pub(crate) description: Option<String>,
    /// `$comment`: NATS says there what an integer counts.
    pub(crate) comment: Option<String>,
    pub(crate) default: Option<Value>,
    pub(crate) deprecated: Option<String>,
    /// `enum`, or the one value of `const`; any, when empty.
    pub(crate) choices: Vec<Value>,
    pub(crate) minimum: Option<i128>,
    pub(crate) maximum: Option<i128>,
    /// In characters, as the next.
    pub(crate) min_length: Option<usize>,
    pub(crate) max_length: Option<usize>,
    pub(crate) pattern: Option<Regex>,
    pub(crate) date_time: bool,
    /// In the order of the schema, which is the order of a form.
    pub(crate) properties: Vec<(String, Rule)>,
    pub(crate) required: Vec<String>,
    pub(crate) patterns: Vec<(Regex, Rule)>,
    pub(crate) additional: Additional,
    pub(crate) items: Option<Box<Rule>>,
    pub(crate) all_of: Vec<Rule>,
    pub(crate) one_of: Vec<Rule>,
}

/// What properties that no other rule names may be.
#[derive(Debug, Default)]
pub(crate) enum Additional {
    /// Anything.
    #[default]
    Allowed,
    /// None may be there.
    Closed,
    /// Each must keep this rule.
    Each(Box<Rule>),
}

/// JSON's types, of which integers are one to a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    Null,
}

impl Rule {
    pub(crate) fn property(&self, name: &str) -> Option<&Rule> {
        self.properties.iter().find(|(known, _)| known == name).map(|(_, rule)| rule)
    }

    /// This rule and those joined to it at the same place by `allOf` and `oneOf`.
    pub(crate) fn family(&self) -> Vec<&Rule> {
        let mut family = vec![self];
        for part in self.all_of.iter().chain(&self.one_of) {
            family.extend(part.family());
        }
        family
    }

    /// The property that tells the branches of this rule's `oneOf` apart: each branch allows it values
    /// that no other allows. `None` where there is none, as between a result and an error.
    pub(crate) fn discriminator(&self) -> Option<&str> {
        let (first, others) = self.one_of.split_first()?;
        let choices = |branch: &Rule, name: &str| -> Vec<Value> {
            branch.property(name).map(|rule| rule.choices.clone()).unwrap_or_default()
        };
        first.properties.iter().map(|(name, _)| name.as_str()).find(|name| {
            let mut seen = choices(first, name);
            !seen.is_empty()
                && others.iter().all(|branch| {
                    let own = choices(branch, name);
                    let apart = !own.is_empty() && own.iter().all(|choice| !seen.contains(choice));
                    seen.extend(own);
                    apart
                })
        })
    }
}
