//! Addresses of pages: names in them are escaped here.

use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in a segment of a path and in a query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// The path of these segments.
pub(super) fn path(segments: &[&str]) -> String {
    segments.iter().fold(String::new(), |path, segment| path + "/" + &escaped(segment))
}

/// A value for a query.
pub(super) fn escaped(value: &str) -> String {
    utf8_percent_encode(value, PLAIN).to_string()
}

/// Where a page is, from the list on.
pub(super) fn trail(steps: &[(&str, &str)]) -> Markup {
    html! {
        nav aria-label="Where this is" {
            ul { @for (path, name) in steps { li { a href=(path) { (name) } } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_one_segment() {
        assert_eq!(path(&["streams", "SHOP", "ORDERS"]), "/streams/SHOP/ORDERS");
        assert_eq!(path(&["kv", "a/b", "c?d#e'f"]), "/kv/a%2Fb/c%3Fd%23e%27f");
        assert_eq!(escaped("orders.>"), "orders.%3E");
    }
}
