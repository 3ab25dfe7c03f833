//! The credentials directory: secrets are files in it, and nowhere else.

use std::{
    env, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// The variable by which systemd names the credentials of a unit.
const VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// The credentials directory of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    directory: PathBuf,
    /// Whether systemd made the directory, which then guards it.
    by_systemd: bool,
}

/// A credential cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// It is not there.
    #[error("the credential `{name}` is missing: looked for {path}; {remedy}", path = path.display())]
    Missing {
        /// Its name.
        name: String,
        /// Where it should be.
        path: PathBuf,
        /// What to do.
        remedy: &'static str,
    },
    /// Others than its owner can read or change it.
    #[error("{path} can be read by others (mode {mode:04o}): run `chmod 600 {path}`", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It cannot be read.
    #[error("the credential {path} cannot be read: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What failed.
        #[source]
        source: io::Error,
    },
}

impl Credentials {
    /// `$CREDENTIALS_DIRECTORY` if it is set, else `<data>/keys`.
    pub fn locate(data: &Path) -> Self {
        match env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
            Some(path) => Self { directory: path.into(), by_systemd: true },
            None => Self::in_directory(data.join("keys")),
        }
    }

    /// The credentials in a directory that leafbox itself keeps.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), by_systemd: false }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The path of a credential that is there and that only its owner can read.
    pub fn path(&self, name: &str) -> Result<PathBuf, CredentialError> {
        let path = self.directory.join(name);
        let metadata = fs::metadata(&path).map_err(|source| self.failed(name, &path, source))?;
        let mode = metadata.permissions().mode() & 0o777;
        // For a unit with a user of its own systemd grants that user access by an ACL, whose mask
        // shows as the group's right to read.
        let allowed = if self.by_systemd { 0o740 } else { 0o700 };
        if mode & !allowed != 0 { Err(CredentialError::Exposed { path, mode }) } else { Ok(path) }
    }

    /// The text of a credential, wiped from memory when it is dropped.
    pub fn read(&self, name: &str) -> Result<Zeroizing<String>, CredentialError> {
        let path = self.path(name)?;
        fs::read_to_string(&path).map(Zeroizing::new).map_err(|source| self.failed(name, &path, source))
    }

    fn failed(&self, name: &str, path: &Path, source: io::Error) -> CredentialError {
        let path = path.to_owned();
        if source.kind() != io::ErrorKind::NotFound {
            return CredentialError::Read { path, source };
        }
        let remedy = if self.by_systemd {
            "add it to the unit with LoadCredential"
        } else {
            "make it with `leafbox dev`, or put the file that the operator made there"
        };
        CredentialError::Missing { name: name.to_owned(), path, remedy }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn with_mode(credentials: &Credentials, mode: u32) -> Result<String, CredentialError> {
        let path = credentials.directory().join("health.creds");
        fs::write(&path, "secret").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let text = credentials.read("health.creds");
        fs::remove_file(&path).unwrap();
        text.map(|text| text.to_string())
    }

    #[test]
    fn a_credential_that_others_can_read_is_refused_with_the_command_to_type() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = Credentials::in_directory(folder.path());
        for mode in [0o600, 0o400] {
            assert_eq!(with_mode(&credentials, mode).unwrap(), "secret");
        }
        for mode in [0o644, 0o640, 0o604, 0o620] {
            let text = with_mode(&credentials, mode).unwrap_err().to_string();
            assert!(text.contains(&format!("mode {mode:04o}")) && text.contains("`chmod 600 /"), "{text}");
        }
    }

    #[test]
    fn systemds_own_directory_may_show_the_mask_of_its_acl() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = Credentials { directory: folder.path().to_owned(), by_systemd: true };
        assert_eq!(with_mode(&credentials, 0o440).unwrap(), "secret");
        assert!(with_mode(&credentials, 0o444).is_err());
    }

    #[test]
    fn a_missing_credential_says_where_it_was_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = Credentials::in_directory(folder.path().join("keys"));
        let text = credentials.path("jetstream.key").unwrap_err().to_string();
        assert!(text.contains("`jetstream.key`") && text.contains("keys/jetstream.key"), "{text}");
    }
}
