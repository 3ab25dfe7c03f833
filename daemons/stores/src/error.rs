//! What can go wrong, and what to do about it.

use std::time::Duration;

use async_nats::client::RequestErrorKind;
use settings::Name;

/// A failed operation on the stores of one account.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller gave no connection for an account.
    #[error(
        "no connection to account `{0}`: its `leafbox-apply` credentials are missing, run `leafbox apply` where the account's signing key is, or copy the creds file here"
    )]
    NoConnection(Name),
    /// The request had no answer.
    #[error("`{subject}` in account `{account}` had no answer: {}", request_remedy(.source))]
    Request {
        /// The account.
        account: Name,
        /// What was asked.
        subject: String,
        /// What the client met.
        #[source]
        source: async_nats::client::RequestError,
    },
    /// A subscription could not be made.
    #[error("cannot listen on `{subject}` in account `{account}`: is the connection closed?")]
    Subscribe {
        /// The account.
        account: Name,
        /// What was to be listened to.
        subject: String,
        /// What the client met.
        #[source]
        source: async_nats::client::SubscribeError,
    },
    /// JetStream refused the request.
    #[error("`{subject}` in account `{account}` was refused: {description} (JetStream error {err_code}){}", remedy_text(*.err_code))]
    Refused {
        /// The account.
        account: Name,
        /// What was asked.
        subject: String,
        /// The HTTP-like status.
        code: u64,
        /// The JetStream error, as in nats-server's `errors.json`.
        err_code: u64,
        /// The server's own words.
        description: String,
    },
    /// The answer was no JSON of the API.
    #[error(
        "the answer to `{subject}` in account `{account}` was not understood: is the server older than 2.11?"
    )]
    Answer {
        /// The account.
        account: Name,
        /// What was asked.
        subject: String,
        /// Where it broke.
        #[source]
        source: serde_json::Error,
    },
    /// The server's monitoring port did not answer.
    #[error(
        "nats-server's health at `{address}` cannot be read: is it running, and is this its `nats.monitoring` address?"
    )]
    HealthUnreachable {
        /// The monitoring address.
        address: String,
        /// What was met.
        #[source]
        source: runtime::MonitoringError,
    },
    /// The server says that it is not healthy; applying now could erase data that it cannot read.
    #[error(
        "nats-server at `{address}` is not healthy ({detail}): nothing was applied, since a store that it cannot read would be created anew and empty; look into its log, and at the key in `jetstream.key` first"
    )]
    Unhealthy {
        /// The monitoring address.
        address: String,
        /// What `/healthz` said.
        detail: String,
    },
    /// A name given with `--delete` fits stores of several accounts.
    #[error(
        "`{name}` is a store that is no longer declared in several accounts ({accounts}): name one as `ACCOUNT/{name}`"
    )]
    AmbiguousDelete {
        /// The name.
        name: String,
        /// The accounts.
        accounts: String,
    },
    /// A name given with `--delete` fits no store that may go.
    #[error("`{0}` is no store that leafbox owns and that is no longer declared: see `leafbox plan`")]
    UnknownDelete(String),
    /// Something was written while a store was about to be removed.
    #[error(
        "`{stream}` in account `{account}` received {messages} messages while it was being removed: it was left as it was"
    )]
    NotEmptyAfterAll {
        /// The account.
        account: Name,
        /// The stream.
        stream: String,
        /// Messages that it holds now.
        messages: u64,
    },
}

impl Error {
    /// How long the same request is worth repeating, when it may succeed a moment later: a cluster
    /// elects its leaders within 10 s.
    pub(crate) fn passes_within(&self) -> Option<Duration> {
        match self {
            // JetStream system temporarily unavailable; no leader yet.
            Self::Refused { err_code: 10008 | 10009, .. } => Some(Duration::from_secs(12)),
            // The folder of an account's first stream, when several are made at once.
            Self::Refused { err_code: 10049, .. } => Some(Duration::from_secs(2)),
            Self::Request { source, .. } if source.kind() == RequestErrorKind::TimedOut => {
                Some(Duration::from_secs(12))
            }
            _ => None,
        }
    }

    /// Whether the thing asked for does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code: 404, .. })
    }
}

fn request_remedy(error: &async_nats::client::RequestError) -> &'static str {
    match error.kind() {
        RequestErrorKind::NoResponders => {
            "JetStream is off for this account or on this server; give the account `jetstream` limits in fleet.toml and apply, and look for `JetStream` in the server's log"
        }
        RequestErrorKind::TimedOut => {
            "the server is busy, has no leader, or the user may not publish there; the user needs the role `leafbox-apply`"
        }
        RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::Other => {
            "the connection failed; see that nats-server runs and the credentials are the account's"
        }
    }
}

/// What to do about a JetStream error, by its code.
pub(crate) fn remedy(err_code: u64) -> Option<&'static str> {
    Some(match err_code {
        10002 => {
            "the account's JetStream limits are reached: raise `jetstream.storage` or `jetstream.memory` of the account"
        }
        10023 | 10028 | 10047 => {
            "the server has not enough storage or memory left for this: raise `jetstream.max_storage` in node.toml, or lower `max_bytes`"
        }
        10026 => "the account may have no more consumers: raise `jetstream.consumers` of the account",
        10027 => "the account may have no more streams: raise `jetstream.streams` of the account",
        10039 | 10076 => "the account has no JetStream: set `jetstream.enabled` and apply the accounts first",
        10065 => {
            "another stream takes some of these subjects already: `nats stream ls --subject SUBJECT` finds it; give each its own"
        }
        10074 => "a single server cannot keep several copies: declare the hub's nodes in `nodes.hub`",
        10005 => {
            "no set of servers fits: `replicas`, `placement` and free storage must be met by the hub nodes that are up"
        }
        10113 => "the account asks every stream for a size: declare `max_bytes`",
        10122 => "the account limits the size of one stream: lower `max_bytes`, or raise the account's limit",
        10099 | 10100 => {
            "a work queue gives each message to one consumer: their filters must not overlap, and a queue that travels up has the hub's consumer already"
        }
        10008 | 10009 => {
            "the cluster has no leader at the moment: see that a majority of the hub runs, and apply again"
        }
        10058 => "a stream of this name exists with another configuration: run `leafbox plan`",
        _ => return None,
    })
}

fn remedy_text(err_code: u64) -> String {
    remedy(err_code).map(|remedy| format!("; {remedy}")).unwrap_or_default()
}
