//! What was signed so far, and the only way to sign more.
//!
//! A folder of JWTs can be lost, or be an old copy, and two commands can run at once. So what was
//! signed is kept beside the keys as well, written before any folder is; whoever signs holds a lock
//! from reading to writing; and what all places know is merged first. The newest JWT of an account
//! counts, with every revocation that any place knows: a revocation is never dropped. Keys that
//! were taken back from a node are remembered in [`enrolled`](mod@crate::enrolled).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use settings::Name;

use crate::{
    claims::AccountBody,
    jwt_set::{AccountJwt, JwtSet, JwtSetError},
    keystore::KeyStore,
    layout,
    secret_file::{self, SecretFileError},
    sign::{SignError, foreign, seal, seconds, signer},
};

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another command cannot be kept out.
    #[error("cannot lock {}", path.display())]
    Lock {
        /// The keys directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What is kept beside the keys cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What is kept beside the keys is damaged.
    #[error("{} remembers what was signed, revocations too, and is damaged: restore it from a backup, or delete it if the folder of JWTs is whole", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A JWT kept beside the keys is damaged.
    #[error("{} remembers what was signed, revocations too, and is damaged: restore it from a backup, or delete it if the folder of JWTs is whole", path.display())]
    DamagedJwt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<JwtSetError>,
    },
    /// A folder of JWTs cannot be read or written.
    #[error(transparent)]
    Set(#[from] JwtSetError),
    /// Signing failed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// What is kept beside the keys cannot be written.
    #[error(transparent)]
    File(#[from] SecretFileError),
}

/// All places that know what was signed.
#[derive(Clone, Copy, Debug)]
pub struct Ledger<'a> {
    /// The keys, with the ledger's own file beside them.
    pub keys: &'a KeyStore,
    /// The node's folder of JWTs.
    pub jwts: &'a Path,
    /// Another folder that is to say the same, such as one in git.
    pub copy: Option<&'a Path>,
    /// What running servers use, where they could be asked. Claims newer than those known here
    /// count for nothing: a push refuses to go over them.
    pub in_force: Option<&'a JwtSet>,
}

/// What a signing made.
#[derive(Clone, Debug)]
pub struct Signed {
    /// What was known before.
    pub previous: Option<JwtSet>,
    /// What is signed now.
    pub set: JwtSet,
    /// The files that changed.
    pub written: Vec<PathBuf>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    operator: String,
    accounts: BTreeMap<Name, String>,
}

impl<'a> Ledger<'a> {
    /// The places that every machine with the operator's keys has.
    pub fn new(keys: &'a KeyStore, jwts: &'a Path) -> Self {
        Self { keys, jwts, copy: None, in_force: None }
    }

    /// What all places together know. Changes nothing.
    pub fn read(&self, now: SystemTime) -> Result<Option<JwtSet>, LedgerError> {
        let _lock = self.lock()?;
        self.merged(now)
    }

    /// Signs on top of what all places know, and writes the result into each. No other signing
    /// with these keys comes between.
    pub fn sign(
        &self,
        now: SystemTime,
        change: impl FnOnce(Option<&JwtSet>) -> Result<JwtSet, SignError>,
    ) -> Result<Signed, LedgerError> {
        let _lock = self.lock()?;
        let previous = self.merged(now)?;
        let set = change(previous.as_ref())?;
        // First where the keys are: what is in no folder yet is then not forgotten.
        self.remember(&set)?;
        let mut written = set.write_dir(self.jwts)?;
        if let Some(copy) = self.copy {
            written.extend(set.write_dir(copy)?);
        }
        Ok(Signed { previous, set, written })
    }

    /// Held until it is dropped, or the process ends.
    fn lock(&self) -> Result<File, LedgerError> {
        let path = self.keys.path();
        let failed = |source| LedgerError::Lock { path: path.into(), source };
        // The folder itself: a file of its own could be deleted while another waits for it.
        let folder = File::open(path).map_err(failed)?;
        folder.lock().map_err(failed)?;
        Ok(folder)
    }

    fn merged(&self, now: SystemTime) -> Result<Option<JwtSet>, LedgerError> {
        let mut sets = Vec::new();
        sets.extend(self.remembered()?);
        sets.extend(read_folder(self.jwts)?);
        if let Some(copy) = self.copy {
            match read_folder(copy) {
                // The remedy for a damaged copy is to write it again.
                Err(JwtSetError::Jwt { origin, source }) => {
                    tracing::warn!("{origin} is damaged and is written anew: {source}");
                }
                other => sets.extend(other?),
            }
        }
        Ok(merge(self.keys, &sets, self.in_force, seconds(now))?)
    }

