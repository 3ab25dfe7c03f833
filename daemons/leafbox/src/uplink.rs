//! Watches the links between leaf and hub, and wakes what sleeps when one comes back.
//!
//! Mirrors and sources that lost their origin back off for up to two minutes, long after the link
//! is there again; see `stores::nudge`.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use runtime::{Monitoring, reachable};
use serde::Deserialize;
use stores::Clients;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{converge, session::Session};

/// How often the links are counted.
const POLL: Duration = Duration::from_secs(1);
/// For how many polls after a link came back sleepers are woken. A copy is known to sleep only some
/// seconds after its origin fell silent, and a hub's copies of several leaves wake one by one.
const NUDGES: u32 = 20;

#[derive(Debug, Deserialize)]
struct Leafz {
    #[serde(default, rename = "leafnodes")]
    links: usize,
}

/// Runs until it is told to stop.
pub async fn watch(session: Arc<Session>, stop: CancellationToken) -> Result<()> {
    stop.run_until_cancelled(work(&session)).await.unwrap_or(Ok(()))
}

async fn work(session: &Session) -> Result<()> {
    let address = session.addresses.monitoring.context("node.toml turns the monitoring listener off")?;
    let monitoring = Monitoring::new(reachable(address));
    let mut before = 0;
    let mut left = 0;
    let mut clients: Option<Clients> = None;
    let mut woke = false;
    loop {
        tokio::time::sleep(POLL).await;
        // nats-server may be down for a moment: its supervisor says so.
        let links = monitoring.json::<Leafz>("/leafz").await.map_or(0, |leafz| leafz.links);
        if links != before {
            tell(before, links);
        }
        if links > before {
            left = NUDGES;
        }
        before = links;
        if left == 0 || links == 0 {
            clients = None;
            if std::mem::take(&mut woke) {
                settle(session).await;
            }
            continue;
        }
        left -= 1;
        let connected = match clients.take() {
            Some(connected) => connected,
            None => converge::connect_stores(session).await.0,
        };
        woke |= nudge(session, &connected).await;
        clients = Some(connected);
    }
}

fn tell(before: usize, links: usize) {
    match (before, links) {
        (0, _) => info!(links, "the link is up: {links} accounts"),
        (_, 0) => warn!("the link is down: everything local goes on, and it is tried again for ever"),
        _ => debug!(links, "{links} links, {before} before"),
    }
}

/// Another hub node may have woken copies of the same stream at the same moment, and the one have
/// written what the other had taken out: apply finds that and mends it.
async fn settle(session: &Session) {
    if let Err(error) = converge::converge(session).await {
        warn!("could not look at the stores after the link came back: {}", crate::explain(&error));
    }
}

/// Wakes what sleeps; whether anything did.
async fn nudge(session: &Session, clients: &Clients) -> bool {
    let (woken, errors) = stores::nudge(&session.settings.fleet, &session.settings.node, clients).await;
    for nudge in &woken {
        info!(stream.name = nudge.stream, account.name = %nudge.account, "woke {} after the link came back", nudge.stream);
    }
    for error in errors {
        debug!("could not look for sleeping copies: {error}");
    }
    !woken.is_empty()
}
