//! Waking copies that sleep after a reconnect.
//!
//! A mirror or source that lost its origin tries again after 10 s, 20 s and so on up to two minutes.
//! The link itself is back in seconds; without a nudge the copy stays behind meanwhile.
//!
//! A source begins anew when it is taken out and put back: since 2.15 nats-server keeps the position
//! of every source beside the messages, so it goes on where it was. A mirror begins anew with any
//! update of its stream, so it gets one that changes nothing but a mark in the metadata; only when
//! its last request was lost does it first wait the rest of 30 s, whatever is done.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use settings::{Fleet, Name, Node};
use tokio::time::timeout;
use tracing::debug;

use crate::{
    api::{Api, StreamInfo},
    desired::{OWNER, desired},
    diff::{self, NUDGED},
    error::Error,
    plan::Clients,
    status::{domain, origins},
};

/// How long another domain may take to say that it is there.
const REACH: Duration = Duration::from_secs(2);

/// How long a woken copy has to get going before it is woken again: waking starts it anew.
const PATIENCE: Duration = Duration::from_secs(5);

/// A copy that was woken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nudge {
    /// The account.
    pub account: Name,
    /// The stream of this node.
    pub stream: String,
    /// The domains it was woken for.
    pub domains: Vec<String>,
}

/// Wakes the mirrors and sources of this node that sleep although their origin can be reached.
///
/// To be called when an uplink comes back, and by a hub, which learns of a leaf's return only by
/// asking, every few seconds. It may be called at any time and rate: nothing is woken again before
/// it had time to get going. An account that fails is skipped, with its error.
pub async fn nudge(fleet: &Fleet, node: &Node, clients: &Clients) -> (Vec<Nudge>, Vec<Error>) {
    let (mut nudges, mut errors) = (Vec::new(), Vec::new());
    for account in desired(fleet, node) {
        let copies = account.stores.iter().any(|store| {
            !diff::is_absent(store.config.get("mirror")) || !diff::is_absent(store.config.get("sources"))
        });
        let Some(client) = clients.get(&account.name).filter(|_| copies) else { continue };
        match nudge_account(fleet, &Api::local(&account.name, client)).await {
            Ok(woken) => nudges.extend(woken),
            Err(error) => errors.push(error),
        }
    }
    (nudges, errors)
}

async fn nudge_account(fleet: &Fleet, api: &Api<'_>) -> Result<Vec<Nudge>, Error> {
    let (streams, _) = api.streams().await?;
    let mut reachable: BTreeMap<String, bool> = BTreeMap::new();
    let mut nudges = Vec::new();
    for info in streams.iter().filter(|info| diff::mark(&info.config, OWNER) == Some(fleet.name.as_str())) {
        let Some(stream) = info.config.get("name").and_then(Value::as_str) else { continue };
        if was_woken_just_now(info) {
            continue;
        }
        let mut asleep: Vec<String> = Vec::new();
        for origin in origins(info).into_iter().filter(|origin| origin.is_asleep()) {
            let Some(domain) = origin.domain else { continue };
            let known = reachable.get(&domain).copied();
            let there = match known {
                Some(there) => there,
                None => is_there(api, &domain).await,
            };
            reachable.insert(domain.clone(), there);
            if there && !asleep.contains(&domain) {
                asleep.push(domain);
            }
        }
        if asleep.is_empty() {
            continue;
        }
        debug!(account.name = %api.account, stream.name = stream, "waking copies from {asleep:?}");
        wake(api, stream, info, &asleep).await?;
        nudges.push(Nudge { account: api.account.clone(), stream: stream.to_owned(), domains: asleep });
    }
    Ok(nudges)
}

fn was_woken_just_now(info: &StreamInfo) -> bool {
    let last = diff::mark(&info.config, NUDGED).and_then(|millis| millis.parse::<u128>().ok());
    // A time in the future was written before the clock was set: it says nothing.
    last.and_then(|last| now_millis().checked_sub(last)).is_some_and(|since| since < PATIENCE.as_millis())
}

fn now_millis() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

async fn is_there(api: &Api<'_>, domain: &str) -> bool {
    let request = api.client.request(format!("$JS.{domain}.API.INFO"), Vec::new().into());
    matches!(timeout(REACH, request).await, Ok(Ok(_)))
}

async fn wake(api: &Api<'_>, stream: &str, info: &StreamInfo, asleep: &[String]) -> Result<(), Error> {
    let subject = format!("STREAM.UPDATE.{stream}");
    let mut config = info.config.clone();
    let sources = config.get("sources").and_then(Value::as_array).cloned().unwrap_or_default();
    if !sources.is_empty() {
        let of_sleeper = |source: &Value| {
            let api = source.pointer("/external/api").and_then(Value::as_str);
            api.and_then(domain).is_some_and(|domain| asleep.contains(&domain))
        };
        let awake: Vec<&Value> = sources.iter().filter(|source| !of_sleeper(source)).collect();
        let mut without = config.clone();
        without.insert("sources".into(), json!(awake));
        // A stream must capture or gather something at every moment.
        if awake.is_empty() && diff::is_absent(config.get("subjects")) {
            without.insert("subjects".into(), json!([format!("leafbox.unused.{stream}")]));
        }
        api.ask_patiently::<Value>(&subject, &without.into()).await?;
    }
    if let Some(metadata) = config.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert(NUDGED.into(), json!(now_millis().to_string()));
    }
    api.ask_patiently::<Value>(&subject, &config.into()).await?;
    Ok(())
}
