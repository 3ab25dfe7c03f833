//! Text blocks for a request or an answer, and the text of a request's QR code.
//!
//! Lines have 64 characters: a serial console in canonical mode cuts those above 4095. Whatever
//! stands before a line is passed over, as a prompt, a quotation mark, or what journald writes; so is
//! all text around the block.

use std::fmt;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use sha2::{Digest, Sha256};

const COLUMNS: usize = 64;
const CHECKSUM: usize = 4;
const VERSION: u8 = 1;
/// Before the bytes of a request in a QR code; base32 follows, for which a QR code needs the least
/// room of all that every scanner reads as text.
const QR_PREFIX: &str = "LEAFBOX:";

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// From a box to the operator.
    Request,
    /// From the operator to a box.
    Answer,
}

impl Block {
    fn begin(self) -> String {
        format!("-----BEGIN LEAFBOX ENROLL {self}-----")
    }

    fn end(self) -> String {
        format!("-----END LEAFBOX ENROLL {self}-----")
    }

    fn other(self) -> Self {
        match self {
            Self::Request => Self::Answer,
            Self::Answer => Self::Request,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Request => 0x10,
            Self::Answer => 0x20,
        }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Request => "REQUEST",
            Self::Answer => "ANSWER",
        })
    }
}

/// Why there is no whole block in a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArmorError {
    /// No block begins.
    #[error("there is no line `{}` in it: give the whole text that leafbox printed", .0.begin())]
    NotFound(Block),
    /// It is the other sort.
    #[error("it is {}, and {} is wanted: {}", article(.0.other()), article(*.0), whence(*.0))]
    Other(Block),
    /// The block does not end.
    #[error("it is cut off: the line `{}` is missing; copy it again, to the last line", .0.end())]
    CutOff(Block),
    /// A line holds something else.
    #[error(
        "line {line} of the block has `{}` in it, which leafbox never writes: copy it again, to the last line",
        character.escape_debug()
    )]
    Line {
        /// Counted from the line that begins the block.
        line: usize,
        /// What is there.
        character: char,
    },
    /// A character was changed, or a line is missing.
    #[error("its checksum does not match: a line is missing or a character was changed; copy it again")]
    Checksum,
    /// A later leafbox wrote it.
    #[error(
        "it has version {0} and this leafbox reads version {VERSION}: use the same leafbox on both sides"
    )]
    Version(u8),
}

fn article(block: Block) -> &'static str {
    match block {
        Block::Request => "a request, made on a box",
        Block::Answer => "an answer, made by the operator",
    }
}

fn whence(block: Block) -> &'static str {
    match block {
        Block::Request => "`leafbox enroll request` prints it on the box",
        Block::Answer => "`leafbox enroll approve` prints it on the operator's machine",
    }
}

/// Whether a line ends a block, so that a paste is over.
pub fn is_end(line: &str) -> bool {
    line.contains(&Block::Request.end()) || line.contains(&Block::Answer.end())
}

/// Sort, version, content and checksum.
pub(crate) fn framed(block: Block, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![block.code() | VERSION];
    bytes.extend_from_slice(content);
    let checksum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum[..CHECKSUM]);
    bytes
}

/// The block as text.
pub(crate) fn armored(block: Block, framed: &[u8]) -> String {
    let mut text = format!("{}\n", block.begin());
    for line in BASE64URL_NOPAD.encode(framed).as_bytes().chunks(COLUMNS) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str(&block.end());
    text.push('\n');
    text
}

/// The text of a QR code.
pub(crate) fn qr_text(framed: &[u8]) -> String {
    format!("{QR_PREFIX}{}", BASE32_NOPAD.encode(framed))
}

/// The content of the first block of the sort in a text, or of a scanned QR code.
pub(crate) fn content(block: Block, text: &str) -> Result<Vec<u8>, ArmorError> {
    let mut framed = match lines(block, text) {
        Err(ArmorError::NotFound(_)) if block == Block::Request && text.contains(QR_PREFIX) => scanned(text)?,
        Err(ArmorError::NotFound(_)) if text.contains(&block.other().begin()) => {
            return Err(ArmorError::Other(block));
        }
        other => other?,
    };
    if framed.len() <= CHECKSUM {
        return Err(ArmorError::Checksum);
    }
    let checksum = framed.split_off(framed.len() - CHECKSUM);
    if Sha256::digest(&framed)[..CHECKSUM] != checksum[..] {
        return Err(ArmorError::Checksum);
    }
    let first = framed.remove(0);
    if first & 0xf0 != block.code() {
        return Err(ArmorError::Other(block));
    }
    if first & 0x0f != VERSION {
        return Err(ArmorError::Version(first & 0x0f));
    }
    Ok(framed)
}

