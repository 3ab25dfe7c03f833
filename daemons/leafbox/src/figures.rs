//! Sizes, dates and spans as people read them.

use settings::ByteSize;
use time::{OffsetDateTime, macros::format_description};

/// Bytes: one decimal of the largest fitting unit.
pub fn amount(bytes: u64) -> String {
    ByteSize(bytes).rounded()
}

/// Seconds since 1970 as a date of UTC; nothing for what is none.
pub fn date(seconds: i64) -> Option<String> {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(format).ok()
}

/// A length of time in its largest unit: `3 days`, `1 hour`, `40 seconds`.
pub fn span(seconds: u64) -> String {
    let units = [("day", 86_400), ("hour", 3_600), ("minute", 60)];
    let (unit, count) = units
        .into_iter()
        .find(|(_, unit)| seconds >= *unit)
        .map_or(("second", seconds), |(name, unit)| (name, seconds / unit));
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// A count of things: `1 tag`, `2 tags`.
pub fn count(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_in_the_unit_that_fits() {
        assert_eq!(
            (amount(1023), amount(1536), amount(5 << 30)),
            ("1023 B".into(), "1.5 KiB".into(), "5.0 GiB".into())
        );
        assert_eq!(date(1_700_000_000).as_deref(), Some("2023-11-14 22:13 UTC"));
        assert_eq!(date(i64::MAX), None);
        let spans: Vec<String> = [0, 1, 59, 60, 7_199, 86_400, 200_000].map(span).into();
        assert_eq!(spans, ["0 seconds", "1 second", "59 seconds", "1 minute", "1 hour", "1 day", "2 days"]);
        assert_eq!((count(1, "tag"), count(0, "tag")), ("1 tag".into(), "0 tags".into()));
    }
}
