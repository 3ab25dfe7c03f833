//! A directory of keys: who may read it is checked before anything in it is used.
//!
//! A node without operator, account or role keys is normal: it runs with its creds files, and only
//! signing tells what is missing. Nothing here writes over a key that exists.

use std::{
    fmt, fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use settings::Name;

use crate::{
    enrolment::places,
    layout,
    nkey::{KeyError, KeyKind, SecretKey},
    secret_file::{self, Exposure, SecretFileError},
};

/// Why a keys directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// Files or folders in it are open to others.
    #[error("the keys directory {} is not safe to use:\n  {}", path.display(), lines(problems))]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Everything that is wrong in it.
        problems: Vec<Exposure>,
    },
    /// It cannot be listed.
    #[error("cannot read the keys directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It cannot be made.
    #[error("cannot make the folder {}", path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A key that is needed is not on this node.
    #[error("this node does not have the {what} ({}): run the command where the fleet's keys are kept, or copy the file here", path.display())]
    NoKey {
        /// What it is the key of.
        what: String,
        /// Where it would be.
        path: PathBuf,
    },
    /// A key file holds something else.
    #[error("{} is not a usable key: {reason}; restore it from a backup", path.display())]
    BadKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        reason: KeyError,
    },
    /// The system gives no randomness.
    #[error("cannot make a key")]
    Generate(#[source] KeyError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] SecretFileError),
}

fn lines(problems: &[Exposure]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n  ")
}

/// A checked keys directory.
pub struct KeyStore {
    path: PathBuf,
}

impl KeyStore {
    /// Opens a keys directory after checking that nothing in it can be read by others, belongs to
    /// others, or leads out of it. All problems are reported at once.
    pub fn open(path: &Path) -> Result<Self, KeyStoreError> {
        let failed = |source| KeyStoreError::Directory { path: path.into(), source };
        let root = fs::canonicalize(path).map_err(failed)?;
        let mut problems = Vec::new();
        check(&root, &root, &mut problems).map_err(failed)?;
        if problems.is_empty() {
            Ok(Self { path: path.into() })
        } else {
            Err(KeyStoreError::Exposed { path: path.into(), problems })
        }
    }

