//! Makes the keys and creds that a fleet needs and a keys directory lacks.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::SystemTime,
};

use settings::{
    Fleet, LEAFBOX_ACCOUNT, Name, SYSTEM_ACCOUNT,
    builtin::{APPLY_ROLE, CONSOLE_ROLE, HEALTH_SERVICE, LEAF_ROLE, PUSH_ROLE, REGISTRY_SERVICE},
};

use crate::{
    creds::{Creds, CredsError},
    jetstream_key::ensure_jetstream_key,
    keystore::{KeyStore, KeyStoreError, make_folder},
    layout,
    mint::{MintError, UserRequest, mint},
    nkey::{KeyKind, SecretKey},
    secret_file::{self, SecretFileError},
};

/// Why keys could not be completed.
#[derive(Debug, thiserror::Error)]
pub enum EnsureError {
    /// A key is damaged, or cannot be made.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
    /// A user cannot be made.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// A creds file that exists is damaged.
    #[error(transparent)]
    Creds(#[from] CredsError),
    /// A creds file that exists was signed with another key.
    #[error("{} was signed with a key that is not the one of the role {role} in {account}: it is from another fleet or from before a key was replaced; delete it and run this again", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The account.
        account: Name,
        /// The role.
        role: Name,
    },
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] SecretFileError),
}

/// The files that were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Created {
    /// Keys of the operator, accounts and roles, and the JetStream key.
    pub keys: Vec<PathBuf>,
    /// Creds of services and of this node.
    pub creds: Vec<PathBuf>,
}

impl Created {
    /// Whether all was there already.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.creds.is_empty()
    }
}

/// Makes every key and creds file of the fleet that is missing, and checks those that are there.
/// Nothing that exists is replaced; creds that expired are an error, not renewed.
pub fn ensure_fleet_keys(keys: &KeyStore, fleet: &Fleet, now: SystemTime) -> Result<Created, EnsureError> {
    let mut created = Created::default();
    let root = keys.path();
    let mut wanted = Vec::new();
    let operator = layout::operator_key(root);
    // With a signing key and without the operator's own, that one is kept elsewhere, and perhaps the
    // other signing key too: new ones would be those of another operator.
    if operator.exists() || !keys.has_operator() {
        wanted.push((operator, KeyKind::Operator));
        wanted.extend(layout::operator_signing_keys(root).map(|path| (path, KeyKind::Operator)));
    }
    let accounts = fleet.all_accounts();
    for (name, account) in &accounts {
        wanted.push((layout::account_key(root, name), KeyKind::Account));
        wanted.extend(
            account.all_roles().keys().map(|role| (layout::role_key(root, name, role), KeyKind::Account)),
        );
    }
    for (path, kind) in wanted {
        if keys.ensure_key(&path, kind)? {
            created.keys.push(path);
        }
    }
    if ensure_jetstream_key(keys)? {
        created.keys.push(layout::jetstream_key(root));
    }
    for user in users(root, fleet) {
        if ensure_user(keys, &user, now)? {
            created.creds.push(user.path);
        }
    }
    secret_file::flush_names(created.keys.iter().chain(&created.creds).map(PathBuf::as_path))?;
    Ok(created)
}

struct User {
    account: Name,
    role: Name,
    name: String,
    path: PathBuf,
}

/// The declared services, and the users that a node itself runs with.
fn users(root: &Path, fleet: &Fleet) -> Vec<User> {
    let mut users = Vec::new();
    let built_in = |role: &str| role.parse::<Name>().expect("a built-in name is valid");
    for (account, declared) in &fleet.all_accounts() {
        let mut add = |role: Name, name: String, path: PathBuf| {
            users.push(User { account: account.clone(), role, name, path });
        };
        for service in declared.services.keys() {
            let role = declared.role_of(service).cloned().unwrap_or_else(|| service.clone());
            let path = match (account.as_str(), service.as_str()) {
                (LEAFBOX_ACCOUNT, HEALTH_SERVICE) => layout::health_creds(root),
                (LEAFBOX_ACCOUNT, REGISTRY_SERVICE) => layout::registry_creds(root),
                _ => layout::service_creds(root, account, service),
            };
            add(role, service.to_string(), path);
        }
        add(built_in(LEAF_ROLE), format!("leaf-{account}"), layout::leaf_creds(root, account));
        add(built_in(CONSOLE_ROLE), format!("console-{account}"), layout::console_creds(root, account));
        if account.as_str() == SYSTEM_ACCOUNT {
            add(built_in(PUSH_ROLE), "push".into(), layout::system_creds(root));
        } else {
            add(built_in(APPLY_ROLE), format!("apply-{account}"), layout::apply_creds(root, account));
        }
    }
    users
}

fn ensure_user(keys: &KeyStore, user: &User, now: SystemTime) -> Result<bool, EnsureError> {
    let role_key = keys.role(&user.account, &user.role).map(|key| key.public_key());
    if user.path.exists() {
        let creds = Creds::read(&user.path)?;
        if creds.claims.issuer != role_key? {
            let (path, account, role) = (user.path.clone(), user.account.clone(), user.role.clone());
            return Err(EnsureError::Foreign { path, account, role });
        }
        return Ok(false);
    }
    if let Some(folder) = user.path.parent() {
        make_folder(folder)?;
    }
    let account_key = keys.account(&user.account)?.public_key();
    let request = UserRequest {
        account: &user.account,
        account_key: &account_key,
        role: &user.role,
        name: &user.name,
        expires: None,
        tags: &[],
    };
    match mint(keys, &request, now)?.write_new(&user.path) {
        Err(SecretFileError::Exists { .. }) => Ok(false),
        other => Ok(other.map(|()| true)?),
    }
}

/// The public keys of the accounts whose identity keys are here, by name.
pub fn account_keys(keys: &KeyStore, fleet: &Fleet) -> Result<BTreeMap<Name, String>, KeyStoreError> {
    let names = fleet.all_accounts().into_keys();
    names.map(|name| keys.account(&name).map(|key: SecretKey| (name, key.public_key()))).collect()
}
