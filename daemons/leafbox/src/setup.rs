//! Everything that must be right before nats-server is started: the data directory, keys, JWTs,
//! the JetStream key, the configuration.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use anyhow::{Context, Result, bail};
use identity::{JwtSet, JwtSetError, KeyStore, Ledger, layout};
use nats_conf::{Input, Link, Trust, TrustedAccount};
use settings::{ByteSize, Listen, Name, NodeRole, Settings, node::Encryption, travel::link_denies};
use tracing::{info, warn};
use zeroize::Zeroizing;

use crate::{
    addresses::Addresses,
    creds_guard,
    data::{DataDir, write_whole},
    key_guard, tls_guard,
};

/// Where a node's keys and JWTs come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Made here where they are missing: development, and the operator's own machine.
    Made,
    /// Given by the operator; what is missing is an error.
    Given,
}

/// A node that can be started.
#[derive(Debug)]
pub struct Setup {
    /// Both files, checked.
    pub settings: Settings,
    /// The data directory, with its folders made.
    pub data: DataDir,
    /// The credentials directory.
    pub keys: PathBuf,
    /// The accounts that the node starts with.
    pub jwts: JwtSet,
    jetstream_key: Option<Zeroizing<String>>,
    links: Vec<Link>,
    changing: Mutex<Changing>,
    max_storage: ByteSize,
}

/// What of a configuration changes while the node runs.
#[derive(Debug, Default)]
struct Changing {
    /// The routes to the other hub nodes.
    routes: Vec<String>,
    /// What the server was told to bind at its last start, in place of ports 0. A reload with other
    /// ports would be refused.
    bound: Option<supervisor::Addresses>,
}

impl Setup {
    /// Makes or checks all that a start needs. Nothing runs yet.
    ///
    /// # Errors
    /// A newer data layout, unsafe or foreign keys, a JetStream key that is not the one that the
    /// store was written with: each says what to do.
    pub fn new(settings: Settings, keys: &Path, source: Keys) -> Result<Self> {
        let data = DataDir::open(&settings.data_dir())?;
        if source == Keys::Given && !keys.is_dir() {
            bail!(
                "this node has no credentials: {} is not there; {}",
                keys.display(),
                runtime::credentials::NEEDS
            );
        }
        tls_guard::check(&settings.node, keys)?;
        let store = match source {
            Keys::Made => KeyStore::create(keys)?,
            Keys::Given => KeyStore::open(keys)?,
        };
        data.create()?;
        let encryption = settings.node.jetstream.encryption;
        let jetstream_key = match encryption {
            Encryption::Off => None,
            Encryption::Aes | Encryption::Chacha => {
                // A new key beside a store that another one wrote would only hide the loss.
                if source == Keys::Made && !key_guard::has_run(&data) {
                    identity::ensure_jetstream_key(&store)?;
                }
                let key = layout::jetstream_key(keys);
                key.exists().then(|| identity::read_jetstream_key(&key)).transpose()?
            }
        };
        let fingerprint = jetstream_key.as_ref().map(|key| identity::fingerprint(key));
        key_guard::check(&data, encryption, fingerprint.as_deref())?;
        let jwts = match source {
            Keys::Made => sign(&store, &settings)?,
            Keys::Given => {
                let jwts = read_jwts(&settings)?;
                creds_guard::check(&jwts, &settings.jwts_dir(), keys)?;
                jwts
            }
        };
        Self::assemble(settings, data, keys, jwts, jetstream_key)
    }

    /// The configuration that a start would give nats-server. Makes nothing and reads no secret.
    pub fn rendering(settings: Settings, keys: &Path) -> Result<String> {
        let data = DataDir::open(&settings.data_dir())?;
        let jwts = read_jwts(&settings)?;
        Ok(Self::assemble(settings, data, keys, jwts, None)?.configuration())
    }

