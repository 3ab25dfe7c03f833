//! What every command begins with: the two files, read and found right, the data directory, the
//! addresses of the node, and connections to it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use async_nats::{Client, ConnectOptions};
use settings::{Name, Settings};

use runtime::{Disk, reachable};

use crate::{addresses::Addresses, cli::Global, data::DataDir, example, problems::BadConfig};

/// The node file where none is named.
pub const DEFAULT_NODE_FILE: &str = "node.toml";

/// What the unit that looks after the stores was given, as long as it runs.
const CREDENTIALS_OF_UNIT: &str = "/run/credentials/leafbox-uplink.service";

/// The node that a command is about.
#[derive(Clone, Debug)]
pub struct Session {
    /// Both files, checked.
    pub settings: Settings,
    /// The data directory.
    pub data: DataDir,
    /// Where the keys of this machine are: `$CREDENTIALS_DIRECTORY` in a unit, `<data>/keys` where
    /// leafbox itself keeps them, else those of the running unit, which root may read.
    pub keys: PathBuf,
    /// What the node listens on: as bound if it runs, else as declared.
    pub addresses: Addresses,
}

impl Session {
    /// Reads both files and finds the node's data and addresses.
    ///
    /// # Errors
    /// [`BadConfig`] for mistakes in the files, which `main` turns into exit code 2.
    pub fn open(global: &Global) -> Result<Self> {
        let settings = load(global)?;
        Self::of(settings)
    }

    /// A session on settings that are there already.
    pub fn of(settings: Settings) -> Result<Self> {
        let data = DataDir::open(&settings.data_dir())?;
        let addresses = Addresses::current(&data, &settings.node)?;
        let keys = keys_beside(&data);
        Ok(Self { settings, data, keys, addresses })
    }

    /// The same node with the fleet as the file has it now, so that a node that runs for months does
    /// not put back what was changed and applied since. Which nodes there are stays as it was: that
    /// is in nats-server's configuration, and takes a restart.
    ///
    /// # Errors
    /// [`BadConfig`] when the files have mistakes now.
    pub fn refreshed(&self) -> Result<Self> {
        let sources = settings::Sources::of_process(self.settings.node_file.clone(), disk_size);
        let mut fleet = settings::load(&sources).map_err(BadConfig)?.settings.fleet;
        fleet.nodes = self.settings.fleet.nodes.clone();
        let mut session = self.clone();
        session.settings.fleet = fleet;
        Ok(session)
    }

    /// The same, with the nodes that the file has gained besides: whoever is to be let in was written
    /// there after this node began.
    ///
    /// # Errors
    /// [`BadConfig`] when the files have mistakes now.
    pub fn refreshed_with_nodes(&self) -> Result<Self> {
        let sources = settings::Sources::of_process(self.settings.node_file.clone(), disk_size);
        let listed = settings::load(&sources).map_err(BadConfig)?.settings.fleet.nodes;
        let mut session = self.refreshed()?;
        let nodes = &mut session.settings.fleet.nodes;
        for (known, listed) in [(&mut nodes.hub, listed.hub), (&mut nodes.leaves, listed.leaves)] {
            let new: Vec<Name> = listed.into_iter().filter(|name| !known.contains(name)).collect();
            known.extend(new);
        }
        Ok(session)
    }

    /// The URL that clients on this machine use.
    pub fn client_url(&self) -> Result<String> {
        let address = self.addresses.client.context("node.toml turns the client listener off")?;
        let scheme = if self.settings.node.nats.tls.client.is_some() { "tls" } else { "nats" };
        Ok(format!("{scheme}://{}", reachable(address)))
    }

    /// How leafbox itself speaks TLS with this node's client listener.
    pub fn client_tls(&self) -> Option<runtime::LocalTls> {
        let tls = self.settings.node.nats.tls.client.as_ref()?;
        Some(runtime::LocalTls::new(&self.keys, &tls.cert, tls.own()))
    }

    /// Connects with a creds file, once: a command says what is wrong instead of waiting.
    pub async fn connect(&self, creds: &Path, name: &str) -> Result<Client> {
        self.connect_with_inbox(creds, name, None).await
    }

    /// The same, answered in another place than `_INBOX`.
    pub async fn connect_with_inbox(&self, creds: &Path, name: &str, inbox: Option<&str>) -> Result<Client> {
        let url = self.client_url()?;
        let text = identity::Creds::read(creds)?.text();
        let mut options = ConnectOptions::with_credentials(&text)
            .with_context(|| format!("{} is damaged", creds.display()))?
            .name(name);
        if let Some(inbox) = inbox {
            options = options.custom_inbox_prefix(inbox);
        }
        // The key of a box that applies stores is good from loopback alone.
        if let Some(local) = self.addresses.client.and_then(runtime::from_loopback) {
            options = options.local_address(local);
        }
        if let Some(tls) = self.client_tls() {
            options = options.tls_client_config(tls.config()?);
        }
        options.connect(&url).await.with_context(|| {
            format!("cannot connect to {url} as {}: is the node running? (`leafbox status`)", creds.display())
        })
    }

