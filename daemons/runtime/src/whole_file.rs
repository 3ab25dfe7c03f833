//! Files that are replaced whole, and stay after a power cut.

use std::{
    fs::{File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// A file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be written: {source}; check the disk and who owns the folder", path.display())]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// What failed.
    #[source]
    pub source: io::Error,
}

/// Writes a file in place of the one that may be there, with this mode whatever the umask is.
///
/// A reader sees the old text or the new, never half of it, and so it is after a power cut: the
/// text is flushed before it takes its place, and the folder after. The folder must exist.
///
/// # Errors
/// When the file or its folder cannot be written or flushed.
pub fn write_whole(path: &Path, content: &[u8], mode: u32) -> Result<(), WriteError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        // A path without a folder is in the current one.
        _ => Path::new("."),
    };
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(content)?;
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|failed| failed.error)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| WriteError { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_replaced_with_its_mode_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        for (text, mode) in [("first", 0o666), ("second", 0o600)] {
            write_whole(&path, text.as_bytes(), mode).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "past the umask");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_file_that_cannot_be_replaced_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no-such-folder/state.json");
        let error = write_whole(&missing, b"x", 0o600).unwrap_err().to_string();
        assert!(error.contains("no-such-folder/state.json") && error.contains("check the disk"), "{error}");
        // A folder stands where the file should be: the rename is what fails.
        let taken = folder.path().join("taken");
        fs::create_dir_all(taken.join("inside")).unwrap();
        write_whole(&taken, b"x", 0o600).unwrap_err();
        assert!(taken.join("inside").is_dir());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }
}
