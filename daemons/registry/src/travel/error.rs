//! Why something did not travel.

use std::{sync::Arc, time::Duration};

use super::{peer::Side, upstream::UpstreamError};
use crate::{Digest, storage::StorageError};

/// Why something did not travel. Cheap to clone: everybody who waits for a blob is told.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TravelError {
    /// This daemon has no connection to its nats-server.
    #[error("there is no connection to nats-server, so that {NEEDS_HUB}: see `leafbox status`")]
    NotConnected,
    /// No registry hears the question: the link is down, or no registry runs there.
    #[error("{side} cannot be reached: the link is down, or no registry runs there; see `leafbox status`")]
    NobodyAnswers {
        /// Who was asked.
        side: Side,
    },
    /// There was no answer, or no more of it.
    #[error("{side} cannot be reached: there was no answer within {after:?}; see `leafbox status`")]
    Silent {
        /// Who was asked.
        side: Side,
        /// How long nothing came.
        after: Duration,
    },
    /// It does not have it.
    #[error("{side} does not have it")]
    Unknown {
        /// Who was asked.
        side: Side,
    },
    /// fleet.toml does not let it travel, or it cannot be stored there.
    #[error("{side} refuses it: {message}")]
    Denied {
        /// Who was asked.
        side: Side,
        /// Its words.
        message: String,
    },
    /// It has too much to do.
    #[error("{side} is busy: {message}")]
    Busy {
        /// Who was asked.
        side: Side,
        /// Its words.
        message: String,
    },
    /// It went wrong over there.
    #[error("{side} could not answer: {message}")]
    Failed {
        /// Who was asked.
        side: Side,
        /// Its words.
        message: String,
    },
    /// The answer cannot be used.
    #[error("{side} gave an answer that cannot be used: {message}")]
    Broken {
        /// Who was asked.
        side: Side,
        /// What is wrong with it.
        message: String,
    },
    /// What arrived is something else.
    #[error("what {side} gave as {digest} is something else: nothing of it was kept")]
    Tampered {
        /// Who was asked.
        side: Side,
        /// What was asked for.
        digest: Digest,
    },
    /// Nothing arrived for a while.
    #[error("{digest} stopped arriving {after:?} ago: it goes on by itself, so ask again later")]
    Stalled {
        /// What was to arrive.
        digest: Digest,
        /// How long nothing came.
        after: Duration,
    },
    /// The manifest is longer than any that a registry takes.
    #[error("the manifest {digest} of {side} has {size} bytes, more than a registry takes")]
    TooLarge {
        /// Who was asked.
        side: Side,
        /// The manifest.
        digest: Digest,
        /// Its bytes.
        size: u64,
    },
    /// An upstream registry.
    #[error(transparent)]
    Upstream(Arc<UpstreamError>),
    /// It could not be stored here.
    #[error("it could not be stored here: {0}")]
    Storage(#[source] Arc<StorageError>),
    /// This daemon is stopping.
    #[error("the registry is stopping: ask again in a moment")]
    Stopping,
}

const NEEDS_HUB: &str = "the hub cannot be asked";

impl From<StorageError> for TravelError {
    fn from(error: StorageError) -> Self {
        Self::Storage(Arc::new(error))
    }
}

impl From<UpstreamError> for TravelError {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(Arc::new(error))
    }
}

impl TravelError {
    /// Whether the other side was not reached at all, so that nothing is known about what it has.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::NotConnected | Self::NobodyAnswers { .. } | Self::Silent { .. } | Self::Stopping => true,
            Self::Upstream(error) => error.is_unreachable(),
            _ => false,
        }
    }

    /// Whether there is no room to store it.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Storage(error) if matches!(**error, StorageError::Full { .. }))
    }

    /// Whether asking again would give the same, until somebody changes something.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Unknown { .. } | Self::Denied { .. } | Self::Tampered { .. } | Self::TooLarge { .. } => {
                true
            }
            Self::Upstream(error) => error.is_final(),
            Self::Storage(error) => matches!(
                **error,
                StorageError::OverQuota { .. }
                    | StorageError::ManifestInvalid { .. }
                    | StorageError::TooLarge { .. }
                    | StorageError::DigestMismatch { .. }
            ),
            _ => false,
        }
    }
}
