//! The signed set of a fleet: the operator's JWT and one for each account.
//!
//! It is public: git and the Nix store may hold the folder. What is read is checked, so that a
//! [`JwtSet`] in hand is whole: every JWT is signed, and the operator issued every account.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use settings::Name;

use crate::{
    claims::{AccountBody, Claims, JwtError, OperatorBody},
    layout,
    secret_file::{self, SecretFileError},
};

/// The tag of an account that was removed: nothing may connect to it, and its revocations stay.
pub const REMOVED_TAG: &str = "leafbox-removed";

/// Why a signed set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JwtSetError {
    /// There is no operator.
    #[error("there is no {}: write the signed set with `leafbox apply --export {}` where the fleet's keys are kept", path.display(), path.parent().unwrap_or(path).display())]
    NoOperator {
        /// Where it would be.
        path: PathBuf,
    },
    /// One JWT is damaged.
    #[error("{origin} cannot be used; write it again with `leafbox apply --export`, or restore it from git")]
    Jwt {
        /// The file, or the account.
        origin: String,
        /// What is wrong with it.
        #[source]
        source: JwtError,
    },
    /// The operator of this fleet did not sign an account.
    #[error(
        "{origin} was signed by {issuer}, which is not a signing key of the operator {operator} ({operator_key}): it belongs to another fleet, or the key was withdrawn; take it out, or export the whole set again"
    )]
    ForeignOperator {
        /// The file, or the account.
        origin: String,
        /// Who signed it.
        issuer: String,
        /// The operator's name.
        operator: String,
        /// The operator's public key.
        operator_key: String,
    },
    /// The operator's own JWT is signed by someone else.
    #[error(
        "{origin} is about the operator {operator_key} but was signed by {issuer}: only the operator itself may sign it"
    )]
    OperatorIssuer {
        /// The file.
        origin: String,
        /// Who signed it.
        issuer: String,
        /// The operator's public key.
        operator_key: String,
    },
    /// A file is named for another account than the one inside.
    #[error("{origin} is about the account {found}, not {expected}: rename it")]
    Misnamed {
        /// The file, or the account.
        origin: String,
        /// The account inside.
        found: String,
        /// The account that it is named for.
        expected: Name,
    },
    /// Two accounts have one key.
    #[error(
        "the accounts {one} and {two} have the same public key {key}: one of their JWTs is a copy; take it out"
    )]
    SameKey {
        /// An account.
        one: Name,
        /// Another account.
        two: Name,
        /// Their key.
        key: String,
    },
    /// The operator names a system account that is not in the set.
    #[error(
        "{origin} names the system account {key}, and the set has no account with this key: export the whole set again"
    )]
    NoSystemAccount {
        /// The operator's file.
        origin: String,
        /// The public key that is named.
        key: String,
    },
    /// Two sets that should be one are of two operators.
    #[error(
        "the account JWTs in {here} are of the operator {ours} and those in {there} of {theirs}: they are of two fleets; take those of the wrong one away"
    )]
    TwoOperators {
        /// A folder, or words for where the set comes from.
        here: String,
        /// Its operator.
        ours: String,
        /// Another folder.
        there: String,
        /// Its operator.
        theirs: String,
    },
    /// A file in the folder has a name that no account can have.
    #[error("{} cannot be the JWT of an account: {reason}", path.display())]
    FileName {
        /// The file.
        path: PathBuf,
        /// What is wrong with the name.
        reason: String,
    },
    /// An account's file would take the operator's place.
    #[error(
        "an account cannot be called {name}: its JWT would take the place of the operator's; rename it in fleet.toml"
    )]
    ReservedName {
        /// The account's name.
        name: Name,
    },
    /// The folder or a file in it cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The folder cannot be made.
    #[error("cannot make the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] SecretFileError),
}

/// The JWT of one account.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountJwt {
    /// The account's public key.
    pub public_key: String,
    /// The JWT.
    pub jwt: String,
    /// When it was signed, in seconds since 1970.
    pub issued_at: i64,
    claims: Claims<AccountBody>,
}

impl AccountJwt {
    pub(crate) fn new(jwt: String, claims: Claims<AccountBody>) -> Self {
        Self { public_key: claims.subject.clone(), jwt, issued_at: claims.issued_at, claims }
    }

    /// What the JWT says.
    pub fn claims(&self) -> &Claims<AccountBody> {
        &self.claims
    }

    /// Whether the account was removed, and only what must not be forgotten about it is left.
    pub fn is_removed(&self) -> bool {
        self.claims.nats.tags.iter().any(|tag| tag == REMOVED_TAG)
    }
}

