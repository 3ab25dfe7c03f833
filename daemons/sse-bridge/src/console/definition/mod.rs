//! Definitions of streams and consumers: forms made from NATS's schemas, raw JSON as the other way in,
//! and both checked against the schema before nats-server sees them.

mod fields;
mod kinds;
mod patch;

use maud::{Markup, html};
use schemas::{Form, Input, Mode, Problem, Rules, Schema, Violation};
use serde_json::Value;

pub(super) use kinds::{CONSUMERS, STREAMS, STREAMS_EDITED};
pub(super) use patch::{CONSUMER, KV, OBJECTS, OUTBOX, STREAM, patch};

use self::kinds::Kind;
use super::{failure::Failure, form::Inputs};

/// A schema, ready to make forms and to check what comes back.
pub(super) struct Definition {
    kind: &'static Kind,
    rules: Rules,
    form: Form,
}

/// What a form shows: what was there or was typed, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Paths and texts.
    inputs: Vec<(String, String)>,
    /// The JSON that was typed instead.
    json: Option<String>,
    violations: Vec<Violation>,
    /// What NATS said.
    refused: Option<Failure>,
}

impl Definition {
    /// The definition of a kind.
    ///
    /// # Panics
    /// Never: tests compile the schema of each kind.
    pub(super) fn of(kind: &'static Kind) -> Self {
        let schema = Schema::titled(kind.schema).expect("the schemas of all kinds are vendored");
        let rules = schema.rules().expect("all vendored schemas compile");
        let form = Form::of(&rules);
        Self { kind, rules, form }
    }

    /// A draft of what is new: NATS's defaults.
    pub(super) fn new_draft(&self) -> Draft {
        let fields = self.form.fields().iter().filter(|field| !field.path.contains('*'));
        let defaults =
            fields.filter_map(|field| Some((field.path.clone(), field.show(field.default.as_ref()?))));
        Draft { inputs: defaults.collect(), ..Draft::default() }
    }

    /// A draft of what is there.
    pub(super) fn draft_of(&self, document: &Value) -> Draft {
        Draft { inputs: self.form.inputs(document), ..Draft::default() }
    }

    /// The document that was typed, into fields or as JSON, on top of `base`; or the draft again, with
    /// what is wrong.
    pub(super) fn read(&self, inputs: &Inputs, base: &Value) -> Result<Value, Box<Draft>> {
        let again = |violations| Box::new(Draft { violations, ..self.typed(inputs) });
        let document = if inputs.has("json") {
            serde_json::from_str(inputs.get("json")).map_err(|error| {
                let expected = format!("JSON ({error})");
                again(vec![Violation { path: String::new(), problem: Problem::Wrong, found: None, expected }])
            })?
        } else {
            let typed: Vec<(&str, String)> =
                fields_of(inputs).map(|(path, text)| (path, self.said(path, text))).collect();
            let typed = typed.iter().map(|(path, text)| (*path, text.as_str()));
            self.form.document(base.clone(), typed).map_err(again)?
        };
        self.check(&document, base).map_err(again)?;
        Ok(document)
    }

    /// What NATS said of a document that the schema allows.
    pub(super) fn refused(&self, inputs: &Inputs, refused: Failure) -> Draft {
        Draft { refused: Some(refused), ..self.typed(inputs) }
    }

    /// What was typed, as it was; JSON fills the fields too, as far as it can be read.
    fn typed(&self, inputs: &Inputs) -> Draft {
        if !inputs.has("json") {
            let inputs = fields_of(inputs).map(|(path, text)| (path.to_owned(), text.to_owned()));
            return Draft { inputs: inputs.collect(), ..Draft::default() };
        }
        let fields = match serde_json::from_str(inputs.get("json")) {
            Ok(document) => self.draft_of(&document),
            Err(_) => self.new_draft(),
        };
        Draft { json: Some(inputs.lines("json")), ..fields }
    }

    /// What an input says: nothing in one that must be there stands for its default, as beside it.
    fn said(&self, path: &str, text: &str) -> String {
        let default = || {
            let field = self.form.field(path).filter(|field| field.required)?;
            Some(field.show(field.default.as_ref()?))
        };
        match text.trim() {
            "" => default().unwrap_or_default(),
            _ => text.to_owned(),
        }
    }

    /// Strict, but for what the server itself has said: one that is newer than the schema has fields more.
    fn check(&self, document: &Value, base: &Value) -> Result<(), Vec<Violation>> {
        let Err(mut violations) = self.rules.check(document, Mode::Strict) else { return Ok(()) };
        violations.retain(|violation| {
            let at = |document: &Value| document.pointer(&violation.path).cloned();
            violation.problem != Problem::Unknown || at(document) != at(base)
        });
        if violations.is_empty() { Ok(()) } else { Err(violations) }
    }

