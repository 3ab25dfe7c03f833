//! Other nodes that sign users with keys of their own: their public keys, and those taken back.
//!
//! A key that was taken back is remembered for ever, so that it cannot come back with an older
//! signed set.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use settings::Name;

use crate::{
    keystore::{KeyStore, KeyStoreError, make_folder},
    layout,
    nkey::{KeyKind, public_key_kind},
    secret_file::{self, SecretFileError},
};

/// Why an enrolment failed.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// A key is not the public key of an account.
    #[error(
        "`{key}`, offered by the node {node} for the role {role} in {account}, is not the public key of an account: a signing key starts with `A`"
    )]
    Key {
        /// The node.
        node: Name,
        /// The account.
        account: Name,
        /// The role.
        role: Name,
        /// The text offered, public by intent.
        key: String,
    },
    /// A key was taken back before.
    #[error(
        "the key {key} of the node {node} was taken back and is not accepted again: make new keys on the node"
    )]
    TakenBack {
        /// The node.
        node: Name,
        /// The key.
        key: String,
    },
    /// There is no such node.
    #[error("the node {node} is not enrolled: there is no {}", path.display())]
    Unknown {
        /// The node.
        node: Name,
        /// Where it would be.
        path: PathBuf,
    },
    /// Its file is damaged.
    #[error("{} cannot be read as an enrolled node: restore it from a backup", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The folder cannot be listed.
    #[error("cannot read {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// A folder cannot be made.
    #[error(transparent)]
    KeyStore(#[from] KeyStoreError),
}

/// A node's own signing keys: public keys by account and role.
pub type NodeKeys = BTreeMap<Name, BTreeMap<Name, String>>;

/// A node that signs users with keys of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolledNode {
    /// The node.
    pub node: Name,
    /// Its keys.
    #[serde(default)]
    pub keys: NodeKeys,
    /// Keys that it had and that are not valid any more.
    #[serde(default)]
    pub taken_back: BTreeSet<String>,
}

/// All enrolled nodes, those that were taken back among them.
pub fn enrolled(keys: &KeyStore) -> Result<Vec<EnrolledNode>, EnrolError> {
    let folder = keys.path().join(layout::ENROLLED_FOLDER);
    let failed = |source| EnrolError::Folder { path: folder.clone(), source };
    let entries = match fs::read_dir(&folder) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut nodes = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.extension().is_some_and(|extension| extension == "json") && !hidden {
            nodes.push(read(path)?);
        }
    }
    nodes.sort_by(|one: &EnrolledNode, two| one.node.cmp(&two.node));
    Ok(nodes)
}

/// Enrols a node, or gives it new keys: the ones that it had before are taken back.
/// They become valid with the next signed set.
pub fn add_enrolled(keys: &KeyStore, node: &Name, offered: NodeKeys) -> Result<EnrolledNode, EnrolError> {
    let path = layout::enrolled_node(keys.path(), node);
    let before = if path.exists() { Some(read(path.clone())?) } else { None };
    let mut taken_back = before.as_ref().map(|before| before.taken_back.clone()).unwrap_or_default();
    let mut fresh = BTreeSet::new();
    for (account, roles) in &offered {
        for (role, key) in roles {
            if public_key_kind(key) != Some(KeyKind::Account) {
                let (node, account, role) = (node.clone(), account.clone(), role.clone());
                return Err(EnrolError::Key { node, account, role, key: key.clone() });
            }
            if taken_back.contains(key) {
                return Err(EnrolError::TakenBack { node: node.clone(), key: key.clone() });
            }
            fresh.insert(key.clone());
        }
    }
    let old = before.iter().flat_map(|before| before.keys.values().flat_map(BTreeMap::values));
    taken_back.extend(old.filter(|key| !fresh.contains(*key)).cloned());
    let enrolled = EnrolledNode { node: node.clone(), keys: offered, taken_back };
    if before.as_ref() != Some(&enrolled) {
        write(keys, &enrolled)?;
    }
    Ok(enrolled)
}

/// Takes all keys of a node back. Its users are cut off when the next signed set is pushed.
pub fn remove_enrolled(keys: &KeyStore, node: &Name) -> Result<EnrolledNode, EnrolError> {
    let path = layout::enrolled_node(keys.path(), node);
    if !path.exists() {
        return Err(EnrolError::Unknown { node: node.clone(), path });
    }
    add_enrolled(keys, node, NodeKeys::new())
}

fn read(path: PathBuf) -> Result<EnrolledNode, EnrolError> {
    let text = secret_file::read(&path)?;
    serde_json::from_str(&text).map_err(|source| EnrolError::Malformed { path, source })
}

fn write(keys: &KeyStore, node: &EnrolledNode) -> Result<(), EnrolError> {
    let path = layout::enrolled_node(keys.path(), &node.node);
    make_folder(&keys.path().join(layout::ENROLLED_FOLDER))?;
    let text = serde_json::to_string_pretty(node).expect("an enrolled node is plain data");
    Ok(secret_file::replace(&path, format!("{text}\n").as_bytes(), 0o600)?)
}
