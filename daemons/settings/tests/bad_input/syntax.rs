//! Files that are not TOML.

use settings::File;

use crate::{check, fleet, node};

#[test]
fn keys_and_tables_that_are_there_twice() {
    fleet(&[
        (
            "[accounts.A.limits]\nconnections = 5\nconnections = 6\n",
            "5  accounts.A.limits.connections",
            "already set on line 4",
            "keep one of lines 4 and 5",
        ),
        (
            "[accounts.A]\n[accounts.B]\n[accounts.A]\n",
            "5  accounts.A",
            "already set on line 3",
            "keep one of lines 3 and 5",
        ),
        (
            "[accounts.A.kv.k]\n[accounts.A.kv]\nk = {}\n",
            "5  accounts.A.kv.k",
            "already set on line 3",
            "keep one of lines 3 and 5",
        ),
    ]);
}

#[test]
fn what_is_no_toml() {
    fleet(&[
        (
            "[accounts.A.streams.S]\nmax_bytes = 64MiB # much\n",
            "4  max_bytes",
            "not TOML",
            "in quotes: max_bytes = \"64MiB\"",
        ),
        ("[accounts.A.kv.k]\nmax_age =\n", "4  max_age", "not TOML", "write a value after `max_age =`"),
        ("[accounts.A\n", "3", "unclosed table", "write a table as [name]"),
        ("accounts\n", "3", "key with no value", "write `key = value`"),
    ]);
    node(&[("data = /var/lib/leafbox\n", "2  data", "not TOML", "data = \"/var/lib/leafbox\"")]);
}

#[test]
fn mistakes_on_several_lines_are_all_told() {
    let problems = check(File::Fleet, "name = f\n[accounts\nx\n[accounts.A.kv.k]\nmax_bytes = 1GiB\n");
    let lines: Vec<_> = problems.0.iter().map(|problem| problem.line.unwrap()).collect();
    assert_eq!(lines, [1, 2, 3, 5], "{problems}");
}
