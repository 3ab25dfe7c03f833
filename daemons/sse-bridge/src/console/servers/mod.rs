//! What the servers of the fleet say of themselves, over `$SYS` with the console's own creds.
//!
//! - A server is asked by its id at `$SYS.REQ.SERVER.<id>.<Z>`. Which there are is found out by
//!   `$SYS.REQ.SERVER.PING.IDZ`; one that was heard once and is not any more stays listed for some
//!   minutes, so that who looks learns that it is missing.
//! - nats-server's monitoring port is not used: it may be closed.
//! - The servers of leaves answer the hub by way of their consoles ([`leaves`]).
//! - Every question has a deadline. A server that says nothing is named in the error.

mod directory;
mod endpoint;
mod leaves;
mod links;
mod names;
mod wire;

use std::{sync::Arc, time::Duration};

use async_nats::{Client, RequestErrorKind};
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde::de::DeserializeOwned;
use serde_json::Value;
use settings::NodeRole;
use tokio::{sync::Mutex, time::timeout};
use tokio_util::sync::CancellationToken;

use directory::Directory;
pub(super) use directory::Heard;
pub(super) use endpoint::{Endpoint, Takes};
use leaves::Leaves;
pub(super) use links::{Gatewayz, Jsz, JszStream, Leafz, Link, Routez, StreamSource};
use names::Names;
use wire::Reply;
pub(super) use wire::{ConnInfo, Connz, Count, Statsz, millis, name_in_jwt};

/// How long a server may take to answer what is read.
const READING: Duration = Duration::from_secs(2);
/// How long a server may take to do something.
const WRITING: Duration = Duration::from_secs(5);
/// Servers that are asked at once.
const AT_ONCE: usize = 64;

/// The servers of the fleet. A clone is the same.
#[derive(Clone)]
pub(crate) struct Servers {
    sys: Option<Client>,
    directory: Arc<Mutex<Directory>>,
    names: Names,
    leaves: Leaves,
}

