//! Finds a nats-server that is recent enough, or fetches the pinned one.
//!
//! A fetched program is run only when it, or the archive that it came in, has a SHA-256 that is
//! written in this crate. What cannot be checked is refused.

mod cache;
mod fetch;
mod pinned;
mod version;

use std::{
    env,
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    process::Command,
};

pub use fetch::Sources;
pub use pinned::Pinned;
pub use version::Version;

/// The version that is fetched and that leafbox is tested with.
pub const PINNED_VERSION: Version = Version::new(2, 15, 1);
/// The oldest version that is used when it is found on PATH or named.
pub const OLDEST_VERSION: Version = Version::new(2, 15, 0);
/// The environment variable that names the program.
pub const ENVIRONMENT_VARIABLE: &str = "LEAFBOX_NATS_SERVER";

const PROGRAM: &str = "nats-server";

/// Where to look for nats-server.
#[derive(Clone, Debug)]
pub struct Locate {
    /// The program that a flag, a setting or the environment names: used or refused, never passed
    /// over.
    pub explicit: Option<PathBuf>,
    /// The folder that a fetched program is kept in, such as [`default_cache`].
    pub cache: PathBuf,
    /// The folders to search, as in the environment variable `PATH`.
    pub path: Option<OsString>,
    /// Whether a download may draw its progress on stderr, if that is a terminal.
    pub progress: bool,
}

impl Locate {
    /// Looks on the process's own `PATH`, then in `cache`, and fetches without showing progress.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self { explicit: None, cache: cache.into(), path: env::var_os("PATH"), progress: false }
    }
}

/// A nats-server that is recent enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// The program.
    pub path: PathBuf,
    /// Its version.
    pub version: Version,
}

/// Why there is no nats-server to run.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// The named program cannot be used.
    #[error("{path} cannot be used as nats-server: {reason}; name another one with --nats-server, {ENVIRONMENT_VARIABLE} or `nats_server` in node.toml, or leave it out to have {PINNED_VERSION} fetched", path = path.display())]
    Explicit {
        /// The program as it was named.
        path: PathBuf,
        /// What is wrong with it.
        reason: Unusable,
    },
    /// Nothing was found and nothing could be fetched.
    #[error("no nats-server {OLDEST_VERSION} or newer was found, and none could be fetched\n{tried}\nput nats-server {PINNED_VERSION} on PATH, or name it with --nats-server, {ENVIRONMENT_VARIABLE} or `nats_server` in node.toml", tried = list(tried))]
    NotFound {
        /// All that was tried, in order.
        tried: Vec<Tried>,
    },
}

/// One place that was looked at or fetched from in vain.
#[derive(Clone, Debug)]
pub struct Tried {
    /// The place.
    pub place: String,
    /// Why it gave nothing.
    pub why: String,
}

impl Tried {
    fn new(place: impl Into<String>, why: impl fmt::Display) -> Self {
        Self { place: place.into(), why: why.to_string() }
    }
}

fn list(tried: &[Tried]) -> String {
    let lines: Vec<_> = tried.iter().map(|tried| format!("  tried {}: {}", tried.place, tried.why)).collect();
    lines.join("\n")
}

/// Why a program is not a usable nats-server.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It did not run.
    #[error("it does not run: {0}")]
    DoesNotRun(#[source] io::Error),
    /// It ended before it answered, which may be for want of memory.
    #[error("`--version` ended with {status}: {said}")]
    Failed {
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said first.
        said: String,
    },
    /// It ran, but did not answer like nats-server.
    #[error("`--version` did not print a nats-server version but `{0}`")]
    NotNatsServer(String),
    /// It is too old.
    #[error("it is {0}, and leafbox needs {OLDEST_VERSION} or newer")]
    TooOld(Version),
}

/// The folder that fetched programs are kept in: `$XDG_CACHE_HOME/leafbox`, else
/// `~/.cache/leafbox`, else `<data>/cache`.
pub fn default_cache(data: &Path) -> PathBuf {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .map(|cache| cache.join("leafbox"))
        .or_else(|| absolute("HOME").map(|home| home.join(".cache/leafbox")))
        .unwrap_or_else(|| data.join("cache"))
}

/// Finds nats-server: the named one, one on `PATH` that is recent enough, the one in the cache, or
/// the pinned one fetched into the cache. Blocks while it fetches.
pub fn find_or_get(locate: &Locate) -> Result<Binary, LocateError> {
    find_or_get_from(locate, &Sources::default())
}

/// [`find_or_get`], fetching from the given sources.
pub fn find_or_get_from(locate: &Locate, sources: &Sources) -> Result<Binary, LocateError> {
    if let Some(path) = &locate.explicit {
        return inspect(path).map_err(|reason| LocateError::Explicit { path: path.clone(), reason });
    }
    let mut tried = Vec::new();
    if let Some(binary) = find_on_path(locate, &mut tried) {
        return Ok(binary);
    }
    match cache::get(&locate.cache, sources, locate.progress, &mut tried) {
        Some(path) => Ok(Binary { path, version: PINNED_VERSION }),
        None => Err(LocateError::NotFound { tried }),
    }
}

fn find_on_path(locate: &Locate, tried: &mut Vec<Tried>) -> Option<Binary> {
    let folders = locate.path.as_deref().map(env::split_paths).into_iter().flatten();
    let candidates = folders.filter(|folder| folder.is_absolute()).map(|folder| folder.join(PROGRAM));
    let before = tried.len();
    for path in candidates.filter(|path| path.is_file()) {
        match inspect(&path) {
            Ok(binary) => return Some(binary),
            Err(reason) => {
                tracing::warn!(path = %path.display(), "skipped {}: {reason}", path.display());
                tried.push(Tried::new(path.display().to_string(), reason));
            }
        }
    }
    if tried.len() == before {
        tried.push(Tried::new("PATH", "no folder on it holds nats-server"));
    }
    None
}

fn inspect(path: &Path) -> Result<Binary, Unusable> {
    let output = Command::new(path).arg("--version").output().map_err(Unusable::DoesNotRun)?;
    let first_of = |text: &[u8]| -> String {
        let text = String::from_utf8_lossy(text);
        text.lines().next().unwrap_or_default().trim().chars().take(80).collect()
    };
    let first = first_of(&output.stdout);
    if first.is_empty() && !output.status.success() {
        return Err(Unusable::Failed { status: output.status, said: first_of(&output.stderr) });
    }
    let version = first.strip_prefix("nats-server: v").and_then(|version| version.parse::<Version>().ok());
    let version = version.ok_or(Unusable::NotNatsServer(first))?;
    if version < OLDEST_VERSION {
        return Err(Unusable::TooOld(version));
    }
    Ok(Binary { path: path.to_owned(), version })
}
