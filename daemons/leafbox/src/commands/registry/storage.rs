//! The registry's storage, opened for one command.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use async_nats::Client;
use registry::{
    Storage,
    cache::Cache,
    chunks::{Budget, ChunkConnections, ChunkStore},
    storage::{Backend, Policy},
};
use settings::builtin::REGISTRY_INBOX;

use crate::session::Session;

/// What the registry's unit was given, as long as it runs.
const CREDENTIALS_OF_UNIT: &str = "/run/credentials/leafbox-registry.service";
/// Reading all records takes less, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(20);

/// The creds of the registry's user: beside the other keys of the node, or what its unit was given.
fn creds(session: &Session) -> Result<PathBuf> {
    let own = identity::layout::registry_creds(&session.keys);
    let of_unit = identity::layout::registry_creds(Path::new(CREDENTIALS_OF_UNIT));
    let found = [&own, &of_unit].into_iter().find(|creds| creds.exists());
    found.cloned().with_context(|| {
        format!(
            "there is no {}: `leafbox apply` makes it where the fleet's keys are; on a box that systemd runs, type \
             this as root while leafbox-registry.service runs",
            own.display()
        )
    })
}

/// Connects as the user of the registry.
pub(super) async fn connect(session: &Session) -> Result<Client> {
    session.require_running()?;
    session.connect_with_inbox(&creds(session)?, "leafbox registry", Some(REGISTRY_INBOX)).await
}

/// Opens the storage: all records are read, and nothing is cached on disk.
pub(super) async fn open(session: &Session) -> Result<Storage> {
    open_on(session, connect(session).await?).await
}

/// Opens the storage on a connection that is there.
pub(super) async fn open_on(session: &Session, client: Client) -> Result<Storage> {
    let connections = ChunkConnections { write: client.clone(), read: Vec::new() };
    let chunks = ChunkStore::open(connections, Budget::default());
    let backend = Backend { client, chunks, cache: Cache::none() };
    let policy = Policy::of(session.settings.node.role, &session.settings.fleet.registry);
    let storage = tokio::time::timeout(PATIENCE, Storage::open(backend, policy)).await;
    let storage = storage.ok().context(
        "the registry's stores do not answer: `leafbox status` shows whether they are there, `leafbox apply` makes \
         them",
    )?;
    Ok(storage?)
}

/// A connection by which the hub is asked: what it answers crosses the link.
pub(super) async fn connect_to_travel(session: &Session) -> Result<Client> {
    session.connect(&creds(session)?, "leafbox registry copy").await
}
