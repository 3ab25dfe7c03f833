//! What a request is answered where it is not done.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    ceremonies::CeremonyError,
    origin::CrossSite,
    users::{EnrolError, PasskeyError, WriteError},
};
use crate::Role;

/// A request that is not done.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nobody is logged in.
    #[error("log in first")]
    NoSession,
    /// The users are not known yet.
    #[error(
        "the users are not known yet: nats-server is starting; `leafbox status` on the machine says more"
    )]
    NotReady,
    /// Another page made the request.
    #[error(transparent)]
    CrossSite(#[from] CrossSite),
    /// The role does not suffice.
    #[error(
        "this takes the role {needed}, and you are {role}: an admin can change that with `leafbox console role`"
    )]
    Role {
        /// The role of the caller.
        role: Role,
        /// The role that it takes.
        needed: Role,
    },
    /// It is too long ago that the caller showed a passkey.
    #[error("show your passkey again before this")]
    NotFresh,
    /// Too many attempts.
    #[error("too many attempts: wait {} s", .wait.as_secs() + 1)]
    TooMany {
        /// How long to wait.
        wait: Duration,
    },
    /// The body is not what it should be.
    #[error("the request cannot be read: {0}")]
    Body(String),
    /// There is no such session of the caller's.
    #[error("you have no such session: load the list again")]
    NoSuchSession,
    /// Not for what logs in by itself.
    #[error("this is development, which logs in by itself: there are no passkeys and sessions to change")]
    Development,
    /// The ceremony did not end well.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    /// A passkey is not changed.
    #[error(transparent)]
    Passkey(#[from] PasskeyError),
    /// A token is not good.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// It is not written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Failure {
    /// What is answered: status and code.
    fn answer(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoSession => (StatusCode::UNAUTHORIZED, "login_needed"),
            Self::NotReady => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
            Self::CrossSite(_) => (StatusCode::FORBIDDEN, "cross_site"),
            Self::Role { .. } => (StatusCode::FORBIDDEN, "role"),
            Self::NotFresh => (StatusCode::FORBIDDEN, "passkey_needed"),
            Self::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_many"),
            Self::Body(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            Self::NoSuchSession => (StatusCode::NOT_FOUND, "unknown"),
            Self::Development => (StatusCode::CONFLICT, "development"),
            Self::Ceremony(error) => match error {
                CeremonyError::NoPasskeys(_) => (StatusCode::CONFLICT, "no_passkeys_here"),
                CeremonyError::Unknown => (StatusCode::GONE, "begin_again"),
                CeremonyError::UnknownPasskey => (StatusCode::FORBIDDEN, "unknown_passkey"),
                CeremonyError::NotVerified => (StatusCode::FORBIDDEN, "not_verified"),
                CeremonyError::NotKept => (StatusCode::CONFLICT, "not_kept"),
                CeremonyError::Refused(_) => (StatusCode::FORBIDDEN, "refused"),
                CeremonyError::Begin(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            },
            Self::Passkey(error) => match error {
                PasskeyError::NoUser { .. } => (StatusCode::UNAUTHORIZED, "login_needed"),
                PasskeyError::Unknown => (StatusCode::NOT_FOUND, "unknown"),
                PasskeyError::UserExists { .. } => (StatusCode::CONFLICT, "user_exists"),
                PasskeyError::Known => (StatusCode::CONFLICT, "known_passkey"),
                PasskeyError::Last => (StatusCode::CONFLICT, "last_passkey"),
                PasskeyError::TooMany => (StatusCode::CONFLICT, "too_many_passkeys"),
                PasskeyError::Write(error) => of_write(error),
            },
            Self::Enrol(error) => match error {
                EnrolError::BadToken => (StatusCode::FORBIDDEN, "bad_token"),
                EnrolError::HasAdmin | EnrolError::UserExists { .. } | EnrolError::OtherRole { .. } => {
                    (StatusCode::CONFLICT, "user_exists")
                }
                EnrolError::Write(error) => of_write(error),
            },
            Self::Write(error) => of_write(error),
        }
    }

    /// The words for the client: what is wrong with NATS is for the log.
    fn safe(&self, code: &str) -> String {
        match code {
            "unavailable" => "it could not be stored: nats-server does not take writes at the moment; \
                              `leafbox status` on the machine says more"
                .to_owned(),
            "internal" => "something went wrong here: `leafbox logs` on the machine says what".to_owned(),
            _ => self.to_string(),
        }
    }
}

fn of_write(error: &WriteError) -> (StatusCode, &'static str) {
    match error {
        WriteError::Conflict { .. } => (StatusCode::CONFLICT, "conflict"),
        WriteError::Failed { .. } | WriteError::Read { .. } | WriteError::Behind(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, code) = self.answer();
        if status.is_server_error() && !matches!(self, Self::NotReady) {
            tracing::warn!("a request to the console's login failed: {self}");
        }
        let message = self.safe(code);
        let body = Json(json!({ "error": { "code": code, "message": message } }));
        let mut response = (status, body).into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let wait = match self {
            Self::TooMany { wait } => Some(wait.as_secs() + 1),
            Self::NotReady => Some(1),
            _ => None,
        };
        if let Some(wait) = wait {
            response.headers_mut().insert(header::RETRY_AFTER, wait.into());
        }
        response
    }
}
