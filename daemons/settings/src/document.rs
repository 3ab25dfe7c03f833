//! One parsed file that remembers where everything stands, so that a problem found anywhere later
//! is told with its line.

use std::path::Path;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    decode::value::{ValueDeserializer, table_of},
    path::{KeyPath, Step},
    problem::{Problem, Severity},
    syntax,
};

/// Longest value that a problem repeats.
const LONGEST_FOUND: usize = 80;

/// A value that a variable set, in place of the file's.
#[derive(Clone, Debug)]
pub(crate) struct Override {
    pub(crate) path: KeyPath,
    /// `environment`, or the path of the `.env` file.
    pub(crate) file: String,
    pub(crate) line: Option<usize>,
    pub(crate) variable: String,
    pub(crate) value: String,
}

/// A parsed file.
pub(crate) struct Document<'t> {
    pub(crate) file: String,
    text: &'t str,
    line_starts: Vec<usize>,
    pub(crate) root: Spanned<DeValue<'t>>,
    overrides: Vec<Override>,
    /// Whether the tree is known not to be what the file says.
    pub(crate) has_syntax_errors: bool,
}

impl<'t> Document<'t> {
    /// Parses as much as can be parsed, and reports the rest.
    pub(crate) fn parse(file: &Path, text: &'t str) -> (Self, Vec<Problem>) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let line_starts = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(place, _)| place + 1))
            .collect();
        let document = Self {
            file: file.display().to_string(),
            text,
            line_starts,
            root: Spanned::new(0..0, DeValue::Table(table.into_inner())),
            overrides: Vec::new(),
            has_syntax_errors: !errors.is_empty(),
        };
        let problems = syntax::problems(&document, &errors);
        (document, problems)
    }

    /// The line that a byte of the text is in, counted from 1.
    pub(crate) fn line_at(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset).max(1)
    }

    /// The text of a line, counted from 1.
    pub(crate) fn line_text(&self, line: usize) -> &'t str {
        let end = self.line_starts.get(line).copied().unwrap_or(self.text.len());
        let start = self.line_starts.get(line - 1).copied().unwrap_or(end);
        self.text[start..end].trim_end_matches(['\n', '\r'])
    }

    pub(crate) fn deserializer(&self) -> ValueDeserializer<'_, 't> {
        ValueDeserializer(&self.root)
    }

    /// Puts a value in place of the file's, making the tables on the way. Fails where the file has
    /// something else than a table on the way, which is a problem of its own.
    pub(crate) fn set(&mut self, value: DeValue<'t>, origin: Override) -> bool {
        let Some((Step::Key(last), way)) = origin.path.steps().split_last() else { return false };
        let mut here = &mut self.root;
        for step in way {
            let Step::Key(key) = step else { return false };
            let Some(table) = table_of(here) else { return false };
            here = table
                .entry(Spanned::new(0..0, key.clone().into()))
                .or_insert_with(|| Spanned::new(0..0, DeValue::Table(DeTable::new())));
        }
        let Some(table) = table_of(here) else { return false };
        table.insert(Spanned::new(0..0, last.clone().into()), Spanned::new(0..0, value));
        self.overrides.retain(|earlier| earlier.path != origin.path);
        self.overrides.push(origin);
        true
    }

    /// A problem at a path, with the line and value that stand there, or the variable that put
    /// them there.
    pub(crate) fn problem(
        &self,
        path: &KeyPath,
        severity: Severity,
        message: String,
        remedy: String,
    ) -> Problem {
        if let Some(origin) = self.overrides.iter().find(|origin| path.starts_with(&origin.path)) {
            return Problem {
                file: origin.file.clone(),
                line: origin.line,
                path: origin.variable.clone(),
                found: presentable(path, origin.value.clone()),
                message: format!("it sets `{}`: {message}", origin.path),
                remedy,
                severity,
            };
        }
        let (line, value) = self.locate(path);
        let found = value.and_then(|value| self.source(value)).and_then(|text| presentable(path, text));
        Problem { file: self.file.clone(), line, path: path.to_string(), found, message, remedy, severity }
    }

    /// The line of the longest part of a path that exists, and the value when all of it does.
    pub(crate) fn locate(&self, path: &KeyPath) -> (Option<usize>, Option<&Spanned<DeValue<'t>>>) {
        let mut line = None;
        let mut here = &self.root;
        for step in path.steps() {
            let next = match (here.get_ref(), step) {
                (DeValue::Table(table), Step::Key(key)) => {
                    table.get_key_value(key.as_str()).map(|(key, value)| (key.span(), value))
                }
                (DeValue::Array(array), Step::Index(index)) => {
                    array.get(*index).map(|value| (value.span(), value))
                }
                _ => None,
            };
            let Some((span, value)) = next else { return (line, None) };
            if !span.is_empty() {
                line = Some(self.line_at(span.start));
            }
            here = value;
        }
        (line, Some(here))
    }

    /// How a short value is written in the file.
    fn source(&self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let short = match value.get_ref() {
            DeValue::Table(_) => false,
            DeValue::Array(array) => !array.iter().any(|element| element.get_ref().is_table()),
            _ => true,
        };
        let text = self.text.get(value.span()).filter(|_| short)?;
        (!text.is_empty() && text.len() <= LONGEST_FOUND && !text.contains('\n')).then(|| text.to_owned())
    }
}

