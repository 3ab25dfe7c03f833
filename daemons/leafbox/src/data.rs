//! The data directory: its folders, its version, and the lock that keeps a second leafbox out.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use runtime::Disk;
use serde::{Deserialize, Serialize};
use settings::{ByteSize, Node};

use crate::contradiction;

/// The layout of the data directory that this version writes. Raised when an older leafbox could
/// no longer read it.
const LAYOUT: u32 = 1;

/// How often the lock is tried for, 20 ms apart.
const LOCK_TRIES: usize = 10;

/// What `leafbox.json` in the data directory says.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    layout: u32,
    written_by: String,
}

/// Everything that leafbox keeps in a data directory; what else is there is someone else's.
const ENTRIES: [&str; 12] = [
    "backup",
    "cache",
    "example",
    "hub",
    "jetstream",
    "jetstream.fingerprint",
    "jwts",
    "keys",
    MARKER,
    "registry",
    "resolver",
    "run",
];
const MARKER: &str = "leafbox.json";

/// The data directory of one node.
#[derive(Clone, Debug)]
pub struct DataDir {
    root: PathBuf,
}

/// Held while a node runs on a data directory.
#[derive(Debug)]
pub struct RunLock(Flock<File>);

impl RunLock {
    /// The file whose lock it is.
    pub fn file(&self) -> &File {
        &self.0
    }
}

impl DataDir {
    /// The data directory at `root`, whether or not it is there; refuses one that a newer leafbox
    /// wrote, and changes nothing.
    pub fn open(root: &Path) -> Result<Self> {
        let data = Self { root: root.to_owned() };
        let file = data.marker_file();
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(data),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        let marker: Marker = serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged: restore it from a backup", file.display()))?;
        if marker.layout > LAYOUT {
            contradiction!(
                "{} was written by leafbox {} (layout {}), and this is leafbox {} (layout {LAYOUT}): \
                 run that version or a newer one; nothing was changed",
                root.display(),
                marker.written_by,
                marker.layout,
                env!("CARGO_PKG_VERSION"),
            );
        }
        Ok(data)
    }

    /// Makes the folders that are missing, private to the owner, and marks the version.
    ///
    /// # Errors
    /// When the folder holds what is not leafbox's: nobody's home becomes a data directory by a
    /// mistyped `--data`.
    pub fn create(&self) -> Result<()> {
        if !self.is_marked()
            && let Some(foreign) = self.foreign().first()
        {
            contradiction!(
                "{} holds {foreign} and is not leafbox's: give it a folder of its own with --data or `data` in node.toml",
                self.root.display()
            );
        }
        for folder in [self.root.clone(), self.jetstream(), self.resolver(), self.run()] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        let file = self.marker_file();
        if !file.exists() {
            let marker = Marker { layout: LAYOUT, written_by: env!("CARGO_PKG_VERSION").to_owned() };
            write_whole(&file, &serde_json::to_vec_pretty(&marker)?, 0o644)?;
        }
        Ok(())
    }

