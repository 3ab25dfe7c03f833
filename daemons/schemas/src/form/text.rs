//! What is typed into a field, as JSON, and back.

use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    Bounds, Field, Input,
    units::{read_bytes, read_time, show_bytes, show_time},
};

/// What stands for a field's [`Field::unlimited`].
const UNLIMITED: &str = "unlimited";

impl Field {
    /// What was typed, as JSON; `None` for nothing but white space. Only the form of it is looked at:
    /// whether the value is allowed is for [`crate::Rules::check`] to say, of the whole document.
    ///
    /// # Errors
    /// What would be right, in words, after "expected".
    pub fn read(&self, text: &str) -> Result<Option<Value>, String> {
        let text = text.trim();
        match self.unlimited {
            _ if text.is_empty() => Ok(None),
            Some(number) if text.eq_ignore_ascii_case(UNLIMITED) => Ok(Some(number.into())),
            _ => self.input.read(text).map(Some),
        }
    }

    /// What to show in an input for a value: what [`Self::read`] reads as the same.
    pub fn show(&self, value: &Value) -> String {
        match (self.unlimited, value.as_i64()) {
            (Some(unlimited), Some(number)) if unlimited == number => UNLIMITED.to_owned(),
            _ => self.input.show(value),
        }
    }
}

impl Input {
    fn read(&self, text: &str) -> Result<Value, String> {
        let refused = || self.expected();
        match self {
            Self::Group | Self::Rows => Err(refused()),
            Self::Text { .. } => Ok(text.into()),
            Self::Choice { options } => {
                options.iter().find(|option| plain(option) == text).cloned().ok_or_else(refused)
            }
            Self::Integer(_) => text.parse().ok().and_then(whole).ok_or_else(refused),
            Self::Bytes(_) => read_bytes(text).and_then(whole).ok_or_else(refused),
            Self::Duration(_) => read_time(text).and_then(whole).ok_or_else(refused),
            Self::Number(_) => {
                let number = serde_json::from_str(text).ok().filter(Value::is_number);
                number.ok_or_else(refused)
            }
            Self::Switch => match text {
                "true" | "on" => Ok(true.into()),
                "false" | "off" => Ok(false.into()),
                _ => Err(refused()),
            },
            Self::Time => time(text).map(Value::from).ok_or_else(refused),
            Self::List { of } => lines(text).map(|line| of.read(line)).collect(),
            Self::Map { of } => lines(text)
                .map(|line| {
                    let (name, value) = line.split_once('=').ok_or_else(refused)?;
                    Ok((name.trim().to_owned(), of.read(value.trim())?))
                })
                .collect::<Result<Map<_, _>, _>>()
                .map(Value::Object),
            Self::Json => serde_json::from_str(text).map_err(|error| format!("JSON ({error})")),
        }
    }

    fn show(&self, value: &Value) -> String {
        let number = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
        match (self, value, number) {
            (_, Value::Null, _) => String::new(),
            (Self::Bytes(_), _, Some(bytes)) => show_bytes(bytes),
            (Self::Duration(_), _, Some(nanoseconds)) => show_time(nanoseconds),
            (Self::List { of }, Value::Array(items), _) => {
                items.iter().map(|item| of.show(item)).collect::<Vec<_>>().join("\n")
            }
            (Self::Map { of }, Value::Object(map), _) => {
                let lines = map.iter().map(|(name, value)| format!("{name}={}", of.show(value)));
                lines.collect::<Vec<_>>().join("\n")
            }
            (Self::Json, value, _) => format!("{value:#}"),
            (_, value, _) => plain(value),
        }
    }

    fn expected(&self) -> String {
        match self {
            Self::Group | Self::Rows => "the fields in it, each by its path".to_owned(),
            Self::Choice { options } => {
                let options: Vec<String> = options.iter().map(plain).collect();
                format!("one of {}", options.join(", "))
            }
            Self::Integer(bounds) => format!("a whole number{}", bounds.range()),
            Self::Number(bounds) => format!("a number{}", bounds.range()),
            Self::Bytes(_) => "a whole number of bytes, or one with KiB, MiB, GiB or TiB".to_owned(),
            Self::Duration(_) => "a length of time with its unit, such as 30s or 1h30m".to_owned(),
            Self::Switch => "true or false".to_owned(),
            Self::Time => "a time such as 2026-01-31T12:00:00Z".to_owned(),
            Self::Map { .. } => "lines of name=value".to_owned(),
            Self::Text { .. } | Self::List { .. } | Self::Json => "text".to_owned(),
        }
    }
}

