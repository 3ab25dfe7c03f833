//! A payload on a page: JSON with line breaks, text, or the bytes.

use std::fmt::Write;

use maud::{Markup, html};
use serde::de::IgnoredAny;

use super::figures::bytes;

/// Bytes that are shown of one in a list.
pub(super) const IN_LIST: usize = 2 << 10;
/// Bytes that are shown of one on its own page.
pub(super) const ALONE: usize = 256 << 10;
/// Bytes in a line of [`View::Hex`].
const LINE: usize = 16;

/// How a payload is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Json,
    Text,
    Hex,
}

impl View {
    pub(super) const ALL: [Self; 3] = [Self::Json, Self::Text, Self::Hex];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
            Self::Hex => "hex",
        }
    }

    /// By its name; `None` for anything else.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|view| view.name() == name)
    }

    /// What fits a payload best.
    pub(super) fn of(payload: &[u8]) -> Self {
        match std::str::from_utf8(payload) {
            Ok(_) if serde_json::from_slice::<IgnoredAny>(payload).is_ok() => Self::Json,
            Ok(text) if !text.chars().any(|it| it.is_control() && !it.is_whitespace()) => Self::Text,
            _ => Self::Hex,
        }
    }
}

/// The payload, at most `most` bytes of it, as `view` or as fits it best.
pub(super) fn payload(payload: &[u8], view: Option<View>, most: usize) -> Markup {
    if payload.is_empty() {
        return html! { p.quiet { "It is empty." } };
    }
    let view = view.unwrap_or_else(|| View::of(payload));
    let shown = &payload[..payload.len().min(most)];
    let text = match view {
        // A part of a document has line breaks as well.
        View::Json => indented(&String::from_utf8_lossy(shown)),
        View::Text => String::from_utf8_lossy(shown).into_owned(),
        View::Hex => dump(shown),
    };
    html! {
        pre tabindex="0" aria-label={ "Payload as " (view.name()) } { code { (text) } }
        @if shown.len() < payload.len() {
            p.quiet { "The first " (shown.len()) " of " (payload.len()) " bytes." }
        }
    }
}

/// Headers as a table; nothing where there are none.
pub(super) fn headers<'a>(caption: &str, headers: impl Iterator<Item = (&'a str, &'a str)>) -> Markup {
    let mut headers = headers.peekable();
    html! {
        @if headers.peek().is_some() {
            table {
                caption { (caption) }
                thead { tr { th scope="col" { "Name" } th scope="col" { "Value" } } }
                tbody { @for (name, value) in headers { tr { th scope="row" { (name) } td { (value) } } } }
            }
        }
    }
}

/// The headers of a message that came.
pub(super) fn pairs(headers: Option<&async_nats::HeaderMap>) -> impl Iterator<Item = (&str, &str)> {
    let all = headers.into_iter().flat_map(|headers| headers.iter());
    all.flat_map(|(name, values)| values.iter().map(move |value| (name.as_ref(), value.as_str())))
}

/// What of a payload fits in a line.
pub(super) fn summary(data: &[u8]) -> String {
    const SHOWN: usize = 60;
    match std::str::from_utf8(data) {
        Ok("") => "empty".to_owned(),
        Ok(text) if !text.chars().any(|it| it.is_control() && !it.is_whitespace()) => {
            let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
            if let Some((end, _)) = line.char_indices().nth(SHOWN) {
                line.truncate(end);
                line.push('…');
            }
            if line.is_empty() { "white space".to_owned() } else { line }
        }
        _ => format!("{} of bytes that are no text", bytes(data.len() as u64)),
    }
}

