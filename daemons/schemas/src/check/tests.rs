//! Each keyword both ways, and what is told.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::{Schema, violation::Problem};

fn check(schema: &Value, document: &Value, mode: Mode) -> Vec<String> {
    let rules = Rules::compile(&schema.to_string()).unwrap();
    let violations = rules.check(document, mode).err().unwrap_or_default();
    violations.iter().map(ToString::to_string).collect()
}

/// The same in both modes.
fn both(schema: &Value, document: &Value) -> Vec<String> {
    let strict = check(schema, document, Mode::Strict);
    assert_eq!(check(schema, document, Mode::Tolerant), strict);
    strict
}

fn of(schema: &str, document: &str, mode: Mode) -> Vec<String> {
    let document = serde_json::from_str(document).unwrap();
    let checked = Schema::named(schema).unwrap().rules().unwrap().check(&document, mode);
    checked.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn each_keyword_allows_what_is_right_and_refuses_what_is_not() {
    let cases = [
        (json!({ "type": "object" }), json!({}), json!([])),
        (json!({ "type": ["array", "null"] }), json!(null), json!({})),
        (json!({ "type": "integer" }), json!(1), json!("1")),
        (json!({ "type": "integer" }), json!(-1), json!(1.5)),
        (json!({ "type": "number" }), json!(1.5), json!(true)),
        (json!({ "type": "boolean" }), json!(false), json!(0)),
        (json!({ "type": "string" }), json!(""), json!(null)),
        (json!({ "const": "a" }), json!("a"), json!("b")),
        (json!({ "enum": ["a", 200] }), json!(200), json!("200")),
        (json!({ "minimum": 1 }), json!(1), json!(0)),
        (json!({ "minimum": 1 }), json!("0"), json!(0.5)),
        (json!({ "maximum": 5 }), json!(5), json!(6)),
        (json!({ "minLength": 2 }), json!("üü"), json!("ü")),
        (json!({ "maxLength": 2 }), json!("üü"), json!("aaa")),
        (json!({ "minLength": 2 }), json!([1]), json!("")),
        (json!({ "pattern": "^[^.*>]+$" }), json!("ORDERS"), json!("a.b")),
        (json!({ "pattern": "b" }), json!("abc"), json!("ac")),
        (json!({ "pattern": "^\\d$" }), json!("1"), json!("١")),
        (json!({ "format": "date-time" }), json!("2026-01-31T12:00:00.123456789+02:00"), json!("2026-01-31")),
        (json!({ "format": "date-time" }), json!("0001-01-01T00:00:00Z"), json!("2026-02-30T00:00:00Z")),
        (json!({ "required": ["a"] }), json!({ "a": null }), json!({ "b": 1 })),
        (json!({ "required": ["a"] }), json!(["b"]), json!({})),
        (json!({ "properties": { "a": { "type": "null" } } }), json!({ "b": 1 }), json!({ "a": 1 })),
        (
            json!({ "patternProperties": { "^x": { "type": "null" } } }),
            json!({ "a": 1 }),
            json!({ "ax": 1, "xa": 1 }),
        ),
        (json!({ "items": { "type": "string" } }), json!([]), json!(["a", 1])),
        (json!({ "additionalProperties": { "type": "string" } }), json!({ "a": "b" }), json!({ "a": 1 })),
        (
            json!({ "allOf": [{ "required": ["a"] }, { "required": ["b"] }] }),
            json!({ "a": 1, "b": 1 }),
            json!({ "a": 1 }),
        ),
        (
            json!({ "oneOf": [{ "required": ["a"] }, { "required": ["b"] }] }),
            json!({ "a": 1 }),
            json!({ "c": 1 }),
        ),
    ];
    for (schema, right, wrong) in cases {
        assert_eq!(both(&schema, &right), [""; 0], "{schema} {right}");
        assert_eq!(both(&schema, &wrong).len(), 1, "{schema} {wrong}");
    }
}

#[test]
fn unknown_properties_are_refused_in_what_is_written_only() {
    let schema = json!({
        "additionalProperties": false,
        "properties": { "max_age": {}, "in": { "additionalProperties": false } },
        "patternProperties": { "^x-": {} },
    });
    let document = json!({ "max_agee": 1, "x-y": 1, "in": { "new": 1 } });
    assert_eq!(
        check(&schema, &document, Mode::Strict),
        [
            "/in/new is unknown: expected no such property",
            "/max_agee is unknown: expected no such property; did you mean `max_age`?",
        ]
    );
    assert_eq!(check(&schema, &document, Mode::Tolerant), [""; 0]);
}

#[test]
fn a_closed_object_knows_the_properties_of_all_its_parts() {
    let schema = json!({
        "allOf": [
            { "additionalProperties": false, "properties": { "name": {} } },
            { "properties": { "pedantic": { "type": "boolean" } } },
        ],
    });
    assert_eq!(both(&schema, &json!({ "name": "a", "pedantic": true })), [""; 0]);
    assert_eq!(both(&schema, &json!({ "pedantic": 1 })), ["/pedantic is 1: expected true or false"]);
    assert_eq!(check(&schema, &json!({ "other": 1 }), Mode::Strict).len(), 1);
}

#[test]
fn an_integer_is_exact_and_what_go_could_not_read_is_not_written() {
    let schema = json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX });
    let parse = |text| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(both(&schema, &parse("9223372036854775807")), [""; 0]);
    assert_eq!(
        both(&schema, &parse("9223372036854775808")),
        ["the document is 9223372036854775808: expected an integer from 0 to 9223372036854775807"]
    );
    for float in ["1.0", "1e3"] {
        assert_eq!(check(&schema, &parse(float), Mode::Strict).len(), 1, "{float}");
        assert_eq!(check(&schema, &parse(float), Mode::Tolerant).len(), 0, "{float}");
    }
}