    fn remembered(&self) -> Result<Option<JwtSet>, LedgerError> {
        let path = layout::ledger(self.keys.path());
        let text = match fs::read_to_string(&path) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|source| LedgerError::Read { path: path.clone(), source })?,
        };
        let Remembered { operator, accounts } = serde_json::from_str(&text)
            .map_err(|source| LedgerError::Damaged { path: path.clone(), source })?;
        let origin = path.display().to_string();
        let accounts =
            accounts.into_iter().map(|(name, jwt)| (name.clone(), format!("{origin}: {name}"), jwt));
        match JwtSet::new((origin.clone(), operator), accounts) {
            Ok(set) => Ok(Some(set)),
            Err(source) => Err(LedgerError::DamagedJwt { path, source: Box::new(source) }),
        }
    }

    fn remember(&self, set: &JwtSet) -> Result<(), LedgerError> {
        let path = layout::ledger(self.keys.path());
        let accounts = set.accounts.iter().map(|(name, account)| (name.clone(), account.jwt.clone()));
        let remembered = Remembered { operator: set.operator.clone(), accounts: accounts.collect() };
        let text = serde_json::to_string_pretty(&remembered).expect("JWTs are plain text") + "\n";
        if !fs::read(&path).is_ok_and(|found| found == text.as_bytes()) {
            secret_file::replace(&path, text.as_bytes(), 0o600)?;
        }
        Ok(())
    }
}

fn read_folder(folder: &Path) -> Result<Option<JwtSet>, JwtSetError> {
    match JwtSet::read_dir(folder) {
        Err(JwtSetError::NoOperator { .. }) => Ok(None),
        other => other.map(Some),
    }
}

/// One set of several: the newest of each account, with the revocations of all.
fn merge(
    keys: &KeyStore,
    sets: &[JwtSet],
    in_force: Option<&JwtSet>,
    now: i64,
) -> Result<Option<JwtSet>, SignError> {
    let in_force = in_force.filter(|set| is_ours(keys, sets, set));
    let newest = sets.iter().rev().max_by_key(|set| set.operator_claims().issued_at);
    let Some(newest) = newest.or(in_force) else { return Ok(None) };
    let subject = &newest.operator_claims().subject;
    if let Some(other) = sets.iter().find(|set| set.operator_claims().subject != *subject) {
        return Err(foreign(other, subject));
    }
    let trusted = &newest.operator_claims().nats.signing_keys;
    let names: BTreeSet<&Name> = sets.iter().chain(in_force).flat_map(|set| set.accounts.keys()).collect();
    let mut accounts = BTreeMap::new();
    for name in names {
        let known = || sets.iter().filter_map(|set| set.accounts.get(name));
        let used = in_force.and_then(|set| set.accounts.get(name));
        let used = used.filter(|account| trusted.contains(&account.claims().issuer));
        let Some(base) = known().rev().max_by_key(|account| account.issued_at).or(used) else { continue };
        if let Some(other) = known().find(|account| account.public_key != base.public_key) {
            return Err(SignError::AccountKeyChanged {
                account: name.clone(),
                expected: other.public_key.clone(),
                found: base.public_key.clone(),
            });
        }
        let older = used.filter(|used| used.public_key == base.public_key && used.issued_at < base.issued_at);
        accounts.insert(name.clone(), complete(keys, base, known().chain(older), trusted, now)?);
    }
    Ok(Some(JwtSet::signed(newest.operator.clone(), newest.operator_claims().clone(), accounts)))
}

/// Whether the servers obey the operator whose keys and JWTs are here.
fn is_ours(keys: &KeyStore, sets: &[JwtSet], in_force: &JwtSet) -> bool {
    let operator = in_force.operator_claims();
    match (sets.first(), keys.operator(), keys.operator_signing()) {
        (Some(set), _, _) => set.operator_claims().subject == operator.subject,
        (None, Ok(key), _) => key.public_key() == operator.subject,
        (None, Err(_), Ok(signers)) => {
            signers.iter().any(|signer| operator.nats.signing_keys.contains(&signer.public_key()))
        }
        (None, Err(_), Err(_)) => false,
    }
}

/// `base` with the revocations of all, signed again where that says more or nobody trusts who
/// signed it.
fn complete<'a>(
    keys: &KeyStore,
    base: &AccountJwt,
    all: impl Iterator<Item = &'a AccountJwt>,
    trusted: &[String],
    now: i64,
) -> Result<AccountJwt, SignError> {
    let mut claims = base.claims().clone();
    for account in all {
        add_revocations(&mut claims.nats, &account.claims().nats);
    }
    if trusted.contains(&claims.issuer) && claims.nats == base.claims().nats {
        return Ok(base.clone());
    }
    let signers = keys.operator_signing()?;
    Ok(seal(claims, Some(base), signer(&signers, trusted), trusted, now))
}

fn add_revocations(body: &mut AccountBody, from: &AccountBody) {
    let add = |into: &mut BTreeMap<String, i64>, from: &BTreeMap<String, i64>| {
        for (user, at) in from {
            let entry = into.entry(user.clone()).or_insert(*at);
            *entry = (*entry).max(*at);
        }
    };
    add(&mut body.revocations, &from.revocations);
    for export in &mut body.exports {
        let same = from.exports.iter().find(|old| old.subject == export.subject && old.kind == export.kind);
        if let Some(old) = same {
            add(&mut export.revocations, &old.revocations);
        }
    }
}

#[cfg(test)]
mod tests;
