//! The forms of the schemas that the console has forms for, and what holds for every schema.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::{Form, Schema};

fn form(name: &str) -> Form {
    Form::of(&Schema::named(name).unwrap().rules().unwrap())
}

fn field<'a>(form: &'a Form, path: &str) -> &'a Field {
    form.field(path).unwrap_or_else(|| panic!("no {path}"))
}

#[test]
fn a_stream_has_its_fields_in_order_with_groups_and_rows() {
    let form = form("stream_create_request");
    let paths: Vec<&str> = form.fields().iter().map(|field| field.path.as_str()).collect();
    assert_eq!(
        &paths[..6],
        [
            "/name",
            "/description",
            "/subjects",
            "/subject_transform",
            "/subject_transform/src",
            "/subject_transform/dest",
        ]
    );
    // `allOf`'s second part.
    assert_eq!(paths.last(), Some(&"/pedantic"));
    let kind = |path: &str| serde_json::to_value(&field(&form, path).input).unwrap()["kind"].clone();
    for (path, expected) in [
        ("/name", "text"),
        ("/subjects", "list"),
        ("/retention", "choice"),
        ("/max_msgs", "integer"),
        ("/max_bytes", "bytes"),
        ("/max_msg_size", "bytes"),
        ("/max_age", "duration"),
        ("/no_ack", "switch"),
        ("/placement", "group"),
        ("/placement/tags", "list"),
        ("/sources", "rows"),
        ("/sources/0/opt_start_time", "time"),
        ("/sources/0/subject_transforms", "rows"),
        ("/sources/0/subject_transforms/3/dest", "text"),
        ("/metadata", "map"),
    ] {
        assert_eq!(kind(path), expected, "{path}");
    }
    assert!(form.field("/sources/x/name").is_none());
    assert!(field(&form, "/sources/*/subject_transforms").nullable);
}

#[test]
fn a_field_has_what_an_input_needs() {
    let form = form("stream_create_request");
    let max_msgs = field(&form, "/max_msgs");
    assert_eq!(max_msgs.label, "Max msgs");
    assert!(max_msgs.description.as_ref().unwrap().starts_with("How many messages may be in a Stream"));
    assert!(max_msgs.required);
    assert_eq!((max_msgs.default.clone(), max_msgs.unlimited), (Some(json!(-1)), Some(-1)));
    let bounds = Bounds { minimum: Some((-1).into()), maximum: Some(i64::MAX.into()) };
    assert_eq!(max_msgs.input, Input::Integer(bounds));
    assert_eq!(field(&form, "/max_age").unlimited, Some(0));
    assert_eq!(field(&form, "/num_replicas").unlimited, None);
    let storage = Input::Choice { options: vec![json!("file"), json!("memory")] };
    assert_eq!(field(&form, "/storage").input, storage);
    assert!(!field(&form, "/placement").required && field(&form, "/mirror/name").required);
    let name = json!({ "path": "/name", "label": "Name",
        "description": "A unique name for the Stream, empty for Stream Templates.",
        "input": { "kind": "text", "pattern": "^[^.*>]*$" }, "required": false });
    assert_eq!(serde_json::to_value(field(&form, "/name")).unwrap(), name);
}

#[test]
fn a_consumer_has_its_start_only_with_the_policies_that_want_it() {
    let form = form("consumer_create_request");
    let policy = field(&form, "/config/deliver_policy");
    assert!(policy.required && policy.only_when.is_none());
    assert!(matches!(&policy.input, Input::Choice { options } if options.len() == 6));
    for (path, value) in
        [("/config/opt_start_seq", "by_start_sequence"), ("/config/opt_start_time", "by_start_time")]
    {
        let start = field(&form, path);
        let condition = Condition { path: "/config/deliver_policy".into(), any_of: vec![json!(value)] };
        assert_eq!((start.required, &start.only_when), (true, &Some(condition)));
    }
    // A string in the schema.
    assert_eq!(field(&form, "/config/ack_wait").default, Some(json!(30_000_000_000_i64)));
    assert!(field(&form, "/config/durable_name").deprecated.is_some());
}

#[test]
fn what_may_be_null_and_results_or_errors_have_fields_too() {
    let ping = form("ping_response");
    let metadata = field(&ping, "/metadata");
    assert!(metadata.nullable && matches!(metadata.input, Input::Map { .. }));
    let info = form("stream_info_response");
    for path in ["/error/code", "/config/name", "/state/messages"] {
        assert!(info.field(path).is_some(), "{path}");
    }
    assert!(!field(&info, "/error").required && !field(&info, "/config").required);
}

#[test]
fn every_schema_has_a_form_whose_defaults_and_paths_are_good() {
    let mut bare = Vec::new();
    for schema in Schema::all() {
        let title = schema.title();
        let rules = schema.rules().unwrap();
        let form = Form::of(&rules);
        if form.fields().is_empty() {
            bare.push(schema.short());
        }
        for (index, field) in form.fields().iter().enumerate() {
            assert_eq!(form.field(&field.path), Some(field), "{title}: two fields {}", field.path);
            if let Some((parent, _)) = field.path.trim_end_matches("/*").rsplit_once('/') {
                let parent = parent.trim_end_matches("/*");
                let above = form.fields()[..index].iter().any(|above| above.path == parent);
                assert!(parent.is_empty() || above, "{title}: {} before {parent}", field.path);
            }
            if let Some(default) = &field.default {
                let shown = field.show(default);
                let read =
                    field.read(&shown).unwrap_or_else(|error| panic!("{title}{}: {error}", field.path));
                assert!(read.is_none() || read.as_ref() == Some(default), "{title}{}: {default}", field.path);
            }
        }
    } // Asked with an empty object.
    assert_eq!(bare, ["consumer_info_request"]);
}
