//! `<data>/run/applied.json`: how the last apply of the fleet's stores ended.
//!
//! Apply and this daemon may be two processes, so that a file is what they share.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use runtime::{WriteError, write_whole};
use serde::{Deserialize, Serialize};

/// How an apply ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// When, RFC 3339.
    pub at: String,
    /// Whether everything that this node can do alone was done.
    pub ok: bool,
    /// What failed, or waits for the uplink or the operator, one sentence each.
    #[serde(default)]
    pub waiting: Vec<String>,
    /// A digest of the fleet that was applied.
    #[serde(default)]
    pub fleet: String,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AppliedError {
    /// Nothing was applied yet.
    #[error("the fleet's stores were never applied on this node: run `leafbox apply`")]
    Never,
    /// It cannot be read.
    #[error("{path} cannot be read: {source}; run `leafbox apply`, which writes it anew", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Applied {
    /// The result of an apply that ended now.
    pub fn now(ok: bool, waiting: Vec<String>, fleet: impl Into<String>) -> Self {
        Self { at: crate::report::now(), ok, waiting, fleet: fleet.into() }
    }

    /// The file in a data directory.
    pub fn path(data: &Path) -> PathBuf {
        data.join("run/applied.json")
    }

    /// Reads how the last apply ended.
    pub fn read(data: &Path) -> Result<Self, AppliedError> {
        let path = Self::path(data);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| AppliedError::Read { path, source: io::Error::other(error) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(AppliedError::Never),
            Err(source) => Err(AppliedError::Read { path, source }),
        }
    }

    /// Writes how it ended, so that a reader sees the old result or this one, never half of it.
    pub fn write(&self, data: &Path) -> Result<(), AppliedError> {
        let path = Self::path(data);
        let failed = |source| WriteError { path: path.clone(), source };
        fs::create_dir_all(path.parent().unwrap_or(data)).map_err(failed)?;
        let text = serde_json::to_vec_pretty(self).expect("strings are JSON");
        Ok(write_whole(&path, &text, 0o644)?)
    }
}
