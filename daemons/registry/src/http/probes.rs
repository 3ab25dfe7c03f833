//! Routes that are not of the distribution specification: whether the registry lives, what it
//! counted, and where tokens are had.

use axum::{
    body::Body,
    http::{Method, StatusCode, header, request},
    response::Response,
};
use runtime::{http::Peer, visitor::Visitor};
use serde_json::json;

use super::{Asked, Failure, Service, answer::Answer};

const TEXT: &str = "text/plain; charset=utf-8";
/// As Prometheus asks for it.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The version check of `GET /v2/`: clients see by it whether they have to log in.
pub(super) fn base(asked: &Asked) -> Result<Response, Failure> {
    asked.caller.may_enter()?;
    Ok(Answer::of(StatusCode::OK).json("application/json", &json!({})))
}

/// The pattern of the route, and the answer.
pub(super) async fn answer(
    service: &Service,
    peer: Peer,
    head: &request::Parts,
    body: Body,
) -> (&'static str, Response) {
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    match head.uri.path() {
        "/healthz" if reads => ("/healthz", text(StatusCode::OK, TEXT, "ok\n")),
        "/readyz" if reads => ("/readyz", readiness(service)),
        // The names of namespaces and the traffic are nobody's business but this machine's.
        "/metrics" if reads && Visitor::of(&head.headers, peer.address).is_local => {
            ("/metrics", text(StatusCode::OK, METRICS, service.0.metrics.text()))
        }
        "/token" => {
            let response = match service.parts().await {
                Ok(parts) => parts.access.token(head, peer, body).await,
                Err(failure) => failure.answer(),
            };
            ("/token", response)
        }
        "/" if reads => ("/", text(StatusCode::OK, TEXT, "leafbox registry: see /v2/\n")),
        _ => {
            ("unknown", text(StatusCode::NOT_FOUND, TEXT, "there is nothing here: the registry is at /v2/\n"))
        }
    }
}

fn readiness(service: &Service) -> Response {
    let started = service.0.parts.get().is_some();
    let connected = service.is_connected();
    let status = if started && connected { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mark = |ok| if ok { "ok  " } else { "FAIL" };
    let lines = format!(
        "{} index      all records are in memory\n{} nats       nats-server is connected\n",
        mark(started),
        mark(connected)
    );
    text(status, TEXT, lines)
}

fn text(status: StatusCode, content_type: &'static str, text: impl Into<Body>) -> Response {
    Answer::of(status).with(header::CONTENT_TYPE, content_type).body(text.into())
}
