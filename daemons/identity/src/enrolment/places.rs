//! Where an enrolled box keeps its keys.
//!
//! ```text
//! signing/<ACCOUNT>/<role>.nk       the signing keys that it made
//! nats/jetstream.key                the key of its store
//! nats/leaf-<ACCOUNT>.creds         users that it signed for itself
//! apply/apply-<ACCOUNT>.creds sys.creds
//! health/health.creds
//! registry/registry.creds
//! console/console-<ACCOUNT>.creds
//! request                           the last request, public
//! enrolled                          a marker, written last
//! ```
//!
//! systemd hands each unit one of the five folders. Where there is no systemd the files of all five
//! lie flat in the keys directory, where `leafbox run` looks.

use std::path::{Path, PathBuf};

use settings::Name;

use crate::layout;

const SIGNING_FOLDER: &str = "signing";
const NATS_FOLDER: &str = "nats";
const APPLY_FOLDER: &str = "apply";
const HEALTH_FOLDER: &str = "health";
const REGISTRY_FOLDER: &str = "registry";
const CONSOLE_FOLDER: &str = "console";

/// The signing key that a node made for a role.
pub fn signing_key(keys: &Path, account: &Name, role: &Name) -> PathBuf {
    keys.join(SIGNING_FOLDER).join(account.as_str()).join(format!("{role}.nk"))
}

/// The places in one keys directory.
#[derive(Clone, Debug)]
pub struct Places {
    root: PathBuf,
    split: bool,
}

impl Places {
    /// The places in a keys directory: a folder for each unit where those folders are.
    pub fn of(root: &Path) -> Self {
        // Without those that a box of an older leafbox lacks until its next boot.
        let folders = [NATS_FOLDER, APPLY_FOLDER, HEALTH_FOLDER];
        Self { root: root.into(), split: folders.iter().all(|folder| root.join(folder).is_dir()) }
    }

    /// The keys directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether each unit has a folder of its own.
    pub fn is_split(&self) -> bool {
        self.split
    }

    fn folder(&self, name: &str) -> PathBuf {
        if self.split { self.root.join(name) } else { self.root.clone() }
    }

    /// The key of the store.
    pub fn jetstream_key(&self) -> PathBuf {
        self.folder(NATS_FOLDER).join(layout::JETSTREAM_KEY)
    }

    /// The creds by which this leaf joins the hub for one account.
    pub fn leaf_creds(&self, account: &Name) -> PathBuf {
        self.folder(NATS_FOLDER).join(format!("leaf-{account}.creds"))
    }

    /// The creds by which this node applies the stores of one account.
    pub fn apply_creds(&self, account: &Name) -> PathBuf {
        self.folder(APPLY_FOLDER).join(format!("apply-{account}.creds"))
    }

    /// The creds by which this hub node pushes account claims.
    pub fn system_creds(&self) -> PathBuf {
        self.folder(APPLY_FOLDER).join(layout::SYSTEM_CREDS)
    }

    /// The creds of the health daemon.
    pub fn health_creds(&self) -> PathBuf {
        self.folder(HEALTH_FOLDER).join(layout::HEALTH_CREDS)
    }

    /// The creds of the container registry.
    pub fn registry_creds(&self) -> PathBuf {
        self.folder(REGISTRY_FOLDER).join(layout::REGISTRY_CREDS)
    }

    /// The creds by which the web console looks and acts in one account.
    pub fn console_creds(&self, account: &Name) -> PathBuf {
        self.folder(CONSOLE_FOLDER).join(format!("console-{account}.creds"))
    }

    /// The signing key of a role.
    pub fn signing_key(&self, account: &Name, role: &Name) -> PathBuf {
        signing_key(&self.root, account, role)
    }

    /// The last request.
    pub fn request(&self) -> PathBuf {
        self.root.join("request")
    }

    /// What says that an answer was accepted whole.
    pub fn marker(&self) -> PathBuf {
        self.root.join("enrolled")
    }
}
