//! Numbers with units, exact in 64 bits: bytes, and nanoseconds as Go writes durations.

/// The largest first, so that a value is shown in the largest unit that leaves it whole.
type Units = [(&'static str, i128)];

const BYTES: &Units = &[("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

const TIMES: &Units = &[
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

/// Reads an amount of bytes; without a unit it is bytes.
pub(super) fn read_bytes(text: &str) -> Option<i128> {
    text.parse().ok().or_else(|| read(text, BYTES))
}

/// Reads a length of time in nanoseconds. What has no unit is 0, or one of the numbers below it that
/// stand for "unlimited" or "unset": 30 may be meant as seconds by one and as minutes by another.
pub(super) fn read_time(text: &str) -> Option<i128> {
    text.parse().ok().filter(|number: &i128| *number <= 0).or_else(|| read(text, TIMES))
}

/// What [`read_bytes`] reads as the same number.
pub(super) fn show_bytes(bytes: i128) -> String {
    show(bytes, BYTES)
}

/// What [`read_time`] reads as the same number, in one unit: `90m`, not `1h30m`.
pub(super) fn show_time(nanoseconds: i128) -> String {
    show(nanoseconds, TIMES)
}

fn show(number: i128, units: &Units) -> String {
    let unit = units.iter().find(|(_, size)| number > 0 && number % size == 0);
    unit.map_or_else(|| number.to_string(), |(unit, size)| format!("{}{unit}", number / size))
}

/// One or more whole numbers with a unit each, added up: `1h30m`, `64 MiB`.
fn read(text: &str, units: &Units) -> Option<i128> {
    let mut rest = text.trim();
    let mut sum: i128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit())?;
        let number: i128 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let end =
            rest.find(|character: char| character.is_ascii_digit() || character == ' ').unwrap_or(rest.len());
        let (_, size) = units.iter().find(|(unit, _)| *unit == &rest[..end])?;
        sum = sum.checked_add(number.checked_mul(*size)?)?;
        rest = rest[end..].trim_start();
    }
    (!text.trim().is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_are_read() {
        assert_eq!(read_bytes("1GiB"), Some(1 << 30));
        assert_eq!(read_bytes("64 MiB"), Some(64 << 20));
        assert_eq!(read_bytes("-1"), Some(-1));
        assert_eq!(read_bytes("1048577"), Some(1_048_577));
        assert_eq!(read_time("1h30m0s"), Some(5_400_000_000_000));
        assert_eq!(read_time("2d"), Some(172_800_000_000_000));
        assert_eq!(read_time("5µs"), Some(5_000));
        assert_eq!((read_time("0"), read_time("-1")), (Some(0), Some(-1)));
    }

    #[test]
    fn what_has_no_unit_or_a_wrong_one_is_refused() {
        for text in ["", " ", "30", "1x", "h", "1.5h", "1h30", "-5s", "9e9s", "1m m"] {
            assert_eq!(read_time(text), None, "{text}");
        }
        for text in ["1GB", "1.5GiB", "GiB", "1G"] {
            assert_eq!(read_bytes(text), None, "{text}");
        }
        assert_eq!(read_bytes(&format!("{}TiB", "9".repeat(30))), None);
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same(number in i64::MIN..=i64::MAX) {
            prop_assert_eq!(read_bytes(&show_bytes(number.into())), Some(number.into()));
            prop_assert_eq!(read_time(&show_time(number.into())), Some(number.into()));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9hmsKiB µ.-]{0,12}|.{0,6}") {
            let _ = (read_bytes(&text), read_time(&text));
        }
    }
}
