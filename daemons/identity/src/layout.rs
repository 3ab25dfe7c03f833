//! The names of the files in a keys directory, written once.
//!
//! ```text
//! operator/operator.nk signing-1.nk signing-2.nk   the operator, best kept offline
//! accounts/<ACCOUNT>.nk                            the identity of each account
//! roles/<ACCOUNT>/<role>.nk                        the scoped signing key of each role
//! services/<ACCOUNT>/<service>.creds               a declared service
//! enrolled/<node>.json                             public keys of another node
//! signed.json                                      every JWT that was signed with these keys
//! *.creds, jetstream.key                           what this node itself runs with
//! ```
//!
//! What a node itself runs with may also be called `leafbox_<name>`: see [`credential`].

use std::path::{Path, PathBuf};

use settings::Name;

/// The folder of the operator's keys.
pub const OPERATOR_FOLDER: &str = "operator";
/// The folder of the account keys.
pub const ACCOUNTS_FOLDER: &str = "accounts";
/// The folder of the roles' signing keys.
pub const ROLES_FOLDER: &str = "roles";
/// The folder of the declared services' creds.
pub const SERVICES_FOLDER: &str = "services";
/// The folder of other nodes' public keys.
pub const ENROLLED_FOLDER: &str = "enrolled";
/// What was signed with these keys, revocations too.
pub const LEDGER: &str = "signed.json";
/// The key that JetStream's files are encrypted with.
pub const JETSTREAM_KEY: &str = "jetstream.key";
/// The creds that push account claims.
pub const SYSTEM_CREDS: &str = "sys.creds";
/// The creds of the health daemon.
pub const HEALTH_CREDS: &str = "health.creds";
/// The creds of the container registry.
pub const REGISTRY_CREDS: &str = "registry.creds";
/// The operator's JWT in a folder of signed JWTs.
pub const OPERATOR_JWT: &str = "operator.jwt";
/// The operator's signing keys. Two from the first day: one can be lost or rotated out while the
/// other signs on.
pub const OPERATOR_SIGNING_KEYS: [&str; 2] = ["signing-1.nk", "signing-2.nk"];

const OPERATOR_KEY: &str = "operator.nk";
/// What systemd puts before the name of a file from the folder that units are given.
const FOLDER_PREFIX: &str = "leafbox_";

/// A credential that a node runs with: `<keys>/<name>` if it is there, else `<keys>/leafbox_<name>`
/// if that is, else `<keys>/<name>`. An absolute `name` is the file itself.
///
/// A systemd unit that is given a folder, as `LoadCredential=leafbox:<folder>`, finds each file of
/// it under the name `leafbox_<file>`. A file that was given by its own name counts more.
pub fn credential(keys: &Path, name: impl AsRef<Path>) -> PathBuf {
    let name = name.as_ref();
    let given = keys.join(name);
    if name.is_absolute() || given.exists() {
        return given;
    }
    let Some(file) = name.file_name().and_then(|file| file.to_str()) else { return given };
    let from_folder = given.with_file_name(format!("{FOLDER_PREFIX}{file}"));
    if from_folder.exists() { from_folder } else { given }
}

/// The operator's own key.
pub fn operator_key(keys: &Path) -> PathBuf {
    keys.join(OPERATOR_FOLDER).join(OPERATOR_KEY)
}

/// The operator's signing keys, the one that is used first.
pub fn operator_signing_keys(keys: &Path) -> [PathBuf; 2] {
    OPERATOR_SIGNING_KEYS.map(|name| keys.join(OPERATOR_FOLDER).join(name))
}

/// The identity key of an account.
pub fn account_key(keys: &Path, account: &Name) -> PathBuf {
    keys.join(ACCOUNTS_FOLDER).join(format!("{account}.nk"))
}

/// The scoped signing key of a role.
pub fn role_key(keys: &Path, account: &Name, role: &Name) -> PathBuf {
    keys.join(ROLES_FOLDER).join(account.as_str()).join(format!("{role}.nk"))
}

/// The creds of a declared service.
pub fn service_creds(keys: &Path, account: &Name, service: &Name) -> PathBuf {
    keys.join(SERVICES_FOLDER).join(account.as_str()).join(format!("{service}.creds"))
}

/// The creds by which this leaf joins the hub for one account.
pub fn leaf_creds(keys: &Path, account: &Name) -> PathBuf {
    credential(keys, format!("leaf-{account}.creds"))
}

/// The creds by which this node applies the stores of one account.
pub fn apply_creds(keys: &Path, account: &Name) -> PathBuf {
    credential(keys, format!("apply-{account}.creds"))
}

/// The creds by which this node's web console looks and acts in one account.
pub fn console_creds(keys: &Path, account: &Name) -> PathBuf {
    credential(keys, format!("console-{account}.creds"))
}

/// The creds by which this node pushes account claims.
pub fn system_creds(keys: &Path) -> PathBuf {
    credential(keys, SYSTEM_CREDS)
}

/// The creds of this node's health daemon.
pub fn health_creds(keys: &Path) -> PathBuf {
    credential(keys, HEALTH_CREDS)
}

/// The creds of this node's container registry.
pub fn registry_creds(keys: &Path) -> PathBuf {
    credential(keys, REGISTRY_CREDS)
}

/// The key that this node's JetStream files are encrypted with.
pub fn jetstream_key(keys: &Path) -> PathBuf {
    credential(keys, JETSTREAM_KEY)
}

/// The public keys that an enrolled node signs with.
pub fn enrolled_node(keys: &Path, node: &Name) -> PathBuf {
    keys.join(ENROLLED_FOLDER).join(format!("{node}.json"))
}

/// What was signed with these keys.
pub fn ledger(keys: &Path) -> PathBuf {
    keys.join(LEDGER)
}

/// The operator's JWT in a folder of signed JWTs.
pub fn operator_jwt(jwts: &Path) -> PathBuf {
    jwts.join(OPERATOR_JWT)
}

/// An account's JWT in a folder of signed JWTs.
pub fn account_jwt(jwts: &Path, account: &Name) -> PathBuf {
    jwts.join(format!("{account}.jwt"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    #[test]
    fn a_credential_is_found_under_either_name_and_its_own_counts_more() {
        let folder = tempfile::tempdir().unwrap();
        let (keys, shop) = (folder.path(), "SHOP".parse().unwrap());
        let named = |name: &str| keys.join(name);
        assert_eq!(leaf_creds(keys, &shop), named("leaf-SHOP.creds"), "where it would be made");
        fs::write(named("leafbox_leaf-SHOP.creds"), "").unwrap();
        fs::write(named("leafbox_jetstream.key"), "").unwrap();
        assert_eq!(leaf_creds(keys, &shop), named("leafbox_leaf-SHOP.creds"));
        assert_eq!(jetstream_key(keys), named("leafbox_jetstream.key"));
        assert_eq!(apply_creds(keys, &shop), named("apply-SHOP.creds"));
        fs::write(named("leaf-SHOP.creds"), "").unwrap();
        assert_eq!(leaf_creds(keys, &shop), named("leaf-SHOP.creds"));
        assert_eq!(credential(Path::new("/nowhere"), named("leaf-SHOP.creds")), named("leaf-SHOP.creds"));
    }
}
