//! What the TOML parser refuses, with what to do about it.

use crate::{
    document::Document,
    path::KeyPath,
    problem::{Problem, Severity},
};

/// One problem for each error of the parser; of several on a line, which follow from one another,
/// the first.
pub(crate) fn problems(document: &Document<'_>, errors: &[toml::de::Error]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    for error in errors {
        let problem = problem(document, error);
        if !problems.iter().any(|earlier| earlier.line == problem.line) {
            problems.push(problem);
        }
    }
    problems
}

fn problem(document: &Document<'_>, error: &toml::de::Error) -> Problem {
    let line = error.span().map(|span| document.line_at(span.start));
    let text = line.map(|line| document.line_text(line).trim()).unwrap_or_default();
    let described = |path: String, message: String, remedy: String| Problem {
        file: document.file.clone(),
        line,
        path,
        found: None,
        message,
        remedy,
        severity: Severity::Error,
    };
    if error.message().starts_with("duplicate key") {
        let path = line.map(|line| path_of_line(document, line)).unwrap_or_default();
        let (message, remedy) = match first_line(document, &path, line, text) {
            Some(first) => (
                format!("this key is already set on line {first}"),
                format!("keep one of lines {first} and {}", line.unwrap_or_default()),
            ),
            None => ("this key is set twice".into(), "keep one of the two".into()),
        };
        return described(path.to_string(), message, remedy);
    }
    let key = text.split_once('=').map(|(key, _)| key.trim().to_owned()).unwrap_or_default();
    let remedy = match unquoted(text) {
        Some(value) => format!("write the value in quotes: {key} = \"{value}\""),
        None if text.ends_with('=') => format!("write a value after `{key} =`, or remove the line"),
        None if text.starts_with('[') => {
            "write a table as [name] and a list entry as [[name]], on a line of its own".into()
        }
        None => "write `key = value`, with text in double quotes, as TOML has it (https://toml.io)".into(),
    };
    described(key, format!("this is not TOML: {}", error.message()), remedy)
}

/// The earlier line that sets the same; of a table that is there twice, the tree knows only the
/// second.
fn first_line(document: &Document<'_>, path: &KeyPath, line: Option<usize>, text: &str) -> Option<usize> {
    let line = line?;
    if text.starts_with('[') {
        let name = |text: &str| text.split(']').next().map(|name| name.replace(' ', ""));
        return (1..line).find(|earlier| name(document.line_text(*earlier).trim()) == name(text));
    }
    document.locate(path).0.filter(|first| *first != line)
}

/// The path that a line sets, from its own text and the table header above it.
fn path_of_line(document: &Document<'_>, line: usize) -> KeyPath {
    let header = |text: &str| {
        let text = text.trim();
        text.starts_with('[').then(|| {
            let end = text.find(']').unwrap_or(text.len());
            split_key(text[..end].trim_start_matches('['))
        })
    };
    let text = document.line_text(line);
    if let Some(keys) = header(text) {
        return path(keys);
    }
    let above = (1..line).rev().find_map(|line| header(document.line_text(line))).unwrap_or_default();
    let own = split_key(text.split('=').next().unwrap_or_default());
    path(above.into_iter().chain(own).collect())
}

fn split_key(text: &str) -> Vec<String> {
    text.split('.').map(|key| key.trim().trim_matches(['"', '\'']).to_owned()).collect()
}

fn path(keys: Vec<String>) -> KeyPath {
    keys.iter().fold(KeyPath::default(), |path, key| path.key(key))
}

/// The value of a line that should have been in quotes.
fn unquoted(text: &str) -> Option<&str> {
    let (_, value) = text.split_once('=')?;
    let value = value.split('#').next().unwrap_or_default().trim();
    let starts_as_text = value.starts_with(|character: char| {
        character.is_alphanumeric() || matches!(character, '/' | '.' | '$' | '*' | '>' | '_')
    });
    (starts_as_text && !value.contains('"')).then_some(value)
}
