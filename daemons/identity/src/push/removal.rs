//! Taking an account away from running servers: its tombstone first, then the deletion.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use tokio::time::Instant;

use super::{
    InForce, PushError, PushOptions, PushReport, Server, Servers,
    gather::{Wait, gather},
    held::{files, held},
    push_accounts,
};
use crate::removal::Removal;

const DELETE: &str = "$SYS.REQ.CLAIMS.DELETE";

/// What became of a removed account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovalReport {
    /// How its tombstone arrived.
    pub tombstone: PushReport,
    /// Whether it was deleted too. It is not while a server is silent, for that one would bring
    /// the account back if there were no tombstone to win over it. Nobody can use it either way.
    pub deleted: bool,
}

#[derive(Deserialize)]
struct DeleteReply {
    server: Server,
    error: Option<DeleteError>,
}

#[derive(Deserialize)]
struct DeleteError {
    description: String,
}

/// Makes an account unusable on every server, verifies that, and deletes it where all answer.
pub async fn remove(
    client: &async_nats::Client,
    removal: &Removal,
    options: &PushOptions,
) -> Result<RemovalReport, PushError> {
    let account = &removal.set.accounts[&removal.account];
    let servers = Servers::ask(client, options).await?;
    let before = held(client, &account.public_key, &servers, options).await?;
    let state = InForce::of(servers.clone(), BTreeMap::from([(removal.account.clone(), before)]));
    let wanted = BTreeMap::from([(&removal.account, account)]);
    let tombstone = push_accounts(client, &removal.set, &wanted, state, options).await?;
    if !servers.silent.is_empty() {
        return Ok(RemovalReport { tombstone, deleted: false });
    }
    let failed = |server: &str, reason: String| PushError::NotDeleted {
        account: removal.account.clone(),
        server: server.into(),
        reason,
    };
    let replies = gather(client, DELETE, &removal.deletion, options.timeout, |replies| {
        Wait::until(servers.all_in(replies))
    })
    .await?;
    let answers: Vec<DeleteReply> = replies.iter().filter_map(|reply| reply.json()).collect();
    for server in &servers.answering {
        match answers.iter().find(|answer| answer.server.id == server.id) {
            None => return Err(failed(&server.name, "it did not answer".into())),
            Some(DeleteReply { error: Some(error), .. }) => {
                return Err(failed(&server.name, error.description.clone()));
            }
            Some(DeleteReply { error: None, .. }) => {}
        }
    }
    let deadline = Instant::now() + options.timeout;
    loop {
        let files = files(client, &account.public_key, &servers, options).await?;
        if files.iter().all(String::is_empty) {
            return Ok(RemovalReport { tombstone, deleted: true });
        }
        if Instant::now() > deadline {
            return Err(failed(
                "a server",
                "its file is still there, another server may have brought it back".into(),
            ));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