impl Bounds {
    fn range(&self) -> String {
        let least = self.minimum.as_ref().map(|least| format!(" from {least}")).unwrap_or_default();
        let most = self.maximum.as_ref().map(|most| format!(" to {most}")).unwrap_or_default();
        format!("{least}{most}")
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// A string without its quotes, anything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn whole(number: i128) -> Option<Value> {
    i64::try_from(number).map(Value::from).or_else(|_| u64::try_from(number).map(Value::from)).ok()
}

/// A time as RFC 3339 has it. Browsers' `datetime-local` leaves out the zone, and seconds that are 0.
fn time(text: &str) -> Option<String> {
    let with = |end: &str| format!("{text}{end}");
    let is_time = |text: &String| OffsetDateTime::parse(text, &Rfc3339).is_ok();
    ["", "Z", ":00Z"].map(with).into_iter().find(is_time)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::{Form, Schema};

    fn form(name: &str) -> Form {
        Form::of(&Schema::named(name).unwrap().rules().unwrap())
    }

    fn read(schema: &str, path: &str, text: &str) -> Result<Option<Value>, String> {
        form(schema).field(path).unwrap().read(text)
    }

    #[test]
    fn what_is_typed_becomes_json_and_is_shown_again() {
        let stream = form("stream_create_request");
        for (path, text, value) in [
            ("/name", "ORDERS", json!("ORDERS")),
            ("/subjects", "orders.>\nreturns.>", json!(["orders.>", "returns.>"])),
            ("/metadata", "team=shop\nurl=http://a?b=c", json!({ "team": "shop", "url": "http://a?b=c" })),
            ("/retention", "workqueue", json!("workqueue")),
            ("/max_msgs", "9223372036854775807", json!(9_223_372_036_854_775_807_i64)),
            ("/first_seq", "18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
            ("/max_bytes", "1GiB", json!(1 << 30)),
            ("/max_bytes", "unlimited", json!(-1)),
            ("/max_age", "7d", json!(604_800_000_000_000_i64)),
            ("/max_age", "unlimited", json!(0)),
            ("/deny_delete", "true", json!(true)),
            ("/sources/3/opt_start_time", "2026-01-31T12:00:00+02:00", json!("2026-01-31T12:00:00+02:00")),
        ] {
            let field = stream.field(path).unwrap();
            assert_eq!(field.read(text), Ok(Some(value.clone())), "{path}");
            assert_eq!(field.show(&value), text, "{path}");
        }
    }

    #[test]
    fn nothing_is_nothing_and_a_time_without_a_zone_is_utc() {
        assert_eq!(read("stream_create_request", "/name", "  "), Ok(None));
        let start = |text| read("consumer_create_request", "/config/opt_start_time", text).unwrap().unwrap();
        assert_eq!(start("2026-01-31T12:30"), "2026-01-31T12:30:00Z");
        assert_eq!(start("2026-01-31T12:30:07"), "2026-01-31T12:30:07Z");
        assert_eq!(read("stream_create_request", "/deny_delete", " on\n"), Ok(Some(json!(true))));
    }

    #[test]
    fn what_cannot_be_read_is_told_what_can() {
        for (path, text, expected) in [
            ("/max_msgs", "many", "a whole number from -1 to 9223372036854775807"),
            ("/max_msgs", "1.5", "a whole number"),
            ("/max_msgs", "99999999999999999999", "a whole number"),
            ("/max_bytes", "1GB", "MiB"),
            ("/max_age", "30", "such as 30s"),
            ("/retention", "forever", "one of limits, interest, workqueue"),
            ("/deny_delete", "perhaps", "true or false"),
            ("/metadata", "team", "name=value"),
            ("/sources/0/opt_start_time", "noon", "2026-01-31T12:00:00Z"),
            ("/placement", "x", "each by its path"),
        ] {
            let refusal = read("stream_create_request", path, text).unwrap_err();
            assert!(refusal.contains(expected), "{path}: {refusal}");
        }
    }
}
