//! Where a client is in a stream: what `id:` and `Last-Event-ID` hold.

use std::{fmt, str::FromStr, sync::Arc};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// What of a stream's name would not survive in an id.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b',').add(b':');
/// Positions in one `Last-Event-ID`.
const MOST_POSITIONS: usize = 32;
/// The longest `Last-Event-ID`, bytes.
const LONGEST: usize = 8192;

/// What tells two streams apart that had one name after another: when it was made, nanoseconds since
/// 1970. It is written in base 36.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// A message of a stream: `stream:incarnation:sequence`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The stream's name.
    pub stream: Arc<str>,
    /// Which of the streams of that name.
    pub incarnation: Incarnation,
    /// The last sequence that was sent, or the one before the first that will be.
    pub sequence: u64,
}

/// What a client had last: a position in each of its streams, joined by `,`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastEventId(pub Vec<Position>);

/// A text that is no position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no Last-Event-ID: it is stream:incarnation:sequence as this bridge sent it in `id`, \
     several joined by `,`; leave it out to begin anew"
)]
pub struct BadPosition(String);

impl fmt::Display for Incarnation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let mut text = [0; 13];
        let mut rest = self.0;
        let mut at = text.len();
        loop {
            at -= 1;
            text[at] = DIGITS[(rest % 36) as usize];
            rest /= 36;
            if rest == 0 {
                break;
            }
        }
        formatter.write_str(std::str::from_utf8(&text[at..]).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stream = utf8_percent_encode(&self.stream, ESCAPED);
        write!(formatter, "{stream}:{}:{}", self.incarnation, self.sequence)
    }
}

impl FromStr for Position {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        let read = || {
            let mut parts = text.split(':');
            let (stream, incarnation, sequence) = (parts.next()?, parts.next()?, parts.next()?);
            let stream = percent_decode_str(stream).decode_utf8().ok()?;
            let incarnation = u64::from_str_radix(incarnation, 36).ok()?;
            let position = Self {
                stream: stream.as_ref().into(),
                incarnation: Incarnation(incarnation),
                sequence: sequence.parse().ok()?,
            };
            // Only what this bridge writes: no sign, no leading zero, nothing behind, one way to escape.
            (!stream.is_empty() && position.sequence < u64::MAX && position.to_string() == text)
                .then_some(position)
        };
        read().ok_or_else(|| bad(text))
    }
}

impl LastEventId {
    /// Where the client was in a stream.
    pub fn of(&self, stream: &str) -> Option<&Position> {
        self.0.iter().find(|position| &*position.stream == stream)
    }
}

impl fmt::Display for LastEventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, position) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(formatter, "{comma}{position}")?;
        }
        Ok(())
    }
}

impl FromStr for LastEventId {
    type Err = BadPosition;

    /// An empty text is no position, as browsers send it.
    fn from_str(text: &str) -> Result<Self, BadPosition> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text.len() > LONGEST || text.split(',').count() > MOST_POSITIONS {
            return Err(bad(text));
        }
        let mut positions: Vec<Position> = Vec::new();
        for part in text.split(',') {
            let position: Position = part.parse().map_err(|_| bad(text))?;
            if positions.iter().any(|other| other.stream == position.stream) {
                return Err(bad(text));
            }
            positions.push(position);
        }
        Ok(Self(positions))
    }
}

/// With what fits in an answer.
fn bad(text: &str) -> BadPosition {
    BadPosition(text.chars().take(100).flat_map(char::escape_debug).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written_and_nothing_else_is() {
        for good in ["", "EVENTS:1z:0", "EVENTS:1z:42,KV_b:0:7", "a%3Ab%2C%25:zzzzzzzzzzz:1"] {
            assert_eq!(good.parse::<LastEventId>().unwrap().to_string(), good);
        }
        for bad in [
            "a",
            "a:b",
            "a:b:c",
            ":1:1",
            "a::1",
            "a:1:",
            "a:1:-1",
            "a:1:+1",
            "a:1:01",
            "a:01:1",
            "a:A:1",
            "a:1:1:",
            "a:1:1,",
            ",a:1:1",
            "a:1:1,a:1:2",
            "a b:1:1",
            "a:1:18446744073709551615",
            "a:zzzzzzzzzzzzzz:1",
        ] {
            let error = bad.parse::<LastEventId>().unwrap_err();
            assert!(error.to_string().contains("stream:incarnation:sequence"), "{bad}");
        }
        let many: Vec<_> = (0..MOST_POSITIONS + 1).map(|number| format!("S{number}:1:1")).collect();
        assert!(many.join(",").parse::<LastEventId>().is_err());
        assert!(many[1..].join(",").parse::<LastEventId>().is_ok());
    }

    proptest! {
        #[test]
        fn any_position_survives_its_text(stream in "\\PC{1,40}", incarnation: u64, sequence in 0..u64::MAX) {
            let position = Position { stream: stream.into(), incarnation: Incarnation(incarnation), sequence };
            prop_assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
        }

        #[test]
        fn no_text_panics_and_what_is_read_is_written_the_same(text in "\\PC{0,80}|([a-z%0-9]{1,6}:[a-z0-9]{1,4}:[0-9]{1,4},?){1,4}") {
            if let Ok(read) = text.parse::<LastEventId>() {
                prop_assert_eq!(read.to_string(), text);
            }
        }
    }
}
