//! What pages load: scripts and styles, part of the program.

use axum::{
    Router,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Nobody needs a session for these: they are the same everywhere.
pub(super) fn router() -> Router {
    Router::new()
        .route("/assets/datastar.js", get(async || asset(SCRIPT, include_str!("assets/datastar.js"))))
        .route("/assets/console.js", get(async || asset(SCRIPT, include_str!("assets/console.js"))))
        .route(
            "/assets/console.css",
            get(async || {
                asset(
                    "text/css; charset=utf-8",
                    concat!(include_str!("assets/console.css"), include_str!("assets/servers.css")),
                )
            }),
        )
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}
