//! How full the disk of the data directory is.

use std::path::Path;

/// A disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Its size.
    pub total: u64,
    /// What this user may still write.
    pub available: u64,
}

impl Disk {
    /// The disk that `path`, or the nearest folder above it that exists, is on.
    pub fn of(path: &Path) -> nix::Result<Self> {
        let existing = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
        let found = nix::sys::statvfs::statvfs(existing)?;
        // These are u64 on Linux and narrower on macOS.
        #[allow(clippy::useless_conversion, clippy::unnecessary_cast, reason = "differs by platform")]
        let [unit, total, available] =
            [found.fragment_size() as u64, found.blocks() as u64, found.blocks_available() as u64];
        Ok(Self { total: unit * total, available: unit * available })
    }
}
