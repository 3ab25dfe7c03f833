//! Account claims to running servers, and back: the only module that sees the network.
//!
//! nats-server accepts nearly anything on `$SYS.REQ.CLAIMS.UPDATE`: an account of a foreign
//! operator is written everywhere, after which logins fail, and an older file undoes revocations.
//! So before anything is sent, every server's operator and what it holds are looked at; afterwards
//! each server is asked for what it uses, for an answer of 200 only says that a file was written.

mod gather;
mod held;
mod removal;
mod servers;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use settings::Name;
use tokio::time::Instant;

pub use held::{Held, InForce, in_force, in_force_of};
pub use removal::{RemovalReport, remove};
pub use servers::{Server, Servers};

use crate::jwt_set::{AccountJwt, JwtSet};
use gather::{Reply, Wait, gather};

const UPDATE: &str = "$SYS.REQ.CLAIMS.UPDATE";

/// How to push.
#[derive(Clone, Debug)]
pub struct PushOptions {
    /// How long to wait for the servers that owe an answer, each time one is asked for.
    pub timeout: Duration,
    /// Accounts pushed at once.
    pub concurrency: usize,
    /// The names of the servers that there should be, such as all hub nodes. Without them it is
    /// left to the servers, which count a killed one for a minute and then forget it.
    pub expected: Vec<String>,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), concurrency: 32, expected: Vec::new() }
    }
}

/// Why claims could not be pushed, or not everywhere.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The connection does not carry requests.
    #[error("cannot send {subject} to nats-server")]
    Send {
        /// The subject.
        subject: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nobody answers.
    #[error("no server answered {subject} within {} s: connect with the creds of the system account (keys/sys.creds), and look whether nats-server is running", timeout.as_secs_f32())]
    NoAnswer {
        /// The subject.
        subject: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// Nothing listens.
    #[error(
        "nothing on the servers answers {subject}: connect with the creds of the system account (keys/sys.creds), and let nats-server use the resolver of type `full`"
    )]
    NoResponder {
        /// The subject.
        subject: String,
    },
    /// The servers obey another operator.
    #[error(
        "the server {server} obeys the operator {theirs_name} ({theirs}), and these accounts are of the operator {ours_name} ({ours}): nothing was sent; check the address, or the folder of signed JWTs"
    )]
    ForeignOperator {
        /// The server.
        server: String,
        /// Its operator.
        theirs: String,
        /// The name of its operator.
        theirs_name: String,
        /// The operator of the set.
        ours: String,
        /// The name of the set's operator.
        ours_name: String,
    },
    /// A server does not know a signing key yet.
    #[error(
        "the server {server} does not trust {issuer}, which signed the account {account}: nothing was sent; give the server the new operator.jwt and restart it first"
    )]
    UnknownSigningKey {
        /// The server.
        server: String,
        /// The account.
        account: Name,
        /// The key that signed it.
        issuer: String,
    },
    /// A server has something newer.
    #[error(
        "nothing was sent, because older claims would undo newer ones, revocations too: {}; take the newer set (git pull, or export it where it was made) and run this again",
        list(accounts)
    )]
    NewerInForce {
        /// What is newer, by account.
        accounts: Vec<NewerAccount>,
    },
    /// Some server did not take something.
    #[error(
        "not all servers took the changes of {report}; what is already there stays, and running this again sends the rest"
    )]
    Incomplete {
        /// What was and was not done.
        report: Box<PushReport>,
    },
    /// A server did not delete.
    #[error("the account {account} cannot be used any more, but {server} did not delete it: {reason}")]
    NotDeleted {
        /// The account.
        account: Name,
        /// The server.
        server: String,
        /// What it says.
        reason: String,
    },
}

/// An account of which a server has claims that are as new or newer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewerAccount {
    /// The account.
    pub account: Name,
    /// The server.
    pub server: String,
    /// When its claims were signed, in seconds since 1970.
    pub in_force: i64,
    /// When the claims to push were signed.
    pub ours: i64,
}

