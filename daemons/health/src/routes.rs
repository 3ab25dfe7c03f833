//! `GET /healthz` and `GET /readyz`, as text for people and JSON for programs.

use std::{fmt::Write, sync::Arc};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};

use crate::{observer::Observer, report::Report};

pub(crate) fn router(observer: Arc<Observer>) -> Router {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).with_state(observer)
}

#[derive(Debug, Deserialize)]
struct Wanted {
    format: Option<String>,
}

impl Wanted {
    /// `?format=json` or `?format=text`, else what the `Accept` header names.
    fn is_json(&self, headers: &HeaderMap) -> bool {
        match self.format.as_deref() {
            Some(format) => format == "json",
            None => {
                let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
                accept.is_some_and(|accept| accept.contains("application/json"))
            }
        }
    }
}

#[derive(Serialize)]
struct Alive<'a> {
    status: &'a str,
    node: &'a str,
    version: &'a str,
}

async fn healthz(
    State(observer): State<Arc<Observer>>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    if !wanted.is_json(&headers) {
        return "ok\n".into_response();
    }
    let node = observer.config.node.as_str();
    Json(Alive { status: "ok", node, version: env!("CARGO_PKG_VERSION") }).into_response()
}

async fn readyz(
    State(observer): State<Arc<Observer>>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    let report = observer.report().await;
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if wanted.is_json(&headers) {
        (status, Json(report)).into_response()
    } else {
        (status, text(&report)).into_response()
    }
}

/// One line a check.
fn text(report: &Report) -> String {
    let verdict = if report.ready { "ready" } else { "not ready" };
    let mut text = format!("{} is {verdict}\n", report.node);
    for check in &report.checks {
        let mark = if check.ok { "ok" } else { "FAIL" };
        writeln!(text, "{mark:<5} {:<12} {}", check.name, check.detail).expect("a String takes all");
    }
    writeln!(text, "{:<5} {:<12} {}", "info", "uplink", report.uplink.describe())
        .expect("a String takes all");
    text
}
