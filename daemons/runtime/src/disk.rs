//! How full the disk that holds a path is.

use std::{io, path::Path};

/// A file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Its size.
    pub total: u64,
    /// What this user may still write.
    pub available: u64,
}

impl Disk {
    /// The file system that `path` is on, or the nearest folder above it that exists.
    ///
    /// # Errors
    /// When the file system cannot be asked; the path is for the caller to name.
    pub fn of(path: &Path) -> io::Result<Self> {
        let existing = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
        let found = nix::sys::statvfs::statvfs(existing)?;
        // These are u64 on Linux and narrower on macOS.
        #[allow(clippy::unnecessary_cast, reason = "differs by platform")]
        let [unit, total, available] =
            [found.fragment_size() as u64, found.blocks() as u64, found.blocks_available() as u64];
        Ok(Self { total: unit * total, available: unit * available })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_path_that_is_not_there_yet_is_on_the_disk_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::of(&folder.path().join("not/there")).unwrap();
        assert_eq!(disk.total, Disk::of(folder.path()).unwrap().total);
        assert!(disk.total > 0 && disk.available <= disk.total, "{disk:?}");
        assert!(Disk::of(Path::new("relative/and/missing")).unwrap().total > 0);
    }
}
