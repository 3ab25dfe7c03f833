//! `GET /api/{varz|connz|…}`: what servers say of themselves, as they say it.
//!
//! `?server=` is the id or name of a server, left out for this node's own, or `all`. The other
//! parameters are NATS's own options. The answer is NATS's JSON, byte for byte; for `all` it is
//! `{"replies":[…],"errors":[…]}` with each of them.

mod query;

use axum::{
    Extension, Json, Router,
    extract::{Path, RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::{
    Console,
    servers::{AskError, Endpoint},
};
use crate::{Caller, Role};
use query::{Asked, BadQuery, Target};

/// A question that is not answered.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// There is no such endpoint.
    #[error("there is no `{0}` here: ask for {all}", all = known())]
    Unknown(String),
    /// The query is not understood.
    #[error(transparent)]
    Query(#[from] BadQuery),
    /// The role does not suffice.
    #[error(
        "`{option}` shows the JWTs of those who are connected: that takes the role {needed}, and you are {role}"
    )]
    Role { option: &'static str, role: Role, needed: Role },
    /// The server was asked in vain.
    #[error(transparent)]
    Ask(#[from] AskError),
}

fn known() -> String {
    Endpoint::ALL.map(Endpoint::name).join(", ")
}

/// The routes.
pub(super) fn router() -> Router<Console> {
    Router::new().route("/api/{endpoint}", get(show))
}

async fn show(
    State(console): State<Console>,
    Extension(caller): Extension<Caller>,
    Path(endpoint): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    match answer(&console, &caller, &endpoint, query.as_deref().unwrap_or_default()).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    }
}

async fn answer(console: &Console, caller: &Caller, name: &str, query: &str) -> Result<Response, Failure> {
    let endpoint = Endpoint::ALL.into_iter().find(|endpoint| endpoint.name() == name);
    let endpoint = endpoint.ok_or_else(|| Failure::Unknown(name.chars().take(40).collect()))?;
    let asked = Asked::of(endpoint, query)?;
    if let Some(option) = asked.secret()
        && caller.role < Role::Admin
    {
        return Err(Failure::Role { option, role: caller.role, needed: Role::Admin });
    }
    let id = match &asked.server {
        Target::All => return all(console, endpoint, &asked).await,
        Target::Own => console.servers.own()?,
        Target::One(server) => console.servers.find(server).await?,
    };
    let said = console.servers.ask(&id, endpoint, &asked.options).await?;
    Ok((status(&said), json_type(), said).into_response())
}

async fn all(console: &Console, endpoint: Endpoint, asked: &Asked) -> Result<Response, Failure> {
    let (mut replies, mut errors) = (Vec::new(), Vec::new());
    for one in console.servers.ask_all(endpoint, &asked.options).await? {
        match one.said {
            // Joined as text: reading and writing numbers again might change them.
            Ok(bytes) => replies.push(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => {
                errors.push(
                    json!({ "server": one.server.name, "id": one.server.id, "message": error.to_string() }),
                );
            }
        }
    }
    let status = if replies.is_empty() { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::OK };
    let body = format!("{{\"replies\":[{}],\"errors\":{}}}", replies.join(","), json!(errors));
    Ok((status, json_type(), body).into_response())
}

fn json_type() -> [(header::HeaderName, &'static str); 1] {
    [(header::CONTENT_TYPE, "application/json")]
}

/// The status for what a server said: its own where it says no.
fn status(said: &Bytes) -> StatusCode {
    #[derive(Deserialize)]
    struct Envelope {
        error: Option<Error>,
    }
    #[derive(Deserialize)]
    struct Error {
        code: u16,
    }
    match serde_json::from_slice(said) {
        Ok(Envelope { error: Some(Error { code: 400..500 }) }) => StatusCode::BAD_REQUEST,
        Ok(Envelope { error: Some(_) }) => StatusCode::BAD_GATEWAY,
        Ok(Envelope { error: None }) => StatusCode::OK,
        Err(_) => StatusCode::BAD_GATEWAY,
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, code) = match &self {
            Self::Unknown(_) => (StatusCode::NOT_FOUND, "unknown"),
            Self::Query(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            Self::Role { .. } => (StatusCode::FORBIDDEN, "role"),
            Self::Ask(error) => match error {
                AskError::NoSystem => (StatusCode::SERVICE_UNAVAILABLE, "no_system_account"),
                AskError::Unknown(_) => (StatusCode::NOT_FOUND, "unknown_server"),
                AskError::Away | AskError::Cut(_) | AskError::Silent { .. } => {
                    (StatusCode::GATEWAY_TIMEOUT, "silent")
                }
                AskError::Leaf(_) => (StatusCode::CONFLICT, "leaf"),
                AskError::Request { .. }
                | AskError::Ping(_)
                | AskError::Reply { .. }
                | AskError::Refused { .. } => (StatusCode::BAD_GATEWAY, "failed"),
            },
        };
        let body = Json(json!({ "error": { "code": code, "message": self.to_string() } }));
        (status, body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_says_no_is_no_success() {
        for (said, wanted) in [
            (r#"{"server":{},"data":{}}"#, 200),
            (r#"{"server":{},"error":{"code":400,"description":"bad"}}"#, 400),
            (r#"{"server":{},"error":{"code":500,"description":"no account"}}"#, 502),
            ("none", 502),
        ] {
            assert_eq!(status(&Bytes::from_static(said.as_bytes())).as_u16(), wanted, "{said}");
        }
    }
}
