//! Where a node's own daemons listen: bound before anything runs, so that a taken port is told first.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Result;
use settings::{LEAFBOX_ACCOUNT, Listen};
use tokio::net::TcpListener;

use crate::{addresses::Addresses, setup::Setup};

/// What is bound; none where a daemon is off or lacks its creds.
#[derive(Debug)]
pub struct Listeners {
    /// The health daemon's.
    pub health: Option<TcpListener>,
    /// The container registry's.
    pub registry: Option<TcpListener>,
    /// The web console's.
    pub console: Option<TcpListener>,
}

impl Listeners {
    /// Binds all that the node's settings ask for.
    ///
    /// # Errors
    /// When an address cannot be bound, with its key and who has it.
    pub async fn bind(setup: &Setup) -> Result<Self> {
        let (node, keys) = (&setup.settings.node, &setup.keys);
        let leafbox = LEAFBOX_ACCOUNT.parse().expect("the name of leafbox's own account is valid");
        let registry = Daemon {
            what: "registry",
            listen: node.registry.listen,
            creds: identity::layout::registry_creds(keys),
        };
        let console = Daemon {
            what: "console",
            listen: node.console.listen,
            creds: identity::layout::console_creds(keys, &leafbox),
        };
        Ok(Self {
            health: bind(node.health.listen.address(), "health.listen").await?,
            registry: bind(registry.address(), "registry.listen").await?,
            console: bind(console.address(), "console.listen").await?,
        })
    }

    /// What was bound, and nothing of nats-server.
    ///
    /// # Errors
    /// When a listener does not tell its address.
    pub fn addresses(&self) -> Result<Addresses> {
        let bound =
            |listener: &Option<TcpListener>| listener.as_ref().map(TcpListener::local_addr).transpose();
        Ok(Addresses {
            health: bound(&self.health)?,
            registry: bound(&self.registry)?,
            console: bound(&self.console)?,
            ..Addresses::default()
        })
    }
}

async fn bind(address: Option<SocketAddr>, key: &str) -> Result<Option<TcpListener>> {
    match address {
        Some(address) => Ok(Some(runtime::http::bind(address, key).await?)),
        None => Ok(None),
    }
}

/// A daemon that a node may lack the creds of.
struct Daemon {
    what: &'static str,
    listen: Listen,
    creds: PathBuf,
}

impl Daemon {
    /// Where it is to listen; nowhere without its creds, which a node lacks that was let in before
    /// there was such a daemon.
    fn address(self) -> Option<SocketAddr> {
        let Self { what, listen, creds } = self;
        let address = listen.address()?;
        if creds.exists() {
            return Some(address);
        }
        tracing::warn!(
            "the {what} is not started, since {} is not there: `leafbox apply` makes it where the fleet's keys \
             are, an enrolled box by `leafbox enroll request`; or write {what}.listen = \"off\"",
            creds.display()
        );
        None
    }
}
