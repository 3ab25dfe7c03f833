//! A document from what was typed, and what to show for a document.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Field, Form, Input};
use crate::violation::{Problem, Violation, join, steps};

/// More rows than anyone types, fewer than would hurt.
const MOST_ROWS: usize = 1000;

/// What was typed, in the shape of the document.
enum Typed {
    /// A value or nothing, and whether it says no more than leaving it out would.
    Value {
        value: Option<Value>,
        idle: bool,
    },
    /// In the order of the inputs.
    Group {
        fields: Vec<(String, Typed)>,
        required: bool,
    },
    Rows(BTreeMap<usize, Typed>),
}

impl Typed {
    fn group(required: bool) -> Self {
        Self::Group { fields: Vec::new(), required }
    }

    /// Whether leaving all of it out would say the same.
    fn is_idle(&self) -> bool {
        match self {
            Self::Value { idle, .. } => *idle,
            Self::Group { fields, .. } => fields.iter().all(|(_, field)| field.is_idle()),
            Self::Rows(rows) => rows.values().all(Self::is_idle),
        }
    }

    /// It on top of what was there.
    fn merged(self, base: Option<Value>) -> Option<Value> {
        let idle = self.is_idle();
        match self {
            Self::Value { value, .. } => value,
            Self::Group { fields, required } => {
                let mut object = match base {
                    Some(Value::Object(object)) => object,
                    _ if idle && !required => return None,
                    _ => Map::new(),
                };
                for (name, field) in fields {
                    match field.merged(object.get(&name).cloned()) {
                        Some(value) => _ = object.insert(name, value),
                        None => _ = object.shift_remove(&name),
                    }
                }
                (required || !object.is_empty()).then_some(Value::Object(object))
            }
            Self::Rows(rows) => {
                let was = |number| base.as_ref().and_then(|base| base.get(number)).cloned();
                let rows: Vec<Value> =
                    rows.into_iter().filter_map(|(number, row)| row.merged(was(number))).collect();
                (!rows.is_empty()).then_some(Value::Array(rows))
            }
        }
    }
}

impl Form {
    /// The document that was typed: `inputs` are paths and texts as a browser sends them, the last one
    /// of a path counting. What has no input is as in `base`, which is `null` for a new document; an
    /// input with nothing in it takes the value out.
    ///
    /// An optional group in which nothing was typed but what holds anyway is left out, and so is such a
    /// row. Rows are those of the inputs, each on top of the row with the same number in `base`.
    ///
    /// # Errors
    /// Every input that cannot be read or has no field, by its path.
    pub fn document<'a>(
        &self,
        base: Value,
        inputs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Value, Vec<Violation>> {
        let mut typed = Typed::group(true);
        let mut violations = Vec::new();
        for (path, text) in inputs {
            if let Err(violation) = self.put(&mut typed, path, text) {
                violations.push(violation);
            }
        }
        if !violations.is_empty() {
            return Err(violations);
        }
        let mut document = typed.merged(Some(base)).unwrap_or_default();
        for field in self.fields.iter().filter(|field| field.only_when.is_some()) {
            let steps: Vec<String> = steps(&field.path).collect();
            hide(field, &steps, &mut document);
        }
        Ok(document)
    }

    /// The paths and texts that show a document in the form, for [`Self::document`] on top of the same
    /// document. What has no field is not among them, nor what its input could not show whole, such as
    /// a line break in one of several lines: both stay as they are.
    pub fn inputs(&self, document: &Value) -> Vec<(String, String)> {
        let mut inputs = Vec::new();
        for field in self.fields.iter().filter(|field| !matches!(field.input, Input::Group | Input::Rows)) {
            let steps: Vec<String> = steps(&field.path).collect();
            show(field, &steps, document, "", &mut inputs);
        }
        inputs
    }