/// The value, unless it may be a secret: an error is no place for one.
fn presentable(path: &KeyPath, text: String) -> Option<String> {
    let secret_name = path.steps().iter().any(|step| match step {
        Step::Key(key) => {
            let key = key.to_lowercase();
            ["pass", "secret", "token", "seed", "credential"].iter().any(|word| key.contains(word))
        }
        Step::Index(_) => false,
    });
    let login = text.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
    (!secret_name && !login && !holds_seed(&text)).then_some(text)
}

/// Whether a text holds an nkey seed: `S`, the kind, and 56 characters of base 32.
fn holds_seed(text: &str) -> bool {
    text.split(|character: char| !character.is_ascii_alphanumeric()).any(|word| {
        word.len() == 58
            && word.starts_with('S')
            && word.bytes().all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn problem(text: &str, path: &KeyPath) -> Problem {
        let (document, problems) = Document::parse(Path::new("node.toml"), text);
        assert!(problems.is_empty(), "{problems:?}");
        document.problem(path, Severity::Error, "m".into(), "r".into())
    }

    #[test]
    fn a_problem_knows_its_line_and_value() {
        let text = "name = \"a\"\n\n[nats]\nmax_payload = \"1MiB\"\ntags = [\n  \"x\",\n  \"y\",\n]\n";
        let found = problem(text, &KeyPath::of(["nats", "max_payload"]));
        assert_eq!((found.line, found.found.as_deref()), (Some(4), Some("\"1MiB\"")));
        assert_eq!(problem(text, &KeyPath::of(["nats", "tags"]).index(1)).line, Some(7));
        let absent = problem(text, &KeyPath::of(["nats", "tls", "client"]));
        assert_eq!((absent.line, absent.found), (Some(3), None), "the nearest part that exists");
    }

    #[test]
    fn tables_in_arrays_have_the_line_of_their_header() {
        let text = "[[a.exports]]\nx = 1\n\n[[a.exports]]\nx = 2\n";
        assert_eq!(problem(text, &KeyPath::of(["a", "exports"]).index(1)).line, Some(4));
        assert_eq!(problem(text, &KeyPath::of(["a", "exports"]).index(1).key("x")).line, Some(5));
    }

    #[test]
    fn what_may_be_a_secret_is_not_repeated() {
        let text = "password = \"hunter2\"\nurl = \"tls://me:hunter2@hub\"\nseed = \"x\"\n";
        for key in ["password", "url", "seed"] {
            let told = problem(text, &KeyPath::of([key])).to_string();
            assert!(!told.contains("hunter2") && !told.contains('x'), "{told}");
        }
    }
}
