//! What a page shows or does, as a command of the `nats` program.

use maud::{Markup, html};

/// The command that does the same, to be opened.
pub(super) fn command(arguments: &[&str]) -> Markup {
    html! {
        details.command {
            summary { "As a " code { "nats" } " command" }
            pre tabindex="0" aria-label="Command" { code { (line(arguments)) } }
        }
    }
}

/// The same as a command of `leafbox`, on the machine that it is about.
pub(super) fn leafbox(arguments: &[&str]) -> Markup {
    html! {
        details.command {
            summary { "As a " code { "leafbox" } " command" }
            pre tabindex="0" aria-label="Command" { code { (typed("leafbox", arguments)) } }
        }
    }
}

/// The command as it is typed into a shell.
pub(super) fn line(arguments: &[&str]) -> String {
    typed("nats", arguments)
}

fn typed(program: &str, arguments: &[&str]) -> String {
    let mut line = program.to_owned();
    for argument in arguments {
        line.push(' ');
        line.push_str(&quoted(argument));
    }
    line
}

/// An argument for a POSIX shell: whatever is in it, it stays one word and nothing in it is run.
fn quoted(argument: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "-_=+:,./@%".contains(it);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        assert_eq!(line(&["stream", "info", "ORDERS"]), "nats stream info ORDERS");
        assert_eq!(line(&["pub", "a.>", "it's $HOME"]), "nats pub 'a.>' 'it'\\''s $HOME'");
        assert_eq!(line(&["kv", "put", "b", "k", ""]), "nats kv put b k ''");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// A shell gives back what was quoted, whatever it is.
        #[test]
        fn a_shell_reads_back_what_was_quoted(argument in "[^\\x00]{0,40}") {
            let script = format!("printf %s {}", quoted(&argument));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), argument);
        }
    }
}
