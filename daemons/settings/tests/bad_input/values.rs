//! Keys that do not exist and values of the wrong kind.

use settings::{File, Severity};

use crate::{check, fleet, node};

#[test]
fn unknown_keys() {
    fleet(&[
        (
            "[accounts.SHOP.limits]\nconections = 5\n",
            "4  accounts.SHOP.limits.conections = 5",
            "there is no such key",
            "did you mean `connections`?",
        ),
        ("[accounts.A.rols.r]\n", "3  accounts.A.rols", "there is no such key", "did you mean `roles`?"),
        (
            "colour = 1\n",
            "3  colour = 1",
            "there is no such key",
            "the keys here are `name`, `nodes`, `accounts`",
        ),
        (
            "[accounts.A.streams.S]\nmax_msgs = 5\n",
            "4  accounts.A.streams.S.max_msgs = 5",
            "there is no such key",
            "did you mean `max_messages`?",
        ),
    ]);
    node(&[
        ("[nats]\ncleint = \"off\"\n", "3  nats.cleint", "there is no such key", "did you mean `client`?"),
        ("[nats.tls.monitoring]\n", "2  nats.tls.monitoring", "there is no such key", "`client`"),
    ]);
}

#[test]
fn sizes_times_and_addresses_without_their_unit() {
    fleet(&[
        (
            "[accounts.A.limits]\npayload = 5\n",
            "4  accounts.A.limits.payload = 5",
            "`5` has no unit",
            "write \"5B\", \"5KiB\" or \"5MiB\"",
        ),
        (
            "[accounts.A.limits]\npayload = \"64M\"\n",
            "4  accounts.A.limits.payload = \"64M\"",
            "`M` is a decimal unit",
            "\"64MiB\"",
        ),
        (
            "[accounts.A.kv.k]\nmax_age = 20\n",
            "4  accounts.A.kv.k.max_age = 20",
            "`20` has no unit",
            "write \"20s\" for seconds",
        ),
        (
            "[accounts.A.kv.k]\nmax_age = \"2 weeks\"\n",
            "4  accounts.A.kv.k.max_age = \"2 weeks\"",
            "is not a length of time",
            "ms, s, m, h or d",
        ),
        (
            "[accounts.A.kv.k]\nmax_bytes = 1.5\n",
            "4  accounts.A.kv.k.max_bytes = 1.5",
            "should be a size such as \"64MiB\", and is a fraction",
            "write a size",
        ),
    ]);
    node(&[
        ("nats.client = 4222\n", "2  nats.client = 4222", "`4222` is not an address", "\"127.0.0.1:4222\""),
        (
            "nats.client = \"localhost:4222\"\n",
            "2  nats.client = \"localhost:4222\"",
            "is not an address",
            "write an IP and a port",
        ),
    ]);
}

#[test]
fn values_of_another_type() {
    fleet(&[
        (
            "[accounts.A.limits]\nconnections = \"7\"\n",
            "4  accounts.A.limits.connections = \"7\"",
            "should be a whole number from 0 to 4294967295, and is text",
            "write 7, without quotes",
        ),
        (
            "[accounts.A.limits]\nconnections = -1\n",
            "4  accounts.A.limits.connections = -1",
            "should be a whole number",
            "from 0 to 4294967295",
        ),
        (
            "[accounts.A.jetstream]\nenabled = \"true\"\n",
            "4  accounts.A.jetstream.enabled = \"true\"",
            "should be true or false, and is text",
            "write true, without quotes",
        ),
        (
            "[accounts.A.roles.r]\npublish = \"a\"\n",
            "4  accounts.A.roles.r.publish = \"a\"",
            "should be an array, and is text",
            "write [\"a\"]",
        ),
        (
            "[accounts.A.roles.r]\npublish = [\"a\", 1]\n",
            "4  accounts.A.roles.r.publish[1] = 1",
            "should be a NATS subject in quotes",
            "such as \"orders.>\"",
        ),
        (
            "[accounts.A]\nlimits = 5\n",
            "4  accounts.A.limits = 5",
            "should be a table, and is a number",
            "`limits = { … }`",
        ),
        (
            "[accounts.A]\nlimits = [1, 2]\n",
            "4  accounts.A.limits = [1, 2]",
            "should be a table, and is an array",
            "`limits = { … }`",
        ),
        (
            "[accounts.A]\ndescription = 5\n",
            "4  accounts.A.description = 5",
            "should be text in quotes, and is a number",
            "write \"5\", in quotes",
        ),
        ("accounts = 5\n", "3  accounts = 5", "should be a table", "`accounts = { … }`"),
        (
            "[accounts.A.streams.S]\nretention = \"workque\"\n",
            "4  accounts.A.streams.S.retention = \"workque\"",
            "one of a few words, and is `workque`",
            "did you mean `workqueue`?",
        ),
        (
            "[accounts.A.streams.S]\nretention = 5\n",
            "4  accounts.A.streams.S.retention = 5",
            "one of a few words, and is a number",
            "write one of `limits`, `interest`, `workqueue`",
        ),
    ]);
}

