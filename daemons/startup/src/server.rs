//! The nats-server of the daemon's own node.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context, Result};
use runtime::{ConnectOptions, Credentials, LocalTls, address, confine::Reach, from_loopback};
use settings::{Listen, Settings};

/// How a daemon reaches the nats-server of its own node.
#[derive(Clone, Debug)]
pub struct Server {
    client: SocketAddr,
    tls: Option<LocalTls>,
    from: Option<SocketAddr>,
}

impl Server {
    /// As node.toml has it.
    ///
    /// # Errors
    /// When the system chose its port, and the node has not told which.
    pub fn of(settings: &Settings, credentials: &Credentials) -> Result<Self> {
        let nats = &settings.node.nats;
        let tls = nats.tls.client.as_ref();
        let tls = tls.map(|tls| LocalTls::new(credentials.directory(), &tls.cert, tls.own()));
        Ok(Self { client: bound(settings, nats.client, "client")?, tls, from: None })
    }

    /// For creds that are good from this machine alone: also where nats-server does not listen on
    /// loopback, it sees them come from there.
    #[must_use]
    pub fn from_loopback(self) -> Self {
        Self { from: from_loopback(self.client), ..self }
    }

    /// Lets a confined daemon connect.
    #[must_use]
    pub fn within(&self, reach: Reach) -> Reach {
        let reach = reach.connect(self.client.port());
        let reach = self.tls.iter().fold(reach, |reach, tls| tls.within(reach));
        if self.from.is_some() { reach.connect_from() } else { reach }
    }

    /// A connection by the creds in a file, under a name that nats-server shows.
    pub fn connection(&self, name: String, creds: PathBuf) -> ConnectOptions {
        let scheme = if self.tls.is_some() { "tls" } else { "nats" };
        ConnectOptions {
            urls: vec![format!("{scheme}://{}", self.client)],
            credentials: Some(creds),
            tls: self.tls.clone(),
            name,
            from: self.from,
            inbox: None,
        }
    }
}

/// Where this machine reaches the listener of nats-server that node.toml calls `nats.<listener>`.
///
/// # Errors
/// When it is off, and when the system chose its port and the node has not told which.
pub fn bound(settings: &Settings, declared: Listen, listener: &'static str) -> Result<SocketAddr> {
    let declared = declared
        .address()
        .with_context(|| format!("`nats.{listener}` must not be \"off\" for this daemon"))?;
    Ok(address::bound(declared, &settings.data_dir(), listener)?)
}
