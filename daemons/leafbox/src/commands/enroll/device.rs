//! A box: where it keeps its keys, how, and which of them its fleet wants.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use identity::{
    KeyStore,
    enrolled::NodeKeys,
    enrolment::{Places, Request},
    nkey::{KeyKind, SecretKey},
};
use settings::{Name, Settings, node::Encryption};

use super::vault::Vault;
use crate::cli;

/// Where an appliance keeps its keys.
const APPLIANCE: &str = "/var/lib/leafbox-keys";

/// A box.
pub(super) struct Device {
    pub(super) settings: Settings,
    pub(super) places: Places,
}

impl Device {
    /// The box that the settings are of, which is not the operator's machine. Makes nothing.
    pub(super) fn of(settings: Settings, keys: &cli::DeviceKeys) -> Result<Self> {
        let device = Self::find(settings, keys.keys.as_deref())?;
        let root = device.places.root();
        if root.exists() && KeyStore::open(root)?.has_operator() {
            bail!(
                "{} has the operator's keys, and this machine needs nobody's leave: `leafbox dev` and \
                 `leafbox apply` make the creds of its own node there",
                root.display()
            );
        }
        Ok(device)
    }

    /// Where the keys of the machine are: as said, else where an appliance has them, else where
    /// `leafbox run` looks.
    pub(super) fn find(settings: Settings, keys: Option<&Path>) -> Result<Self> {
        let root = match keys {
            Some(keys) => std::path::absolute(keys)?,
            None if Path::new(APPLIANCE).is_dir() => APPLIANCE.into(),
            None => settings.data_dir().join("keys"),
        };
        if root.exists() {
            KeyStore::open(&root).with_context(|| format!("cannot use {}: are you root?", root.display()))?;
        }
        Ok(Self { places: Places::of(&root), settings })
    }

    /// The account and role of every signing key that the fleet wants of this node.
    pub(super) fn wanted(&self) -> Vec<(Name, Name)> {
        let accounts = self.settings.fleet.roles_of_node(self.settings.node.role).into_iter();
        accounts
            .flat_map(|(account, roles)| roles.into_iter().map(move |role| (account.clone(), role)))
            .collect()
    }

    /// Those that are not there.
    pub(super) fn missing(&self) -> Vec<(Name, Name)> {
        let mut wanted = self.wanted();
        wanted.retain(|(account, role)| !self.places.signing_key(account, role).exists());
        wanted
    }

    /// How the keys that are there are kept; nothing where there are none.
    pub(super) fn vault(&self) -> Result<Option<Vault>> {
        self.first_key().map(|path| Vault::of(&path)).transpose()
    }

    /// What protects the keys that are there.
    pub(super) fn protection(&self) -> Result<&'static str> {
        self.first_key().map_or(Ok("there are none"), |path| Vault::words(&path))
    }

    fn first_key(&self) -> Option<PathBuf> {
        let signing =
            self.wanted().into_iter().map(|(account, role)| self.places.signing_key(&account, &role));
        std::iter::once(self.places.jetstream_key()).chain(signing).find(|path| path.exists())
    }

    /// Makes what is missing: a key that is there is never replaced.
    pub(super) fn make_keys(&self, vault: Vault) -> Result<usize> {
        let mut made = 0;
        let jetstream = self.places.jetstream_key();
        if self.settings.node.jetstream.encryption != Encryption::Off && !jetstream.exists() {
            self.refuse_lost_key(&jetstream)?;
            vault.create(&jetstream, &identity::jetstream_key::new_jetstream_key()?)?;
            made += 1;
        }
        for (account, role) in self.missing() {
            let path = self.places.signing_key(&account, &role);
            let folder = path.parent().unwrap_or(&path);
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
            vault.create(&path, &SecretKey::generate(KeyKind::Account)?.seed())?;
            made += 1;
        }
        Ok(made)
    }

    /// A new key beside a store that another one wrote would only hide the loss.
    fn refuse_lost_key(&self, path: &Path) -> Result<()> {
        let store = self.settings.data_dir().join("jetstream");
        let used = match fs::read_dir(&store) {
            Ok(mut entries) => entries.next().is_some(),
            // The unit that asks at boot may see that it is there, and not look into it.
            Err(_) => fs::symlink_metadata(&store).is_ok(),
        };
        if used {
            bail!(
                "{} has been used, and its key is not in {}: put it back from a backup, or move the store away \
                 to begin with an empty one; nothing was made",
                store.display(),
                path.display()
            );
        }
        Ok(())
    }

    /// The signing key of a role.
    pub(super) fn signing_key(&self, vault: Vault, account: &Name, role: &Name) -> Result<SecretKey> {
        let path = self.places.signing_key(account, role);
        let text = vault.read(&path)?;
        SecretKey::from_seed(text.trim(), KeyKind::Account).with_context(|| {
            format!("{} is not a usable key: move it away and run `leafbox enroll request`", path.display())
        })
    }

    /// The request with the keys that are there.
    pub(super) fn request(&self, vault: Vault) -> Result<Request> {
        let mut keys = NodeKeys::new();
        for (account, role) in self.wanted() {
            let key = self.signing_key(vault, &account, &role)?.public_key();
            keys.entry(account).or_default().insert(role, key);
        }
        Ok(Request {
            fleet: self.settings.fleet.name.clone(),
            node: self.settings.node.name.clone(),
            role: self.settings.node.role,
            keys,
        })
    }

    /// The JWTs that the node was given by an answer.
    pub(super) fn jwts(&self) -> PathBuf {
        self.settings.data_dir().join("jwts")
    }
}
