//! Other nodes that sign users with keys of their own: their public keys, and those taken back.
//!
//! A key that was taken back is remembered for ever, so that it cannot come back with an older
//! signed set.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use settings::Name;

use crate::{
    jwt_set::JwtSet,
    keystore::{KeyStore, KeyStoreError, make_folder},
    layout,
    nkey::{KeyKind, public_key_kind},
    secret_file::{self, SecretFileError},
    sign::{AT_NODE, seconds},
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
        "the key {key}, offered by the node {node}, was taken back from {from} and is not accepted again: make new keys on the node, by moving its `signing` folder away before `leafbox enroll request`"
    )]
    TakenBack {
        /// The node that offers it.
        node: Name,
        /// The node that had it.
        from: Name,
        /// The key.
        key: String,
    },
    /// A key is somebody else's.
    #[error(
        "the key {key}, offered by the node {node}, is the one of {holder} already: a box was copied with its keys, or the request was made up; make new keys on the node, by moving its `signing` folder away before `leafbox enroll request`"
    )]
    Held {
        /// The node that offers it.
        node: Name,
        /// Whose it is, such as `shop-2` or `the role till in SHOP`.
        holder: String,
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
    /// When the keys were last accepted or taken back, in seconds since 1970.
    #[serde(default)]
    pub changed_at: Option<i64>,
}

impl EnrolledNode {
    /// Its keys, of all accounts and roles.
    pub fn public_keys(&self) -> impl Iterator<Item = &String> {
        self.keys.values().flat_map(BTreeMap::values)
    }
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
pub fn add_enrolled(
    keys: &KeyStore,
    node: &Name,
    offered: NodeKeys,
    now: SystemTime,
) -> Result<EnrolledNode, EnrolError> {
    let known = enrolled(keys)?;
    check(&known, node, &offered)?;
    let fresh: BTreeSet<&String> = offered.values().flat_map(BTreeMap::values).collect();
    let before = known.into_iter().find(|known| known.node == *node);
    let mut taken_back = before.as_ref().map(|before| before.taken_back.clone()).unwrap_or_default();
    let old = before.iter().flat_map(EnrolledNode::public_keys);
    taken_back.extend(old.filter(|key| !fresh.contains(key)).cloned());
    if let Some(before) = before.filter(|before| before.keys == offered && before.taken_back == taken_back) {
        return Ok(before);
    }
    let enrolled =
        EnrolledNode { node: node.clone(), keys: offered, taken_back, changed_at: Some(seconds(now)) };
    write(keys, &enrolled)?;
    Ok(enrolled)
}

/// Refuses keys that [`add_enrolled`] would refuse, and those that a signed set knows as a role's of
/// the fleet or another node's: whoever offers one would change what its users may do.
pub fn check_offered(
    keys: &KeyStore,
    set: Option<&JwtSet>,
    node: &Name,
    offered: &NodeKeys,
) -> Result<(), EnrolError> {
    check(&enrolled(keys)?, node, offered)?;
    set.map_or(Ok(()), |set| refuse_foreign(set, node, offered))
}

fn check(known: &[EnrolledNode], node: &Name, offered: &NodeKeys) -> Result<(), EnrolError> {
    for (account, roles) in offered {
        for (role, key) in roles {
            if public_key_kind(key) != Some(KeyKind::Account) {
                let (node, account, role) = (node.clone(), account.clone(), role.clone());
                return Err(EnrolError::Key { node, account, role, key: key.clone() });
            }
            refuse_known(known, node, key)?;
        }
    }
    Ok(())
}

/// Refuses a key that was taken back from any node, or that another one has.
fn refuse_known(known: &[EnrolledNode], node: &Name, key: &str) -> Result<(), EnrolError> {
    for other in known {
        if other.taken_back.contains(key) {
            let (node, from) = (node.clone(), other.node.clone());
            return Err(EnrolError::TakenBack { node, from, key: key.into() });
        }
        if other.node != *node && other.public_keys().any(|held| held == key) {
            let holder = format!("the node {}", other.node);
            return Err(EnrolError::Held { node: node.clone(), holder, key: key.into() });
        }
    }
    Ok(())
}

fn refuse_foreign(set: &JwtSet, node: &Name, offered: &NodeKeys) -> Result<(), EnrolError> {
    let offered: BTreeSet<&String> = offered.values().flat_map(BTreeMap::values).collect();
    for (name, account) in &set.accounts {
        let scopes = account.claims().nats.signing_keys.iter();
        let held = scopes.map(|claim| (claim.key(), claim.role())).chain([(account.public_key.as_str(), "")]);
        for (key, role) in held.filter(|(key, _)| offered.contains(&(*key).to_owned())) {
            let holder = match role.split_once(AT_NODE) {
                Some((_, at)) if at == node.as_str() => continue,
                Some((_, at)) => format!("the node {at}"),
                None if role.is_empty() => format!("the account {name}"),
                None => format!("the role {role} in {name}"),
            };
            return Err(EnrolError::Held { node: node.clone(), holder, key: key.into() });
        }
    }
    Ok(())
}

/// Takes all keys of a node back. Its users are cut off when the next signed set is pushed.
pub fn remove_enrolled(keys: &KeyStore, node: &Name, now: SystemTime) -> Result<EnrolledNode, EnrolError> {
    let path = layout::enrolled_node(keys.path(), node);
    if !path.exists() {
        return Err(EnrolError::Unknown { node: node.clone(), path });
    }
    add_enrolled(keys, node, NodeKeys::new(), now)
}

/// The keys by which a signed set knows a node.
pub fn held_in(set: &JwtSet, node: &Name) -> BTreeSet<String> {
    let claims = set.accounts.values().flat_map(|account| &account.claims().nats.signing_keys);
    let held =
        claims.filter(|claim| claim.role().split_once(AT_NODE).is_some_and(|(_, at)| at == node.as_str()));
    held.map(|claim| claim.key().to_owned()).collect()
}

/// Takes back the keys by which a signed set knows a node and that it does not hold by what is kept
/// here, which may come from a backup older than the set; says how many there were.
pub fn take_back_others(
    keys: &KeyStore,
    set: &JwtSet,
    node: &Name,
    now: SystemTime,
) -> Result<usize, EnrolError> {
    let before = enrolled(keys)?.into_iter().find(|known| known.node == *node);
    let mut after = before.unwrap_or_else(|| EnrolledNode {
        node: node.clone(),
        keys: NodeKeys::new(),
        taken_back: BTreeSet::new(),
        changed_at: None,
    });
    let kept: BTreeSet<&String> = after.public_keys().chain(&after.taken_back).collect();
    let others: Vec<String> = held_in(set, node).into_iter().filter(|key| !kept.contains(key)).collect();
    if !others.is_empty() {
        after.taken_back.extend(others.iter().cloned());
        after.changed_at = Some(seconds(now));
        write(keys, &after)?;
    }
    Ok(others.len())
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

#[cfg(test)]
mod tests;