impl fmt::Display for NewerAccount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, server, in_force, ours } = self;
        write!(formatter, "{account} on {server} was signed at second {in_force}, and here at {ours}")
    }
}

fn list(accounts: &[NewerAccount]) -> String {
    accounts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What one server did with an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It uses the new claims.
    InForce,
    /// It has written them and will use them when the account is first used.
    Stored,
    /// It refused or did not answer, and why.
    Failed(String),
}

/// What became of the accounts of a set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PushReport {
    /// The servers that answer.
    pub servers: Vec<Server>,
    /// Servers that do not answer; they catch up some 10 s after they return.
    pub silent: Vec<String>,
    /// Accounts that every server has already.
    pub unchanged: Vec<Name>,
    /// Accounts that were sent, and what each server, by name, did with them.
    pub pushed: BTreeMap<Name, BTreeMap<String, Outcome>>,
}

impl PushReport {
    /// What did not work: account, server and reason.
    pub fn failures(&self) -> impl Iterator<Item = (&Name, &str, &str)> {
        self.pushed.iter().flat_map(|(account, servers)| {
            servers.iter().filter_map(move |(server, outcome)| match outcome {
                Outcome::Failed(reason) => Some((account, server.as_str(), reason.as_str())),
                Outcome::InForce | Outcome::Stored => None,
            })
        })
    }
}

impl fmt::Display for PushReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed: BTreeSet<&Name> = self.failures().map(|(account, ..)| account).collect();
        let mut parts = Vec::new();
        let taken: Vec<&str> =
            self.pushed.keys().filter(|name| !failed.contains(name)).map(Name::as_str).collect();
        if !taken.is_empty() {
            let (count, noun) =
                (self.servers.len(), if self.servers.len() == 1 { "server" } else { "servers" });
            parts.push(format!("{} in force on {count} {noun}", taken.join(", ")));
        }
        if !self.unchanged.is_empty() {
            parts.push(format!("{} unchanged", self.unchanged.len()));
        }
        parts.extend(self.failures().map(|(account, server, why)| format!("{account} on {server}: {why}")));
        if !self.silent.is_empty() {
            parts.push(format!("no answer from {}, to catch up after its return", self.silent.join(", ")));
        }
        write!(formatter, "accounts: {}", if parts.is_empty() { "none".into() } else { parts.join("; ") })
    }
}

/// Brings the accounts of `set` to every server that `client` reaches, and verifies them there.
///
/// `client` is a user of the system account with the role `leafbox-push`. Accounts that are in
/// force already are not sent. Exporters go before importers and the system account goes last,
/// because a change of its roles closes the very connection that pushes.
pub async fn push(
    client: &async_nats::Client,
    set: &JwtSet,
    options: &PushOptions,
) -> Result<PushReport, PushError> {
    let state = in_force(client, set, options).await?;
    let wanted = set.accounts.iter().filter(|(name, account)| state.is_wanted(name, account));
    let wanted: BTreeMap<&Name, &AccountJwt> = wanted.collect();
    push_accounts(client, set, &wanted, state, options).await
}

async fn push_accounts(
    client: &async_nats::Client,
    set: &JwtSet,
    wanted: &BTreeMap<&Name, &AccountJwt>,
    state: InForce,
    options: &PushOptions,
) -> Result<PushReport, PushError> {
    let changed = state.check_before(set, wanted)?;
    let servers = &state.servers;
    let mut report = PushReport {
        servers: servers.answering.clone(),
        silent: servers.silent.clone(),
        unchanged: wanted
            .keys()
            .filter(|name| !changed.contains(*name))
            .map(|name| (*name).clone())
            .collect(),
        pushed: BTreeMap::new(),
    };
    for level in levels(set, &changed) {
        // Collected first: a closure that borrows, kept across an await, is not provably Send.
        let sent: Vec<_> = level
            .into_iter()
            .map(|name| async move {
                (name.clone(), push_one(client, &set.accounts[name], servers, options).await)
            })
            .collect();
        let mut sent = stream::iter(sent).buffer_unordered(options.concurrency.max(1));
        while let Some((name, outcome)) = sent.next().await {
            report.pushed.insert(name, outcome?);
        }
    }
    if report.failures().next().is_some() {
        return Err(PushError::Incomplete { report: Box::new(report) });
    }
    Ok(report)
}

