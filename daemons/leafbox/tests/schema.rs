//! `leafbox schema`: works without a node, and its exit codes and words are what scripts and people
//! read.
#![allow(clippy::unwrap_used)]

mod harness;

use std::{
    io::Write,
    process::{Command, Stdio},
};

use harness::{Place, Ran};
use serde_json::json;

const CREATE: &str = "io.nats.jetstream.api.v1.stream_create_request";

const STREAM: &str = r#"{ "name": "S", "retention": "limits", "max_consumers": -1, "max_msgs": -1,
    "max_bytes": -1, "max_age": 0, "storage": "file", "num_replicas": 1 }"#;

fn with_stdin(mut command: Command, text: &str) -> Ran {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    Ran::of(child.wait_with_output().unwrap())
}

#[test]
fn schemas_are_listed_and_shown_without_a_node() {
    let place = Place::empty();
    let all = place.run(&["schema", "list"]).expect(0);
    assert_eq!(all.lines().count(), 83);
    let some = place.run(&["schema", "list", "Stream_(create|update)_request$"]).expect(0);
    assert_eq!(some.lines().collect::<Vec<_>>(), [CREATE, "io.nats.jetstream.api.v1.stream_update_request"]);
    let listed = place.run(&["schema", "list", "varz", "--json"]).json(0);
    assert_eq!(listed["schemas"], json!(["io.nats.server.monitor.v1.varz"]));
    assert!(place.run(&["schema", "list", "nothing"]).expect(0).contains("no schema matches `nothing`"));

    let shown = place.run(&["schema", "show", "stream_create_request"]).json(0);
    assert_eq!(shown["title"], CREATE);
    let fields = place.run(&["schema", "show", "stream_create_request", "--fields"]).expect(0);
    let retention = fields.lines().find(|line| line.contains("/retention")).unwrap();
    assert_eq!(
        retention.split_whitespace().collect::<Vec<_>>(),
        ["/retention", "yes", "limits", "limits", "|", "interest", "|", "workqueue",]
    );
    let fields = place.run(&["schema", "show", "consumer_create_request", "--fields", "--json"]).json(0);
    assert_eq!(fields[0]["path"], "/stream_name");
}

#[test]
fn a_document_is_checked_from_a_file_and_from_stdin() {
    let place = Place::empty();
    place.write("stream.json", STREAM);
    let right = place.run(&["schema", "validate", "stream_create_request", "stream.json"]).expect(0);
    assert_eq!(right, format!("stream.json keeps to {CREATE}\n"));
    let validate = ["schema", "validate", "stream_create_request", "-"];
    assert_eq!(with_stdin(place.command(&validate), STREAM).expect(0), format!("stdin keeps to {CREATE}\n"));

    let wrong = STREAM.replace("\"max_age\": 0", "\"max_age\": 9223372036854775808, \"max_agee\": 1");
    let told = with_stdin(place.command(&validate), &wrong).expect(1);
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        [
            format!("stdin does not keep to {CREATE}:").as_str(),
            "  /max_age is 9223372036854775808: expected an integer from 0 to 9223372036854775807",
            "  /max_agee is unknown: expected no such property; did you mean `max_age`?",
        ]
    );
    let mut tolerant = place.command(&validate);
    tolerant.args(["--tolerant", "--json"]);
    let answer = with_stdin(tolerant, &wrong).json(1);
    assert_eq!(
        answer,
        json!({ "ok": false, "schema": CREATE, "violations": [{
        "path": "/max_age", "problem": "wrong", "found": "9223372036854775808",
        "expected": "an integer from 0 to 9223372036854775807",
    }] })
    );
}

#[test]
fn a_document_tells_its_own_schema() {
    let place = Place::empty();
    let validate = || place.command(&["schema", "validate", "-"]);
    let reply = r#"{ "type": "io.nats.jetstream.api.v1.stream_delete_response", "success": true }"#;
    assert!(with_stdin(validate(), reply).expect(0).ends_with(".stream_delete_response\n"));
    let wrong = reply.replace("true", "1");
    assert!(with_stdin(validate(), &wrong).expect(1).contains("/success is 1: expected true or false"));
    with_stdin(validate(), STREAM).says(2, &["stdin has no `type`", "leafbox schema validate NAME FILE"]);
    with_stdin(validate(), r#"{ "type": "io.nats.new" }"#).says(2, &["\"io.nats.new\"", "name one"]);
}

#[test]
fn mistakes_on_the_command_line_are_told_with_what_to_write() {
    let place = Place::empty();
    place.write("cut.json", &STREAM[..40]);
    for (arguments, code, words) in [
        (&["show", "stream_craete_request"][..], 2, ["did you mean", CREATE]),
        (&["show", "stream_create"], 2, ["stream_create_response", "write more of it"]),
        (&["list", "("], 2, ["`(` is not a regular expression", "such as"]),
        (&["validate", "nothing", "cut.json"], 2, ["NATS has no schema `nothing`", "leafbox schema list"]),
        (&["validate"], 2, ["<FILE>", "--help"]),
        (&["show", "varz", "--json"], 2, ["--fields", "--help"]),
        (&["validate", "varz", "absent.json"], 1, ["cannot read the document absent.json", "No such file"]),
        (&["validate", "varz", "cut.json"], 1, ["cut.json is not JSON", "line 1 column 40"]),
    ] {
        place.run(&[&["schema"], arguments].concat()).says(code, &words);
    }
}
