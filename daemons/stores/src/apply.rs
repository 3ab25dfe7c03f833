//! Carrying out a plan. Nothing is deleted here.

use std::{fmt, net::SocketAddr};

use futures::{StreamExt, stream};
use runtime::{Monitoring, MonitoringError};
use serde_json::Value;
use settings::Name;
use tracing::{info, warn};

use crate::{
    api::Api,
    error::Error,
    plan::{Clients, Item, Plan},
};

/// Accounts applied at once.
const AT_ONCE: usize = 8;

/// Proof that nats-server called itself healthy a moment ago.
///
/// With a wrong or missing encryption key the data is safe, and hidden: creating a stream of the
/// same name would then erase it. `/healthz` without parameters tells.
#[derive(Debug)]
pub struct Healthy(());

impl Healthy {
    /// Asks `/healthz` of the monitoring address.
    pub async fn ask(monitoring: SocketAddr) -> Result<Self, Error> {
        match Monitoring::new(monitoring).healthz().await {
            Ok(()) => Ok(Self(())),
            Err(MonitoringError::Refused { address, body, .. }) => {
                Err(Error::Unhealthy { address: address.to_string(), detail: body })
            }
            Err(source) => Err(Error::HealthUnreachable { address: monitoring.to_string(), source }),
        }
    }
}

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Applied {
    /// What was made or changed.
    pub done: Vec<Item>,
    /// What failed, and why.
    pub failed: Vec<(Item, Error)>,
}

/// Makes and changes what the plan says, in its order within an account. One failure does not stop
/// the rest. What was planned as refused, leftover or unmanaged is not touched.
pub async fn apply(plan: &Plan, clients: &Clients, _healthy: Healthy) -> Applied {
    let mut accounts: Vec<(&Name, Vec<&Item>)> = Vec::new();
    for item in plan.items.iter().filter(|item| item.request.is_some()) {
        match accounts.iter_mut().find(|(account, _)| *account == &item.account) {
            Some((_, items)) => items.push(item),
            None => accounts.push((&item.account, vec![item])),
        }
    }
    // Collected first: a closure that borrows, kept across an await, is not provably Send.
    let applying: Vec<_> =
        accounts.into_iter().map(|(account, items)| apply_account(account, items, clients)).collect();
    let applied = stream::iter(applying).buffered(AT_ONCE).collect::<Vec<_>>().await;
    let mut all = Applied::default();
    for account in applied {
        all.done.extend(account.done);
        all.failed.extend(account.failed);
    }
    all
}

async fn apply_account(account: &Name, items: Vec<&Item>, clients: &Clients) -> Applied {
    let mut applied = Applied::default();
    for item in items {
        match apply_item(account, item, clients).await {
            Ok(()) => {
                info!(account.name = %account, stream.name = item.stream, "applied {item}");
                applied.done.push(item.clone());
            }
            Err(error) => {
                warn!(account.name = %account, stream.name = item.stream, %error, "could not apply {} {}", item.kind, item.name);
                applied.failed.push((item.clone(), error));
            }
        }
    }
    applied
}

async fn apply_item(account: &Name, item: &Item, clients: &Clients) -> Result<(), Error> {
    let Some(request) = &item.request else { return Ok(()) };
    let client = clients.get(account).ok_or_else(|| Error::NoConnection(account.clone()))?;
    // Creating what exists with this very configuration succeeds, so a repeated request is safe.
    Api::local(account, client).ask_patiently::<Value>(&request.subject, &request.body).await?;
    Ok(())
}

impl fmt::Display for Applied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (item, error) in &self.failed {
            writeln!(formatter, "! {} {} {}: {error}", item.account, item.kind, item.name)?;
        }
        write!(formatter, "stores: {} applied, {} failed", self.done.len(), self.failed.len())
    }
}
