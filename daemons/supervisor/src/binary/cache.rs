//! The cache of fetched programs: one folder a version, holding the program and a stamp.
//!
//! The stamp says which pinned build the program came from, its SHA-256, and the size and time that
//! the file had when it was hashed. While those two are unchanged the program is not hashed again,
//! as that takes longer than nats-server's own start.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::{
    PINNED_VERSION, PROGRAM, Tried,
    fetch::{self, Fetched, Sources},
    pinned::Pinned,
};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Stamp {
    pinned: String,
    program: String,
    size: u64,
    modified: (i64, i64),
}

/// The cached program, fetched if it is missing or damaged; `None` when that failed, with the
/// reasons in `tried`.
pub(super) fn get(
    cache: &Path,
    sources: &Sources,
    progress: bool,
    tried: &mut Vec<Tried>,
) -> Option<PathBuf> {
    let Some(pinned) = &sources.pinned else {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        tried.push(Tried::new("to fetch it", format!("there is no pinned build for {os} on {arch}")));
        return None;
    };
    let folder = cache.join(format!("nats-server-{PINNED_VERSION}"));
    if stamped(&folder, pinned).is_some_and(|stamp| matches(&folder, &stamp)) {
        return Some(folder.join(PROGRAM));
    }
    match fill(&folder, pinned, sources, progress, tried) {
        Ok(found) => found.then(|| folder.join(PROGRAM)),
        Err(error) => {
            tried.push(Tried::new(format!("the cache {}", cache.display()), error));
            None
        }
    }
}

/// Heals or fetches under a lock, so that processes that start together fetch once.
fn fill(
    folder: &Path,
    pinned: &Pinned,
    sources: &Sources,
    progress: bool,
    tried: &mut Vec<Tried>,
) -> io::Result<bool> {
    fs::create_dir_all(folder)?;
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock"))?;
    lock.lock()?;
    match stamped(folder, pinned) {
        Some(stamp) if matches(folder, &stamp) => return Ok(true),
        Some(stamp) if hash_of(&folder.join(PROGRAM)).is_ok_and(|hash| hash == stamp.program) => {
            write_stamp(folder, &stamp.pinned, &stamp.program)?;
            return Ok(true);
        }
        Some(_) => {
            tracing::warn!(
                path = %folder.display(),
                "the nats-server in the cache was changed since it was checked: fetching it again"
            );
        }
        None => tried.push(Tried::new(format!("the cache {}", folder.display()), "it has none")),
    }
    let Some(fetched) = fetch::fetch(pinned, sources, progress, tried) else { return Ok(false) };
    install(folder, &fetched)?;
    tracing::info!(path = %folder.display(), "fetched nats-server {PINNED_VERSION} into {}", folder.display());
    Ok(true)
}

fn install(folder: &Path, fetched: &Fetched) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, &fetched.program)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o755))?;
    file.as_file().sync_all()?;
    file.persist(folder.join(PROGRAM)).map_err(|error| error.error)?;
    write_stamp(folder, &fetched.pinned, &hash(&fetched.program))
}

fn write_stamp(folder: &Path, pinned: &str, program: &str) -> io::Result<()> {
    let metadata = fs::metadata(folder.join(PROGRAM))?;
    let stamp = Stamp {
        pinned: pinned.to_owned(),
        program: program.to_owned(),
        size: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    };
    let mut file = NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut file, &stamp)?;
    file.persist(folder.join("stamp.json")).map_err(|error| error.error)?;
    Ok(())
}

/// The stamp, if it names a build that is still pinned.
fn stamped(folder: &Path, pinned: &Pinned) -> Option<Stamp> {
    let text = fs::read(folder.join("stamp.json")).ok()?;
    serde_json::from_slice(&text).ok().filter(|stamp: &Stamp| pinned.knows(&stamp.pinned))
}

fn matches(folder: &Path, stamp: &Stamp) -> bool {
    fs::metadata(folder.join(PROGRAM)).is_ok_and(|metadata| {
        metadata.len() == stamp.size
            && (metadata.mtime(), metadata.mtime_nsec()) == stamp.modified
            && metadata.mode() & 0o111 != 0
    })
}

/// The SHA-256 of `bytes` in lower-case hex.
pub(super) fn hash(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

fn hash_of(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut file = BufReader::with_capacity(64 * 1024, File::open(path)?);
    loop {
        let read = file.fill_buf()?;
        if read.is_empty() {
            return Ok(HEXLOWER.encode(&hasher.finalize()));
        }
        hasher.update(read);
        let length = read.len();
        file.consume(length);
    }
}