    fn assemble(
        settings: Settings,
        data: DataDir,
        keys: &Path,
        jwts: JwtSet,
        jetstream_key: Option<Zeroizing<String>>,
    ) -> Result<Self> {
        let links = links(&settings, &jwts, keys);
        let max_storage = data.storage_budget(&settings.node)?;
        let routes = settings.node.cluster.routes.clone();
        let changing = Mutex::new(Changing { routes, bound: None });
        Ok(Self { settings, data, keys: keys.to_owned(), jwts, jetstream_key, links, changing, max_storage })
    }

    /// Binds what was bound before, in place of ports 0, from the next configuration on, so that
    /// clients find a restarted server where it was.
    pub fn set_bound(&self, bound: Option<&supervisor::Addresses>) {
        self.changing().bound = bound.cloned();
    }

    fn changing(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nats-server configuration as of now.
    pub fn configuration(&self) -> String {
        let mut node = self.settings.node.clone();
        tls_guard::resolve(&mut node, &self.keys);
        let changing = self.changing();
        node.cluster.routes.clone_from(&changing.routes);
        if let Some(bound) = &changing.bound {
            let listeners = [
                (&mut node.nats.client, bound.client),
                (&mut node.nats.monitoring, bound.monitoring),
                (&mut node.nats.websocket, bound.websocket),
                (&mut node.nats.mqtt, bound.mqtt),
                (&mut node.nats.leaf, bound.leaf),
                (&mut node.nats.route, bound.route),
            ];
            for (listener, bound) in listeners {
                if let (Listen::On(declared), Some(bound)) = (&mut *listener, bound) {
                    declared.set_port(bound.port());
                }
            }
        }
        let accounts: Vec<TrustedAccount<'_>> = self
            .jwts
            .accounts
            .iter()
            .map(|(name, account)| TrustedAccount {
                name,
                public_key: &account.public_key,
                jwt: &account.jwt,
            })
            .collect();
        nats_conf::render(&Input {
            node: &node,
            fleet: &self.settings.fleet,
            trust: Trust {
                operator: &self.jwts.operator,
                system_account: &self.jwts.system_account,
                accounts: &accounts,
            },
            links: &self.links,
            data: self.data.root(),
            credentials: &self.keys,
            max_storage: self.max_storage,
        })
    }

    /// Writes the configuration as of now to where nats-server reads it.
    pub fn write_configuration(&self) -> Result<()> {
        write_whole(&self.data.configuration_file(), self.configuration().as_bytes(), 0o600)
    }

    /// Other hub nodes, in place of those that node.toml names, from the next configuration on.
    pub fn set_routes(&self, routes: Vec<String>) {
        self.changing().routes = routes;
    }

    /// The bytes of file streams, where node.toml leaves them to the disk.
    pub fn set_max_storage(&mut self, bytes: ByteSize) {
        self.max_storage = bytes;
    }

    /// What nats-server finds in its environment and nowhere else.
    pub fn environment(&self) -> Vec<(String, Zeroizing<String>)> {
        let key = self.jetstream_key.iter();
        // Quoted: nats-server parses the value as configuration, and a key of digits as a number.
        key.map(|key| {
            (nats_conf::JETSTREAM_KEY_VARIABLE.to_owned(), Zeroizing::new(format!("\"{}\"", key.as_str())))
        })
        .collect()
    }

    /// The key in node.toml that moves each of nats-server's listeners.
    pub fn listener_keys(&self) -> Vec<(std::net::SocketAddr, String)> {
        Self::keys_of(&Addresses::declared(&self.settings.node).of_nats())
    }

    /// The key in node.toml that moves each of these listeners.
    pub fn keys_of(addresses: &Addresses) -> Vec<(std::net::SocketAddr, String)> {
        [
            ("nats.client", addresses.client),
            ("nats.monitoring", addresses.monitoring),
            ("nats.websocket", addresses.websocket),
            ("nats.mqtt", addresses.mqtt),
            ("nats.leaf", addresses.leaf),
            ("nats.route", addresses.route),
            ("health.listen", addresses.health),
            ("registry.listen", addresses.registry),
            ("console.listen", addresses.console),
        ]
        .into_iter()
        .filter_map(|(key, address)| Some((address?, key.to_owned())))
        .collect()
    }
}

/// Makes the keys that are missing, signs what changed, and writes the JWTs beside them.
fn sign(store: &KeyStore, settings: &Settings) -> Result<JwtSet> {
    identity::ensure_fleet_keys(store, &settings.fleet, SystemTime::now())?;
    let (folder, now) = (settings.jwts_dir(), SystemTime::now());
    let signed = Ledger::new(store, &folder)
        .sign(now, |previous| identity::sign(store, &settings.fleet, previous, now))
        .with_context(|| cannot_sign(&folder, store.path()))?;
    if !signed.written.is_empty() {
        info!("signed {} account JWTs into {}", signed.written.len(), folder.display());
    }
    Ok(signed.set)
}

/// What an error in signing is about.
pub fn cannot_sign(folder: &Path, keys: &Path) -> String {
    format!("cannot sign the accounts in {} with the keys in {}", folder.display(), keys.display())
}

/// The JWTs signed before, if any were.
pub fn previous(folder: &Path) -> Result<Option<JwtSet>> {
    if !layout::operator_jwt(folder).exists() {
        return Ok(None);
    }
    Ok(Some(JwtSet::read_dir(folder)?))
}

fn read_jwts(settings: &Settings) -> Result<JwtSet> {
    let folder = settings.jwts_dir();
    match JwtSet::read_dir(&folder) {
        Err(error @ JwtSetError::NoOperator { .. }) => Err(error).with_context(|| {
            format!(
                "this node has no account JWTs: on the operator's machine run `leafbox apply --export DIR`, \
                 and put what it writes into {} (or name the folder as `jwts` in node.toml)",
                folder.display()
            )
        }),
        other => with_enrolled(settings, other?),
    }
}

/// The JWTs that this node knows its accounts by, if it has any.
pub fn known(settings: &Settings) -> Result<Option<JwtSet>> {
    previous(&settings.jwts_dir())?.map(|jwts| with_enrolled(settings, jwts)).transpose()
}

/// Where node.toml names a folder of JWTs, as an image does, the box may have newer ones by its
/// enrolment: of each account the newer counts.
fn with_enrolled(settings: &Settings, jwts: JwtSet) -> Result<JwtSet> {
    let (given, own) = (settings.jwts_dir(), settings.data_dir().join("jwts"));
    if own == given {
        return Ok(jwts);
    }
    match previous(&own)? {
        Some(known) => Ok(jwts.newest(&given.display().to_string(), known, &own.display().to_string())?),
        None => Ok(jwts),
    }
}

/// A leaf's way to the hub for each account that it has creds for.
fn links(settings: &Settings, jwts: &JwtSet, keys: &Path) -> Vec<Link> {
    if settings.node.role == NodeRole::Hub || settings.node.uplink.urls.is_empty() {
        return Vec::new();
    }
    let mut denies = link_denies(&settings.fleet, &settings.node);
    let mut missing: Vec<&Name> = Vec::new();
    let mut links = Vec::new();
    for (name, account) in jwts.accounts.iter().filter(|(_, account)| !account.is_removed()) {
        let credentials = layout::leaf_creds(keys, name);
        if !credentials.exists() {
            missing.push(name);
            continue;
        }
        let denies = denies.remove(name).unwrap_or_default();
        let texts = |subjects: Vec<settings::Subject>| subjects.iter().map(ToString::to_string).collect();
        links.push(Link {
            name: name.clone(),
            account: account.public_key.clone(),
            credentials,
            deny_imports: texts(denies.imports),
            deny_exports: texts(denies.exports),
        });
    }
    if !missing.is_empty() {
        let names: Vec<&str> = missing.iter().map(|name| name.as_str()).collect();
        warn!(
            "no leaf creds in {} for {}: these accounts stay on this node until the operator gives it leaf-<ACCOUNT>.creds",
            keys.display(),
            names.join(", ")
        );
    }
    links
}