/// JSON with line breaks. Numbers and texts stay as they are: those above 2^53 too.
pub(super) fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let (mut in_text, mut is_escaped) = (false, false);
    let mut letters = json.chars().peekable();
    let new_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(letter) = letters.next() {
        if in_text {
            out.push(letter);
            match letter {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                '"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match letter {
            '{' | '[' => {
                out.push(letter);
                while letters.next_if(|next| next.is_whitespace()).is_some() {}
                if letters.peek().is_some_and(|next| matches!(next, '}' | ']')) {
                    out.extend(letters.next());
                } else {
                    // As deep as serde_json reads; a text of brackets alone must not grow with its square.
                    depth = (depth + 1).min(128);
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(letter);
            }
            ',' => {
                out.push(letter);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            letter if letter.is_whitespace() => {}
            letter => {
                in_text = letter == '"';
                out.push(letter);
            }
        }
    }
    out
}

/// The bytes, and beside them what of them is ASCII.
fn dump(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 5);
    for (number, line) in bytes.chunks(LINE).enumerate() {
        let _ = write!(out, "{:08x} ", number * LINE);
        for at in 0..LINE {
            let gap = if at == LINE / 2 { "  " } else { " " };
            match line.get(at) {
                Some(byte) => _ = write!(out, "{gap}{byte:02x}"),
                None => _ = write!(out, "{gap}  "),
            }
        }
        let is_shown = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
        let letters = line.iter().map(|byte| if is_shown(byte) { char::from(*byte) } else { '.' });
        let _ = writeln!(out, "  |{}|", letters.collect::<String>());
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_payload_is_shown_as_fits_it() {
        assert_eq!(View::of(b"{\"a\":1}"), View::Json);
        assert_eq!(View::of("größe\n".as_bytes()), View::Text);
        assert_eq!(View::of(b"\x00\x01"), View::Hex);
        assert_eq!(View::of(b"\xff"), View::Hex);
        assert_eq!(View::named("hex"), Some(View::Hex));
        assert_eq!(View::named("xml"), None);
        let cut = payload(&[b'a'; 100], None, 10).into_string();
        assert!(cut.contains("aaaaaaaaaa<") && cut.contains("The first 10 of 100 bytes"), "{cut}");
        assert!(payload(b"<b>", None, 10).into_string().contains("&lt;b&gt;"));
    }

    #[test]
    fn json_gets_line_breaks_and_keeps_its_numbers() {
        let shown = indented("{\"a\":[1,18446744073709551616],\"b\":{},\"c\": [ ],\"d\":\"x,{\\\"\"}");
        assert_eq!(
            shown,
            "{\n  \"a\": [\n    1,\n    18446744073709551616\n  ],\n  \"b\": {},\n  \"c\": [],\n  \"d\": \"x,{\\\"\"\n}"
        );
    }

    #[test]
    fn bytes_are_shown_beside_their_letters() {
        assert_eq!(
            dump(b"leafbox \x00 and more"),
            "00000000  6c 65 61 66 62 6f 78 20  00 20 61 6e 64 20 6d 6f  |leafbox . and mo|\n\
             00000010  72 65                                             |re|\n"
        );
    }

    #[test]
    fn a_line_says_what_a_payload_is() {
        assert_eq!(summary(b"{ \"a\":\n 1 }"), "{ \"a\": 1 }");
        assert_eq!(summary(b""), "empty");
        assert_eq!(summary(b"\x00\x01"), "2 B of bytes that are no text");
        assert_eq!(summary("ü".repeat(70).as_bytes()).chars().count(), 61);
    }

    proptest! {
        /// What is indented says the same.
        #[test]
        fn indented_json_is_the_same_json(numbers in prop::collection::vec(any::<u64>(), 0..5), text in "\\PC{0,20}") {
            let value = serde_json::json!({ "n": numbers, "t": text, "e": [[], {}], "f": null });
            let again: serde_json::Value = serde_json::from_str(&indented(&value.to_string())).unwrap();
            prop_assert_eq!(again, value);
        }

        #[test]
        fn nothing_makes_it_panic_or_grow_without_bound(text in "[\\[\\]{}\":, a\\\\]{0,200}") {
            prop_assert!(indented(&text).len() <= text.len() * 260 + 1);
        }
    }
}
