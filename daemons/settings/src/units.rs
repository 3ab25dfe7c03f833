//! Values with a unit, written as strings: `"64MiB"`, `"20s"`, `"127.0.0.1:4222"`, `"off"`.
//!
//! A bare number is refused: nats-server reads `64M` as decimal and an unquoted `2m` as a
//! number, and both have cost people their data.

use std::{fmt, net::SocketAddr, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of bytes, written with a binary unit: `B`, `KiB`, `MiB`, `GiB` or `TiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

const BYTE_UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl ByteSize {
    /// `count` kibibytes.
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// `count` mebibytes.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// `count` gibibytes.
    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// About how much, for people: one decimal of the largest unit that fits, such as `1.5 KiB`. What
    /// may be written in a file again is [`Display`](fmt::Display)'s.
    pub fn rounded(self) -> String {
        match BYTE_UNITS.into_iter().find(|(_, factor)| self.0 >= *factor) {
            Some((unit, factor)) if factor > 1 => format!("{:.1} {unit}", self.0 as f64 / factor as f64),
            _ => format!("{} B", self.0),
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = BYTE_UNITS
            .into_iter()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor))
            .unwrap_or(("B", 1));
        write!(formatter, "{}{unit}", self.0 / factor)
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hint = || {
            format!(
                "`{text}` is not a size: write a whole number and B, KiB, MiB, GiB or TiB, such as \"64MiB\""
            )
        };
        let (digits, unit) = split_unit(text);
        let number: u64 = digits.parse().map_err(|_| hint())?;
        let factor = BYTE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let factor = factor.ok_or_else(|| match unit {
            "K" | "k" | "KB" | "kB" | "M" | "MB" | "G" | "GB" | "T" | "TB" => format!(
                "`{unit}` is a decimal unit: write the binary one, \"{digits}{}iB\"",
                unit[..1].to_uppercase()
            ),
            "" => format!("`{text}` has no unit: write \"{text}B\", \"{text}KiB\" or \"{text}MiB\""),
            _ => hint(),
        })?;
        number.checked_mul(factor).filter(|bytes| *bytes <= i64::MAX as u64).map(Self).ok_or_else(hint)
    }
}

/// A length of time, written with `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

const SPAN_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Span {
    /// `count` seconds.
    pub const fn seconds(count: u64) -> Self {
        Self(Duration::from_secs(count))
    }

    /// `count` days.
    pub const fn days(count: u64) -> Self {
        Self::seconds(count * 86_400)
    }

    /// The length in nanoseconds, the unit of the JetStream API; at most `i64::MAX`.
    pub fn nanos(self) -> i64 {
        i64::try_from(self.0.as_nanos()).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis() as u64;
        let (unit, factor) = SPAN_UNITS
            .into_iter()
            .find(|(_, factor)| millis >= *factor && millis.is_multiple_of(*factor))
            .unwrap_or(("ms", 1));
        write!(formatter, "{}{unit}", millis / factor)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hint = || {
            format!(
                "`{text}` is not a length of time: write a whole number and ms, s, m, h or d, such as \"20s\""
            )
        };
        let (digits, unit) = split_unit(text);
        let number: u64 = digits.parse().map_err(|_| hint())?;
        let factor = SPAN_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let factor = factor.ok_or_else(|| match unit {
            "" => format!("`{text}` has no unit: write \"{text}s\" for seconds"),
            _ => hint(),
        })?;
        // The JetStream API counts nanoseconds in an i64: about 292 years.
        let millis = number.checked_mul(factor).filter(|millis| *millis <= i64::MAX as u64 / 1_000_000);
        millis.map(|millis| Self(Duration::from_millis(millis))).ok_or_else(hint)
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// Where something listens: an address with a port (0 lets the system choose), or `"off"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Not listening at all.
    Off,
    /// Listening on this address.
    On(SocketAddr),
}

impl Listen {
    /// 127.0.0.1 with this port.
    pub const fn loopback(port: u16) -> Self {
        Self::On(SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port))
    }

    /// The address, unless it is off.
    pub const fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::On(address) => Some(address),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => formatter.write_str("off"),
            Self::On(address) => address.fmt(formatter),
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse().map(Self::On).map_err(|_| {
            format!("`{text}` is not an address: write an IP and a port such as \"127.0.0.1:4222\" or \"[::]:4222\", or \"off\"")
        })
    }
}

/// Implements serde and JSON Schema for a type that is a string in TOML and has `FromStr` and
/// `Display`.
macro_rules! string_value {
    ($type:ty, $name:literal, $pattern:literal, $description:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl de::Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                        formatter.write_str($description)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }

                    /// A bare number is answered as the text would be: with the unit to write.
                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$type, E> {
                        match number.to_string().parse::<$type>() {
                            Err(refusal) => Err(E::custom(refusal)),
                            Ok(_) => Err(E::invalid_type(de::Unexpected::Signed(number), &self)),
                        }
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $description })
            }
        }
    };
}
pub(crate) use string_value;

string_value!(ByteSize, "ByteSize", "^[0-9]+ ?([KMGT]iB|B)$", "a size such as \"64MiB\"");
string_value!(Span, "Span", "^[0-9]+ ?(ms|s|m|h|d)$", "a length of time such as \"20s\"");
string_value!(Listen, "Listen", "^(off|.+:[0-9]+)$", "an address such as \"127.0.0.1:4222\", or \"off\"");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_round_trip_and_decimal_units_are_explained() {
        assert_eq!("64MiB".parse(), Ok(ByteSize::mib(64)));
        assert_eq!("1536KiB".parse::<ByteSize>().map(|size| size.to_string()), Ok("1536KiB".into()));
        assert_eq!(ByteSize::gib(2).to_string(), "2GiB");
        assert_eq!(
            [0, 1023, 1536, 5 << 30, 1 << 41].map(|bytes| ByteSize(bytes).rounded()),
            ["0 B", "1023 B", "1.5 KiB", "5.0 GiB", "2.0 TiB"]
        );
        assert!("64M".parse::<ByteSize>().is_err_and(|error| error.contains("\"64MiB\"")));
        assert!("64".parse::<ByteSize>().is_err_and(|error| error.contains("no unit")));
        assert!("99999999TiB".parse::<ByteSize>().is_err());
        assert!("-1MiB".parse::<ByteSize>().is_err());
    }

    #[test]
    fn spans_round_trip_and_need_a_unit() {
        assert_eq!("90s".parse::<Span>().map(|span| span.to_string()), Ok("90s".into()));
        assert_eq!("120s".parse::<Span>().map(|span| span.to_string()), Ok("2m".into()));
        assert_eq!("250ms".parse(), Ok(Span(Duration::from_millis(250))));
        assert!("20".parse::<Span>().is_err_and(|error| error.contains("\"20s\"")));
        assert!("20 weeks".parse::<Span>().is_err());
        assert!("106752d".parse::<Span>().is_err(), "more nanoseconds than the API can count");
    }

    #[test]
    fn listeners_are_addresses_or_off() {
        assert_eq!("off".parse(), Ok(Listen::Off));
        assert_eq!("127.0.0.1:0".parse(), Ok(Listen::loopback(0)));
        assert!("[::]:4222".parse::<Listen>().is_ok());
        assert!("4222".parse::<Listen>().is_err());
    }
}
