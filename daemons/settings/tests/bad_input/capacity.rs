//! Limits of accounts, and limits larger than the disk.

use settings::{ByteSize, Facts, Fleet, Node, Problem, validate};

use crate::{FLEET, fleet};

#[test]
fn limits_of_an_account() {
    fleet(&[
        (
            "[accounts.A]\njetstream.enabled = false\nkv.k = {}\n",
            "4  accounts.A.jetstream.enabled = false",
            "declares stores",
            "or the stores",
        ),
        (
            "[accounts.A]\njetstream.storage = \"1GiB\"\nkv.k.max_bytes = \"600MiB\"\nobjects.o.max_bytes = \"600MiB\"\n",
            "4  accounts.A.jetstream.storage = \"1GiB\"",
            "may take 1200MiB",
            "raise it to \"1200MiB\"",
        ),
        (
            "[accounts.A]\njetstream.max_storage_stream = \"1GiB\"\nkv.k.max_bytes = \"2GiB\"\n",
            "5  accounts.A.kv.k.max_bytes = \"2GiB\"",
            "allows 1GiB for one store",
            "lower it",
        ),
        (
            "[accounts.A]\njetstream.max_bytes_required = true\nkv.k.history = 2\n",
            "5  accounts.A.kv.k",
            "has no `max_bytes`",
            "add max_bytes",
        ),
        (
            "[accounts.A]\njetstream.streams = 1\nkv.k = {}\nobjects.o = {}\n",
            "4  accounts.A.jetstream.streams = 1",
            "2 streams and buckets are declared",
            "raise it to 2",
        ),
        (
            "[accounts.A]\nlimits.exports = 0\nexports = [{ subject = \"a\", kind = \"stream\" }]\n",
            "4  accounts.A.limits.exports = 0",
            "1 exports are declared",
            "raise it to 1",
        ),
    ]);
}

fn problems(fleet: &str, node: &str) -> Vec<Problem> {
    let fleet: Fleet = toml::from_str(&format!("{FLEET}{fleet}")).unwrap();
    let node: Node = toml::from_str(node).unwrap();
    validate(&fleet, &node, Facts { disk: Some(ByteSize::gib(10)) })
}

#[test]
fn limits_larger_than_the_disk() {
    let leaf = "name = \"l-1\"\n";
    let cases = [
        (
            "",
            "name = \"l-1\"\njetstream.max_storage = \"11GiB\"",
            "jetstream.max_storage",
            "whole disk has, 10GiB",
        ),
        (
            "",
            "name = \"l-1\"\njetstream.max_storage = \"10GiB\"",
            "jetstream.max_storage",
            "with the reserve of 512MiB this",
        ),
        (
            "",
            "name = \"l-1\"\njetstream.max_storage = \"9GiB\"",
            "jetstream.max_storage",
            "the registry's cache of 1280MiB",
        ),
        ("", "name = \"l-1\"\njetstream.reserve = \"10GiB\"", "jetstream.reserve", "whole disk has 10GiB"),
        (
            "accounts.A.jetstream.storage = \"20GiB\"",
            leaf,
            "accounts.A.jetstream.storage",
            "more than `l-1` has",
        ),
        ("accounts.A.kv.k.max_bytes = \"20GiB\"", leaf, "accounts.A.kv.k.max_bytes", "more than `l-1` has"),
        (
            "accounts.A.kv.k.max_bytes = \"6GiB\"\naccounts.B.kv.k.max_bytes = \"6GiB\"",
            leaf,
            "jetstream.max_storage",
            "may take 12368MiB on this node",
        ),
        (
            "accounts.A.kv.k = { max_bytes = \"1GiB\", storage = \"memory\" }",
            leaf,
            "jetstream.max_memory",
            "memory stores of the fleet may take 1GiB",
        ),
    ];
    for (fleet, node, path, what) in cases {
        let problems = problems(fleet, node);
        let [problem] = problems.as_slice() else { panic!("{fleet} {node}: {problems:?}") };
        assert_eq!(problem.path, path, "{problem}");
        assert!(problem.message.contains(what), "{problem}");
        assert!(problem.remedy.contains("write less") || problem.remedy.contains("lower"), "{problem}");
    }
    assert!(problems("accounts.A.kv.k.max_bytes = \"6GiB\"", leaf).is_empty());
    assert!(
        problems("accounts.A.kv.k = { max_bytes = \"20GiB\", on = \"hub\" }", leaf).is_empty(),
        "what is not on this node takes nothing of its disk"
    );
}

#[test]
fn a_node_that_the_fleet_does_not_know() {
    let up = "accounts.A.kv.k.travel = \"up\"";
    let cases = [
        ("", "name = \"h-9\"\nrole = \"hub\"", "name", "does not list `h-9` in `nodes.hub`"),
        ("", "name = \"h-1\"\nrole = \"leaf\"", "role", "lists `h-1` in `nodes.hub`"),
        (up, "name = \"l-9\"", "name", "will not take its stores"),
        ("accounts.A.limits.payload = \"2MiB\"", "name = \"l-1\"", "nats.max_payload", "messages of 2MiB"),
    ];
    for (fleet, node, path, what) in cases {
        let problems = problems(fleet, node);
        let [problem] = problems.as_slice() else { panic!("{node}: {problems:?}") };
        assert_eq!((&*problem.path, &*problem.file), (path, "node.toml"), "{problem}");
        assert!(problem.message.contains(what), "{problem}");
    }
    assert!(problems("", "name = \"l-9\"").is_empty(), "nothing travels, so nobody needs to know it");
    assert!(problems(up, "name = \"l-1\"").is_empty());
}
