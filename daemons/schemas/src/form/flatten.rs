//! From rules to fields.

use serde_json::{Number, Value};

use super::{Bounds, Condition, Field, Input};
use crate::{
    rules::{Additional, Rule, Type},
    violation::join,
};

/// What `$comment` says of durations.
const NANOSECONDS: &str = "nanoseconds";

pub(super) fn fields(root: &Rule) -> Vec<Field> {
    let mut fields = Vec::new();
    group(root, "", &mut fields);
    fields
}

/// A property of a place, with all that the rules for the place say of it.
struct Property<'a> {
    name: &'a str,
    rules: Vec<&'a Rule>,
    required: bool,
    only_when: Option<Condition>,
}

/// Adds the fields of an object.
fn group(rule: &Rule, path: &str, fields: &mut Vec<Field>) {
    for property in properties(rule, path) {
        let path = join(path, property.name);
        add(property, path, fields);
    }
}

fn add(property: Property<'_>, path: String, fields: &mut Vec<Field>) {
    // A branch of `oneOf` repeats a property with less to say of it.
    let Some((rule, nullable)) = property.rules.iter().find_map(|rule| substance(rule)) else { return };
    let said = |of: fn(&Rule) -> Option<String>| property.rules.iter().copied().chain([rule]).find_map(of);
    let description = said(|rule| rule.description.clone());
    let input = input(rule, property.name);
    let follow: Option<(&Rule, String)> = match &input {
        Input::Group => Some((rule, path.clone())),
        Input::Rows => rule.items.as_deref().map(|row| (row, join(&path, "*"))),
        _ => None,
    };
    fields.push(Field {
        label: label(property.name),
        unlimited: description.as_deref().and_then(unlimited).filter(|_| is_number(&input)),
        default: property.rules.iter().find_map(|rule| default(rule)),
        description,
        required: property.required,
        only_when: property.only_when,
        deprecated: said(|rule| rule.deprecated.clone()),
        nullable,
        input,
        path,
    });
    if let Some((rule, path)) = follow {
        group(rule, &path, fields);
    }
}

/// All properties of a place: its own, those of `allOf`, and those of the branches of `oneOf` with the
/// condition under which they matter.
fn properties<'a>(rule: &'a Rule, path: &str) -> Vec<Property<'a>> {
    let mut found: Vec<Property<'a>> = Vec::new();
    let mut whole = vec![rule];
    let mut next = 0;
    while let Some(part) = whole.get(next).copied() {
        whole.extend(&part.all_of);
        next += 1;
    }
    for part in &whole {
        for (name, rule) in &part.properties {
            let required = whole.iter().any(|part| part.required.contains(name));
            note(&mut found, Property { name, rules: vec![rule], required, only_when: None });
        }
    }
    for part in whole.iter().filter(|part| !part.one_of.is_empty()) {
        branches(part, path, &mut found);
    }
    found
}

fn branches<'a>(part: &'a Rule, path: &str, found: &mut Vec<Property<'a>>) {
    let decides = part.discriminator();
    for branch in &part.one_of {
        for (name, rule) in &branch.properties {
            let required_in_all = part.one_of.iter().all(|branch| branch.required.contains(name));
            let only_when = decides.filter(|decides| *decides != name).map(|decides| {
                let with = part.one_of.iter().filter(|branch| branch.property(name).is_some());
                let values = with.filter_map(|branch| branch.property(decides));
                Condition {
                    path: join(path, decides),
                    any_of: values.flat_map(|rule| rule.choices.clone()).collect(),
                }
            });
            let required = required_in_all || (only_when.is_some() && branch.required.contains(name));
            note(found, Property { name, rules: vec![rule], required, only_when });
        }
    }
}

/// Adds a property, or what is new about one that was found already.
fn note<'a>(found: &mut Vec<Property<'a>>, new: Property<'a>) {
    match found.iter_mut().find(|known| known.name == new.name) {
        Some(known) => {
            known.rules.extend(new.rules);
            known.required |= new.required;
            if known.only_when.is_none() {
                known.only_when = new.only_when;
            }
        }
        None => found.push(new),
    }
}

