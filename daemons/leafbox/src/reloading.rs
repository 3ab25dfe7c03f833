//! What of a changed configuration nats-server takes while it runs, and what it does not.
//!
//! nats-server refuses a reload as a whole for one line that it cannot take, says why only in its
//! log, and prints the old and the new value there, which no journal should keep. So the lines are
//! compared here, before it is asked. Read from `diffOptions` in its `reload.go`.

use std::collections::BTreeMap;

/// Lines at the top that it takes.
const ANYWHERE: [&str; 7] = [
    "max_connections",
    "max_payload",
    "ping_interval",
    "ping_max",
    "write_deadline",
    "server_tags",
    "client_advertise",
];
/// Blocks whose listener may get other certificates.
const TLS: [&str; 5] = ["tls/", "cluster/tls/", "websocket/tls/", "mqtt/tls/", "leafnodes/tls/"];
const REMOTES: &str = "leafnodes/remotes/";
const ACCOUNTS: &str = "resolver_preload/";
/// Longer values are left out of what is told: JWTs.
const LONGEST: usize = 100;

/// The lines that only a restart changes, `-` before those that run and `+` before those declared.
pub fn needs_restart(running: &str, declared: &str) -> Vec<String> {
    differences(running, declared, is_taken)
}

/// The lines that the next start would change, `-` before those that run and `+` before those
/// declared: accounts are pushed to a running server, and `max_file` follows the disk.
pub fn at_next_start(running: &str, declared: &str) -> Vec<String> {
    differences(running, declared, |key, _, _| key.starts_with(ACCOUNTS) || key == "jetstream/max_file")
}

fn differences(
    running: &str,
    declared: &str,
    is_left_out: impl Fn(&str, &Entries, &Entries) -> bool,
) -> Vec<String> {
    let (before, after) = (entries(running), entries(declared));
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut lines = Vec::new();
    for key in keys {
        let (old, new) = (before.get(key), after.get(key));
        if old == new || is_left_out(key, &before, &after) {
            continue;
        }
        let line = |sign: &str, value: Option<&String>| value.map(|value| shown(sign, key, value));
        lines.extend(line("-", old).into_iter().chain(line("+", new)));
    }
    lines
}

/// The value of a line, such as `jetstream/max_file`.
pub fn value(text: &str, key: &str) -> Option<String> {
    entries(text).remove(key)
}

fn shown(sign: &str, key: &str, value: &str) -> String {
    if value.len() > LONGEST { format!("{sign} {key}: …") } else { format!("{sign} {key}: {value}") }
}

type Entries = BTreeMap<String, String>;

fn is_taken(key: &str, before: &Entries, after: &Entries) -> bool {
    if ANYWHERE.contains(&key) || key.starts_with(ACCOUNTS) {
        return true;
    }
    let both = before.get(key).zip(after.get(key));
    match key {
        "cluster/routes" => both.is_some(),
        "cluster/advertise" => true,
        // Only upwards.
        "jetstream/max_mem" | "jetstream/max_file" => both.is_some_and(|(old, new)| {
            old.parse::<u64>().ok().zip(new.parse().ok()).is_some_and(|(old, new)| old < new)
        }),
        _ if TLS.iter().any(|block| key.starts_with(block)) => both.is_some() && !key.ends_with("/verify"),
        _ => key.strip_prefix(REMOTES).is_some_and(|rest| is_taken_of_remote(rest, before, after)),
    }
}

/// A remote may come or go beside others, and may have another address and other creds.
fn is_taken_of_remote(rest: &str, before: &Entries, after: &Entries) -> bool {
    let Some((name, line)) = rest.split_once('/') else { return false };
    let has = |entries: &Entries| entries.contains_key(&format!("{REMOTES}{name}/account"));
    let had_links =
        ["leafnodes/reconnect"].iter().all(|key| before.contains_key(*key) && after.contains_key(*key));
    had_links
        && (has(before) != has(after)
            || ["urls", "account", "credentials"].contains(&line)
            || line.starts_with("tls/"))
}