    fn put(&self, typed: &mut Typed, path: &str, text: &str) -> Result<(), Violation> {
        let violation = |problem, expected: &str| {
            let (path, expected) = (path.to_owned(), expected.to_owned());
            Violation { path, problem, found: Some(text.chars().take(80).collect()), expected }
        };
        let unknown = || violation(Problem::Unknown, "a field of this form");
        let field = self.field(path).filter(|_| !path.contains('*')).ok_or_else(unknown)?;
        let mut steps: Vec<String> = steps(path).collect();
        let has_fields = matches!(field.input, Input::Group | Input::Rows);
        let value = match field.read(text) {
            Ok(value) => value,
            Err(expected) => return Err(violation(Problem::Wrong, &expected)),
        };
        let name = if has_fields { None } else { steps.pop() };
        let (mut place, mut here) = (typed, String::new());
        for step in &steps {
            here = join(&here, step);
            place = self.step(place, &here, step).ok_or_else(unknown)?;
        }
        if let (Some(name), Typed::Group { fields, .. }) = (name, place) {
            // A switch that is off says nothing, unless on is the default.
            let by_default =
                |value: &Value| field.default.as_ref().map_or(*value == false, |default| value == default);
            let idle = value.as_ref().is_none_or(by_default);
            fields.retain(|(known, _)| *known != name);
            fields.push((name, Typed::Value { value, idle }));
        }
        Ok(())
    }

    /// Goes into the group, the rows or the row at the path `here`, whose last step is `step`.
    fn step<'a>(&self, place: &'a mut Typed, here: &str, step: &str) -> Option<&'a mut Typed> {
        match place {
            Typed::Group { fields, .. } => {
                let index = fields.iter().position(|(name, _)| name == step).unwrap_or_else(|| {
                    let new = match self.field(here) {
                        Some(Field { input: Input::Rows, .. }) => Typed::Rows(BTreeMap::new()),
                        field => Typed::group(field.is_some_and(|field| field.required)),
                    };
                    fields.push((step.to_owned(), new));
                    fields.len() - 1
                });
                Some(&mut fields[index].1)
            }
            Typed::Rows(rows) => {
                let number = step.parse().ok().filter(|number| *number < MOST_ROWS)?;
                Some(rows.entry(number).or_insert_with(|| Typed::group(false)))
            }
            Typed::Value { .. } => None,
        }
    }
}

/// Takes a field's value out wherever the field that decides has no value for which it matters.
fn hide(field: &Field, steps: &[String], place: &mut Value) {
    match (steps, place) {
        ([name], Value::Object(object)) => {
            let Some(condition) = &field.only_when else { return };
            let decides = condition.path.rsplit('/').next().and_then(|name| object.get(name));
            if !decides.is_some_and(|value| condition.any_of.contains(value)) {
                object.shift_remove(name);
            }
        }
        ([row, rest @ ..], Value::Array(rows)) if row == "*" => {
            rows.iter_mut().for_each(|row| hide(field, rest, row));
        }
        ([name, rest @ ..], Value::Object(object)) => {
            if let Some(value) = object.get_mut(name) {
                hide(field, rest, value);
            }
        }
        _ => {}
    }
}

