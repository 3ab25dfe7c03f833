//! What each server has: the claims it uses, or for an account that nobody used yet, its file.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use settings::Name;

use super::{
    NewerAccount, PushError, PushOptions, Servers,
    gather::{Reply, Wait, gather},
    servers::{Operator, Server},
};
use crate::{
    claims::{AccountBody, Claims},
    jwt_set::{AccountJwt, JwtSet},
};

/// What the servers have of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The JWT that each server uses, by server id.
    used: BTreeMap<String, String>,
    /// The servers that have not used the account since they started.
    unused: BTreeSet<String>,
    /// What is in the files of all servers, asked for only when some have not used the account.
    /// Such an answer does not say whose it is, and is empty where there is no file.
    files: Vec<String>,
}

impl Held {
    /// Whether a server uses this JWT.
    pub(super) fn uses(&self, server_id: &str, jwt: &str) -> bool {
        self.used.get(server_id).is_some_and(|used| used == jwt)
    }

    /// Whether a server uses this JWT, or will once the account is used.
    pub(super) fn is_current_on(&self, server_id: &str, jwt: &str) -> bool {
        let stored = self.files.len() >= self.used.len() + self.unused.len()
            && self.files.iter().all(|file| file == jwt);
        self.uses(server_id, jwt) || (self.unused.contains(server_id) && stored)
    }

    fn jwts(&self) -> impl Iterator<Item = (Option<&str>, &str)> {
        let used = self.used.iter().map(|(server, jwt)| (Some(server.as_str()), jwt.as_str()));
        used.chain(self.files.iter().map(|file| (None, file.as_str()))).filter(|(_, jwt)| !jwt.is_empty())
    }

    /// Whether no server has anything else: a server that used an account keeps its last claims
    /// after the file is deleted.
    fn has_nothing_but(&self, jwt: &str) -> bool {
        self.jwts().all(|(_, held)| held == jwt)
    }
}

/// What the servers have of every account of a set.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The servers that were asked.
    pub servers: Servers,
    accounts: BTreeMap<Name, Held>,
}

impl InForce {
    pub(super) fn of(servers: Servers, accounts: BTreeMap<Name, Held>) -> Self {
        Self { servers, accounts }
    }

    /// Accounts of `set` that some server has not, or has otherwise: what a push would send.
    pub fn differs_from<'a>(&self, set: &'a JwtSet) -> Vec<&'a Name> {
        let wanted = set.accounts.iter().filter(|(name, account)| self.is_wanted(name, account));
        wanted.filter(|(name, account)| !self.is_current(name, &account.jwt)).map(|(name, _)| name).collect()
    }

    /// The newest claims of an account that some server has, if they can be read.
    pub fn newest(&self, account: &Name) -> Option<Claims<AccountBody>> {
        let held = self.accounts.get(account)?;
        let claims = held.jwts().filter_map(|(_, jwt)| Claims::<AccountBody>::decode(jwt).ok());
        claims.max_by_key(|claims| claims.issued_at)
    }

    /// What the servers use, as a set: the newest of each account that their operator signed. None
    /// where they do not all obey the same operator.
    pub fn as_set(&self) -> Option<JwtSet> {
        let mut operators = self.servers.operators.values();
        let newest = operators.clone().max_by_key(|operator| operator.claims.issued_at)?;
        let subject = &newest.claims.subject;
        if operators.any(|operator| operator.claims.subject != *subject) {
            return None;
        }
        let trusted = &newest.claims.nats.signing_keys;
        let accounts = self.accounts.iter().filter_map(|(name, held)| {
            let read = held.jwts().filter_map(|(_, jwt)| {
                let claims = Claims::<AccountBody>::decode(jwt).ok()?;
                (claims.name == name.as_str() && trusted.contains(&claims.issuer))
                    .then(|| AccountJwt::new(jwt.into(), claims))
            });
            Some((name.clone(), read.max_by_key(|account| account.issued_at)?))
        });
        Some(JwtSet::signed(newest.jwt.clone(), newest.claims.clone(), accounts.collect()))
    }

    /// Whether an account belongs on the servers: a removed one does only in place of older claims.
    pub(super) fn is_wanted(&self, name: &Name, account: &AccountJwt) -> bool {
        let gone = self.accounts.get(name).is_none_or(|held| held.has_nothing_but(&account.jwt));
        !(account.is_removed() && gone)
    }

    fn is_current(&self, account: &Name, jwt: &str) -> bool {
        let held = self.accounts.get(account);
        held.is_some_and(|held| {
            self.servers.answering.iter().all(|server| held.is_current_on(&server.id, jwt))
        })
    }

    /// Which of `wanted` are to be sent, once it is certain that sending does no harm.
    pub(super) fn check_before<'a>(
        &self,
        set: &JwtSet,
        wanted: &BTreeMap<&'a Name, &AccountJwt>,
    ) -> Result<BTreeSet<&'a Name>, PushError> {
        let ours = set.operator_claims();
        for server in &self.servers.answering {
            let Some(Operator { claims: theirs, .. }) = self.servers.operators.get(&server.id) else {
                let (subject, timeout) = (format!("VARZ on {}", server.name), Default::default());
                return Err(PushError::NoAnswer { subject, timeout });
            };
            if theirs.subject != ours.subject {
                return Err(PushError::ForeignOperator {
                    server: server.name.clone(),
                    theirs: theirs.subject.clone(),
                    theirs_name: theirs.name.clone(),
                    ours: ours.subject.clone(),
                    ours_name: ours.name.clone(),
                });
            }
            let unknown = wanted
                .iter()
                .find(|(_, account)| !theirs.nats.signing_keys.contains(&account.claims().issuer));
            if let Some((name, account)) = unknown {
                let (server, issuer) = (server.name.clone(), account.claims().issuer.clone());
                return Err(PushError::UnknownSigningKey { server, account: (*name).clone(), issuer });
            }
        }
        let changed: BTreeSet<&Name> = wanted
            .iter()
            .filter(|(name, account)| !self.is_current(name, &account.jwt))
            .map(|(name, _)| *name)
            .collect();
        let newer: Vec<NewerAccount> =
            changed.iter().filter_map(|name| self.newer(name, wanted[*name])).collect();
        if newer.is_empty() { Ok(changed) } else { Err(PushError::NewerInForce { accounts: newer }) }
    }

    /// A server's claims that are as new as `account` and say something else.
    fn newer(&self, name: &Name, account: &AccountJwt) -> Option<NewerAccount> {
        let held = self.accounts.get(name)?;
        let others = held.jwts().filter(|(_, jwt)| *jwt != account.jwt);
        let dated = others
            .filter_map(|(server, jwt)| Some((server, Claims::<AccountBody>::decode(jwt).ok()?.issued_at)));
        let (server, in_force) = dated.max_by_key(|(_, issued_at)| *issued_at)?;
        (in_force >= account.issued_at).then(|| NewerAccount {
            account: name.clone(),
            server: self
                .servers
                .answering
                .iter()
                .find(|known| Some(known.id.as_str()) == server)
                .map_or_else(|| "a server's disk".into(), |known| known.name.clone()),
            in_force,
            ours: account.issued_at,
        })
    }
}

