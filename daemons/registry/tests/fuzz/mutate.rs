//! Changes inputs: what a fuzzer does without knowing which code they reach.

use rand::{Rng, RngExt, seq::IndexedRandom};

/// Pieces that mean something to a reader.
const PIECES: [&str; 64] = [
    "/",
    "//",
    ".",
    "..",
    "-",
    "--",
    "_",
    "__",
    "___",
    ":",
    "=",
    "%",
    "%2F",
    "%00",
    "%ff",
    "+",
    " ",
    "  ",
    ",",
    ";",
    "\"",
    "\\",
    "<",
    ">",
    "?",
    "&",
    "*",
    "**",
    "\0",
    "\r\n",
    "\u{fffd}",
    "ä",
    "0",
    "1",
    "9",
    "18446744073709551615",
    "18446744073709551616",
    "-1",
    "0x1",
    "sha256:",
    "sha512:",
    "bytes=",
    "bytes ",
    "/*",
    "rel=\"next\"",
    "Basic ",
    "bearer ",
    "repository:",
    ":pull,push",
    "registry:catalog:*",
    "lbr_",
    "v2",
    "blobs",
    "uploads",
    "manifests",
    "localhost",
    "null",
    "[]",
    "{}",
    "\"schemaVersion\":2,",
    "\"config\":{\"digest\":\"",
    "\"manifests\":[",
    "\"mediaType\":\"",
    "\"urls\":[\"x\"],",
];

/// Longest input.
const LONGEST: usize = 4096;

/// A changed copy of `input`, sometimes with a piece of `other`.
pub(crate) fn mutated(random: &mut impl Rng, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..=bytes.len());
        let until = (at + random.random_range(0..=16)).min(bytes.len());
        match random.random_range(0..9) {
            0 => drop(bytes.drain(at..until)),
            1 => bytes.truncate(at),
            2 => insert(&mut bytes, at, PIECES.choose(random).expect("there are pieces").as_bytes()),
            3 => {
                let piece = PIECES.choose(random).expect("there are pieces").as_bytes();
                bytes.splice(at..until, piece.iter().copied());
            }
            4 => {
                let piece = bytes[at..until].repeat(random.random_range(1..=20));
                insert(&mut bytes, at, &piece);
            }
            5 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            6 if at < bytes.len() => bytes[at] = random.random_range(b' '..=b'~'),
            7 => insert(&mut bytes, at, &[random.random()]),
            _ => {
                let from = random.random_range(0..=other.len());
                insert(&mut bytes, at, &other[from..(from + 24).min(other.len())]);
            }
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    bytes.splice(at..at, piece.iter().copied());
}
