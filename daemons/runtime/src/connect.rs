//! The connection of a daemon to its nats-server: tried for ever, and told once per change.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{Client, Event, ServerAddr};

use crate::{Backoff, LocalTls};

const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A half-open connection is noticed after two of these.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// How to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// The servers, such as `nats://127.0.0.1:4222`.
    pub urls: Vec<String>,
    /// The credentials file of the daemon's user.
    pub credentials: Option<PathBuf>,
    /// The certificate of the node's own server, where its client listener speaks TLS.
    pub tls: Option<LocalTls>,
    /// The name that the server shows for the connection.
    pub name: String,
    /// The address to connect from, where the user is good from loopback alone and the listener is
    /// not there: see [`crate::from_loopback`].
    pub from: Option<SocketAddr>,
    /// What the subjects begin with on which answers arrive; `_INBOX` when left out.
    pub inbox: Option<&'static str>,
}

impl ConnectOptions {
    /// To one server that asks for nothing.
    pub fn plain(url: String, name: &str) -> Self {
        Self { urls: vec![url], credentials: None, tls: None, name: name.to_owned(), from: None, inbox: None }
    }
}

/// A connection cannot even be tried.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A URL is not understood.
    #[error("`{url}` is not the URL of a nats-server: {source}; write one such as nats://127.0.0.1:4222")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// The credentials cannot be read.
    #[error("the credentials {path} cannot be used: {source}; make them again with `leafbox service creds`", path = path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// The server's certificate cannot be read.
    #[error("TLS to this node's own server cannot be set up: {0}; see `nats.tls.client` in node.toml")]
    Tls(#[source] std::io::Error),
    /// The client refused its options.
    #[error("the NATS client could not be started: {0}")]
    Client(#[from] async_nats::ConnectError),
}

/// A client that connects in the background, and again whenever the connection is lost. It may be
/// used at once: what needs the server waits or fails by its own time-out.
pub async fn connect(options: &ConnectOptions) -> Result<Client, ConnectError> {
    let servers = options.urls.iter().map(|url| {
        url.parse::<ServerAddr>().map_err(|source| ConnectError::Url { url: url.clone(), source })
    });
    let servers = servers.collect::<Result<Vec<_>, _>>()?;
    let told = Arc::new(Mutex::new(String::new()));
    let name = options.name.clone();
    let mut client = async_nats::ConnectOptions::new()
        .name(&options.name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .ping_interval(PING_INTERVAL)
        .connection_timeout(Duration::from_secs(5))
        .reconnect_delay_callback(wait_before)
        .event_callback(move |event| {
            tell_once(&told, &name, &event);
            std::future::ready(())
        });
    if let Some(address) = options.from {
        client = client.local_address(address);
    }
    if let Some(prefix) = options.inbox {
        client = client.custom_inbox_prefix(prefix);
    }
    if let Some(path) = &options.credentials {
        client = client
            .credentials_file(path)
            .await
            .map_err(|source| ConnectError::Credentials { path: path.clone(), source })?;
    }
    if let Some(tls) = &options.tls {
        client = client.tls_client_config(tls.config().map_err(ConnectError::Tls)?);
    }
    Ok(client.connect(servers).await?)
}

/// The wait before an attempt, half of it by chance, so that the clients of a server that comes
/// back do not all arrive at the same moment.
fn wait_before(attempts: usize) -> Duration {
    let attempts = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    let wait = Backoff::new(FIRST_WAIT, LONGEST_WAIT).after(attempts);
    wait.mul_f64(rand::random_range(0.5..=1.0))
}

/// Logs an event unless it is what was told last: a server that is away gives the same error at
/// each attempt.
fn tell_once(told: &Mutex<String>, name: &str, event: &Event) {
    let text = event.to_string();
    let mut last = told.lock().unwrap_or_else(PoisonError::into_inner);
    if *last == text {
        return;
    }
    match event {
        Event::Connected => tracing::info!(client.name = name, "{name} is connected to nats-server"),
        Event::Disconnected => {
            tracing::warn!(client.name = name, "{name} lost nats-server: trying again for ever");
        }
        Event::LameDuckMode | Event::Draining | Event::Closed => {
            tracing::info!(client.name = name, "{name}: {text}");
        }
        Event::SlowConsumer(_) | Event::ServerError(_) | Event::ClientError(_) => {
            tracing::warn!(client.name = name, "{name}: {text}");
        }
    }
    *last = text;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_cap_and_differ() {
        assert!((1..2000).all(|attempts| wait_before(attempts) <= LONGEST_WAIT));
        assert!(wait_before(1) <= FIRST_WAIT);
        assert!(wait_before(1000) >= LONGEST_WAIT / 2);
        let waits: std::collections::BTreeSet<_> = (0..50).map(|_| wait_before(1000)).collect();
        assert!(waits.len() > 1);
    }
}