/// Accounts in an order in which each comes after those that it imports from, those of one level
/// at once. A circle is cut: the servers finish such imports when the other side arrives.
fn levels<'a>(set: &JwtSet, changed: &BTreeSet<&'a Name>) -> Vec<Vec<&'a Name>> {
    let system = |name: &Name| set.accounts[name].public_key == set.system_account;
    let mut waiting: Vec<&Name> = changed.iter().copied().filter(|name| !system(name)).collect();
    let mut levels = Vec::new();
    while !waiting.is_empty() {
        let keys: BTreeSet<&str> =
            waiting.iter().map(|name| set.accounts[*name].public_key.as_str()).collect();
        let is_ready = |name: &&Name| {
            let own = &set.accounts[*name].public_key;
            let imports = &set.accounts[*name].claims().nats.imports;
            imports.iter().all(|import| import.account == *own || !keys.contains(import.account.as_str()))
        };
        let (ready, rest): (Vec<&Name>, Vec<&Name>) = waiting.iter().partition(|name| is_ready(name));
        if ready.is_empty() {
            levels.push(rest);
            break;
        }
        levels.push(ready);
        waiting = rest;
    }
    levels.extend(changed.iter().find(|name| system(name)).map(|name| vec![*name]));
    levels
}

#[derive(Deserialize)]
struct UpdateReply {
    error: Option<UpdateError>,
}

#[derive(Deserialize)]
struct UpdateError {
    description: String,
}

/// Sends one account and waits until each server says that it took it and shows that it uses it.
async fn push_one(
    client: &async_nats::Client,
    account: &AccountJwt,
    servers: &Servers,
    options: &PushOptions,
) -> Result<BTreeMap<String, Outcome>, PushError> {
    let owing = |replies: &[Reply]| Wait::until(servers.all_in(replies));
    // Without an answer, what the servers show decides: pushing the system account may cut us off.
    let replies = match gather(client, UPDATE, &account.jwt, options.timeout, owing).await {
        Err(PushError::NoAnswer { .. }) => Vec::new(),
        other => other?,
    };
    let mut answers: BTreeMap<String, Result<(), String>> = BTreeMap::new();
    for reply in &replies {
        let Some(server) = reply.server() else { continue };
        let error = reply.json::<UpdateReply>().and_then(|update| update.error);
        answers.insert(server.id, error.map_or(Ok(()), |error| Err(error.description)));
    }
    let deadline = Instant::now() + options.timeout;
    let mut pause = Duration::from_millis(5);
    let held = loop {
        let held = match held::held(client, &account.public_key, servers, options).await {
            Err(PushError::NoAnswer { .. }) if Instant::now() < deadline => Held::default(),
            other => other?,
        };
        let settled = servers.answering.iter().all(|server| {
            matches!(answers.get(&server.id), Some(Err(_))) || held.is_current_on(&server.id, &account.jwt)
        });
        if settled || Instant::now() + pause > deadline {
            break held;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(250));
    };
    let outcome = |server: &Server| match answers.get(&server.id) {
        Some(Err(reason)) => Outcome::Failed(reason.clone()),
        _ if held.uses(&server.id, &account.jwt) => Outcome::InForce,
        _ if held.is_current_on(&server.id, &account.jwt) => Outcome::Stored,
        Some(Ok(())) => Outcome::Failed("it said yes, but it does not use the new claims".into()),
        None => Outcome::Failed("it did not answer".into()),
    };
    Ok(servers.answering.iter().map(|server| (server.name.clone(), outcome(server))).collect())
}