    /// Keeps every other leafbox out until the result is dropped.
    pub fn lock(&self) -> Result<RunLock> {
        let path = self.run().join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        let mut holder = String::new();
        file.read_to_string(&mut holder).unwrap_or_default();
        // `is_running` of another command holds the lock for a moment.
        for _ in 0..LOCK_TRIES {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(mut lock) => {
                    lock.set_len(0)?;
                    lock.rewind()?;
                    writeln!(lock, "{}", std::process::id())?;
                    return Ok(RunLock(lock));
                }
                Err((returned, _)) => file = returned,
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        bail!(
            "a leafbox (pid {}) already runs on {}: stop it, or give this one another folder with --data",
            holder.trim(),
            self.root.display()
        )
    }

    /// Whether a leafbox holds the lock right now.
    pub fn is_running(&self) -> bool {
        let Ok(file) = File::open(self.run().join("lock")) else { return false };
        Flock::lock(file, FlockArg::LockExclusiveNonblock).is_err()
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// JetStream's store.
    pub fn jetstream(&self) -> PathBuf {
        self.root.join("jetstream")
    }

    /// The cache of the container registry.
    pub fn registry(&self) -> PathBuf {
        self.root.join("registry")
    }

    /// nats-server's account resolver.
    pub fn resolver(&self) -> PathBuf {
        self.root.join("resolver")
    }

    /// Ports, pid, configuration and state of the running node.
    pub fn run(&self) -> PathBuf {
        nats_conf::run_dir(&self.root)
    }

    /// The addresses that were bound, as JSON.
    pub fn addresses_file(&self) -> PathBuf {
        self.run().join("addresses.json")
    }

    /// The rendered nats-server configuration.
    pub fn configuration_file(&self) -> PathBuf {
        self.run().join("nats-server.conf")
    }

    /// What the node logged.
    pub fn log_file(&self) -> PathBuf {
        self.run().join("leafbox.log")
    }

    /// The fingerprint of the key that JetStream's files are encrypted with.
    pub fn key_fingerprint_file(&self) -> PathBuf {
        self.root.join("jetstream.fingerprint")
    }

    /// Whether it is a data directory of leafbox.
    pub fn is_marked(&self) -> bool {
        self.marker_file().is_file()
    }

    /// Removes what is leafbox's, and the folder if nothing else is in it; gives what else there is.
    pub fn remove(&self) -> Result<Vec<String>> {
        for entry in ENTRIES {
            // The marker last: a removal that was cut short can be repeated.
            let path = self.root.join(entry);
            if entry != MARKER {
                remove(&path)?;
            }
        }
        remove(&self.marker_file())?;
        let left = self.foreign();
        if left.is_empty() {
            fs::remove_dir(&self.root).with_context(|| format!("cannot remove {}", self.root.display()))?;
        }
        Ok(left)
    }

    /// Names in the folder that are not leafbox's.
    fn foreign(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.root) else { return Vec::new() };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut foreign: Vec<String> = names.filter(|name| !ENTRIES.contains(&name.as_str())).collect();
        foreign.sort();
        foreign
    }

    fn marker_file(&self) -> PathBuf {
        self.root.join(MARKER)
    }

    /// Bytes that file streams may use where node.toml leaves it to the disk: what is free, plus
    /// what JetStream and the registry's cache already have, less that cache's limit and the reserve;
    /// whole mebibytes.
    pub fn storage_budget(&self, node: &Node) -> Result<ByteSize> {
        let disk = Disk::of(&self.root)
            .with_context(|| format!("cannot read the size of the disk of {}", self.root.display()))?;
        let used = folder_size(&self.jetstream()) + folder_size(&self.registry());
        let kept = node.jetstream.reserve.bytes() + node.registry.cache_on(ByteSize(disk.total)).bytes();
        let bytes = (disk.available + used).saturating_sub(kept);
        Ok(ByteSize(bytes >> 20 << 20))
    }
}

fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.with_context(|| format!("cannot remove {}", path.display()))
}

fn folder_size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => folder_size(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// [`runtime::write_whole`], for callers that add context.
pub fn write_whole(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    Ok(runtime::write_whole(path, content, mode)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_of_a_newer_version_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let marker = br#"{"layout": 99, "written_by": "9.0.0"}"#;
        fs::write(folder.path().join("leafbox.json"), marker).unwrap();
        let error = DataDir::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("9.0.0") && error.contains("nothing was changed"), "{error}");
        assert_eq!(fs::read(folder.path().join("leafbox.json")).unwrap(), marker);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_of_this_version_opens_again() {
        let folder = tempfile::tempdir().unwrap();
        DataDir::open(folder.path()).unwrap().create().unwrap();
        DataDir::open(folder.path()).unwrap().create().unwrap();
    }

    #[test]
    fn a_folder_with_something_else_in_it_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("precious"), "").unwrap();
        let error = DataDir::open(folder.path()).unwrap().create().unwrap_err().to_string();
        assert!(error.contains("precious"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn removal_leaves_what_came_later() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        data.create().unwrap();
        fs::write(folder.path().join("precious"), "").unwrap();
        assert_eq!(data.remove().unwrap(), ["precious"]);
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["precious"]);
    }

    #[test]
    fn a_second_leafbox_is_kept_out_and_told_by_whom() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        data.create().unwrap();
        let lock = data.lock().unwrap();
        assert!(data.is_running());
        let error = data.lock().unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(lock);
        assert!(!data.is_running());
        data.lock().unwrap();
    }
}
