//! Bytes that somebody else stored, as a file.

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// `body` as a file called `name`: never as a page, since whoever stored it must not run scripts here.
pub(super) fn download(name: &str, body: Body) -> Response {
    // RFC 6266: the plain name for programs, the escaped one for whatever else is in it.
    let plain: String = name
        .chars()
        .map(|it| if it.is_ascii_alphanumeric() || "-_.".contains(it) { it } else { '_' })
        .collect();
    let escaped = utf8_percent_encode(name, NON_ALPHANUMERIC);
    let disposition = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{escaped}");
    let disposition =
        HeaderValue::from_str(&disposition).unwrap_or_else(|_| HeaderValue::from_static("attachment"));
    let kind = HeaderValue::from_static("application/octet-stream");
    ([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, disposition)], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_its_name_it_is_a_file() {
        for (name, plain) in [("ORDERS-1", "ORDERS-1"), ("a\"; x=\r\n/../ü", "a___x____..__")] {
            let response = download(name, Body::empty());
            let disposition = response.headers()[header::CONTENT_DISPOSITION].to_str().unwrap_or_default();
            assert!(
                disposition.starts_with(&format!("attachment; filename=\"{plain}\"; filename*=UTF-8''")),
                "{disposition}"
            );
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/octet-stream");
        }
    }
}