/// The rule that says what a value is, and whether it may be null: NATS writes "an object or null" as
/// `oneOf`.
fn substance(rule: &Rule) -> Option<(&Rule, bool)> {
    if rule.types.is_empty()
        && rule.properties.is_empty()
        && rule.choices.is_empty()
        && !rule.one_of.is_empty()
    {
        let is_null = |branch: &&Rule| branch.types == [Type::Null];
        let main = rule.one_of.iter().find(|branch| !is_null(branch))?;
        return Some((main, rule.one_of.iter().any(|branch| is_null(&branch))));
    }
    Some((rule, rule.types.len() > 1 && rule.types.contains(&Type::Null)))
}

fn input(rule: &Rule, name: &str) -> Input {
    if !rule.choices.is_empty() {
        return Input::Choice { options: rule.choices.clone() };
    }
    let mut types = rule.types.iter().filter(|of| **of != Type::Null);
    match (types.next(), types.next()) {
        (Some(Type::Object), None) => object(rule, name),
        (None, None) if !rule.properties.is_empty() => Input::Group,
        (Some(Type::Array), None) => match rule.items.as_deref().map(|item| input(item, name)) {
            Some(Input::Group) => Input::Rows,
            Some(of) if is_single(&of) => Input::List { of: Box::new(of) },
            _ => Input::Json,
        },
        (Some(Type::String), None) if rule.date_time => Input::Time,
        (Some(Type::String), None) => Input::Text {
            min_length: rule.min_length.filter(|least| *least > 0),
            max_length: rule.max_length,
            pattern: rule.pattern.as_ref().map(|pattern| pattern.as_str().to_owned()),
        },
        (Some(Type::Integer), None) => {
            let is_time = rule.comment.as_deref().is_some_and(|comment| comment.contains(NANOSECONDS));
            match name {
                _ if is_time => Input::Duration(bounds(rule)),
                name if name.ends_with("bytes") || name.ends_with("_size") => Input::Bytes(bounds(rule)),
                _ => Input::Integer(bounds(rule)),
            }
        }
        (Some(Type::Number), None) => Input::Number(bounds(rule)),
        (Some(Type::Boolean), None) => Input::Switch,
        _ => Input::Json,
    }
}

fn bounds(rule: &Rule) -> Bounds {
    let number = |bound: i128| Number::from_i128(bound);
    Bounds { minimum: rule.minimum.and_then(number), maximum: rule.maximum.and_then(number) }
}

fn object(rule: &Rule, name: &str) -> Input {
    if rule.family().iter().any(|part| !part.properties.is_empty()) {
        return Input::Group;
    }
    let values = match (&rule.additional, rule.patterns.as_slice()) {
        (Additional::Each(values), []) => Some(&**values),
        (_, [(_, values)]) => Some(values),
        _ => None,
    };
    match values.map(|values| input(values, name)) {
        Some(of) if is_single(&of) => Input::Map { of: Box::new(of) },
        _ => Input::Json,
    }
}

/// Whether it is put in on one line.
fn is_single(input: &Input) -> bool {
    !matches!(input, Input::Group | Input::Rows | Input::List { .. } | Input::Map { .. } | Input::Json)
}

fn is_number(input: &Input) -> bool {
    matches!(input, Input::Integer(_) | Input::Number(_) | Input::Bytes(_) | Input::Duration(_))
}

/// The default, as what the field is: jsm.go has `ack_wait`'s as a string.
fn default(rule: &Rule) -> Option<Value> {
    let value = rule.default.as_ref()?;
    match value {
        Value::String(text) if rule.types == [Type::Integer] => {
            text.parse::<Number>().ok().map(Value::Number)
        }
        _ => Some(value.clone()),
    }
}

/// Which number a description says is no limit.
fn unlimited(description: &str) -> Option<i64> {
    let before = description.split(" for unlimited").next().filter(|before| *before != description)?;
    before.rsplit(' ').next()?.parse().ok()
}

fn label(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