/// The operator's JWT and one for each account, checked against each other.
#[derive(Clone, Debug, PartialEq)]
pub struct JwtSet {
    /// The operator's JWT.
    pub operator: String,
    /// The accounts by name, `SYS` among them.
    pub accounts: BTreeMap<Name, AccountJwt>,
    /// The public key of the system account.
    pub system_account: String,
    operator_claims: Claims<OperatorBody>,
}

impl JwtSet {
    /// Checks JWTs that were read one by one. Each account comes with the words that an error
    /// should call it by, such as its file.
    pub fn new(
        operator: (String, String),
        accounts: impl IntoIterator<Item = (Name, String, String)>,
    ) -> Result<Self, JwtSetError> {
        let (origin, operator) = operator;
        let broken = |origin: &str, source| JwtSetError::Jwt { origin: origin.into(), source };
        let operator = operator.trim().to_owned();
        let claims = Claims::<OperatorBody>::decode(&operator).map_err(|source| broken(&origin, source))?;
        if claims.issuer != claims.subject {
            let (issuer, operator_key) = (claims.issuer, claims.subject);
            return Err(JwtSetError::OperatorIssuer { origin, issuer, operator_key });
        }
        let mut set = Self {
            operator,
            accounts: BTreeMap::new(),
            system_account: claims.nats.system_account.clone(),
            operator_claims: claims,
        };
        let mut by_key: BTreeMap<String, Name> = BTreeMap::new();
        for (name, origin, jwt) in accounts {
            let account = set.read_account(&name, &origin, &jwt)?;
            if let Some(one) = by_key.insert(account.public_key.clone(), name.clone()) {
                return Err(JwtSetError::SameKey { one, two: name, key: account.public_key });
            }
            set.accounts.insert(name, account);
        }
        if !by_key.contains_key(&set.system_account) {
            return Err(JwtSetError::NoSystemAccount { origin, key: set.system_account });
        }
        Ok(set)
    }

    fn read_account(&self, name: &Name, origin: &str, jwt: &str) -> Result<AccountJwt, JwtSetError> {
        let jwt = jwt.trim().to_owned();
        let claims = Claims::<AccountBody>::decode(&jwt)
            .map_err(|source| JwtSetError::Jwt { origin: origin.into(), source })?;
        if !self.is_issued_here(&claims) {
            return Err(JwtSetError::ForeignOperator {
                origin: origin.into(),
                issuer: claims.issuer,
                operator: self.operator_claims.name.clone(),
                operator_key: self.operator_claims.subject.clone(),
            });
        }
        if claims.name != name.as_str() {
            return Err(JwtSetError::Misnamed {
                origin: origin.into(),
                found: claims.name,
                expected: name.clone(),
            });
        }
        Ok(AccountJwt::new(jwt, claims))
    }

    /// A set that was just signed, whose parts need no checking.
    pub(crate) fn signed(
        operator: String,
        operator_claims: Claims<OperatorBody>,
        accounts: BTreeMap<Name, AccountJwt>,
    ) -> Self {
        let system_account = operator_claims.nats.system_account.clone();
        Self { operator, accounts, system_account, operator_claims }
    }

    /// What the operator's JWT says.
    pub fn operator_claims(&self) -> &Claims<OperatorBody> {
        &self.operator_claims
    }

    /// Whether a signing key of this set's operator signed the claims.
    pub fn is_issued_here(&self, claims: &Claims<AccountBody>) -> bool {
        let operator = &self.operator_claims;
        let itself = !operator.nats.strict_signing_key_usage && claims.issuer == operator.subject;
        itself || operator.nats.signing_keys.contains(&claims.issuer)
    }

    /// The name of the account with this public key.
    pub fn name_of(&self, public_key: &str) -> Option<&Name> {
        self.accounts.iter().find(|(_, account)| account.public_key == public_key).map(|(name, _)| name)
    }

    /// The newer JWT of the operator and of each account, of this set and of another; each comes
    /// with the words that an error should call it by.
    ///
    /// A JWT whose signer the newer operator JWT no longer names counts for nothing.
    pub fn newest(self, here: &str, other: Self, there: &str) -> Result<Self, JwtSetError> {
        let (ours, theirs) = (&self.operator_claims, &other.operator_claims);
        if ours.subject != theirs.subject {
            return Err(JwtSetError::TwoOperators {
                here: here.into(),
                ours: ours.subject.clone(),
                there: there.into(),
                theirs: theirs.subject.clone(),
            });
        }
        let (mut newer, older, origin) =
            if ours.issued_at >= theirs.issued_at { (self, other, here) } else { (other, self, there) };
        for (name, account) in older.accounts {
            let known = newer.accounts.get(&name);
            let is_newer = known.is_none_or(|known| known.issued_at < account.issued_at);
            if is_newer && newer.is_issued_here(&account.claims) {
                newer.accounts.insert(name, account);
            }
        }
        if newer.name_of(&newer.system_account).is_none() {
            return Err(JwtSetError::NoSystemAccount { origin: origin.into(), key: newer.system_account });
        }
        Ok(newer)
    }

