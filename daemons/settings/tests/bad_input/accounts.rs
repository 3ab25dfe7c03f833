//! Names, permissions, exports and imports.

use settings::File;

use crate::{FLEET, fleet, right};

#[test]
fn names_that_are_taken() {
    fleet(&[
        ("[accounts.SYS]\n", "3  accounts.SYS", "the system account", "another name"),
        ("[accounts.leafbox]\n", "3  accounts.leafbox", "leafbox's own account", "another name"),
        (
            "[accounts.A.roles.leafbox-x]\npublish = [\"a\"]\n",
            "3  accounts.A.roles.leafbox-x",
            "leafbox's own",
            "another name",
        ),
        (
            "[accounts.A.services.leafbox-x]\npublish = [\"a\"]\n",
            "3  accounts.A.services.leafbox-x",
            "leafbox's own",
            "another name",
        ),
        ("[accounts.A]\n[accounts.a]\n", "4  accounts.a", "differ only in letter case", "rename one"),
        (
            "[accounts.A.kv.Prices]\n[accounts.A.kv.prices]\n",
            "4  accounts.A.kv.prices",
            "differ only in letter case",
            "rename one",
        ),
        (
            "[accounts.A.streams.KV_prices]\nsubjects = [\"a\"]\n",
            "3  accounts.A.streams.KV_prices",
            "hold buckets",
            "declare the bucket `prices` under `kv`",
        ),
    ]);
}

#[test]
fn names_of_nodes() {
    let cases = [
        ("nodes.leaves = [\"hub\"]", "nodes.leaves[0] = \"hub\"", "JetStream domain", "`hub-1`"),
        ("nodes.leaves = [\"a\", \"a\"]", "nodes.leaves[1] = \"a\"", "listed twice", "keep one"),
        ("nodes = { hub = [\"a\"], leaves = [\"A\"] }", "nodes.leaves[0] = \"A\"", "letter case", "keep one"),
        (
            "nodes.hub = [\"a\", \"b\"]",
            "nodes.hub = [\"a\", \"b\"]",
            "warning: a hub of 2 nodes",
            "one, three or five",
        ),
    ];
    for (text, place, what, remedy) in cases {
        let told = crate::check(File::Fleet, &format!("name = \"f\"\n{text}\n")).to_string();
        for part in [&format!("fleet.toml:2  {place}"), what, remedy] {
            assert!(told.contains(part), "`{part}` in:\n{told}");
        }
    }
}

#[test]
fn roles_and_services_that_contradict() {
    fleet(&[
        (
            "[accounts.A.roles.reader]\nsubscribe = [\"a\"]\n[accounts.A.services.s]\nrole = \"raeder\"\n",
            "6  accounts.A.services.s.role = \"raeder\"",
            "this account has no role `raeder`",
            "did you mean `reader`?",
        ),
        (
            "[accounts.A.services.s]\nrole = \"reader\"\n",
            "4  accounts.A.services.s.role",
            "no role `reader`",
            "[accounts.A.roles.reader]",
        ),
        (
            "[accounts.A.roles.r]\npublish = [\"a\"]\n[accounts.A.services.s]\nrole = \"r\"\npublish = [\"b\"]\n",
            "6  accounts.A.services.s.role",
            "not both",
            "remove `role`",
        ),
        (
            "[accounts.A.roles.s]\npublish = [\"a\"]\n[accounts.A.services.s]\npublish = [\"b\"]\n",
            "5  accounts.A.services.s",
            "has the name of this service",
            "role = \"s\"",
        ),
        ("[accounts.A.roles.r]\n", "3  accounts.A.roles.r", "neither publish nor subscribe", "or remove it"),
        (
            "[accounts.A.services.s]\npublish_deny = [\"a\"]\nsubscribe = [\"b\"]\n",
            "4  accounts.A.services.s.publish_deny[0] = \"a\"",
            "nothing to take out",
            "remove it",
        ),
        (
            "[accounts.A.services.s]\nsubscribe = [\"_INBOX.*\"]\n",
            "4  accounts.A.services.s.subscribe[0] = \"_INBOX.*\"",
            "warning: `_INBOX.*` is one token deep",
            "write `_INBOX.>`",
        ),
        (
            "[accounts.A.roles.r]\npublish = [\"a\"]\nresponses = { max = 0 }\n",
            "5  accounts.A.roles.r.responses.max = 0",
            "no reply",
            "write 1",
        ),
    ]);
}

const BILLING: &str = "[[accounts.B.exports]]\nsubject = \"bill.>\"\nkind = \"service\"\nto = [\"A\"]\n[accounts.A]\n[accounts.C]\n";

