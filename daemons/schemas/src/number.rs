//! JSON's numbers compared with whole bounds, exactly: the bounds are those of Go's 64-bit integers,
//! which a floating-point number cannot tell from their neighbours.

use std::cmp::Ordering;

use serde_json::Number;

/// The number as a whole one, if it is written as one: not `1.0`, `1e3`, or one beyond 64 bits.
pub(crate) fn whole(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// Above this, a floating-point number may stand for another whole number than was written.
const EXACT: f64 = (1_u64 << f64::MANTISSA_DIGITS) as f64;

/// Whether its value is whole, whichever way it is written: what draft 7 calls an integer.
pub(crate) fn is_integral(number: &Number) -> bool {
    let integral = |float: f64| float.fract() == 0.0 && float.abs() <= EXACT;
    whole(number).is_some() || number.as_f64().is_some_and(integral)
}

/// Whether the number is within these bounds.
pub(crate) fn within(number: &Number, minimum: Option<i128>, maximum: Option<i128>) -> bool {
    minimum.is_none_or(|bound| compare(number, bound) != Ordering::Less)
        && maximum.is_none_or(|bound| compare(number, bound) != Ordering::Greater)
}

fn compare(number: &Number, bound: i128) -> Ordering {
    if let Some(whole) = whole(number) {
        return whole.cmp(&bound);
    }
    let float = number.as_f64().unwrap_or(f64::NAN);
    // A float's whole part fits i128 or is beyond any bound, where the conversion saturates.
    match (float.floor() as i128).cmp(&bound) {
        Ordering::Equal if float.fract() != 0.0 => Ordering::Greater,
        order => order,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn number(text: &str) -> Number {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_ends_of_64_bits_are_told_from_their_neighbours() {
        let (signed, unsigned) = (i128::from(i64::MAX), i128::from(u64::MAX));
        let fits = |text, maximum| within(&number(text), Some(i128::from(i64::MIN)), Some(maximum));
        assert!(fits("9223372036854775807", signed));
        assert!(!fits("9223372036854775808", signed));
        assert!(fits("18446744073709551615", unsigned));
        assert!(!fits("18446744073709551616", unsigned));
        assert!(fits("-9223372036854775808", signed));
        assert!(!fits("1e300", unsigned));
    }

    #[test]
    fn fractions_lie_between_their_neighbours() {
        let between = |text| within(&number(text), Some(-1), Some(2));
        assert!(between("-1.0") && between("-0.5") && between("1.5") && between("2.0"));
        assert!(!between("-1.5") && !between("2.5"));
    }

    #[test]
    fn only_what_is_written_whole_is_whole() {
        assert_eq!(whole(&number("18446744073709551615")), Some(i128::from(u64::MAX)));
        assert_eq!((whole(&number("1.0")), whole(&number("1e3"))), (None, None));
        assert!(is_integral(&number("1.0")) && is_integral(&number("1e3")) && !is_integral(&number("1.5")));
        // Read as the same floating-point number as the least of 64 bits.
        assert!(
            is_integral(&number("-9223372036854775808")) && !is_integral(&number("-9223372036854775809"))
        );
    }
}
