//! How figures are written on all pages.

use maud::{Markup, html};
use settings::ByteSize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// An amount of bytes, in the unit that fits.
pub(super) fn bytes(bytes: u64) -> String {
    ByteSize(bytes).rounded()
}

/// A length of time, to the minute.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A time as NATS writes it (RFC 3339), to the second; NATS's zero time is none.
pub(super) fn moment(text: &str) -> Markup {
    let shown = OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .filter(|moment| moment.unix_timestamp() > 0)
        .and_then(|moment| moment.replace_nanosecond(0).ok()?.format(&Rfc3339).ok());
    match shown {
        Some(shown) => html! { time datetime=(text) { (shown) } },
        None => html! { span.quiet { "none" } },
    }
}

/// A time in seconds since 1970, the same way.
pub(super) fn at(seconds: impl TryInto<i64>) -> Markup {
    let time = seconds.try_into().ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    moment(&time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default())
}

/// A text of somebody's, as a sentence before others.
pub(super) fn sentence(text: &str) -> String {
    let text = text.trim_end();
    if text.is_empty() || text.ends_with(['.', '!', '?', '…']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

/// Now, to the second, in RFC 3339.
pub(super) fn now() -> String {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_bytes_are_in_the_unit_that_fits() {
        assert_eq!([0, 59, 60, 3600, 86_400 * 3].map(span), ["0 s", "59 s", "1 min", "1 h 0 min", "3 d 0 h"]);
        assert_eq!([0, 1023, 1 << 20].map(bytes), ["0 B", "1023 B", "1.0 MiB"]);
    }

    #[test]
    fn a_description_ends_before_what_follows_it() {
        assert_eq!(["price by article ", "Why?", ""].map(sentence), ["price by article.", "Why?", ""]);
    }

    #[test]
    fn a_time_keeps_its_nanoseconds_for_programs_and_go_s_zero_is_none() {
        let shown = moment("2026-11-22T01:02:03.123456789Z").into_string();
        assert_eq!(shown, "<time datetime=\"2026-11-22T01:02:03.123456789Z\">2026-11-22T01:02:03Z</time>");
        assert!(moment("0001-01-01T00:00:00Z").into_string().contains("none"));
        assert!(moment("<b>").into_string().contains("none"));
    }
}
