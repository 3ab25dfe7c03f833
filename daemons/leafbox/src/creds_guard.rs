//! Refuses to start with the creds of one fleet and the account JWTs of another.
//!
//! nats-server would start with them, find none of the accounts that its stores belong to, let
//! nobody in, and never be healthy.

use std::path::{Path, PathBuf};

use anyhow::Result;
use identity::{Creds, JwtSet, layout};
use settings::{LEAFBOX_ACCOUNT, Name, SYSTEM_ACCOUNT};
use tracing::warn;

use crate::contradiction;

/// Compares the account in each creds file that the node runs with to the account of that name.
///
/// Only the identity of the account counts, which never changes: its signing keys may have been
/// replaced since the folder was written, and nats-server knows the newer JWT. A file that is
/// damaged or has expired stops only what needs it.
pub fn check(jwts: &JwtSet, folder: &Path, keys: &Path) -> Result<()> {
    for (name, account) in &jwts.accounts {
        for path in files(keys, name).into_iter().filter(|path| path.exists()) {
            match Creds::read(&path) {
                Ok(creds) if creds.claims.nats.issuer_account == account.public_key => {}
                Ok(creds) => contradiction!(
                    "{} is of the account {}, and the account {name} in {} is {}: they are of two fleets; \
                     put the JWTs and the creds of the same fleet in place; nothing was started",
                    path.display(),
                    creds.claims.nats.issuer_account,
                    folder.display(),
                    account.public_key
                ),
                Err(error) => warn!("{error}"),
            }
        }
    }
    Ok(())
}

fn files(keys: &Path, account: &Name) -> Vec<PathBuf> {
    let mut files = vec![
        layout::leaf_creds(keys, account),
        layout::apply_creds(keys, account),
        layout::console_creds(keys, account),
    ];
    match account.as_str() {
        SYSTEM_ACCOUNT => files.push(layout::system_creds(keys)),
        LEAFBOX_ACCOUNT => files.extend([layout::health_creds(keys), layout::registry_creds(keys)]),
        _ => {}
    }
    files
}
