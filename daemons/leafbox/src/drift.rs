//! Whether the running nats-server was started from what the files say now.
//!
//! Apply changes accounts and stores on a running server. What stands in its configuration,
//! listeners, limits, the uplink and its deny lists, takes effect at the next start; without that a
//! new stream's subjects would still cross the link, and be stored twice.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use settings::Settings;

use crate::{
    data::{DataDir, write_whole},
    session::Session,
    setup::Setup,
};

/// Before the folder that nats-server has its credentials from.
const KEYS: &str = "# credentials: ";

/// Notes, at a start, what the files say, before `dev` adds ports and hub of its own.
pub fn record(settings: Settings, data: &DataDir, keys: &Path) -> Result<()> {
    let text = format!("{KEYS}{}\n{}", keys.display(), Setup::rendering(settings, keys)?);
    write_whole(&file(data), text.as_bytes(), 0o600)
}

/// The lines of the configuration that a restart would change, `-` before those that run and `+`
/// before those declared; nothing where no start was recorded here.
pub fn of(session: &Session) -> Result<Vec<String>> {
    let Ok(running) = fs::read_to_string(file(&session.data)) else { return Ok(Vec::new()) };
    // Without its JWTs a node cannot be rendered, and the plan tells that already.
    if !identity::layout::operator_jwt(&session.settings.jwts_dir()).exists() {
        return Ok(Vec::new());
    }
    // Which links there are depends on the creds that are there, and each unit has its own.
    let keys = running.lines().find_map(|line| line.strip_prefix(KEYS)).map(PathBuf::from);
    let keys = keys.filter(|keys| keys.is_dir()).unwrap_or_else(|| session.keys.clone());
    let declared = Setup::rendering(session.settings.clone(), &keys)?;
    Ok(difference(&running, &declared))
}

fn file(data: &DataDir) -> PathBuf {
    data.run().join("declared.conf")
}

fn difference(running: &str, declared: &str) -> Vec<String> {
    let (running, declared) = (lines(running), lines(declared));
    let gone = running.iter().filter(|line| !declared.contains(line)).map(|line| format!("- {line}"));
    let new = declared.iter().filter(|line| !running.contains(line)).map(|line| format!("+ {line}"));
    gone.chain(new).collect()
}

/// The lines that matter: accounts are pushed to a running server, and `max_file` follows the disk.
fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut in_preload = false;
    for line in text.lines().map(str::trim) {
        in_preload |= line.starts_with("resolver_preload");
        let matters = !in_preload && !line.starts_with("max_file:") && !line.starts_with('#');
        if matters && line.contains(':') {
            lines.push(line.to_owned());
        }
        in_preload &= line != "}";
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: &str = "# by\nserver_name: \"a\"\nresolver_preload {\n  # A\n  A: \"old\"\n}\njetstream {\n  max_file: 5\n  max_mem: 1\n}\n";

    #[test]
    fn accounts_and_the_disk_are_no_difference() {
        let declared = RUNNING.replace("old", "new").replace("max_file: 5", "max_file: 6");
        assert_eq!(difference(RUNNING, &declared), Vec::<String>::new());
    }

    #[test]
    fn a_limit_and_a_deny_list_are() {
        let declared = RUNNING.replace("max_mem: 1", "max_mem: 2") + "deny_exports: [\"a.>\"]\n";
        assert_eq!(
            difference(RUNNING, &declared),
            ["- max_mem: 1", "+ max_mem: 2", "+ deny_exports: [\"a.>\"]"]
        );
    }
}