    /// Which operator a folder is of, whatever state the rest of it is in; nothing where it has no
    /// operator.
    pub fn operator_of(folder: &Path) -> Result<Option<String>, JwtSetError> {
        let path = layout::operator_jwt(folder);
        let jwt = match fs::read_to_string(&path) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|source| JwtSetError::Read { path: path.clone(), source })?,
        };
        let claims = Claims::<OperatorBody>::decode(jwt.trim())
            .map_err(|source| JwtSetError::Jwt { origin: path.display().to_string(), source })?;
        Ok(Some(claims.subject))
    }

    /// Reads a folder of `operator.jwt` and `<ACCOUNT>.jwt`; other files are passed over.
    pub fn read_dir(folder: &Path) -> Result<Self, JwtSetError> {
        let operator_path = layout::operator_jwt(folder);
        let read = |path: &Path| {
            fs::read_to_string(path).map_err(|source| JwtSetError::Read { path: path.into(), source })
        };
        if !operator_path.exists() {
            return Err(JwtSetError::NoOperator { path: operator_path });
        }
        let operator = read(&operator_path)?;
        let failed = |source| JwtSetError::Read { path: folder.into(), source };
        let mut accounts = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let is_jwt = path.extension().is_some_and(|extension| extension == "jwt");
            if !is_jwt || path == operator_path || stem.starts_with('.') {
                continue;
            }
            let name: Name =
                stem.parse().map_err(|reason| JwtSetError::FileName { path: path.clone(), reason })?;
            accounts.insert(name, (path.display().to_string(), read(&path)?));
        }
        let accounts = accounts.into_iter().map(|(name, (origin, jwt))| (name, origin, jwt));
        Self::new((operator_path.display().to_string(), operator), accounts)
    }

    /// Writes the folder that [`JwtSet::read_dir`] reads and returns the files that were not so
    /// already. Files of accounts that the set does not have are left alone.
    pub fn write_dir(&self, folder: &Path) -> Result<Vec<PathBuf>, JwtSetError> {
        let reserved = layout::OPERATOR_JWT.trim_end_matches(".jwt");
        // Some filesystems do not tell small letters from capitals.
        if let Some(name) = self.accounts.keys().find(|name| name.eq_ignore_ascii_case(reserved)) {
            return Err(JwtSetError::ReservedName { name: name.clone() });
        }
        fs::create_dir_all(folder).map_err(|source| JwtSetError::Folder { path: folder.into(), source })?;
        let accounts = self
            .accounts
            .iter()
            .map(|(name, account)| (layout::account_jwt(folder, name), account.jwt.as_str()));
        // The operator last: a folder without one is not read, so a half-written new set is not.
        let operator = (layout::operator_jwt(folder), self.operator.as_str());
        let mut written = Vec::new();
        for (path, jwt) in accounts.chain([operator]) {
            let content = format!("{jwt}\n");
            if fs::read(&path).is_ok_and(|found| found == content.as_bytes()) {
                continue;
            }
            secret_file::replace(&path, content.as_bytes(), 0o644)?;
            written.push(path);
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{
        fixture::{at, signed},
        sign,
    };

    #[test]
    fn of_two_folders_the_newer_jwt_of_each_account_counts() {
        let (_folder, keys, fleet, old) = signed();
        let mut changed = fleet.clone();
        changed.accounts.get_mut("SHOP").unwrap().description = Some("changed".into());
        let new = sign(&keys, &changed, Some(&old), at(5)).unwrap();
        assert_ne!(old.accounts["SHOP"].jwt, new.accounts["SHOP"].jwt);
        for (one, two) in [(&old, &new), (&new, &old)] {
            assert_eq!(one.clone().newest("one", two.clone(), "two").unwrap(), new);
        }
        let mut fewer = new.clone();
        fewer.accounts.remove("HEAD");
        assert_eq!(
            fewer.newest("one", old.clone(), "two").unwrap(),
            new,
            "what one of them lacks comes along"
        );
        let (_other_folder, _, _, other) = signed();
        let error = old.newest("jwts", other, "data").unwrap_err().to_string();
        assert!(error.contains("two fleets") && error.contains("jwts") && error.contains("data"), "{error}");
    }
}