/// What the servers have of the accounts of `set`: for `plan`, and before a push.
pub async fn in_force(
    client: &async_nats::Client,
    set: &JwtSet,
    options: &PushOptions,
) -> Result<InForce, PushError> {
    let accounts = set.accounts.iter().map(|(name, account)| (name.clone(), account.public_key.clone()));
    in_force_of(client, &accounts.collect(), options).await
}

/// What the servers have of accounts whose public keys are known.
pub async fn in_force_of(
    client: &async_nats::Client,
    accounts: &BTreeMap<Name, String>,
    options: &PushOptions,
) -> Result<InForce, PushError> {
    let servers = Servers::ask(client, options).await?;
    // Collected first: a closure that borrows, kept across an await, is not provably Send.
    let asked: Vec<_> =
        accounts
            .iter()
            .map(|(name, public_key)| {
                let servers = &servers;
                async move {
                    Ok::<_, PushError>((name.clone(), held(client, public_key, servers, options).await?))
                }
            })
            .collect();
    let accounts = stream::iter(asked).buffer_unordered(options.concurrency.max(1)).try_collect().await?;
    Ok(InForce { servers, accounts })
}

#[derive(Deserialize)]
struct Info {
    server: Server,
    data: Option<InfoData>,
}

#[derive(Deserialize)]
struct InfoData {
    #[serde(default)]
    jwt: String,
}

/// Asks every server for one account.
pub(super) async fn held(
    client: &async_nats::Client,
    account: &str,
    servers: &Servers,
    options: &PushOptions,
) -> Result<Held, PushError> {
    let subject = format!("$SYS.REQ.ACCOUNT.{account}.INFO");
    let replies =
        gather(client, &subject, "", options.timeout, |replies| Wait::until(servers.all_in(replies))).await?;
    let mut held = Held::default();
    for info in replies.iter().filter_map(Reply::json::<Info>) {
        match info.data.filter(|data| !data.jwt.is_empty()) {
            Some(data) => drop(held.used.insert(info.server.id, data.jwt)),
            None => drop(held.unused.insert(info.server.id)),
        }
    }
    if !held.unused.is_empty() {
        held.files = files(client, account, servers, options).await?;
    }
    Ok(held)
}

/// What is in the files of all servers, in no order; empty where there is none.
pub(super) async fn files(
    client: &async_nats::Client,
    account: &str,
    servers: &Servers,
    options: &PushOptions,
) -> Result<Vec<String>, PushError> {
    let subject = format!("$SYS.REQ.ACCOUNT.{account}.CLAIMS.LOOKUP");
    let all = |replies: &[Reply]| Wait::until(replies.len() >= servers.answering.len());
    let replies = gather(client, &subject, "", options.timeout, all).await?;
    Ok(replies.into_iter().map(|reply| String::from_utf8_lossy(&reply.payload).into_owned()).collect())
}