#[test]
fn imports_that_nobody_exports() {
    let import = |account: &str, from: &str, subject: &str, kind: &str, rest: &str| {
        format!(
            "{FLEET}{BILLING}[[accounts.{account}.imports]]\nfrom = \"{from}\"\nsubject = \"{subject}\"\nkind = \"{kind}\"\n{rest}"
        )
    };
    right(File::Fleet, "", &[&import("A", "B", "bill.x", "service", "")]);
    right(File::Fleet, "", &[&import("A", "B", "bill.*.x", "service", "local = \"b.$1\"\n")]);
    let cases = [
        (
            import("A", "B", "pay.x", "service", ""),
            "11  accounts.A.imports[0].subject",
            "does not export the service `pay.x`, only `bill.>`",
            "[[accounts.B.exports]] with subject = \"pay.x\"",
        ),
        (
            import("A", "B", "bill.x", "stream", ""),
            "12  accounts.A.imports[0].kind",
            "but not as a stream",
            "kind = \"service\"",
        ),
        (
            import("C", "B", "bill.x", "service", ""),
            "10  accounts.C.imports[0].from",
            "to `A` only",
            "add \"C\" to `to`",
        ),
        (
            import("A", "Bill", "bill.x", "service", ""),
            "10  accounts.A.imports[0].from",
            "there is no account `Bill`",
            "the accounts are `A`, `B`, `C`",
        ),
        (
            import("A", "A", "bill.x", "service", ""),
            "10  accounts.A.imports[0].from",
            "from itself",
            "remove the import",
        ),
        (
            import("A", "SYS", "$SYS.x", "service", ""),
            "10  accounts.A.imports[0].from",
            "exports nothing",
            "remove the import",
        ),
        (
            import("A", "B", "bill.*", "service", "local = \"b\"\n"),
            "13  accounts.A.imports[0].local",
            "does not stand for `bill.*`",
            "name each `*`",
        ),
        (
            import("A", "B", "bill.*", "service", "local = \"b.$2\"\n"),
            "13  accounts.A.imports[0].local",
            "does not stand for",
            "`$1`",
        ),
    ];
    for (text, place, what, remedy) in cases {
        let told = crate::check(File::Fleet, &text).to_string();
        assert!(told.starts_with(&format!("fleet.toml:{place}")), "`{place}` in:\n{told}");
        assert!(told.contains(what) && told.contains(remedy), "`{what}`, `{remedy}` in:\n{told}");
    }
}

#[test]
fn imports_and_exports_that_meet() {
    fleet(&[
        (
            "[[accounts.B.exports]]\nsubject = \"a.>\"\nkind = \"stream\"\n[[accounts.B.exports]]\nsubject = \"a.b\"\nkind = \"stream\"\n",
            "7  accounts.B.exports[1].subject = \"a.b\"",
            "already exported by `a.>`",
            "keep the wider",
        ),
        (
            "[[accounts.B.exports]]\nsubject = \"a.>\"\nkind = \"stream\"\nto = [\"A\"]\n",
            "6  accounts.B.exports[0].to[0] = \"A\"",
            "there is no account `A`",
            "the accounts are `B`",
        ),
        (
            "accounts.B.exports = [{ subject = \"a.>\", kind = \"stream\" }]\naccounts.C.exports = [{ subject = \"a.>\", kind = \"stream\" }]\n[[accounts.A.imports]]\nfrom = \"B\"\nsubject = \"a.x\"\nkind = \"stream\"\n[[accounts.A.imports]]\nfrom = \"C\"\nsubject = \"a.>\"\nkind = \"stream\"\n",
            "9  accounts.A.imports[1]",
            "two imports have the local subject `a.>`",
            "another `local`",
        ),
    ]);
}

#[test]
fn imports_that_go_round_are_told_on_the_whole_way() {
    let text = format!(
        "{FLEET}{}{}",
        "accounts.A.exports = [{ subject = \"x\", kind = \"stream\" }]\naccounts.B.exports = [{ subject = \"x\", kind = \"stream\" }]\n",
        "accounts.A.imports = [{ from = \"B\", subject = \"x\", kind = \"stream\" }]\naccounts.B.imports = [{ from = \"A\", subject = \"x\", kind = \"stream\" }]\n",
    );
    let problems = crate::check(File::Fleet, &text);
    let told: Vec<_> = problems.0.iter().map(|problem| (problem.line.unwrap(), &*problem.path)).collect();
    assert_eq!(told, [(5, "accounts.A.imports[0]"), (6, "accounts.B.imports[0]")], "{problems}");
    assert!(problems.0[0].message.contains("A from B from A"), "{problems}");
    let other_subject =
        text.replace("from = \"A\", subject = \"x\"", "from = \"A\", subject = \"x\", local = \"y\"");
    right(File::Fleet, "", &[&other_subject]);
}

const STATE: &str = "accounts.B.exports = [{ subject = \"state.>\", kind = \"stream\" }, { subject = \"bill.>\", kind = \"service\" }]\n";

#[test]
fn permissions_for_what_belongs_to_another_account() {
    let text = |rest: &str| format!("{FLEET}{STATE}{rest}");
    let told = crate::check(
        File::Fleet,
        &text("[accounts.A.services.s]\npublish = [\"bill.x\"]\nsubscribe = [\"state.x\"]\n"),
    );
    assert_eq!(told.0.len(), 2, "{told}");
    assert_eq!(told.0[0].path, "accounts.A.services.s.publish[0]");
    assert!(told.0[0].message.contains("`bill.x` is a service of the account `B`"), "{told}");
    assert!(told.0[0].remedy.contains("add [[accounts.A.imports]] with from = \"B\", subject = \"bill.x\""));
    assert_eq!((told.0[1].line, &*told.0[1].path), (Some(6), "accounts.A.services.s.subscribe[0]"));
    right(
        File::Fleet,
        "",
        &[
            &text(
                "[accounts.A.services.s]\npublish = [\"bill.x\"]\n[[accounts.A.imports]]\nfrom = \"B\"\nsubject = \"bill.x\"\nkind = \"service\"\n",
            ),
            &text(
                "[accounts.A.services.s]\npublish = [\"bill.x\"]\n[accounts.A.services.t]\nsubscribe = [\"bill.*\"]\n",
            ),
            &text(
                "[accounts.A.services.s]\nsubscribe = [\"state.x\"]\n[accounts.A.streams.STATE]\nsubjects = [\"state.>\"]\n",
            ),
        ],
    );
}
