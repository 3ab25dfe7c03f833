//! What people give a command: a file, or a block that they paste, and a yes.

use std::{
    fs,
    io::{self, BufRead, IsTerminal, Write, stderr, stdin},
    path::Path,
};

use anyhow::{Context, Result, bail};
use identity::enrolment::is_end;

/// No answer of any fleet is longer.
const LONGEST: u64 = 32 << 20;

/// The text of a file, or what is pasted, up to the line that ends a block.
pub(super) fn read(source: &Path, what: &str) -> Result<String> {
    if source != Path::new("-") {
        return fs::read_to_string(source)
            .with_context(|| format!("cannot read the {what} {}", source.display()));
    }
    if stdin().is_terminal() {
        eprintln!("Paste the {what}, to its last line:");
    }
    until_end(stdin().lock()).with_context(|| format!("cannot read the {what} from standard input"))
}

fn until_end(input: impl BufRead) -> io::Result<String> {
    let (mut text, mut input) = (String::new(), input.take(LONGEST));
    // Nobody who pastes on a console has to know about Ctrl-D.
    while input.read_line(&mut text)? > 0 {
        let last = text.trim_end_matches('\n').rsplit('\n').next().unwrap_or_default();
        if is_end(last) {
            break;
        }
    }
    Ok(text)
}

/// Whether the user says yes; `--yes` is named where nobody can be asked.
pub(super) fn confirm(question: &str) -> Result<bool> {
    if !stdin().is_terminal() {
        bail!("there is no terminal to ask on: compare the lines above, and say --yes");
    }
    eprint!("{question} [y/N] ");
    stderr().flush().context("cannot ask")?;
    let mut answer = String::new();
    stdin().read_line(&mut answer).context("cannot read the answer")?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Read;

    use super::*;

    #[test]
    fn a_paste_is_over_with_the_last_line_of_a_block() {
        let block =
            "x\n> -----BEGIN LEAFBOX ENROLL ANSWER-----\r\nAA\r\n> -----END LEAFBOX ENROLL ANSWER-----\r\n";
        let mut input = io::Cursor::new(format!("{block}ls\n"));
        assert_eq!(until_end(&mut input).unwrap(), block);
        let mut rest = String::new();
        input.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "ls\n");
        assert_eq!(until_end(io::Cursor::new("cut off")).unwrap(), "cut off");
    }
}
