//! `Range` of a download (RFC 9110, section 14) and `Content-Range` of an upload's chunk
//! (distribution specification, "Pushing a blob in chunks").

use std::ops::Range;

/// What a `Range` header asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it: there is no range, or one that may be ignored.
    Whole,
    /// These bytes, which are there and at least one.
    Part(Range<u64>),
    /// Bytes that are not there.
    Unsatisfiable,
}

/// What the value of a `Range` header asks for of `size` bytes.
///
/// Several ranges give the whole, which a server may always answer. A range that ends before it
/// begins is refused as clients of the specification's conformance suite expect, though it may be
/// ignored as well. What is no range is ignored.
pub fn wanted(header: &str, size: u64) -> Wanted {
    let unit = header.split_once('=').filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"));
    let Some((_, set)) = unit else { return Wanted::Whole };
    let mut ranges = set.split(',').map(str::trim).filter(|range| !range.is_empty());
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Wanted::Whole };
    let Some((first, last)) = range.split_once('-') else { return Wanted::Whole };
    let part = match (number(first), number(last)) {
        (Some(first), Some(last)) => first..last.saturating_add(1).min(size),
        (Some(first), None) if last.is_empty() => first..size,
        // All of nothing has no bytes to name in a `Content-Range`.
        (None, Some(1..)) if first.is_empty() && size == 0 => return Wanted::Whole,
        (None, Some(length)) if first.is_empty() => size.saturating_sub(length)..size,
        _ => return Wanted::Whole,
    };
    if part.is_empty() { Wanted::Unsatisfiable } else { Wanted::Part(part) }
}

/// Digits, and nothing else; more than fits is the most that does.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Which bytes of the blob a chunk holds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The first.
    pub start: u64,
    /// The last.
    pub end: u64,
}

/// The text is no range of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`Content-Range` is the first and last byte of the chunk, such as 0-1023")]
pub struct BadContentRange;

impl ContentRange {
    /// Reads `0-1023`, and `bytes 0-1023/*` as HTTP would write it.
    ///
    /// # Errors
    /// When it is neither, or ends before it begins.
    pub fn of(text: &str) -> Result<Self, BadContentRange> {
        let text = text.trim();
        let text = text
            .strip_prefix("bytes ")
            .map_or(text, |rest| rest.split_once('/').map_or(rest, |(range, _)| range));
        let (start, end) = text.split_once('-').ok_or(BadContentRange)?;
        let (start, end) = number(start).zip(number(end)).ok_or(BadContentRange)?;
        // The number of bytes must fit too.
        if start <= end && end < u64::MAX { Ok(Self { start, end }) } else { Err(BadContentRange) }
    }

    /// Bytes of the chunk.
    pub fn length(self) -> u64 {
        self.end - self.start + 1
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn one_range_is_cut_to_what_is_there() {
        let rows = [
            ("bytes=500-1499", Wanted::Part(500..1500)),
            ("bytes=500-", Wanted::Part(500..2048)),
            ("bytes=-500", Wanted::Part(1548..2048)),
            ("bytes=-5000", Wanted::Part(0..2048)),
            ("bytes=2000-5000", Wanted::Part(2000..2048)),
            ("bytes=0-0", Wanted::Part(0..1)),
            ("Bytes = 0-18446744073709551615", Wanted::Part(0..2048)),
            ("bytes=0-99999999999999999999999", Wanted::Part(0..2048)),
            ("bytes=0-0,", Wanted::Part(0..1)),
            ("bytes=500-0", Wanted::Unsatisfiable),
            ("bytes=2048-", Wanted::Unsatisfiable),
            ("bytes=5000-10000", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=0-1,5-9", Wanted::Whole),
            ("items=0-1", Wanted::Whole),
        ];
        for (header, expected) in rows {
            assert_eq!(wanted(header, 2048), expected, "{header}");
        }
        for nonsense in ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=1", "bytes=--1", "bytes=+1-2"]
        {
            assert_eq!(wanted(nonsense, 2048), Wanted::Whole, "{nonsense}");
        }
    }

    #[test]
    fn nothing_has_no_range() {
        assert_eq!(wanted("bytes=0-", 0), Wanted::Unsatisfiable);
        assert_eq!(wanted("bytes=-5", 0), Wanted::Whole);
    }

    #[test]
    fn a_chunk_names_its_first_and_last_byte() {
        for (text, start, end) in
            [("0-0", 0, 0), ("10-19", 10, 19), ("bytes 10-19/*", 10, 19), (" 10-19 ", 10, 19)]
        {
            assert_eq!(ContentRange::of(text), Ok(ContentRange { start, end }), "{text}");
        }
        assert_eq!(ContentRange::of("10-19").unwrap().length(), 10);
        for bad in ["", "-", "10", "10-", "-10", "19-10", "a-b", "0-18446744073709551615", "0-1-2"] {
            assert_eq!(ContentRange::of(bad), Err(BadContentRange), "{bad}");
        }
    }
}
