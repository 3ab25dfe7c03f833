//! Inputs for the fields of a schema. All of it works without a script: lists of groups have one row
//! more than there are, and a row whose inputs are emptied is taken out.

use std::collections::BTreeSet;

use maud::{Markup, html};
use schemas::{Field, Form, Input, Violation};
use serde_json::Value;

use super::kinds::Kind;

/// All that is needed to show a field.
struct Shown<'a> {
    kind: &'static Kind,
    form: &'a Form,
    inputs: &'a [(String, String)],
    violations: &'a [Violation],
}

/// The inputs of a form.
pub(super) fn fields(
    kind: &'static Kind,
    form: &Form,
    inputs: &[(String, String)],
    violations: &[Violation],
) -> Markup {
    let shown = Shown { kind, form, inputs, violations };
    let is_more =
        |field: &&Field| parent(&field.path) == kind.root && !kind.first.contains(&field.path.as_str());
    let more: Vec<&Field> = form.fields().iter().filter(is_more).collect();
    let has_trouble =
        violations.iter().any(|violation| !kind.first.iter().any(|first| violation.path.starts_with(first)));
    html! {
        @for path in kind.first {
            @if let Some(field) = form.field(path) { (shown.field(field, path)) }
        }
        details open[has_trouble] {
            summary { "More" }
            @for field in more { (shown.field(field, &field.path)) }
        }
    }
}

impl Shown<'_> {
    /// A field at `path`, in which rows have their numbers.
    fn field(&self, field: &Field, path: &str) -> Markup {
        let is_fixed = matches!(&field.input, Input::Choice { options } if options.len() < 2);
        let is_old = field.deprecated.is_some() && self.value(path).is_none_or(str::is_empty);
        if self.kind.without.contains(&field.path.as_str()) || is_fixed || is_old {
            return html! {};
        }
        match &field.input {
            Input::Group => html! {
                details open[self.has_something(path)] {
                    summary { (field.label) }
                    (hint(field, path))
                    (self.below(&field.path, path))
                }
            },
            Input::Rows => self.rows(field, path),
            _ => self.input(field, path),
        }
    }

    fn below(&self, pattern: &str, path: &str) -> Markup {
        let fields = self.form.fields().iter().filter(|field| parent(&field.path) == pattern);
        html! {
            @for field in fields {
                (self.field(field, &format!("{path}/{}", field.path.rsplit('/').next().unwrap_or_default())))
            }
        }
    }

    fn rows(&self, field: &Field, path: &str) -> Markup {
        let before = format!("{path}/");
        let numbers = self.inputs.iter().filter_map(|(name, _)| name.strip_prefix(&before));
        let mut numbers: BTreeSet<usize> =
            numbers.filter_map(|rest| rest.split('/').next()?.parse().ok()).collect();
        let next = numbers.last().map_or(0, |last| last + 1);
        numbers.insert(next);
        html! {
            details open[next > 0] {
                summary { (field.label) }
                (hint(field, path))
                // Without it the last row could not be taken out.
                input type="hidden" name=(path) value="";
                @for number in numbers {
                    fieldset {
                        legend { @if number == next { "One more" } @else { (number + 1) } }
                        (self.below(&format!("{}/*", field.path), &format!("{path}/{number}")))
                    }
                }
            }
        }
    }

    fn input(&self, field: &Field, path: &str) -> Markup {
        let (id, value) = (id(path), self.value(path).unwrap_or_default());
        let violation = self.violations.iter().find(|violation| violation.path == path);
        let described = match violation {
            Some(_) => format!("{id}-error {id}-hint"),
            None => format!("{id}-hint"),
        };
        let invalid = violation.map(|_| "true");
        html! {
            @match &field.input {
                Input::Switch => {
                    // A box that is not ticked sends nothing.
                    input type="hidden" name=(path) value="false";
                    label for=(id) {
                        input id=(id) type="checkbox" name=(path) value="true" checked[value == "true"] aria-describedby=(described) aria-invalid=[invalid];
                        (field.label)
                    }
                }
                Input::Choice { options } => {
                    label for=(id) { (field.label) }
                    select id=(id) name=(path) aria-describedby=(described) aria-invalid=[invalid] {
                        @if !field.required || value.is_empty() { option value="" { "not said" } }
                        @for option in options.iter().filter(|option| *option != "") {
                            @let text = option.as_str().map_or_else(|| option.to_string(), str::to_owned);
                            option value=(text) selected[text == value] { (text) }
                        }
                    }
                }
                Input::List { .. } | Input::Map { .. } | Input::Json => {
                    label for=(id) { (field.label) }
                    textarea id=(id) name=(path) rows="3" spellcheck="false" aria-describedby=(described) aria-invalid=[invalid] { "\n" (value) }
                }
                _ => {
                    label for=(id) { (field.label) }
                    input id=(id) name=(path) value=(value) autocomplete="off" autocapitalize="none" spellcheck="false" aria-describedby=(described) aria-invalid=[invalid];
                }
            }
            @if let Some(violation) = violation {
                p.field-error id={ (id) "-error" } { "✗ " (violation) }
            }
            (hint(field, path))
        }
    }

    fn value(&self, path: &str) -> Option<&str> {
        self.inputs.iter().rev().find(|(name, _)| name == path).map(|(_, value)| value.as_str())
    }

    fn has_something(&self, path: &str) -> bool {
        let before = format!("{path}/");
        let default = |name: &str| {
            let field = self.form.field(name)?;
            Some(field.show(field.default.as_ref()?))
        };
        self.inputs.iter().any(|(name, value)| {
            name.starts_with(&before)
                && !value.is_empty()
                && value != "false"
                && default(name).is_none_or(|default| default != *value)
        })
    }
}

/// What a field is for, how it is written, and what holds without it.
fn hint(field: &Field, path: &str) -> Markup {
    let how = match &field.input {
        Input::Bytes(_) => Some("Such as 64MiB or 1GiB."),
        Input::Duration(_) => Some("Such as 30s, 1h30m or 7d."),
        Input::List { .. } => Some("One a line."),
        Input::Map { .. } => Some("Lines of name=value."),
        Input::Time => Some("Such as 2026-01-31T12:00:00Z."),
        Input::Json => Some("JSON."),
        _ => None,
    };
    let default =
        field.default.as_ref().filter(|default| !default.is_null()).map(|default| field.show(default));
    html! {
        p.hint id={ (id(path)) "-hint" } {
            @if let Some(description) = &field.description { (description) " " }
            @if let Some(how) = how { (how) " " }
            @if field.unlimited.is_some() { code { "unlimited" } " for no limit. " }
            @if let Some(default) = default { @if !default.is_empty() { "Left out: " code { (default) } ". " } }
            @if let Some(condition) = &field.only_when {
                "Only where " code { (condition.path.trim_start_matches('/')) } " is "
                @for (number, value) in condition.any_of.iter().enumerate() {
                    @if number > 0 { " or " }
                    code { (plain(value)) }
                }
                ". "
            }
            @if let Some(deprecated) = &field.deprecated { strong { "Not to be used any more: " } (deprecated) }
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The id of the input of a field.
pub(super) fn id(path: &str) -> String {
    format!("field{}", path.replace('/', "-"))
}
