//! What people give a command: a file, or a block that they paste, and a yes.

use std::{
    fs::File,
    io::{self, BufRead, IsTerminal, Read, Write, stderr, stdin},
    path::Path,
};

use anyhow::{Context, Result, bail};
use identity::{
    enrolment::is_end,
    nkey::{KeyKind, SecretKey},
};

/// No answer of any fleet is longer.
const LONGEST: u64 = 32 << 20;

/// The text of a file, or what is pasted, up to the line that ends a block.
pub(super) fn read(source: &Path, what: &str) -> Result<String> {
    if source != Path::new("-") {
        let cannot = || format!("cannot read the {what} {}", source.display());
        let mut bytes = Vec::new();
        let file = File::open(source).with_context(cannot)?;
        file.take(LONGEST).read_to_end(&mut bytes).with_context(cannot)?;
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    if stdin().is_terminal() {
        eprintln!("Paste the {what}, to its last line:");
    }
    until_end(stdin().lock()).with_context(|| format!("cannot read the {what} from standard input"))
}

fn until_end(input: impl BufRead) -> io::Result<String> {
    let (mut text, mut input) = (String::new(), input.take(LONGEST));
    let mut line = Vec::new();
    // Nobody who pastes on a console has to know about Ctrl-D. A console adds what is no UTF-8, and
    // the block has a checksum.
    while input.read_until(b'\n', &mut line)? > 0 {
        let last = String::from_utf8_lossy(&line);
        text.push_str(&last);
        if is_end(&last) {
            break;
        }
        line.clear();
    }
    Ok(text)
}

/// Whether what [`read`] gives comes from the terminal on which the user is asked afterwards.
pub(super) fn is_pasted(source: &Path) -> bool {
    source == Path::new("-") && stdin().is_terminal()
}

/// Whether the user says yes; `--yes` is named where nobody can be asked.
pub(crate) fn confirm(question: &str) -> Result<bool> {
    refuse_nobody()?;
    ask(&format!("{question} [y/N] "))?;
    let mut answer = String::new();
    stdin().read_line(&mut answer).context("cannot read the answer")?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// The same after a paste, which may go on with a line that says yes: whoever wrote it does not know
/// the word that is wanted.
pub(super) fn confirm_after_paste(question: &str) -> Result<bool> {
    refuse_nobody()?;
    let word = SecretKey::generate(KeyKind::User)?.public_key()[2..6].to_owned();
    let question = format!("{question} Type {word} if so, n if not: ");
    says(stdin().lock(), &word, || ask(&question))
}

fn says(mut input: impl BufRead, word: &str, ask: impl Fn() -> Result<()>) -> Result<bool> {
    let mut line = Vec::new();
    loop {
        ask()?;
        line.clear();
        let length = input.read_until(b'\n', &mut line).context("cannot read the answer")?;
        let answer = String::from_utf8_lossy(&line);
        let answer = answer.trim();
        if answer.eq_ignore_ascii_case(word) {
            return Ok(true);
        }
        if length == 0 || ["n", "no"].iter().any(|no| answer.eq_ignore_ascii_case(no)) {
            return Ok(false);
        }
    }
}

fn refuse_nobody() -> Result<()> {
    if !stdin().is_terminal() {
        bail!("there is no terminal to ask on: compare the lines above, and say --yes");
    }
    Ok(())
}

fn ask(question: &str) -> Result<()> {
    eprint!("{question}");
    stderr().flush().context("cannot ask")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
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
        assert_eq!(until_end(io::Cursor::new(b"\xff\nx")).unwrap(), "\u{fffd}\nx");
    }

    /// A regression test: a request that was pasted with a line `y` after its end let itself in.
    #[test]
    fn a_paste_does_not_say_yes_to_itself() {
        let says = |input: &str| says(io::Cursor::new(input), "K7QX", || Ok(())).unwrap();
        assert!(!says("y\nyes\nY\n"));
        assert!(!says("-- \nthe operator\n\nn\nK7QX\n"));
        assert!(!says(""));
        assert!(says("y\n\nK7QX\n"));
        assert!(says("k7qx"));
    }

    #[test]
    fn a_file_is_read_no_further_than_any_answer_is_long() {
        let text = read(Path::new("/dev/zero"), "answer").unwrap();
        assert_eq!(text.len() as u64, LONGEST);
    }
}
