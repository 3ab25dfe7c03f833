//! Single keys of `node.toml` set by variables: first those of the `.env` file beside it, then
//! those of the environment.
//!
//! `LEAFBOX_NATS__CLIENT` sets `nats.client`: a double underscore is a dot, because key names hold
//! single ones (`LEAFBOX_NATS_SERVER` is `nats_server`). Any other name that starts with
//! `LEAFBOX_` is refused, so that a misspelt one is not passed over, except [`NOT_KEYS`].

use toml::de::DeValue;

use crate::{
    document::{Document, Override},
    path::KeyPath,
    problem::{Problem, Severity},
    schema::{Kind, node_keys},
    suggest::nearest,
};

/// What every variable of leafbox starts with.
pub const PREFIX: &str = "LEAFBOX_";

/// Variables that leafbox reads for something else than a key of `node.toml`; one that ends in
/// `_` stands for all that start with it.
pub const NOT_KEYS: [(&str, &str); 4] = [
    ("LEAFBOX_CONFIG", "the path of node.toml"),
    ("LEAFBOX_JETSTREAM_KEY", "given to nats-server, whose configuration refers to it"),
    ("LEAFBOX_LOG", "what is logged, as RUST_LOG has it"),
    ("LEAFBOX_TEST_", "for the tests of leafbox itself"),
];

/// A variable and where it was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: &'a str,
    /// `environment`, or the path of the `.env` file.
    pub(crate) file: &'a str,
    pub(crate) line: Option<usize>,
}

/// The variables in the text of a `.env` file whose names start with [`PREFIX`]: `NAME=value`,
/// `NAME="value"` or `NAME='value'` a line, with or without `export`.
pub(crate) fn dotenv<'a>(file: &'a str, text: &'a str) -> Vec<Variable<'a>> {
    let variable = |(place, line): (usize, &'a str)| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let (name, value) = line.split_once('=')?;
        let (name, value) = (name.trim_end(), value.trim());
        let quoted = ['"', '\''].into_iter().find_map(|quote| {
            let (inside, rest) = value.strip_prefix(quote)?.split_once(quote)?;
            (rest.trim().is_empty() || rest.trim_start().starts_with('#')).then_some(inside)
        });
        let plain = || value.split_once(" #").map_or(value, |(before, _)| before.trim_end());
        name.starts_with(PREFIX).then(|| Variable {
            name,
            value: quoted.unwrap_or_else(plain),
            file,
            line: Some(place + 1),
        })
    };
    text.lines().enumerate().filter_map(variable).collect()
}

/// Sets what the variables set, the later over the earlier, and tells those that set nothing.
pub(crate) fn apply<'t>(document: &mut Document<'t>, variables: &[Variable<'t>]) -> Vec<Problem> {
    let mut variables = variables.iter().filter(|variable| !is_not_a_key(variable.name)).peekable();
    if variables.peek().is_none() {
        return Vec::new();
    }
    let keys: Vec<(String, KeyPath, Kind)> = node_keys()
        .into_iter()
        .map(|(path, kind)| {
            let path = path.iter().fold(KeyPath::default(), |whole, key| whole.key(key));
            (variable_of(&path), path, kind)
        })
        .collect();
    variables.filter_map(|variable| apply_one(document, variable, &keys)).collect()
}

fn is_not_a_key(name: &str) -> bool {
    NOT_KEYS.iter().any(|(known, _)| name == *known || (known.ends_with('_') && name.starts_with(known)))
}

fn variable_of(path: &KeyPath) -> String {
    format!("{PREFIX}{}", path.to_string().replace('.', "__").to_uppercase())
}

fn apply_one<'t>(
    document: &mut Document<'t>,
    variable: &Variable<'t>,
    keys: &[(String, KeyPath, Kind)],
) -> Option<Problem> {
    let Some((_, path, kind)) = keys.iter().find(|(name, ..)| name == variable.name) else {
        return Some(unknown(variable, keys));
    };
    let value = match read(variable, *kind) {
        Ok(value) => value,
        Err(remedy) => {
            let message = format!("it sets `{path}`, which is {}", wanted(*kind));
            return Some(Problem {
                found: Some(variable.value.to_owned()),
                ..problem(variable, message, remedy)
            });
        }
    };
    let origin = Override {
        path: path.clone(),
        file: variable.file.to_owned(),
        line: variable.line,
        variable: variable.name.to_owned(),
        value: variable.value.to_owned(),
    };
    let is_set = document.set(value, origin);
    let message = || format!("it sets `{path}`, but {} has no table there", document.file);
    (!is_set).then(|| problem(variable, message(), format!("repair {} first", document.file)))
}

/// The value is not repeated: of a name that is not known, it may be anything, a secret too.
fn unknown(variable: &Variable<'_>, keys: &[(String, KeyPath, Kind)]) -> Problem {
    let known = keys.iter().map(|(name, ..)| name.as_str()).chain(NOT_KEYS.map(|(name, _)| name));
    let remedy = match nearest(variable.name, known) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => "a variable sets one key of node.toml, a dot written as two underscores: \
                 LEAFBOX_NATS__CLIENT for `nats.client`; rename or remove this one"
            .into(),
    };
    problem(variable, "this variable sets no key of node.toml".into(), remedy)
}

fn problem(variable: &Variable<'_>, message: String, remedy: String) -> Problem {
    Problem {
        file: variable.file.to_owned(),
        line: variable.line,
        path: variable.name.to_owned(),
        found: None,
        message,
        remedy,
        severity: Severity::Error,
    }
}

fn read<'t>(variable: &Variable<'t>, kind: Kind) -> Result<DeValue<'t>, String> {
    let text = variable.value;
    let parsed = DeValue::parse(text).map(toml::Spanned::into_inner);
    match (kind, parsed) {
        (Kind::Text, _) => Ok(DeValue::String(text.into())),
        (Kind::Integer, Ok(value @ DeValue::Integer(_)))
        | (Kind::Boolean, Ok(value @ DeValue::Boolean(_)))
        | (Kind::Array, Ok(value @ DeValue::Array(_))) => Ok(value),
        (Kind::Integer, _) => Err(format!("write digits only, such as {}=10", variable.name)),
        (Kind::Boolean, _) => Err(format!("write {}=true or {0}=false", variable.name)),
        (Kind::Array, _) => Err(format!("write a TOML array: {}='[\"a\", \"b\"]'", variable.name)),
    }
}

fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Integer => "a whole number",
        Kind::Boolean => "true or false",
        Kind::Array => "an array",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotenv_lines_are_read_as_shells_write_them() {
        let text = "# LEAFBOX_A=0\nexport LEAFBOX_A=1 # one\n\nOTHER=x\nLEAFBOX_B=\"a # b\"  # c\nLEAFBOX_C='[\"x\"]'\nLEAFBOX_D\n";
        let read: Vec<_> = dotenv(".env", text)
            .into_iter()
            .map(|variable| (variable.name, variable.value, variable.line))
            .collect();
        assert_eq!(
            read,
            [("LEAFBOX_A", "1", Some(2)), ("LEAFBOX_B", "a # b", Some(5)), ("LEAFBOX_C", "[\"x\"]", Some(6))]
        );
    }

    #[test]
    fn names_that_are_no_keys_are_left_to_others() {
        assert!(is_not_a_key("LEAFBOX_LOG") && is_not_a_key("LEAFBOX_JETSTREAM_KEY"));
        assert!(is_not_a_key("LEAFBOX_TEST_SERVER"));
        assert!(!is_not_a_key("LEAFBOX_LOGS") && !is_not_a_key("LEAFBOX_NATS_SERVER"));
    }
}
