//! Whether a request comes from a page of this very origin.
//!
//! A page elsewhere can make a browser ask for events with this origin's cookie; it could not read the
//! answer, but each such request would hold a connection. Browsers say where a request comes from.

use axum::http::{HeaderMap, header};

/// Whether a request is from where it may be: from this origin, or from no browser's page at all.
pub(super) fn is_own(headers: &HeaderMap, own: Option<&str>) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match text("sec-fetch-site") {
        // `none` is what somebody typed.
        Some("same-origin" | "none") => return true,
        Some(_) => return false,
        None => {}
    }
    let Some(origin) = text(header::ORIGIN.as_str()) else { return true };
    match own {
        Some(own) => origin.eq_ignore_ascii_case(own.trim_end_matches('/')),
        None => {
            let host = text(header::HOST.as_str()).unwrap_or_default();
            let from = origin.split_once("://").map(|(_, from)| from).unwrap_or_default();
            !host.is_empty() && from.eq_ignore_ascii_case(host)
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn another_origin_is_refused_and_no_browser_is_not() {
        let own = Some("https://box.lan");
        for (headers, own, allowed) in [
            (&[][..], own, true),
            (&[("sec-fetch-site", "same-origin")], own, true),
            (&[("sec-fetch-site", "none")], own, true),
            (&[("sec-fetch-site", "same-site")], own, false),
            (&[("sec-fetch-site", "cross-site")], own, false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://box.lan")], own, false),
            (&[("origin", "https://box.lan")], own, true),
            (&[("origin", "https://box.lan")], Some("https://box.lan/"), true),
            (&[("origin", "http://box.lan")], own, false),
            (&[("origin", "https://box.lan.evil")], own, false),
            (&[("origin", "null")], own, false),
            (&[("origin", "http://localhost:8080"), ("host", "localhost:8080")], None, true),
            (&[("origin", "http://evil"), ("host", "localhost:8080")], None, false),
            (&[("origin", "null"), ("host", "")], None, false),
        ] {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            assert_eq!(is_own(&headers, own), allowed, "{headers:?} {own:?}");
        }
    }
}
