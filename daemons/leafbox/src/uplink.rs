//! Watches the links between leaf and hub, wakes what sleeps when one comes back, and on a leaf
//! answers for its outboxes.
//!
//! Mirrors and sources that lost their origin back off for up to two minutes, long after the link
//! is there again; see `stores::nudge`.
//!
//! Every few minutes all stores are looked at, link or not, so that nothing that a nudge left
//! behind stays so. That look changes nothing else: another node's fleet.toml may be newer.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use runtime::{Monitoring, Pulse, reachable};
use serde::Deserialize;
use settings::NodeRole;
use stores::{Action, Clients};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{converge, outboxes::Outboxes, session::Session};

/// How often the links are looked at.
const POLL: Duration = Duration::from_secs(1);
/// For how long after a link came back sleepers are woken. A copy is known to sleep only some
/// seconds after its origin fell silent, and a hub's copies of several leaves wake one by one.
const WAKING: Duration = Duration::from_secs(25);
/// How often a hub with leaves asks them all the same: a leaf that makes an outbox while its link is up
/// tells nobody, and delivers where the hub does not listen yet.
const ASKING: Duration = Duration::from_secs(30);
/// When the stores are looked at for the first time: after the first apply.
const FIRST_LOOK: Duration = Duration::from_secs(30);
/// How often the stores are looked at.
const LOOK: Duration = Duration::from_secs(300);

/// `/leafz`, as far as it is needed: a link that is not the same connection is another link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Links {
    server_id: String,
    #[serde(default, rename = "leafs")]
    links: BTreeSet<Link>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Link {
    /// Of the connection; the server counts them and never gives one twice.
    id: u64,
    name: String,
    account: String,
}

impl Links {
    /// Whether one is there that was not, if only because it was made anew.
    fn gained(&self, before: &Self) -> bool {
        let restarted = self.server_id != before.server_id;
        self.links.iter().any(|link| restarted || !before.links.contains(link))
    }
}

/// Runs until it is told to stop; `pulse` beats each time that the loop goes round.
pub async fn watch(session: Arc<Session>, pulse: Pulse, stop: CancellationToken) -> Result<()> {
    stop.run_until_cancelled(work(&session, &pulse)).await.unwrap_or(Ok(()))
}

async fn work(session: &Session, pulse: &Pulse) -> Result<()> {
    let address = session.addresses.monitoring.context("node.toml turns the monitoring listener off")?;
    let mut waking = Waking { session, until: None, clients: None, asked: Instant::now() };
    let mut outboxes = Outboxes::default();
    let mut differing = 0;
    let mut before = Links::default();
    let mut polls = interval(POLL);
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut look = Instant::now() + FIRST_LOOK;
    loop {
        pulse.beat();
        tokio::select! {
            _ = polls.tick() => {
                // nats-server may be down for a moment: its supervisor says so.
                let Ok(links) = Monitoring::new(reachable(address)).json::<Links>("/leafz").await else { continue };
                outboxes.keep(session).await;
                waking.on(&before, &links).await;
                before = links;
            }
            () = sleep_until(look) => {
                look = Instant::now() + LOOK;
                outboxes.keep(&fresh(session)).await;
                differing = look_at_stores(session, differing).await;
            }
        }
    }
}

/// What is done about the links.
struct Waking<'a> {
    session: &'a Session,
    until: Option<Instant>,
    clients: Option<Clients>,
    asked: Instant,
}

impl Waking<'_> {
    async fn on(&mut self, before: &Links, links: &Links) {
        tell(before.links.len(), links.links.len());
        if links.gained(before) {
            self.until = Some(Instant::now() + WAKING);
        }
        if links.links.is_empty() {
            self.until = None;
        }
        let asks = self.session.settings.node.role == NodeRole::Hub && !links.links.is_empty();
        match self.until {
            None if asks && self.asked.elapsed() >= ASKING => {
                let (clients, _) = converge::connect_stores(self.session).await;
                nudge(&fresh(self.session), &clients).await;
                self.asked = Instant::now();
            }
            Some(until) if Instant::now() < until => {
                let clients = match self.clients.take() {
                    Some(clients) => clients,
                    None => converge::connect_stores(self.session).await.0,
                };
                nudge(&fresh(self.session), &clients).await;
                self.clients = Some(clients);
            }
            _ => (self.until, self.clients) = (None, None),
        }
    }
}

fn tell(before: usize, links: usize) {
    match (before, links) {
        _ if before == links => {}
        (0, _) => info!(links, "the link is up: {links} accounts"),
        (_, 0) => warn!("the link is down: everything local goes on, and it is tried again for ever"),
        _ => debug!(links, "{links} links, {before} before"),
    }
}

/// Wakes and mends, and says how many stores differ from what is declared, when it is another
/// number than `before`.
async fn look_at_stores(session: &Session, before: usize) -> usize {
    let session = &fresh(session);
    let settings = &session.settings;
    let (clients, _) = converge::connect_stores(session).await;
    nudge(session, &clients).await;
    let plan = stores::plan(&settings.fleet, &settings.node, &clients).await;
    for failure in &plan.failures {
        debug!(account.name = %failure.account, "could not look at the stores of {}: {}", failure.account, failure.error);
    }
    let differing = plan.items.iter().filter(|item| !matches!(item.action, Action::Unmanaged { .. })).count();
    if differing != before && differing > 0 {
        warn!(
            "{differing} stores are not as declared: `leafbox plan` shows them, `leafbox apply` mends them"
        );
    }
    differing
}

/// The session with the fleet as it is now, or as it was while the file has mistakes.
fn fresh(session: &Session) -> Session {
    session.refreshed().unwrap_or_else(|_| session.clone())
}

async fn nudge(session: &Session, clients: &Clients) {
    let (woken, errors) = stores::nudge(&session.settings.fleet, &session.settings.node, clients).await;
    for nudge in woken {
        info!(stream.name = nudge.stream, account.name = %nudge.account, "woke {} after the link came back", nudge.stream);
    }
    for error in errors {
        debug!("could not look for sleeping copies: {error}");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn links(server: &str, links: &[(u64, &str)]) -> Links {
        let link = |(id, name): &(u64, &str)| {
            format!("{{\"id\":{id},\"name\":\"{name}\",\"account\":\"A\",\"rtt\":\"1ms\"}}")
        };
        let links: Vec<String> = links.iter().map(link).collect();
        serde_json::from_str(&format!("{{\"server_id\":\"{server}\",\"leafs\":[{}]}}", links.join(",")))
            .unwrap()
    }

    /// Links were once only counted.
    #[test]
    fn one_leaf_that_goes_while_another_comes_is_noticed() {
        let before = links("S", &[(5, "a"), (6, "b")]);
        assert!(links("S", &[(5, "a"), (7, "c")]).gained(&before));
        assert!(links("S", &[(5, "a"), (8, "b")]).gained(&before), "a link made anew between two polls");
        assert!(links("T", &[(5, "a"), (6, "b")]).gained(&before), "after a restart of nats-server");
    }

    #[test]
    fn what_stays_or_goes_is_no_gain() {
        let before = links("S", &[(5, "a"), (6, "b")]);
        assert!(!before.gained(&before));
        assert!(!links("S", &[(6, "b")]).gained(&before));
        let none: Links = serde_json::from_str("{\"server_id\":\"S\",\"leafnodes\":0}").unwrap();
        assert!(!none.gained(&before) && before.gained(&none));
    }
}