    /// Makes the directory with mode 0700 if it is not there, then opens it.
    pub fn create(path: &Path) -> Result<Self, KeyStoreError> {
        make_folder(path)?;
        Self::open(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this node can sign accounts: it has a signing key of the operator.
    pub fn has_operator(&self) -> bool {
        layout::operator_signing_keys(&self.path).iter().any(|path| path.exists())
    }

    /// The operator's own key, which signs the operator's JWT and nothing else.
    pub fn operator(&self) -> Result<SecretKey, KeyStoreError> {
        self.read_key(&layout::operator_key(&self.path), KeyKind::Operator, || "operator key".into())
    }

    /// The operator's signing keys that are here, the one used first; an error if there is none.
    pub fn operator_signing(&self) -> Result<Vec<SecretKey>, KeyStoreError> {
        let paths = layout::operator_signing_keys(&self.path);
        let what = || "operator's signing key".into();
        let present: Vec<&PathBuf> = paths.iter().filter(|path| path.exists()).collect();
        if present.is_empty() {
            return Err(KeyStoreError::NoKey { what: what(), path: paths[0].clone() });
        }
        present.into_iter().map(|path| self.read_key(path, KeyKind::Operator, what)).collect()
    }

    /// The identity key of an account, which signs activations of its exports.
    pub fn account(&self, account: &Name) -> Result<SecretKey, KeyStoreError> {
        let path = layout::account_key(&self.path, account);
        self.read_key(&path, KeyKind::Account, || format!("key of the account {account}"))
    }

    /// The signing key of a role, which signs its users: the fleet's, or the one of its own that an
    /// enrolled node has.
    pub fn role(&self, account: &Name, role: &Name) -> Result<SecretKey, KeyStoreError> {
        let own = places::signing_key(&self.path, account, role);
        let fleets = layout::role_key(&self.path, account, role);
        let path = if own.exists() && !fleets.exists() { own } else { fleets };
        let what = || format!("signing key of the role {role} in the account {account}");
        self.read_key(&path, KeyKind::Account, what)
    }

    fn read_key(
        &self,
        path: &Path,
        kind: KeyKind,
        what: impl FnOnce() -> String,
    ) -> Result<SecretKey, KeyStoreError> {
        let text = secret_file::read(path).map_err(|error| match error {
            SecretFileError::Missing { path } => KeyStoreError::NoKey { what: what(), path },
            other => other.into(),
        })?;
        SecretKey::from_seed(text.trim(), kind)
            .map_err(|reason| KeyStoreError::BadKey { path: path.into(), reason })
    }

    /// Makes a key if there is none; says whether it made one. The caller flushes the folder.
    pub(crate) fn ensure_key(&self, path: &Path, kind: KeyKind) -> Result<bool, KeyStoreError> {
        if path.exists() {
            return Ok(false);
        }
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        let key = SecretKey::generate(kind).map_err(KeyStoreError::Generate)?;
        match secret_file::create_unnamed(path, key.seed().as_bytes()) {
            // Another process was faster, and its key is as good.
            Err(SecretFileError::Exists { .. }) => Ok(false),
            other => Ok(other.map(|()| true)?),
        }
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyStore({})", self.path.display())
    }
}

/// Makes a folder and those above it, each new one with mode 0700.
pub(crate) fn make_folder(path: &Path) -> Result<(), KeyStoreError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(|source| KeyStoreError::Create { path: path.into(), source })
}

fn check(root: &Path, path: &Path, problems: &mut Vec<Exposure>) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        let target = fs::canonicalize(path)?;
        if !target.starts_with(root) {
            problems.push(Exposure::Link { path: path.into(), target });
        }
        // A link within the directory leads to something that the walk checks itself.
        return Ok(());
    }
    problems.extend(secret_file::exposure(path, &metadata));
    if metadata.is_dir() {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
        entries.sort();
        for entry in entries {
            check(root, &entry, problems)?;
        }
    } else if !metadata.is_file() {
        problems.push(Exposure::Special { path: path.into() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn store() -> (tempfile::TempDir, KeyStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = KeyStore::create(&folder.path().join("keys")).unwrap();
        (folder, store)
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn an_empty_directory_opens_and_signing_says_what_is_missing() {
        let (_folder, store) = store();
        assert!(!store.has_operator());
        let message = store.operator_signing().unwrap_err().to_string();
        assert!(message.contains("operator's signing key") && message.contains("signing-1.nk"), "{message}");
        let message = store.role(&name("SHOP"), &name("till")).unwrap_err().to_string();
        assert!(message.contains("role till in the account SHOP"), "{message}");
    }

    #[test]
    fn every_file_and_folder_open_to_others_is_named_with_its_chmod() {
        let (_folder, store) = store();
        let key = layout::account_key(store.path(), &name("SHOP"));
        assert!(store.ensure_key(&key, KeyKind::Account).unwrap());
        assert!(KeyStore::open(store.path()).is_ok());
        set_mode(&key, 0o644);
        set_mode(key.parent().unwrap(), 0o755);
        let message = KeyStore::open(store.path()).unwrap_err().to_string();
        let root = fs::canonicalize(store.path()).unwrap();
        assert!(message.contains(&format!("`chmod 600 {}/accounts/SHOP.nk`", root.display())), "{message}");
        assert!(message.contains(&format!("`chmod 700 {}/accounts`", root.display())), "{message}");
        set_mode(&key, 0o600);
        set_mode(key.parent().unwrap(), 0o700);
        assert!(KeyStore::open(store.path()).is_ok(), "doing what it says makes it pass");
    }

    #[test]
    fn links_may_stay_inside_and_not_lead_out() {
        let (folder, store) = store();
        fs::write(store.path().join("real.creds"), "x").unwrap();
        set_mode(&store.path().join("real.creds"), 0o600);
        symlink("real.creds", store.path().join("leaf-SHOP.creds")).unwrap();
        assert!(KeyStore::open(store.path()).is_ok());
        let outside = folder.path().join("outside");
        fs::write(&outside, "x").unwrap();
        symlink(&outside, store.path().join("sys.creds")).unwrap();
        let message = KeyStore::open(store.path()).unwrap_err().to_string();
        assert!(message.contains("sys.creds is a link to") && message.contains("outside"), "{message}");
    }

    #[test]
    fn a_truncated_key_is_named_and_not_shown() {
        let (_folder, store) = store();
        let path = layout::account_key(store.path(), &name("SHOP"));
        store.ensure_key(&path, KeyKind::Account).unwrap();
        assert!(!store.ensure_key(&path, KeyKind::Account).unwrap(), "a key is never made anew");
        let seed = fs::read_to_string(&path).unwrap();
        fs::write(&path, &seed[..30]).unwrap();
        let error = store.account(&name("SHOP")).unwrap_err();
        let message = format!("{error} {error:?}");
        assert!(message.contains("SHOP.nk") && message.contains("30 characters"), "{message}");
        assert!(!message.contains(&seed[4..30]));
    }
}