    /// Connects as the user that applies an account's stores.
    pub async fn connect_apply(&self, account: &Name) -> Result<Client> {
        let creds = identity::layout::apply_creds(&self.keys, account);
        if !creds.exists() {
            bail!(
                "there is no {} yet: `leafbox apply` makes it where the fleet's keys are, and another node gets it from there",
                creds.display()
            );
        }
        self.connect(&creds, "leafbox apply").await
    }

    /// Refuses when no node runs on the data directory.
    pub fn require_running(&self) -> Result<()> {
        // nats-server may also be run by systemd, which takes no lock of ours: ask its port.
        if self.data.is_running() {
            return Ok(());
        }
        let answers = self.addresses.client.is_some_and(|address| {
            std::net::TcpStream::connect_timeout(&reachable(address), std::time::Duration::from_secs(1))
                .is_ok()
        });
        if !answers {
            bail!(
                "no node runs on {}: start it with `leafbox dev` or `leafbox run`",
                self.data.root().display()
            );
        }
        Ok(())
    }
}

/// Where the keys of this machine are.
pub fn keys_dir(data: &DataDir) -> PathBuf {
    std::env::var_os("CREDENTIALS_DIRECTORY").map_or_else(|| data.root().join("keys"), PathBuf::from)
}

/// The keys for a command that somebody types beside a node: one that systemd runs has them in its
/// units only, under the place that systemd.exec(5) names.
fn keys_beside(data: &DataDir) -> PathBuf {
    let keys = keys_dir(data);
    let of_unit = Path::new(CREDENTIALS_OF_UNIT);
    if keys.exists() || !of_unit.is_dir() { keys } else { of_unit.to_owned() }
}

/// The node file that a command means: the one named, or the example that `leafbox dev` runs where
/// there is none.
pub fn node_file(global: &Global) -> PathBuf {
    let example = example::node_file(&data_folder(global));
    if global.config == Path::new(DEFAULT_NODE_FILE) && !global.config.exists() && example.exists() {
        return example;
    }
    global.config.clone()
}

/// The data folder where no node file says otherwise.
pub fn data_folder(global: &Global) -> PathBuf {
    global.data.clone().unwrap_or_else(|| PathBuf::from(".data"))
}

/// Where both files and their overrides come from.
pub fn sources(global: &Global) -> settings::Sources {
    settings::Sources::of_process(node_file(global), disk_size)
}

fn disk_size(path: &Path) -> Option<settings::ByteSize> {
    Disk::of(path).ok().map(|disk| settings::ByteSize(disk.total))
}

/// Reads both files, with `--data` in place.
///
/// # Errors
/// [`BadConfig`] with every mistake. Warnings are logged.
pub fn load(global: &Global) -> Result<Settings> {
    let file = node_file(global);
    if !file.exists() && file == Path::new(DEFAULT_NODE_FILE) {
        bail!(
            "there is no node.toml here: `leafbox init` writes one, `leafbox dev` runs an example, -c names another"
        );
    }
    let loaded = settings::load(&sources(global)).map_err(BadConfig)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let mut settings = loaded.settings;
    let data = global.data.as_ref();
    let example = file == example::node_file(&data_folder(global));
    if let Some(data) = data.cloned().or_else(|| example.then(|| data_folder(global))) {
        settings.node.data =
            std::path::absolute(&data).with_context(|| format!("{} is no path", data.display()))?;
    }
    // A relative base would follow whoever changes the working directory.
    settings.base = std::path::absolute(if settings.base.as_os_str().is_empty() {
        Path::new(".")
    } else {
        &settings.base
    })?;
    Ok(settings)
}

/// The data directory, also where the node file is missing.
pub fn data_dir(global: &Global) -> Result<DataDir> {
    if global.data.is_some() || !node_file(global).exists() {
        return DataDir::open(&std::path::absolute(data_folder(global))?);
    }
    data_dir_of(&load(global)?)
}

/// The data directory of loaded settings.
pub fn data_dir_of(settings: &Settings) -> Result<DataDir> {
    DataDir::open(&settings.data_dir())
}

/// Logs to stderr or journald, and to the file that `leafbox logs` prints.
pub fn log_to(data: &DataDir) -> Result<()> {
    data.create()?;
    runtime::logging::init_with_file(runtime::LogFormat::Auto, &data.log_file())?;
    Ok(())
}

/// The nats-server to run: the one named by flag or settings, one on PATH, the cached one, or the
/// pinned one, fetched.
pub async fn nats_server(global: &Global, settings: &Settings, data: &DataDir) -> Result<PathBuf> {
    let mut locate = supervisor::Locate::new(supervisor::default_cache(data.root()));
    locate.explicit = global.nats_server.clone().or_else(|| settings.nats_server());
    locate.progress = true;
    let binary = tokio::task::spawn_blocking(move || supervisor::find_or_get(&locate)).await??;
    tracing::debug!(path = %binary.path.display(), "nats-server {}", binary.version);
    Ok(binary.path)
}