fn show(field: &Field, steps: &[String], value: &Value, path: &str, inputs: &mut Vec<(String, String)>) {
    match (steps, value) {
        ([], value) => {
            let text = field.show(value);
            if field.read(&text).is_ok_and(|read| read.as_ref() == Some(value)) {
                inputs.push((path.to_owned(), text));
            }
        }
        ([row, rest @ ..], Value::Array(rows)) if row == "*" => {
            for (number, row) in rows.iter().enumerate() {
                show(field, rest, row, &join(path, &number.to_string()), inputs);
            }
        }
        ([name, rest @ ..], Value::Object(object)) => {
            if let Some(value) = object.get(name) {
                show(field, rest, value, &join(path, name), inputs);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::{Mode, Schema};

    fn form(name: &str) -> Form {
        Form::of(&Schema::named(name).unwrap().rules().unwrap())
    }

    fn strict(name: &str, document: &Value) {
        let rules = Schema::named(name).unwrap().rules().unwrap();
        assert_eq!(rules.check(document, Mode::Strict), Ok(()), "{document:#}");
    }

    /// What a form shows for a new document: every default.
    fn defaults(form: &Form) -> Vec<(String, String)> {
        let top = form.fields().iter().filter(|field| !field.path.contains('*'));
        top.map(|field| {
            (
                field.path.clone(),
                field.default.as_ref().map(|default| field.show(default)).unwrap_or_default(),
            )
        })
        .collect()
    }

    fn typed(form: &Form, base: Value, inputs: &[(String, String)], more: &[(&str, &str)]) -> Value {
        let inputs = inputs.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        form.document(base, inputs.chain(more.iter().copied())).unwrap()
    }

    #[test]
    fn a_stream_from_defaults_and_a_name_is_right_and_has_no_empty_groups() {
        let form = form("stream_create_request");
        let request = typed(
            &form,
            Value::Null,
            &defaults(&form),
            &[
                ("/name", "ORDERS"),
                ("/subjects", "orders.>"),
                ("/max_age", "30d"),
                ("/republish/headers_only", "false"),
                ("/sources/0/name", ""),
            ],
        );
        strict("stream_create_request", &request);
        assert_eq!(request["max_age"], 2_592_000_000_000_000_i64);
        assert_eq!((&request["name"], &request["storage"]), (&json!("ORDERS"), &json!("file")));
        for absent in ["republish", "placement", "mirror", "sources", "description"] {
            assert_eq!(request.get(absent), None, "{absent}");
        }
    }

    #[test]
    fn a_consumer_has_a_start_only_where_its_policy_wants_one() {
        let form = form("consumer_create_request");
        let mut inputs = defaults(&form);
        inputs.extend(
            [("/stream_name", "S"), ("/config/opt_start_seq", "7")].map(|(a, b)| (a.into(), b.into())),
        );
        let all = typed(&form, Value::Null, &inputs, &[]);
        assert_eq!(all["config"].get("opt_start_seq"), None);
        let from = typed(&form, Value::Null, &inputs, &[("/config/deliver_policy", "by_start_sequence")]);
        assert_eq!(from["config"]["opt_start_seq"], 7);
        for request in [all, from] {
            strict("consumer_create_request", &request);
        }
    }

    #[test]
    fn rows_have_gaps_keep_what_has_no_field_and_can_all_be_taken_out() {
        let form = form("stream_create_request");
        let base = json!({ "future": 1, "sources": [
            { "name": "A", "future": true }, { "name": "B" }, { "name": "C", "filter_subject": "c.>" },
        ] });
        let document = typed(
            &form,
            base.clone(),
            &[],
            &[
                ("/sources", ""),
                ("/sources/0/name", "A"),
                ("/sources/2/name", "D"),
                ("/sources/2/filter_subject", ""),
                ("/sources/7/name", "E"),
                ("/sources/7/external/api", "$JS.hub.API"),
            ],
        );
        assert_eq!(
            document,
            json!({ "future": 1, "sources": [
            { "name": "A", "future": true }, { "name": "D" },
            { "name": "E", "external": { "api": "$JS.hub.API" } },
        ] })
        );
        assert_eq!(typed(&form, base, &[], &[("/sources", "")]), json!({ "future": 1 }));
    }

    #[test]
    fn a_document_shown_and_sent_back_is_the_same() {
        let form = form("stream_create_request");
        let document = json!({
            "name": "S", "retention": "limits", "max_consumers": -1, "max_msgs": -1, "max_bytes": 1_048_576,
            "max_age": 0, "storage": "file", "num_replicas": 3, "first_seq": u64::MAX, "future": { "a": 1 },
            "subjects": [], "description": "two\nlines, and a space ",
            "metadata": { "poem": "two\nlines", "b": "=" }, "sealed": false, "placement": { "tags": ["a", "b"] },
            "mirror": { "name": "M", "subject_transforms": [{ "src": "a.>", "dest": "b.>" }] },
        });
        let inputs = form.inputs(&document);
        assert_eq!(typed(&form, document.clone(), &inputs, &[]), document);
        assert!(inputs.contains(&("/mirror/subject_transforms/0/src".into(), "a.>".into())));
        assert!(inputs.iter().all(|(path, _)| path != "/metadata" && path != "/subjects"));
    }

    #[test]
    fn what_has_no_field_or_cannot_be_read_is_refused_by_its_path() {
        let inputs = [
            ("/name", "S"),
            ("/max_age", "30"),
            ("/nothing", "1"),
            ("/sources/x/name", "A"),
            ("/sources/1000/name", "A"),
            ("/sources/*/name", "A"),
            ("/placement", "here"),
            ("", "x"),
        ];
        let violations = form("stream_create_request").document(Value::Null, inputs).unwrap_err();
        let paths: Vec<&str> = violations.iter().map(|violation| violation.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "/max_age",
                "/nothing",
                "/sources/x/name",
                "/sources/1000/name",
                "/sources/*/name",
                "/placement",
                "",
            ]
        );
        assert!(violations[0].to_string().contains("such as 30s"));
    }
}
