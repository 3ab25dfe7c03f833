//! Reading and writing files that must not be seen by others, and replacing files whole.
//!
//! A file is written beside its place, flushed, and then put there in one step: a power cut leaves
//! the old file, the new one, or none, never half of one.

use std::{
    collections::BTreeSet,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use crate::nkey::random;

/// Larger files are not keys; without a bound a wrong path could fill the memory.
const LARGEST: u64 = 1 << 20;

/// What is wrong with a file that holds secrets.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It is not there.
    #[error("there is no file {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Others may read or change it.
    #[error("{problem}")]
    Exposed {
        /// What to type about it.
        problem: Exposure,
    },
    /// It is too large to be what it should be.
    #[error("{} is {bytes} bytes large, which no key or creds file is: check the path", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// It is there already, and is not written over.
    #[error("{} exists already and is not written over: move it away first if it is no longer needed", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Reading failed.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Writing failed.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl SecretFileError {
    /// Whether the file is just not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}

/// A file or folder that others may read, or that somebody else owns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exposure {
    /// Its mode lets others in.
    #[error("{} can be read or changed by others (mode {mode:04o}): run `chmod {wanted:o} {}`", path.display(), quoted(path))]
    Mode {
        /// The file or folder.
        path: PathBuf,
        /// The mode that it has.
        mode: u32,
        /// The mode that it should have.
        wanted: u32,
    },
    /// It belongs to another user.
    #[error("{} belongs to user {owner}, not to user {us} who runs leafbox: run `chown {us} {}`", path.display(), quoted(path))]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// The user id that owns it.
        owner: u32,
        /// The user id that leafbox runs as.
        us: u32,
    },
    /// It leads out of the keys directory.
    #[error("{} is a link to {}, outside the keys directory: put the file itself there", path.display(), target.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// It is a device, a socket or a pipe.
    #[error("{} is neither a file nor a folder: take it out of the keys directory", path.display())]
    Special {
        /// What was found.
        path: PathBuf,
    },
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-+@:".contains(character);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Whether others may reach what `metadata` describes.
///
/// Root may own it besides us: systemd and secret stores hand files over so. When they do it with
/// an access list, the mode shows its mask as rights of the group `root`, which is let pass.
pub(crate) fn exposure(path: &Path, metadata: &Metadata) -> Option<Exposure> {
    let us = nix::unistd::geteuid().as_raw();
    let mode = metadata.mode() & 0o7777;
    // systemd keeps this folder, and gives what is in it to the users of its units.
    if us == 0 && path.starts_with("/run/credentials") {
        return None;
    }
    if metadata.uid() != us && metadata.uid() != 0 {
        return Some(Exposure::Owner { path: path.into(), owner: metadata.uid(), us });
    }
    let access_list = us != 0 && metadata.uid() == 0 && metadata.gid() == 0 && mode & 0o027 == 0;
    if mode & 0o077 != 0 && !access_list {
        let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
        return Some(Exposure::Mode { path: path.into(), mode, wanted });
    }
    None
}

/// Reads a text file that only its owner may read.
pub fn read(path: &Path) -> Result<Zeroizing<String>, SecretFileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => SecretFileError::Missing { path: path.into() },
        _ => SecretFileError::Read { path: path.into(), source },
    };
    // The rights are those of the opened file: checking the path first would leave a gap.
    let mut file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if let Some(problem) = exposure(path, &metadata) {
        return Err(SecretFileError::Exposed { problem });
    }
    if metadata.len() > LARGEST {
        return Err(SecretFileError::TooLarge { path: path.into(), bytes: metadata.len() });
    }
    // Room for all at once: a string that grows leaves copies behind that nobody wipes.
    let mut text = Zeroizing::new(String::with_capacity(metadata.len() as usize + 1));
    file.read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// Writes a new file with mode 0600; one that exists already is an error and stays as it is.
pub fn create(path: &Path, content: &[u8]) -> Result<(), SecretFileError> {
    create_unnamed(path, content)?;
    flush_names([path])
}

/// Makes the names of new files survive a power cut, each folder flushed once.
pub fn flush_names<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<(), SecretFileError> {
    let folders: BTreeSet<&Path> = paths.into_iter().filter_map(Path::parent).collect();
    for folder in folders {
        flush_folder(folder).map_err(|source| SecretFileError::Write { path: folder.into(), source })?;
    }
    Ok(())
}

/// [`create`] without the flush of the folder, for many files followed by one [`flush_names`]: a
/// fleet has dozens of keys, and each flush costs milliseconds.
pub(crate) fn create_unnamed(path: &Path, content: &[u8]) -> Result<(), SecretFileError> {
    let failed = |source| SecretFileError::Write { path: path.into(), source };
    let temporary = write_beside(path, content, 0o600).map_err(failed)?;
    // Unlike a rename, a link never takes the place of a file that is there.
    let linked = fs::hard_link(&temporary, path);
    let removed = fs::remove_file(&temporary);
    match linked {
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
            Err(SecretFileError::Exists { path: path.into() })
        }
        other => other.and(removed).map_err(failed),
    }
}

/// Writes a file in place of the one that may be there.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), SecretFileError> {
    let failed = |source| SecretFileError::Write { path: path.into(), source };
    let temporary = write_beside(path, content, mode).map_err(failed)?;
    let renamed = fs::rename(&temporary, path);
    if renamed.is_err() {
        // Best effort: the first failure is the one worth telling.
        let _ = fs::remove_file(&temporary);
    }
    renamed.map_err(failed)?;
    flush_names([path])
}

fn write_beside(path: &Path, content: &[u8], mode: u32) -> io::Result<PathBuf> {
    let mut token = [0; 8];
    random(&mut token).map_err(io::Error::other)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.new", HEXLOWER.encode(&token)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    // The umask may have taken rights away that a public file should have.
    let written = nix::sys::stat::fchmod(&file, nix::sys::stat::Mode::from_bits_truncate(mode as _))
        .map_err(io::Error::from)
        .and_then(|()| file.write_all(content))
        .and_then(|()| file.sync_all());
    match written {
        Ok(()) => Ok(temporary),
        Err(source) => {
            let _ = fs::remove_file(&temporary);
            Err(source)
        }
    }
}

fn flush_folder(folder: &Path) -> io::Result<()> {
    // A path without a folder is in the current one.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_created_once_and_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.nk");
        create(&path, b"first").unwrap();
        assert!(matches!(create(&path, b"second"), Err(SecretFileError::Exists { .. })));
        assert_eq!(*read(&path).unwrap(), "first");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        replace(&path, b"third", 0o600).unwrap();
        assert_eq!(*read(&path).unwrap(), "third");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_command_to_type() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it's here.nk");
        create(&path, b"secret text").unwrap();
        for mode in [0o644, 0o660, 0o604, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let message = read(&path).unwrap_err().to_string();
            assert!(message.contains("`chmod 600 '"), "{message}");
            assert!(message.contains(r"it'\''s here.nk'`") && !message.contains("secret text"), "{message}");
        }
    }

    #[test]
    fn a_missing_file_is_told_from_a_broken_one() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(&folder.path().join("none")).unwrap_err().is_missing());
        assert!(!read(folder.path()).unwrap_err().is_missing());
    }
}
