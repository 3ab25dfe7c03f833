//! What a request is refused with.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{limits::Full, policy, position::BadPosition, query::BadQuery};

/// Why there is no stream of events.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nobody is logged in.
    #[error("log in first")]
    NotLoggedIn,
    /// The request comes from another site's page.
    #[error("events are for pages of this origin only")]
    Origin,
    /// The query is not understood.
    #[error(transparent)]
    Query(#[from] BadQuery),
    /// `Last-Event-ID` is not understood.
    #[error(transparent)]
    LastEventId(#[from] BadPosition),
    /// The role may not watch this.
    #[error(transparent)]
    Denied(#[from] policy::Refused),
    /// There is no connection to the account.
    #[error("there is no connection to the account `{asked}`: there are {known}")]
    NoAccount {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: String,
    },
    /// A stream's subjects are needed to know who may watch it, and nats-server does not answer.
    #[error("nats-server does not answer at the moment: try again")]
    Away,
    /// What is asked for is not there, or cannot be watched.
    #[error("{0}")]
    NoFeed(String),
    /// The user has too many.
    #[error("{0} streams of events are open for this user: close pages that are not needed")]
    UserFull(usize),
    /// There are too many in all.
    #[error("{0} streams of events are open, which is as many as there may be: try again later")]
    Full(usize),
}

impl From<Full> for Failure {
    fn from(full: Full) -> Self {
        match full {
            Full::User(most) => Self::UserFull(most),
            Full::All(most) => Self::Full(most),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, code, retry) = match &self {
            Self::NotLoggedIn => (StatusCode::UNAUTHORIZED, "not_logged_in", None),
            Self::Origin => (StatusCode::FORBIDDEN, "other_origin", None),
            Self::Query(_) => (StatusCode::BAD_REQUEST, "bad_query", None),
            Self::LastEventId(_) => (StatusCode::BAD_REQUEST, "bad_last_event_id", None),
            Self::Denied(_) => (StatusCode::FORBIDDEN, "denied", None),
            Self::NoAccount { .. } => (StatusCode::NOT_FOUND, "no_account", None),
            Self::Away => (StatusCode::SERVICE_UNAVAILABLE, "away", Some("2")),
            Self::NoFeed(_) => (StatusCode::NOT_FOUND, "no_feed", None),
            Self::UserFull(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_of_user", Some("10")),
            Self::Full(_) => (StatusCode::SERVICE_UNAVAILABLE, "too_many", Some("10")),
        };
        tracing::debug!(http.status = status.as_u16(), "a stream of events was refused: {self}");
        let body = Json(json!({ "error": { "code": code, "message": self.to_string() } }));
        let mut response = (status, [(header::CACHE_CONTROL, "no-store")], body).into_response();
        if let Some(seconds) = retry {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        response
    }
}
