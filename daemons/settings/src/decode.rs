//! Reads a tree into its type and tells every mistake at once.
//!
//! serde stops at the first mistake. So a tree that has one is copied, what is wrong is taken out
//! of the copy, and it is read again, until it can be read; accounts one by one, so that a fleet of
//! a thousand accounts with a hundred mistakes is not read a hundred times.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use toml::{Spanned, de::DeValue};

use crate::{
    document::Document,
    fleet::{Account, Fleet},
    names::Name,
    node::Node,
    path::{KeyPath, Step},
    problem::{Problem, Severity},
};
use value::{DecodeError, Mistake, ValueDeserializer, is_removed, removed, table_of, value_at};

mod describe;
pub(crate) mod value;

/// Mistakes told of one account, or of the rest of a file, before reading it is given up.
const MOST_MISTAKES: usize = 100;

/// What a missing key is taken to be while the rest is read: this word is a valid name, subject,
/// path and kind, which are all the types that a required key has.
const STAND_IN: &str = "stream";

/// What could be read of a file.
pub(crate) struct Decoded<T> {
    /// What was meant, as far as can be told; `None` when nothing can.
    pub(crate) value: Option<T>,
    pub(crate) problems: Vec<Problem>,
    /// The parts of the file with mistakes: what other checks find there follows from them.
    pub(crate) broken: BTreeSet<KeyPath>,
}

/// Reads `node.toml`.
pub(crate) fn node(document: &Document<'_>) -> Decoded<Node> {
    whole(document).unwrap_or_else(|()| {
        let mut root = document.root.clone();
        let mut mistakes = Mistakes::new(document);
        let value = mistakes.collect(&mut root, &KeyPath::default());
        mistakes.decoded(value)
    })
}

/// Reads `fleet.toml`.
pub(crate) fn fleet(document: &Document<'_>) -> Decoded<Fleet> {
    whole(document).unwrap_or_else(|()| {
        let mut root = document.root.clone();
        let mut mistakes = Mistakes::new(document);
        let accounts = take_accounts(&mut root);
        let mut fleet: Option<Fleet> = mistakes.collect(&mut root, &KeyPath::default());
        for (name, mut value) in accounts {
            let path = KeyPath::of(["accounts", &name]);
            let account: Account = mistakes.collect(&mut value, &path).unwrap_or_default();
            match name.parse::<Name>() {
                Ok(name) => {
                    if let Some(fleet) = &mut fleet {
                        fleet.accounts.insert(name, account);
                    }
                }
                Err(refusal) => mistakes.tell(&path, &Mistake::Refused(refusal)),
            }
        }
        mistakes.decoded(fleet)
    })
}

/// The usual case: nothing is wrong, and the tree is read once.
fn whole<T: DeserializeOwned>(document: &Document<'_>) -> Result<Decoded<T>, ()> {
    match T::deserialize(document.deserializer()) {
        Ok(value) => Ok(Decoded { value: Some(value), problems: Vec::new(), broken: BTreeSet::new() }),
        Err(_) => Err(()),
    }
}

/// Takes the accounts out of the tree, unless they are no table, which reading the rest will tell.
fn take_accounts<'i>(root: &mut Spanned<DeValue<'i>>) -> Vec<(String, Spanned<DeValue<'i>>)> {
    let Some(table) = table_of(root) else { return Vec::new() };
    if !table.get("accounts").is_some_and(|accounts| accounts.get_ref().is_table()) {
        return Vec::new();
    }
    match table.remove("accounts").map(Spanned::into_inner) {
        Some(DeValue::Table(accounts)) => {
            accounts.into_iter().map(|(name, value)| (name.get_ref().to_string(), value)).collect()
        }
        _ => Vec::new(),
    }
}

struct Mistakes<'d, 't> {
    document: &'d Document<'t>,
    problems: Vec<Problem>,
    broken: BTreeSet<KeyPath>,
}

impl<'d, 't> Mistakes<'d, 't> {
    fn new(document: &'d Document<'t>) -> Self {
        Self { document, problems: Vec::new(), broken: BTreeSet::new() }
    }

    fn decoded<T>(self, value: Option<T>) -> Decoded<T> {
        Decoded { value, problems: self.problems, broken: self.broken }
    }

    /// Reads a value that stands at `prefix`, taking out what is wrong with it and telling it.
    fn collect<T: DeserializeOwned>(
        &mut self,
        value: &mut Spanned<DeValue<'t>>,
        prefix: &KeyPath,
    ) -> Option<T> {
        for _ in 0..MOST_MISTAKES {
            let DecodeError { mut steps, mistake } = match T::deserialize(ValueDeserializer(value)) {
                Ok(read) => return Some(read),
                Err(error) => error,
            };
            steps.reverse();
            match &mistake {
                Mistake::MissingKey(key) => {
                    let table = table_of(value_at(value, &steps)?)?;
                    let stand_in = Spanned::new(0..0, DeValue::String(STAND_IN.into()));
                    let before = table.insert(Spanned::new(0..0, (*key).into()), stand_in);
                    // Missing only because it was wrong, and told as that already.
                    if !before.is_some_and(|before| is_removed(&before)) {
                        self.tell(&prefix.joined(steps).key(key), &mistake);
                    }
                }
                _ => {
                    self.tell(&prefix.joined(steps.iter().cloned()), &mistake);
                    if steps.is_empty() {
                        return None;
                    }
                    *value_at(value, &steps)? = removed();
                }
            }
        }
        None
    }

    fn tell(&mut self, path: &KeyPath, mistake: &Mistake) {
        self.broken.insert(path.area());
        let found = self.document.problem(path, Severity::Error, String::new(), String::new()).found;
        let last = match path.steps().last() {
            Some(Step::Key(key)) => key.as_str(),
            _ => "",
        };
        let (message, remedy) = describe::describe(mistake, last, found.as_deref());
        self.problems.push(self.document.problem(path, Severity::Error, message, remedy));
    }
}
