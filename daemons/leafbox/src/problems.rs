//! Mistakes that a second start would meet again, as errors that `main` gives exit code 2.

use std::fmt;

use identity::JwtSetError;
use settings::Problems;
use supervisor::{LocateError, Unusable};

/// What is wrong with node.toml and fleet.toml, all of it.
#[derive(Debug)]
pub struct BadConfig(pub Problems);

impl fmt::Display for BadConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for BadConfig {}

/// What is given contradicts itself or what is on the disk: another key than the store's, creds of
/// another fleet, a newer data layout. It stays so until somebody changes it, while what is only
/// missing, or taken by another, may come or go by itself.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Contradiction(pub String);

/// Ends a function with a [`Contradiction`].
#[macro_export]
macro_rules! contradiction {
    ($($argument:tt)*) => {
        return Err($crate::problems::Contradiction(format!($($argument)*)).into())
    };
}

/// The exit code for an error: 2 where only a changed file helps, else 1.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let stays = error.is::<BadConfig>()
        || error.is::<Contradiction>()
        // One that only failed this time, as it does for want of memory, may run the next.
        || matches!(error.downcast_ref(), Some(LocateError::Explicit { reason, .. }) if !matches!(reason, Unusable::Failed { .. }))
        || matches!(error.downcast_ref(), Some(JwtSetError::TwoOperators { .. }));
    if stays { runtime::exit::BAD_CONFIG } else { runtime::exit::FAILURE }
}
