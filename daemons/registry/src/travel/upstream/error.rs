//! Why an upstream registry gave nothing.

use std::{io, time::Duration};

use hyper::StatusCode;
use runtime::CredentialError;

/// Why an upstream registry gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection.
    #[error("{host} cannot be reached: {source}")]
    Connect {
        /// The host and port.
        host: String,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// It took too long.
    #[error("{host} cannot be reached: there was no answer within {after:?}")]
    Silent {
        /// The host and port.
        host: String,
        /// How long nothing came.
        after: Duration,
    },
    /// The connection broke, or does not speak HTTP.
    #[error("the connection to {host} broke: {source}")]
    Http {
        /// The host and port.
        host: String,
        /// What happened.
        #[source]
        source: hyper::Error,
    },
    /// TLS cannot be set up at all.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[source] rustls::Error),
    /// It answered with something else than what was asked for.
    #[error("{url} answered {status}")]
    Status {
        /// What was asked, without a query, since that may hold a signature.
        url: String,
        /// What it answered.
        status: StatusCode,
    },
    /// It wants another login.
    #[error(
        "{host} asks for a login that it takes: write `user:password` to the file that `credentials` of this upstream names in fleet.toml, in the credentials directory, mode 0600"
    )]
    Unauthorized {
        /// The host and port.
        host: String,
    },
    /// The login cannot be read.
    #[error("the login for {host} cannot be used: {source}")]
    Credentials {
        /// The host and port.
        host: String,
        /// What is wrong with it.
        #[source]
        source: CredentialError,
    },
    /// It would go over the network unencrypted.
    #[error("{url} is not encrypted: an upstream is reached by https, or by http on this machine")]
    NotEncrypted {
        /// The URL, without a query.
        url: String,
    },
    /// It sends from one place to the next.
    #[error("{url} leads from one address to the next without an end")]
    Redirects {
        /// The URL that was asked first.
        url: String,
    },
    /// The answer cannot be used.
    #[error("{host} gave an answer that cannot be used: {what}")]
    Malformed {
        /// The host and port.
        host: String,
        /// What is wrong with it.
        what: String,
    },
}

impl UpstreamError {
    /// Whether nothing is known about what it has.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Silent { .. } | Self::Http { .. })
    }

    /// Whether asking again would give the same, until somebody changes something.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                status.is_client_error()
                    && !matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
            }
            Self::Tls(_)
            | Self::Unauthorized { .. }
            | Self::Credentials { .. }
            | Self::NotEncrypted { .. } => true,
            _ => false,
        }
    }
}