fn lines(block: Block, text: &str) -> Result<Vec<u8>, ArmorError> {
    let (begin, end) = (block.begin(), block.end());
    let mut lines = text.lines().enumerate().skip_while(|(_, line)| !line.contains(&begin));
    let (first, _) = lines.next().ok_or(ArmorError::NotFound(block))?;
    let mut encoded = String::new();
    for (number, line) in lines {
        if line.contains(&end) {
            return BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|_| ArmorError::Checksum);
        }
        // The last word: what stands before it is a prompt or a log's.
        let word = line.split_whitespace().next_back().unwrap_or_default();
        if !word.contains(|character: char| character.is_ascii_alphanumeric()) {
            continue;
        }
        let is_ours = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
        let word = word.trim_start_matches(|character| !is_ours(character));
        if let Some(character) = word.chars().find(|character| !is_ours(*character)) {
            return Err(ArmorError::Line { line: number - first, character });
        }
        encoded.push_str(word);
    }
    Err(ArmorError::CutOff(block))
}

fn scanned(text: &str) -> Result<Vec<u8>, ArmorError> {
    let (_, code) = text.split_once(QR_PREFIX).ok_or(ArmorError::NotFound(Block::Request))?;
    let code: String = code.split_whitespace().collect();
    BASE32_NOPAD.decode(code.as_bytes()).map_err(|_| ArmorError::Checksum)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn bytes() -> Vec<u8> {
        (0..=255).cycle().take(1_000).collect()
    }

    fn block() -> String {
        armored(Block::Answer, &framed(Block::Answer, &bytes()))
    }

    #[test]
    fn lines_fit_any_console() {
        assert!(block().lines().all(|line| line.len() <= COLUMNS));
        assert_eq!(content(Block::Answer, &block()).unwrap(), bytes());
    }

    #[test]
    fn a_block_is_read_however_it_was_copied() {
        let block = block();
        let each = |before: &str, after: &str| -> String {
            block.lines().map(|line| format!("{before}{line}{after}")).collect()
        };
        for copied in [
            each("", "\r\n"),
            each("    ", "\n"),
            each("> ", "\n"),
            each(">", "\n"),
            each("\t> > ", "  \n"),
            each("[   12.345678] leafbox[312]: ", "\r\n"),
            each("Nov 21 12:00:01 shop-1 leafbox[312]: ", "\n"),
            each("", "\n\n"),
            format!("Hello,\nhere it is:\n\n{block}\n-- \nthe operator\n"),
        ] {
            assert_eq!(content(Block::Answer, &copied).unwrap(), bytes(), "{copied}");
        }
    }

    #[test]
    fn a_block_that_is_not_whole_is_refused_wherever_it_was_cut() {
        let block = block();
        let last = block.trim_end().len();
        for length in (0..last).step_by(17) {
            let error = content(Block::Answer, &block[..length]).unwrap_err();
            assert!(matches!(error, ArmorError::NotFound(_) | ArmorError::CutOff(_)), "{length}: {error}");
        }
        for missing in 1..block.lines().count() - 1 {
            let lines = block.lines().enumerate().filter(|(number, _)| *number != missing);
            let without: String = lines.map(|(_, line)| format!("{line}\n")).collect();
            assert_eq!(content(Block::Answer, &without).unwrap_err(), ArmorError::Checksum);
        }
    }

    #[test]
    fn one_changed_bit_is_noticed() {
        let good = framed(Block::Answer, &bytes());
        for place in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[place / 8] ^= 1 << (place % 8);
            let error = content(Block::Answer, &armored(Block::Answer, &bad)).unwrap_err();
            assert_eq!(error, ArmorError::Checksum, "bit {place}");
        }
    }

    #[test]
    fn the_other_sort_and_other_versions_are_told() {
        let error = content(Block::Request, &block()).unwrap_err();
        assert_eq!(error, ArmorError::Other(Block::Request));
        assert!(error.to_string().contains("`leafbox enroll request` prints it on the box"), "{error}");
        let mut later = vec![0x22, 1, 2, 3];
        let checksum = Sha256::digest(&later);
        later.extend_from_slice(&checksum[..CHECKSUM]);
        let error = content(Block::Answer, &armored(Block::Answer, &later)).unwrap_err();
        assert_eq!(error, ArmorError::Version(2));
        let error = content(Block::Answer, &block().replacen("IQAB", "IQ?B", 1)).unwrap_err();
        assert_eq!(error, ArmorError::Line { line: 1, character: '?' });
    }

    #[test]
    fn a_scanned_code_is_as_good_as_the_block() {
        let text = qr_text(&framed(Block::Request, &bytes()));
        let qr = |character: char| "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:".contains(character);
        assert!(text.chars().all(qr), "{text}");
        assert_eq!(content(Block::Request, &text).unwrap(), bytes());
        let folded = format!("{}\n{}\n", &text[..100], &text[100..]);
        assert_eq!(content(Block::Request, &folded).unwrap(), bytes());
        assert_eq!(content(Block::Request, &text[..200]).unwrap_err(), ArmorError::Checksum);
    }
}