    /// The forms: fields, and JSON. `both` makes inputs that both send, of the id that it is given.
    pub(super) fn markup(
        &self,
        draft: &Draft,
        action: &str,
        both: impl Fn(&str) -> Markup,
        json: &Value,
    ) -> Markup {
        let text = draft.json.clone().unwrap_or_else(|| format!("{json:#}"));
        html! {
            (self.troubles(draft))
            form method="post" action=(action) {
                (both("of-fields"))
                (fields::fields(self.kind, &self.form, &draft.inputs, &draft.violations))
                button type="submit" { "Save" }
            }
            details open[draft.json.is_some()] {
                summary { "As JSON instead" }
                form method="post" action=(action) {
                    (both("of-json"))
                    label for="json" { "The request as NATS takes it" }
                    textarea #json name="json" spellcheck="false" rows="20" aria-describedby="json-hint" { "\n" (text) }
                    p.hint #json-hint {
                        "Checked against " a href={ "/schemas/" (self.kind.schema) } { (self.kind.schema) } "."
                    }
                    button type="submit" { "Save the JSON" }
                }
            }
        }
    }

    fn troubles(&self, draft: &Draft) -> Markup {
        html! {
            @if let Some(refused) = &draft.refused { (refused.markup()) }
            @if !draft.violations.is_empty() {
                div.message.bad role="alert" {
                    p { strong { "✗ Nothing was changed." } }
                    ul {
                        @for violation in &draft.violations {
                            li {
                                @if self.form.field(&violation.path).is_some() && draft.json.is_none() {
                                    a href={ "#" (fields::id(&violation.path)) } { (violation) }
                                } @else { (violation) }
                            }
                        }
                    }
                }
            }
        }
    }

    /// How a value of a field is written by hand; `None` where it has no unit.
    fn with_unit(&self, path: &str, value: &Value) -> Option<String> {
        let field = self.form.field(path)?;
        matches!(field.input, Input::Bytes(_) | Input::Duration(_)).then(|| field.show(value))
    }
}

/// The inputs that are fields of the document.
fn fields_of(inputs: &Inputs) -> impl Iterator<Item = (&str, &str)> {
    let inputs = inputs.0.iter().filter(|(path, _)| path.starts_with('/'));
    inputs.map(|(path, text)| (path.as_str(), text.as_str()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn inputs(inputs: &[(&str, &str)]) -> Inputs {
        Inputs(inputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_new_stream_needs_no_more_than_a_name_and_subjects() {
        let definition = Definition::of(&STREAMS);
        let mut typed = definition.new_draft().inputs;
        typed.extend([
            ("/name".to_owned(), "ORDERS".to_owned()),
            ("/subjects".to_owned(), "orders.>".to_owned()),
        ]);
        typed.push(("/max_age".to_owned(), String::new()));
        let document = definition.read(&Inputs(typed), &Value::Null).unwrap();
        assert_eq!(document["max_age"], 0, "the default stands beside it");
        assert_eq!((&document["name"], &document["subjects"]), (&json!("ORDERS"), &json!(["orders.>"])));
        assert!(document["mirror"].is_null() && document["sources"].is_null(), "{document:#}");
    }

    #[test]
    fn what_is_wrong_stands_beside_its_field_and_what_was_typed_stays() {
        let definition = Definition::of(&STREAMS);
        let mut typed = definition.new_draft().inputs;
        typed.extend([("/name".to_owned(), "a.b".to_owned()), ("/max_age".to_owned(), "<7>".to_owned())]);
        let draft = definition.read(&Inputs(typed), &Value::Null).unwrap_err();
        let page = definition.markup(&draft, "/streams/new", |_| html! {}, &json!({})).into_string();
        assert!(
            page.contains("value=\"&lt;7&gt;\"") && page.contains("id=\"field-max_age-error\""),
            "{page}"
        );
        assert!(page.contains("href=\"#field-max_age\"") && page.contains("such as 30s"), "{page}");
    }

    #[test]
    fn json_is_checked_as_strictly_but_what_the_server_said_stays() {
        let definition = Definition::of(&STREAMS_EDITED);
        let mut base = Definition::of(&STREAMS)
            .read(&inputs(&[("json", r#"{"name":"A","retention":"limits","max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"max_age":0,"storage":"file","num_replicas":1}"#)]), &Value::Null)
            .unwrap();
        base["of_a_newer_server"] = json!(true);
        let typed = |document: &Value| definition.read(&inputs(&[("json", &document.to_string())]), &base);
        let mut edited = base.clone();
        edited["max_msgs"] = json!(7);
        assert_eq!(typed(&edited).unwrap(), edited);
        edited["of_a_newer_server"] = json!(false);
        assert!(
            typed(&edited).unwrap_err().violations[0].to_string().contains("of_a_newer_server is unknown")
        );
        let broken = definition.read(&inputs(&[("json", "{")]), &base).unwrap_err();
        assert!(broken.violations[0].to_string().contains("expected JSON"));
    }

    #[test]
    fn each_kind_has_the_fields_that_come_first() {
        for kind in [&STREAMS, &STREAMS_EDITED, &CONSUMERS] {
            let definition = Definition::of(kind);
            for path in kind.first.iter().chain(kind.without) {
                assert!(definition.form.field(path).is_some(), "{path} of {}", kind.schema);
            }
        }
    }
}
