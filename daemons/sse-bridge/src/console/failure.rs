//! What a page says where it cannot do what was asked.

use axum::http::StatusCode;
use maud::{Markup, html};
use schemas::ApiError;

use super::{guard::Refused, jetstream::NatsError, servers::AskError, signer::SignError};
use crate::Role;

/// A page that is not what was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The role does not suffice.
    #[error(
        "this takes the role {needed}, and you are {role}: an admin can change that with `leafbox console role`"
    )]
    Role { role: Role, needed: Role },
    /// It is done for nobody.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The role may not watch the subject.
    #[error(transparent)]
    Unwatched(#[from] crate::feed::Refused),
    /// There is no connection to such an account.
    #[error("there is no account `{asked}` here: there are {known}")]
    NoAccount { asked: String, known: String },
    /// There is no such thing.
    #[error("there is no {0}")]
    Missing(String),
    /// What was sent is not what the form sends.
    #[error("the request cannot be read: {0}")]
    Body(String),
    /// The name that was typed is another.
    #[error("nothing was done: to confirm, type the name `{name}` exactly as it is")]
    NotConfirmed { name: String },
    /// A change here would not last, or the file would no longer say what is there.
    #[error("{what} is declared in fleet.toml: change it there, and run `leafbox apply`")]
    Declared { what: String },
    /// Somebody else was faster.
    #[error("nothing was done: somebody else changed {what} meanwhile; load its page again and look")]
    Changed { what: String },
    /// NATS did not do it.
    #[error(transparent)]
    Nats(#[from] NatsError),
    /// A server was asked in vain.
    #[error(transparent)]
    Server(#[from] AskError),
    /// The signer did not do it.
    #[error(transparent)]
    Signer(#[from] SignError),
}

impl Failure {
    /// The status of an answer to a request that reads, or to one that `writes`.
    pub(super) fn status(&self, writes: bool) -> StatusCode {
        match self {
            Self::Role { .. } | Self::Unwatched(_) => StatusCode::FORBIDDEN,
            Self::Refused(refused) => match refused {
                Refused::Secret(_)
                | Refused::Own(_)
                | Refused::Internal(_)
                | Refused::Captured(_)
                | Refused::Traced(_) => StatusCode::FORBIDDEN,
                Refused::Name { .. } | Refused::Subject(_) | Refused::Wildcard(_) => StatusCode::BAD_REQUEST,
            },
            Self::NoAccount { .. } | Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::Body(_) => StatusCode::BAD_REQUEST,
            Self::Declared { .. } | Self::Changed { .. } => StatusCode::CONFLICT,
            Self::NotConfirmed { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Nats(error) => match error {
                NatsError::Refused { code: 404, .. } => StatusCode::NOT_FOUND,
                NatsError::Refused { .. } => StatusCode::CONFLICT,
                // The page is there, with what to do: only its data is not.
                NatsError::Silent { .. } | NatsError::Answer { .. } if !writes => StatusCode::OK,
                NatsError::Silent { .. } => StatusCode::GATEWAY_TIMEOUT,
                NatsError::Answer { .. } => StatusCode::BAD_GATEWAY,
            },
            Self::Signer(SignError::Refused(_)) => StatusCode::CONFLICT,
            Self::Signer(_) if !writes => StatusCode::OK,
            Self::Signer(SignError::None) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Signer(SignError::Silent(_)) => StatusCode::GATEWAY_TIMEOUT,
            Self::Signer(_) => StatusCode::BAD_GATEWAY,
            Self::Server(AskError::Unknown(_)) => StatusCode::NOT_FOUND,
            Self::Server(AskError::Refused { .. } | AskError::Leaf(_)) => StatusCode::CONFLICT,
            Self::Server(_) if !writes => StatusCode::OK,
            Self::Server(AskError::Silent { .. } | AskError::Cut(_) | AskError::Away) => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Self::Server(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// What is wrong, and what to do.
    pub(super) fn markup(&self) -> Markup {
        let known = match self {
            Self::Nats(NatsError::Refused { err_code, .. }) => {
                u16::try_from(*err_code).ok().and_then(ApiError::coded)
            }
            _ => None,
        };
        html! {
            p.message.bad role="alert" { strong { "✗ " } (self.to_string()) }
            @if let Some(known) = known {
                @if !known.help.is_empty() { p { (known.help) } }
                p.quiet { "NATS calls it " code { (known.constant) } "." }
            }
            @if let Self::Nats(NatsError::Silent { .. }) = self {
                p { "If it stays so, look at " code { "leafbox status" } " and " code { "leafbox logs nats" } " on the machine." }
            }
        }
    }
}
