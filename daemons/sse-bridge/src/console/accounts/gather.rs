//! The accounts of this node's nats-server, as it has them.

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::claims::{Accountz, Detail};
use crate::console::{
    failure::Failure,
    journal::redact,
    servers::{AskError, Endpoint, Servers},
};

/// Accounts that are asked for at once.
const AT_ONCE: usize = 16;
/// Accounts that are asked for at all.
const MOST: usize = 500;

/// An account: what the pages read of it, and all that the server says, without JWTs.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) detail: Detail,
    pub(super) json: Value,
}

/// All accounts by name, and how many more there are.
pub(super) async fn all(servers: &Servers) -> Result<(Vec<Known>, usize), AskError> {
    let own = servers.own()?;
    let listed: Accountz = servers.read(&own, Endpoint::Accountz, &json!({})).await?;
    let keys = listed.accounts.unwrap_or_default();
    let beyond = keys.len().saturating_sub(MOST);
    let asking = keys.into_iter().take(MOST).map(|key| {
        let own = &own;
        async move { one_of(servers, own, &key).await }
    });
    let asked: Vec<_> = stream::iter(asking).buffered(AT_ONCE).collect().await;
    let mut known = Vec::new();
    for answer in asked {
        // One that went meanwhile is none.
        known.extend(answer?.filter(|account| account.detail.name() != GLOBAL));
    }
    known.sort_by(|one, other| one.detail.name().cmp(other.detail.name()));
    Ok((known, beyond))
}

/// Where clients without an account are, which no leafbox has.
const GLOBAL: &str = "$G";

/// The account that people call so.
pub(super) async fn one(servers: &Servers, name: &str) -> Result<Known, Failure> {
    let (known, _) = all(servers).await?;
    let names = || known.iter().map(|account| account.detail.name()).collect::<Vec<_>>().join(", ");
    match known.iter().find(|account| account.detail.name() == name) {
        Some(found) => Ok(found.clone()),
        None => Err(Failure::NoAccount { asked: name.to_owned(), known: names() }),
    }
}

async fn one_of(servers: &Servers, own: &str, key: &str) -> Result<Option<Known>, AskError> {
    let asked = servers.read::<Accountz>(own, Endpoint::Accountz, &json!({ "account": key })).await;
    let mut json = match asked {
        Ok(Accountz { account_detail: Some(json), .. }) => json,
        Ok(_) | Err(AskError::Refused { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    redact(&mut json);
    let detail = serde_json::from_value(json.clone()).map_err(|source| AskError::Reply {
        server: own.to_owned(),
        what: Endpoint::Accountz.token().to_owned(),
        source,
    })?;
    Ok(Some(Known { detail, json }))
}