/// The values of a configuration by their place: `jetstream/max_file`. A block in a list is named
/// by its comment.
fn entries(text: &str) -> Entries {
    let mut entries = Entries::new();
    let mut path: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("# ") {
            if let Some(unnamed) = path.last_mut().filter(|name| name.is_empty()) {
                comment.clone_into(unnamed);
            }
        } else if line == "}" || line == "]" {
            path.pop();
        } else if let Some(block) = line.strip_suffix('{').or_else(|| line.strip_suffix(": [")) {
            path.push(block.trim().to_owned());
        } else if let Some((key, value)) = line.split_once(": ") {
            path.push(key.to_owned());
            entries.insert(path.join("/"), value.to_owned());
            path.pop();
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: &str = "# by leafbox\nlisten: \"127.0.0.1:4222\"\nmax_connections: 10\noperator: \"jwt\"\n\
        resolver_preload {\n  # A\n  AKEY: \"old\"\n}\njetstream {\n  max_mem: 5\n  max_file: 5\n}\n\
        leafnodes {\n  reconnect: \"1s\"\n  remotes: [\n    {\n      # A\n      urls: [\"tls://hub:7422\"]\n      \
        account: \"AKEY\"\n      deny_imports: [\"a.>\"]\n    }\n  ]\n}\n";

    fn changed(from: &str, to: &str) -> Vec<String> {
        let declared = RUNNING.replace(from, to);
        assert_ne!(declared, RUNNING, "{from}");
        needs_restart(RUNNING, &declared)
    }

    #[test]
    fn what_nats_server_takes_needs_no_restart() {
        assert_eq!(needs_restart(RUNNING, RUNNING), Vec::<String>::new());
        for (from, to) in [
            ("max_connections: 10", "max_connections: 20"),
            ("max_connections: 10", "max_connections: 10\nserver_tags: [\"a\"]"),
            ("\"old\"", "\"new\""),
            ("max_file: 5", "max_file: 6"),
            ("tls://hub:7422", "tls://other:7422"),
            ("    {\n", "    {\n      # B\n      urls: [\"b\"]\n      account: \"BKEY\"\n    }\n    {\n"),
        ] {
            assert_eq!(changed(from, to), Vec::<String>::new(), "{to}");
        }
    }

    #[test]
    fn accounts_and_the_disk_are_no_difference_at_the_next_start() {
        let declared = RUNNING.replace("old", "new").replace("max_file: 5", "max_file: 6");
        assert_eq!(at_next_start(RUNNING, &declared), Vec::<String>::new());
    }

    #[test]
    fn what_a_reload_takes_is_a_difference_at_the_next_start() {
        let declared = RUNNING.replace("max_connections: 10", "max_connections: 20");
        assert_eq!(at_next_start(RUNNING, &declared), ["- max_connections: 10", "+ max_connections: 20"]);
    }

    #[test]
    fn what_it_would_refuse_is_named() {
        assert_eq!(
            changed("127.0.0.1:4222", "127.0.0.1:5222"),
            ["- listen: \"127.0.0.1:4222\"", "+ listen: \"127.0.0.1:5222\""]
        );
        assert_eq!(
            changed("max_file: 5", "max_file: 4"),
            ["- jetstream/max_file: 5", "+ jetstream/max_file: 4"]
        );
        assert_eq!(
            changed("deny_imports: [\"a.>\"]", "deny_imports: [\"b.>\"]").last().map(String::as_str),
            Some("+ leafnodes/remotes/A/deny_imports: [\"b.>\"]")
        );
        assert_eq!(changed("listen", "tls {\n  cert_file: \"c\"\n}\nlisten"), ["+ tls/cert_file: \"c\""]);
        let long = "j".repeat(LONGEST + 1);
        assert_eq!(changed("\"jwt\"", &format!("\"{long}\"")), ["- operator: \"jwt\"", "+ operator: …"]);
    }
}