#[test]
fn names_and_subjects_that_nats_would_refuse() {
    fleet(&[
        ("[accounts.\"a b\"]\n", "3  accounts.\"a b\"", "has the character ` `", "use letters, digits"),
        ("[accounts.\"$G\"]\n", "3  accounts.\"$G\"", "has the character `$`", "use letters, digits"),
        (
            "[accounts.A.streams.\"a.b\"]\n",
            "3  accounts.A.streams.\"a.b\"",
            "has the character `.`",
            "use letters, digits",
        ),
        (
            "[accounts.A.roles.r]\npublish = [\"a..b\"]\n",
            "4  accounts.A.roles.r.publish[0] = \"a..b\"",
            "has an empty token",
            "take out the doubled, leading or trailing dot",
        ),
        (
            "[accounts.A.roles.r]\npublish = [\"a b\"]\n",
            "4  accounts.A.roles.r.publish[0] = \"a b\"",
            "NATS refuses white space",
            "take it out",
        ),
        (
            "[accounts.A.streams.S]\nsubjects = [\"a.>.b\"]\n",
            "4  accounts.A.streams.S.subjects[0] = \"a.>.b\"",
            "has `>` before its end",
            "only be the last token",
        ),
        (
            "[accounts.A.streams.S]\nsubjects = [\"a.b*\"]\n",
            "4  accounts.A.streams.S.subjects[0] = \"a.b*\"",
            "a wildcard inside the token",
            "stands alone between dots",
        ),
    ]);
}

#[test]
fn missing_keys() {
    fleet(&[
        (
            "[[accounts.A.exports]]\nsubject = \"a\"\n",
            "3  accounts.A.exports[0].kind",
            "this key is missing",
            "add `kind = \"stream\"` or `kind = \"service\"`",
        ),
        (
            "[accounts.A.streams.S]\nmirror = {}\n",
            "4  accounts.A.streams.S.mirror.stream",
            "this key is missing",
            "add `stream = \"…\"`",
        ),
    ]);
    let empty = check(File::Node, "");
    assert_eq!(empty.to_string(), "node.toml  name\n  this key is missing\n  add `name = \"…\"`");
}

#[test]
fn a_key_that_is_wrong_is_not_missing_too() {
    let problems = check(File::Fleet, "name = 5\n[[accounts.A.exports]]\nsubject = \"a b\"\nkind = \"x\"\n");
    let lines: Vec<_> = problems.0.iter().map(|problem| problem.line.unwrap()).collect();
    assert_eq!(lines, [1, 3, 4], "{problems}");
}

#[test]
fn nodes_that_cannot_be_read_are_not_held_against_stores() {
    let text = "name = \"f\"\nnodes = { hub = 1, leaves = [\"l-1\"] }\naccounts.A.kv.k = { travel = \"up\", replicas = 3 }\n";
    let problems = check(File::Fleet, text);
    assert_eq!(problems.0.len(), 1, "{problems}");
    assert_eq!(problems.0[0].path, "nodes.hub");
}

#[test]
fn all_mistakes_come_at_once_and_what_follows_from_them_does_not() {
    let problems = check(
        File::Fleet,
        "name = \"f\"
[accounts.A.rols.reader]
subscribe = [\"a\"]
[accounts.A.services.s]
role = \"reader\"
[accounts.A.limits]
data = 1
[accounts.B.streams.S]
subjects = [\"x\", \"x\"]
[[accounts.B.imports]]
from = \"A\"
subject = \"a\"
kind = \"stream\"
",
    );
    let told: Vec<_> = problems.0.iter().map(|problem| (problem.line.unwrap(), &*problem.path)).collect();
    assert_eq!(
        told,
        [(2, "accounts.A.rols"), (7, "accounts.A.limits.data"), (9, "accounts.B.streams.S.subjects[1]")],
        "the role and the export may stand in what could not be read:\n{problems}"
    );
    assert!(problems.0.iter().all(|problem| problem.severity == Severity::Error));
}

#[test]
fn problems_are_json_for_other_programs() {
    let problems = check(File::Fleet, "nam = \"f\"\n");
    let json = serde_json::to_value(&problems).unwrap();
    assert_eq!(json[1]["path"], "nam", "{json}");
    assert_eq!(json[1]["line"], 1);
    assert_eq!(json[1]["found"], "\"f\"");
    assert_eq!(json[1]["severity"], "error");
    assert_eq!(json[1]["remedy"], "did you mean `name`?");
}
