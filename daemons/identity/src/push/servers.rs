//! Which servers there are, and which operator each obeys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    PushError, PushOptions,
    gather::{Reply, Wait, gather},
};
use crate::claims::{Claims, OperatorBody};

const PING: &str = "$SYS.REQ.SERVER.PING";
const VARZ: &str = "$SYS.REQ.SERVER.PING.VARZ";

/// A server that answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Its name, which never changes.
    pub name: String,
    /// Its key, new at each start.
    pub id: String,
}

/// The servers that share the system account.
#[derive(Clone, Debug, Default)]
pub struct Servers {
    /// Those that answer, by name.
    pub answering: Vec<Server>,
    /// Those that should answer and do not.
    pub silent: Vec<String>,
    /// The operator of each, by server id.
    pub(super) operators: BTreeMap<String, Operator>,
}

/// The operator that a server obeys.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    pub(super) jwt: String,
    pub(super) claims: Claims<OperatorBody>,
}

#[derive(Deserialize)]
struct Ping {
    server: Server,
    statsz: Statsz,
}

#[derive(Deserialize)]
struct Statsz {
    /// How many servers this one knows of, itself included.
    #[serde(default)]
    active_servers: usize,
}

#[derive(Deserialize)]
struct Varz {
    server: Server,
    data: VarzData,
}

#[derive(Deserialize)]
struct VarzData {
    #[serde(default)]
    trusted_operators_jwt: Vec<String>,
}

impl Servers {
    /// Asks all servers.
    pub(super) async fn ask(client: &async_nats::Client, options: &PushOptions) -> Result<Self, PushError> {
        let known = |replies: &[Reply]| {
            let pings = replies.iter().filter_map(Reply::json::<Ping>);
            pings.map(|ping| ping.statsz.active_servers).max().unwrap_or(1).max(1)
        };
        // Servers count one that was killed for a minute more: when all expected ones are in,
        // the rest is not waited for long.
        let all = |replies: &[Reply]| {
            let answers =
                |name: &String| replies.iter().filter_map(Reply::server).any(|server| server.name == *name);
            match replies.len() >= known(replies) {
                true => Wait::Over,
                false if !options.expected.is_empty() && options.expected.iter().all(answers) => Wait::Grace,
                false => Wait::Owed,
            }
        };
        let replies = gather(client, PING, "", options.timeout, all).await?;
        let mut answering: Vec<Server> = Vec::new();
        for ping in replies.iter().filter_map(Reply::json::<Ping>) {
            if !answering.iter().any(|server| server.id == ping.server.id) {
                answering.push(ping.server);
            }
        }
        if answering.is_empty() {
            return Err(PushError::NoAnswer { subject: PING.into(), timeout: options.timeout });
        }
        answering.sort_by(|one, two| (&one.name, &one.id).cmp(&(&two.name, &two.id)));
        let silent = if options.expected.is_empty() {
            let count = known(&replies).saturating_sub(answering.len());
            vec!["a server that left lately".to_owned(); count]
        } else {
            let answers = |name: &String| answering.iter().any(|server| server.name == *name);
            options.expected.iter().filter(|name| !answers(name)).cloned().collect()
        };
        let mut servers = Self { answering, silent, operators: BTreeMap::new() };

        let replies =
            gather(client, VARZ, "", options.timeout, |replies| Wait::until(servers.all_in(replies))).await?;
        for varz in replies.iter().filter_map(Reply::json::<Varz>) {
            let Some(jwt) = varz.data.trusted_operators_jwt.into_iter().next() else { continue };
            if let Ok(claims) = Claims::<OperatorBody>::decode(&jwt) {
                servers.operators.insert(varz.server.id, Operator { jwt, claims });
            }
        }
        Ok(servers)
    }

    /// Whether every one has answered.
    pub(super) fn all_in(&self, replies: &[Reply]) -> bool {
        if replies.len() < self.answering.len() {
            return false;
        }
        let from: Vec<Server> = replies.iter().filter_map(Reply::server).collect();
        self.answering.iter().all(|server| from.iter().any(|found| found.id == server.id))
    }
}