/// A server was asked in vain.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// There are no creds of the system account.
    #[error(
        "this console has no creds of the account SYS, without which servers cannot be asked: \
         `leafbox apply` on the operator's machine makes console-SYS.creds"
    )]
    NoSystem,
    /// Nobody answers to the id or name.
    #[error("no server `{0}` is heard: server=all shows those that are, and `leafbox status` the own one")]
    Unknown(String),
    /// The console of a leaf is not reached.
    #[error(
        "{0} does not answer: its link to the hub is down, or its console is stopped; it goes on by itself \
         meanwhile, and /topology there shows its end of the link"
    )]
    Cut(String),
    /// It takes no orders from here.
    #[error("{0} is a leaf, which answers the hub and takes no orders from it: do this on its own console")]
    Leaf(String),
    /// The connection to the own nats-server is not there yet.
    #[error("nats-server of this node is not there yet: `leafbox status` on the machine says more")]
    Away,
    /// It said nothing in time.
    #[error(
        "{server} did not answer {what} in {} s: it may be busy, stopped or cut off; try again, and look at \
         `leafbox status` there",
        .within.as_secs()
    )]
    Silent {
        /// Its name, or its id where that is all that is known.
        server: String,
        /// What it was asked for.
        what: String,
        /// How long it was waited for.
        within: Duration,
    },
    /// The request could not be made.
    #[error("{server} could not be asked for {what}: {source}")]
    Request {
        /// Its name or id.
        server: String,
        /// What it was asked for.
        what: String,
        /// Why.
        #[source]
        source: async_nats::RequestError,
    },
    /// It could not be found out which servers there are.
    #[error("the servers could not be asked who they are: {0}")]
    Ping(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What it said is not what was asked for.
    #[error("{server} answered {what} with something else: {source}; `/api/` has it as it is")]
    Reply {
        /// Its name or id.
        server: String,
        /// What it was asked for.
        what: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// nats-server said no, in these words.
    #[error("{server} says: {description} ({code})")]
    Refused {
        /// Its name or id.
        server: String,
        /// As NATS counts.
        code: u64,
        /// NATS's words.
        description: String,
    },
}

/// What one server said, or why nothing.
pub(super) struct Said<T> {
    pub(super) server: Heard,
    pub(super) said: Result<T, AskError>,
}

impl Servers {
    pub(crate) fn new(sys: Option<Client>, leafbox: Client) -> Self {
        Self { sys, directory: Arc::default(), names: Names::default(), leaves: Leaves::new(leafbox) }
    }

    /// Hears leaves where this is the hub, and answers it where this is a leaf, until `shutdown`.
    pub(crate) async fn run(self, role: NodeRole, node: String, shutdown: CancellationToken) {
        match role {
            NodeRole::Hub => self.leaves.follow(shutdown).await,
            NodeRole::Leaf => leaves::answer(self, node, shutdown).await,
        }
    }

    /// Whether a server is that of a leaf, which does nothing for others.
    pub(super) fn is_leaf(&self, id: &str) -> bool {
        self.leaves.has(id)
    }

    /// The id of the server that this console is connected to.
    pub(super) fn own(&self) -> Result<String, AskError> {
        let id = self.client()?.server_info().server_id;
        if id.is_empty() { Err(AskError::Away) } else { Ok(id) }
    }

    /// All servers that were heard within some minutes, by name.
    pub(super) async fn heard(&self) -> Result<Vec<Heard>, AskError> {
        let client = self.client()?;
        let own = client.server_info().server_name;
        let mut heard = self.directory.lock().await.heard(client).await?;
        // One that is heard over `$SYS` too is asked there.
        let leaves = self.leaves.names().into_iter().filter(|name| heard.iter().all(|it| it.name != *name));
        let leaves: Vec<_> = leaves.map(|name| Heard { id: name.clone(), name }).collect();
        heard.extend(leaves);
        heard.sort_by(|a, b| (a.name != own, &a.name, &a.id).cmp(&(b.name != own, &b.name, &b.id)));
        Ok(heard)
    }

    /// The id of the server of an id or a name.
    pub(super) async fn find(&self, server: &str) -> Result<String, AskError> {
        let info = self.client()?.server_info();
        if server == info.server_id || server == info.server_name {
            return self.own();
        }
        // An id is a part of the subject: only one that was heard is used.
        let heard = self.heard().await?;
        let found = heard.into_iter().find(|heard| heard.id == server || heard.name == server);
        found.map(|heard| heard.id).ok_or_else(|| AskError::Unknown(server.to_owned()))
    }

    /// What the server of this id says, as it says it.
    pub(super) async fn ask(&self, id: &str, endpoint: Endpoint, options: &Value) -> Result<Bytes, AskError> {
        self.request(id, endpoint.token(), options, READING).await
    }

    /// The same from all servers, each by itself.
    pub(super) async fn ask_all(
        &self,
        endpoint: Endpoint,
        options: &Value,
    ) -> Result<Vec<Said<Bytes>>, AskError> {
        let asking = self.heard().await?.into_iter().map(|server| async move {
            let mut said = self.ask(&server.id, endpoint, options).await;
            // The name tells a reader more than the id.
            if let Err(AskError::Silent { server: told, .. } | AskError::Request { server: told, .. }) =
                &mut said
            {
                told.clone_from(&server.name);
            }
            Said { said, server }
        });
        Ok(stream::iter(asking).buffered(AT_ONCE).collect().await)
    }

    /// What all servers say, read.
    pub(super) async fn read_all<T: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        options: &Value,
    ) -> Result<Vec<Said<T>>, AskError> {
        let said = self.ask_all(endpoint, options).await?;
        let read = |Said { server, said }: Said<Bytes>| {
            let said = said.and_then(|bytes| read(&server.name, endpoint.token(), &bytes));
            Said { server, said }
        };
        Ok(said.into_iter().map(read).collect())
    }

    /// What one server says, read.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        id: &str,
        endpoint: Endpoint,
        options: &Value,
    ) -> Result<T, AskError> {
        let bytes = self.ask(id, endpoint, options).await?;
        read(id, endpoint.token(), &bytes)
    }

    /// Ends a client's connection.
    pub(super) async fn kick(&self, id: &str, cid: u64) -> Result<(), AskError> {
        if self.is_leaf(id) {
            return Err(AskError::Leaf(id.to_owned()));
        }
        let bytes = self.request(id, "KICK", &serde_json::json!({ "cid": cid }), WRITING).await?;
        let reply: Reply<Value> = serde_json::from_slice(&bytes).map_err(|source| AskError::Reply {
            server: id.to_owned(),
            what: "KICK".to_owned(),
            source,
        })?;
        reply.refused(id).map_or(Ok(()), Err)
    }

    async fn request(&self, id: &str, what: &str, body: &Value, within: Duration) -> Result<Bytes, AskError> {
        if self.is_leaf(id) {
            return self.leaves.ask(id, what, body, within).await;
        }
        let client = self.client()?;
        let body = Bytes::from(body.to_string());
        let asked = client.request(format!("$SYS.REQ.SERVER.{id}.{what}"), body);
        let silent = || AskError::Silent { server: id.to_owned(), what: what.to_owned(), within };
        match timeout(within, asked).await {
            Ok(Ok(message)) => Ok(message.payload),
            Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => {
                Err(AskError::Unknown(id.to_owned()))
            }
            Ok(Err(error)) if error.kind() == RequestErrorKind::TimedOut => Err(silent()),
            Ok(Err(source)) => {
                Err(AskError::Request { server: id.to_owned(), what: what.to_owned(), source })
            }
            Err(_) => Err(silent()),
        }
    }

    fn client(&self) -> Result<&Client, AskError> {
        self.sys.as_ref().ok_or(AskError::NoSystem)
    }
}

fn read<T: DeserializeOwned>(server: &str, what: &str, bytes: &[u8]) -> Result<T, AskError> {
    let reply: Reply<T> = serde_json::from_slice(bytes).map_err(|source| AskError::Reply {
        server: server.to_owned(),
        what: what.to_owned(),
        source,
    })?;
    if let Some(refused) = reply.refused(server) {
        return Err(refused);
    }
    reply.content().ok_or_else(|| AskError::Reply {
        server: server.to_owned(),
        what: what.to_owned(),
        source: serde::de::Error::missing_field("data"),
    })
}
