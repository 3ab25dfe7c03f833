//! Why a request is refused, and what its client is told.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;

use super::{
    bearer::BadBearer, credentials::BadAuthorization, rights::Action, scope::Scopes, secret::BadSecret,
};
use crate::Repository;

/// A request is refused. The text is safe for the client, and says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nobody may do it without a token: 401 with a challenge.
    #[error(
        "this needs a token: have one made by `leafbox registry token add`, then log in with its name and the token as the password"
    )]
    LoginNeeded {
        /// What to ask for at `/token`; nothing for the version check.
        scopes: Scopes,
    },
    /// The header cannot be read: 401.
    #[error(transparent)]
    Unreadable(#[from] BadAuthorization),
    /// The password cannot be a token: 401.
    #[error(transparent)]
    NoSecret(#[from] BadSecret),
    /// The secret is not that of the token of this name: 401.
    #[error(
        "the name and the token do not belong together, or the token was revoked: check both against `leafbox registry token list`"
    )]
    Unknown,
    /// The token's time is over: 401.
    #[error("the token `{name}` has expired: have a new one made by `leafbox registry token add`")]
    Expired {
        /// Its name.
        name: Arc<str>,
    },
    /// The Bearer token is none, or its time is over: 401 with a challenge, by which a client gets a
    /// new one.
    #[error("{bearer}: ask for a new one")]
    BearerEnded {
        /// What is wrong.
        bearer: BadBearer,
        /// What to ask for.
        scopes: Scopes,
    },
    /// The Bearer token was made for something else: 401 with a challenge, by which a client gets
    /// another.
    #[error("the Bearer token is not for this: ask for one with the scope `{scopes}`")]
    ScopeTooSmall {
        /// What to ask for.
        scopes: Scopes,
    },
    /// The token does not give the right: 403.
    #[error(
        "the token `{name}` may not {action} in `{repository}`: have one made by `leafbox registry token add NAME --repo {repository} --{action}`"
    )]
    Denied {
        /// The token's name.
        name: Arc<str>,
        /// What it may not do.
        action: Action,
        /// Where.
        repository: Repository,
    },
    /// The token gives no right at all, so that there is nothing to list: 403.
    #[error("the token `{name}` may pull from no repository")]
    NothingToList {
        /// The token's name.
        name: Arc<str>,
    },
    /// Too many failed logins: 429 with `Retry-After`.
    #[error("too many failed logins: wait {} s, and check the name and the token meanwhile", seconds(*.wait))]
    TooManyFailures {
        /// How long to wait.
        wait: Duration,
    },
}

impl Refused {
    /// The same, asking for the right to pull from another repository too, as a mount needs it.
    #[must_use]
    pub fn and_pull(mut self, source: &Repository) -> Self {
        if let Self::LoginNeeded { scopes } | Self::ScopeTooSmall { scopes } = &mut self {
            scopes.add_pull(source);
        }
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::LoginNeeded { .. }
            | Self::Unreadable(_)
            | Self::NoSecret(_)
            | Self::Unknown
            | Self::Expired { .. }
            | Self::BearerEnded { .. }
            | Self::ScopeTooSmall { .. } => StatusCode::UNAUTHORIZED,
            Self::Denied { .. } | Self::NothingToList { .. } => StatusCode::FORBIDDEN,
            Self::TooManyFailures { .. } => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// The code in the answer's body (distribution specification 1.1, "Error codes").
    pub fn code(&self) -> &'static str {
        match self.status() {
            StatusCode::UNAUTHORIZED => "UNAUTHORIZED",
            StatusCode::FORBIDDEN => "DENIED",
            _ => "TOOMANYREQUESTS",
        }
    }

    /// Seconds for the header `Retry-After`.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooManyFailures { wait } => Some(seconds(*wait)),
            _ => None,
        }
    }

    /// The same, with what to ask for where it was not known yet.
    #[must_use]
    pub fn asking_for(self, scopes: Scopes) -> Self {
        match self {
            Self::BearerEnded { bearer, .. } => Self::BearerEnded { bearer, scopes },
            other => other,
        }
    }

    /// What the challenge names: the scopes, and the error code of RFC 6750 where asking again helps.
    pub(super) fn challenge(&self) -> Option<(Option<&Scopes>, Option<&'static str>)> {
        match self {
            Self::LoginNeeded { scopes } => Some((Some(scopes), None)),
            Self::BearerEnded { scopes, .. } => Some((Some(scopes), Some("invalid_token"))),
            Self::ScopeTooSmall { scopes } => Some((Some(scopes), Some("insufficient_scope"))),
            Self::Unreadable(_) | Self::NoSecret(_) | Self::Unknown | Self::Expired { .. } => {
                Some((None, None))
            }
            Self::Denied { .. } | Self::NothingToList { .. } | Self::TooManyFailures { .. } => None,
        }
    }
}

/// Rounded up, so that a client that waits so long is heard.
fn seconds(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}
