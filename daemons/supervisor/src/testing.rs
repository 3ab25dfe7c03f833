//! A real nats-server for the tests of every crate.

use std::{env, path::PathBuf};

use crate::binary::{ENVIRONMENT_VARIABLE, Locate, default_cache, find_or_get};

/// The nats-server to test with: the one that `LEAFBOX_NATS_SERVER` names, one on `PATH`, the
/// cached one, or the pinned one fetched into the cache once.
///
/// # Panics
/// When there is none, with all that was tried.
pub async fn nats_server_binary() -> PathBuf {
    tokio::task::spawn_blocking(nats_server_binary_blocking).await.expect("looking for nats-server panicked")
}

/// [`nats_server_binary`] for tests without a runtime.
///
/// # Panics
/// When there is none, with all that was tried.
pub fn nats_server_binary_blocking() -> PathBuf {
    let mut locate = Locate::new(default_cache(&env::temp_dir()));
    locate.explicit = env::var_os(ENVIRONMENT_VARIABLE).map(PathBuf::from);
    match find_or_get(&locate) {
        Ok(binary) => binary.path,
        Err(error) => panic!("{error}"),
    }
}
