//! The credentials directory: secrets are files in it, and nowhere else.
//!
//! Who may read them, and which of two names a file may have, are the same rules as `identity` has
//! for the keys that it opens, in `secret_file.rs` and `layout.rs`; the two crates do not know each
//! other, so that they stand twice.

use std::{
    env, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// The variable by which systemd names the credentials of a unit.
const VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// What systemd puts before the name of a file from the folder that units are given, as
/// `LoadCredential=leafbox:<folder>`.
const FOLDER_PREFIX: &str = "leafbox_";

/// What a node needs, said wherever one of them is missing.
pub const NEEDS: &str = "a node needs jetstream.key, health.creds, registry.creds, and leaf-<ACCOUNT>.creds, \
     apply-<ACCOUNT>.creds and console-<ACCOUNT>.creds for each account, which `leafbox apply` makes on the operator's machine";
const FROM_SYSTEMD: &str = "bring it into the unit with LoadCredential";
const FROM_OPERATOR: &str = "copy it there, mode 0600 (only `leafbox dev` makes its own)";

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
    #[error("the credential `{name}` is missing: looked for {path}; {needs}; {remedy}", path = path.display())]
    Missing {
        /// Its name.
        name: String,
        /// Where it should be.
        path: PathBuf,
        /// What a node needs, and who makes it.
        needs: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// Others than its owner can read or change it.
    #[error("{path} can be read or changed by others (mode {mode:04o}): run `chmod 600 {path}`", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It belongs to another user.
    #[error("{path} belongs to user {owner}, not to user {us} who runs leafbox: run `chown {us} {path}`", path = path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// The user id that owns it.
        owner: u32,
        /// The user id that leafbox runs as.
        us: u32,
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
        let path = find(&self.directory, Path::new(name));
        match check(&path) {
            Ok(()) => Ok(path),
            Err(CredentialError::Read { source, .. }) => Err(self.failed(name, &path, source)),
            Err(error) => Err(error),
        }
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
        let remedy = if self.by_systemd { FROM_SYSTEMD } else { FROM_OPERATOR };
        CredentialError::Missing { name: name.to_owned(), path, needs: NEEDS, remedy }
    }
}

/// The file `<directory>/<name>` if it is there, else `<directory>/leafbox_<name>` if that is, else
/// `<directory>/<name>`; an absolute `name` is the file itself.
pub(crate) fn find(directory: &Path, name: &Path) -> PathBuf {
    let given = directory.join(name);
    if name.is_absolute() || given.exists() {
        return given;
    }
    let Some(file) = name.file_name().and_then(|file| file.to_str()) else { return given };
    let from_folder = given.with_file_name(format!("{FOLDER_PREFIX}{file}"));
    if from_folder.exists() { from_folder } else { given }
}

/// Refuses a secret file that others than its owner can read or change.
///
/// Root may own it besides us: systemd and secret stores hand files over so. When they do it with
/// an access list, the mode shows its mask as rights of the group `root`, which is let pass.
pub(crate) fn check(path: &Path) -> Result<(), CredentialError> {
    let metadata =
        fs::metadata(path).map_err(|source| CredentialError::Read { path: path.to_owned(), source })?;
    let us = nix::unistd::geteuid().as_raw();
    match exposure(us, metadata.uid(), metadata.gid(), metadata.mode() & 0o7777) {
        Exposure::None => Ok(()),
        Exposure::Mode(mode) => Err(CredentialError::Exposed { path: path.to_owned(), mode }),
        Exposure::Owner(owner) => Err(CredentialError::Owner { path: path.to_owned(), owner, us }),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Exposure {
    None,
    Mode(u32),
    Owner(u32),
}

fn exposure(us: u32, owner: u32, group: u32, mode: u32) -> Exposure {
    if owner != us && owner != 0 {
        return Exposure::Owner(owner);
    }
    let access_list = us != 0 && owner == 0 && group == 0 && mode & 0o027 == 0;
    if mode & 0o077 != 0 && !access_list { Exposure::Mode(mode) } else { Exposure::None }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

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

    /// The rule of `identity`: systemd hands a file over to user 1000 as root's with an access list.
    #[test]
    fn a_file_of_root_may_show_the_mask_of_its_access_list_to_others_than_root() {
        let rows = [
            (1000, 1000, 1000, 0o600, Exposure::None),
            (1000, 1000, 1000, 0o400, Exposure::None),
            (1000, 1000, 1000, 0o640, Exposure::Mode(0o640)),
            (1000, 0, 0, 0o400, Exposure::None),
            (1000, 0, 0, 0o440, Exposure::None),
            (1000, 0, 0, 0o444, Exposure::Mode(0o444)),
            (1000, 0, 0, 0o460, Exposure::Mode(0o460)),
            (1000, 0, 100, 0o440, Exposure::Mode(0o440)),
            (0, 0, 0, 0o440, Exposure::Mode(0o440)),
            (1000, 1001, 1001, 0o600, Exposure::Owner(1001)),
            (0, 1000, 1000, 0o600, Exposure::Owner(1000)),
        ];
        for (us, owner, group, mode, expected) in rows {
            assert_eq!(exposure(us, owner, group, mode), expected, "{us} {owner}:{group} {mode:o}");
        }
    }

    #[test]
    fn a_credential_from_a_folder_is_found_unless_it_was_also_given_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = Credentials::in_directory(folder.path());
        let write = |name: &str, mode: u32| {
            let path = folder.path().join(name);
            fs::write(&path, name).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        write("leafbox_health.creds", 0o644);
        let exposed = credentials.read("health.creds").unwrap_err().to_string();
        assert!(exposed.contains("leafbox_health.creds") && exposed.contains("chmod 600"), "{exposed}");
        write("leafbox_health.creds", 0o600);
        assert_eq!(*credentials.read("health.creds").unwrap(), "leafbox_health.creds");
        write("health.creds", 0o600);
        assert_eq!(*credentials.read("health.creds").unwrap(), "health.creds");
    }

    #[test]
    fn a_missing_credential_says_where_it_was_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = Credentials::in_directory(folder.path().join("keys"));
        let text = credentials.path("jetstream.key").unwrap_err().to_string();
        for word in ["`jetstream.key`", "keys/jetstream.key", "apply-<ACCOUNT>.creds", "operator's machine"] {
            assert!(text.contains(word), "{text}");
        }
        assert!(text.contains("copy it there") && !text.contains("LoadCredential"), "{text}");
        let under_systemd = Credentials { directory: folder.path().to_owned(), by_systemd: true };
        let text = under_systemd.read("health.creds").unwrap_err().to_string();
        assert!(text.contains("LoadCredential") && !text.contains("leafbox dev"), "{text}");
    }
}