#[test]
fn overlapping_branches_are_one_too_many_only_in_what_is_written() {
    let schema = json!({ "oneOf": [{ "required": ["error"] }, { "type": "object" }] });
    let both = json!({ "error": {} });
    assert_eq!(check(&schema, &both, Mode::Tolerant), [""; 0]);
    let strict = check(&schema, &both, Mode::Strict);
    assert_eq!(strict, ["the document is {\"error\":{}}: expected only one of the 2 things that it may be"]);
}

#[test]
fn what_is_told_is_about_the_branch_that_was_meant() {
    let wrong = r#"{ "type": "io.nats.jetstream.api.v1.stream_create_response",
        "config": { "name": "S", "retention": "limits", "max_consumers": -1, "max_msgs": -1,
            "max_bytes": -1, "max_age": "1h", "storage": "tape", "num_replicas": 1 },
        "created": "2026-01-31T12:00:00Z",
        "state": { "messages": 0, "bytes": 0, "first_seq": 0, "last_seq": 0, "consumer_count": 0 } }"#;
    let told = of("stream_create_response", wrong, Mode::Tolerant);
    assert_eq!(
        told,
        [
            "/config/max_age is \"1h\": expected an integer from 0 to 9223372036854775807",
            "/config/storage is \"tape\": expected one of \"file\", \"memory\"",
        ]
    );
    let error = r#"{ "type": "io.nats.jetstream.api.v1.stream_create_response", "error": { "code": 7 } }"#;
    let told = of("stream_create_response", error, Mode::Tolerant);
    assert_eq!(told, ["/error/code is 7: expected an integer from 300 to 699"]);
}

#[test]
fn a_property_that_tells_branches_apart_is_told_with_all_its_choices() {
    let with = |config: &str| format!(r#"{{ "stream_name": "S", "config": {{ {config} }} }}"#);
    let check = |config: &str| of("consumer_create_request", &with(config), Mode::Strict);
    let all = r#"one of "all", "last", "new", "by_start_sequence", "by_start_time", "last_per_subject""#;
    assert_eq!(check(r#""deliver_policy": "all""#), [""; 0]);
    assert_eq!(check(r#""deliver_policy": "by_start_sequence", "opt_start_seq": 7"#), [""; 0]);
    assert_eq!(check(""), [format!("/config/deliver_policy is missing: expected {all}")]);
    assert_eq!(
        check(r#""deliver_policy": "first""#),
        [format!("/config/deliver_policy is \"first\": expected {all}")]
    );
    assert_eq!(
        check(r#""deliver_policy": "by_start_sequence""#),
        ["/config/opt_start_seq is missing: expected an integer from 0 to 18446744073709551615"]
    );
    assert_eq!(
        check(r#""deliver_policy": "by_start_time", "opt_start_time": "noon""#),
        ["/config/opt_start_time is \"noon\": expected a time in RFC 3339, such as \"2026-01-31T12:00:00Z\""]
    );
}

#[test]
fn a_document_that_is_wrong_throughout_is_not_told_about_for_ever() {
    let schema = json!({ "items": { "type": "string" } });
    let rules = Rules::compile(&schema.to_string()).unwrap();
    let violations = rules.check(&json!(vec![1; 100_000]), Mode::Tolerant).unwrap_err();
    assert_eq!(violations.len(), ENOUGH);
    assert!(violations.iter().all(|violation| violation.problem == Problem::Wrong));
    let closed = Rules::compile(r#"{ "additionalProperties": false }"#).unwrap();
    let many: Map<String, Value> = (0..100_000).map(|number| (number.to_string(), json!(1))).collect();
    assert_eq!(closed.check(&many.into(), Mode::Strict).unwrap_err().len(), ENOUGH);
}
