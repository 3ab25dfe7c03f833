//! Waking copies that sleep after a reconnect, or listen where nothing is delivered any more.
//!
//! A mirror or source that lost its origin tries again after 10 s, 20 s and so on up to two minutes.
//! The link itself is back in seconds; without a nudge the copy stays behind meanwhile.
//!
//! A source begins anew when it is taken out and put back: since 2.15 nats-server keeps the position
//! of every source beside the messages, so it goes on where it was. A mirror in a
//! cluster begins anew with any update of its stream, so it gets one that changes nothing but a mark
//! in the metadata. On a single server, as a leaf is, nothing hurries a mirror: nats-server starts
//! it itself when the link comes back, unless it asked while the link was down; then it first waits
//! for an answer for 30 s, and 10 s more. (To answer in the hub's place is no way out: the hub breaks
//! off a link across which someone subscribes to `$JS.hub.API`.)
//!
//! A source of an outbox also begins anew when the outbox delivers elsewhere than the source listens:
//! a new one always does, see `delivery.rs`. The heartbeats that the source lacks show it.
//!
//! Taking out and putting back are two writes, and any hub node may be at it, or end between them.
//! So what is put back is what is declared, never what was read; the first write already bears the
//! mark by which others leave the stream alone for a while; and whoever comes after that while puts
//! back what is missing before anything else. A stream that was applied from another declaration
//! than this node's is not touched: this node cannot know what belongs there.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use settings::{Fleet, Name, Node};
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::{
    api::{Api, ConsumerInfo, StreamInfo},
    delivery,
    desired::{OWNER, copies_others, desired},
    diff::{self, NUDGED},
    error::Error,
    plan::Clients,
    status::{Origin, domain, origins},
    wire::{Config, api_prefix},
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

/// How long the heartbeats of an outbox may stay away, one a second, before it is asked where it
/// delivers.
const UNHEARD: Duration = Duration::from_secs(3);

/// Distance between the hub's nodes, so that the first has claimed a stream when the next one looks.
const STAGGER: Duration = Duration::from_millis(150);

/// Wakes the mirrors and sources of this node that sleep although their origin can be reached, and
/// puts back sources that a nudge which was broken off has left out.
///
/// To be called when an uplink comes back, and by a hub, which learns of a leaf's return only by
/// asking, every few seconds. It may be called at any time and rate, by several nodes at once:
/// nothing is woken again before it had time to get going. An account that fails is skipped, with
/// its error.
pub async fn nudge(fleet: &Fleet, node: &Node, clients: &Clients) -> (Vec<Nudge>, Vec<Error>) {
    let (mut nudges, mut errors) = (Vec::new(), Vec::new());
    let turn = fleet.nodes.hub.iter().position(|name| *name == node.name).unwrap_or_default();
    let stagger = STAGGER * u32::try_from(turn).unwrap_or_default();
    for account in desired(fleet, node) {
        let copies: BTreeMap<&str, &Config> = account
            .stores
            .iter()
            .filter(|store| store.problem.is_none() && copies_others(&store.config))
            .map(|store| (store.stream.as_str(), &store.config))
            .collect();
        let Some(client) = clients.get(&account.name).filter(|_| !copies.is_empty()) else { continue };
        let nudger = Nudger { owner: &fleet.name, api: Api::local(&account.name, client), stagger };
        match nudger.account(&copies).await {
            Ok(woken) => nudges.extend(woken),
            Err(error) => errors.push(error),
        }
    }
    (nudges, errors)
}

/// What is to begin anew in one stream.
struct Sleepers {
    domains: Vec<String>,
    /// Those of them whose outboxes deliver elsewhere than the stream listens, and where.
    moved: BTreeMap<String, String>,
}

struct Nudger<'a> {
    owner: &'a Name,
    api: Api<'a>,
    stagger: Duration,
}

impl Nudger<'_> {
    async fn account(&self, copies: &BTreeMap<&str, &Config>) -> Result<Vec<Nudge>, Error> {
        let (streams, _) = self.api.streams().await?;
        let mut reachable: BTreeMap<String, bool> = BTreeMap::new();
        let mut nudges = Vec::new();
        for info in &streams {
            let Some(stream) = info.config.get("name").and_then(Value::as_str) else { continue };
            let Some(declared) = copies.get(stream) else { continue };
            if !self.is_free(info, declared) {
                continue;
            }
            let torn = is_torn(declared, &info.config);
            let sleepers = self.sleepers(info, &mut reachable).await;
            if !torn && sleepers.domains.is_empty() {
                continue;
            }
            sleep(self.stagger).await;
            // Asking around took its time: another node may have come first.
            let info = self.api.stream(stream).await?;
            if !self.is_free(&info, declared) {
                continue;
            }
            debug!(account.name = %self.api.account, stream.name = stream, torn, "waking copies from {:?}", sleepers.domains);
            self.wake(stream, declared, &info, &sleepers).await?;
            nudges.push(Nudge {
                account: self.api.account.clone(),
                stream: stream.to_owned(),
                domains: sleepers.domains,
            });
        }
        Ok(nudges)
    }

    /// Whether the stream is ours, as this node declares it, and nobody is at it.
    fn is_free(&self, info: &StreamInfo, declared: &Config) -> bool {
        diff::mark(&info.config, OWNER) == Some(self.owner.as_str())
            && diff::declaration_unchanged(declared, &info.config)
            && !was_woken_just_now(info)
    }

    /// What sleeps although its domain can be reached, or listens in the wrong place.
    async fn sleepers(&self, info: &StreamInfo, reachable: &mut BTreeMap<String, bool>) -> Sleepers {
        let moved = self.moved(info, reachable).await;
        let mut domains: Vec<String> = moved.keys().cloned().collect();
        for origin in origins(info).into_iter().filter(Origin::is_asleep) {
            let Some(domain) = origin.domain else { continue };
            if !domains.contains(&domain) && self.is_there(&domain, reachable).await {
                domains.push(domain);
            }
        }
        Sleepers { domains, moved }
    }

    /// The domains whose outboxes deliver elsewhere than this stream listens, and where.
    async fn moved(
        &self,
        info: &StreamInfo,
        reachable: &mut BTreeMap<String, bool>,
    ) -> BTreeMap<String, String> {
        let mut moved = BTreeMap::new();
        for Origin { domain, stream, silent_for, .. } in origins(info) {
            let Some(domain) = domain else { continue };
            let is_this = |source: &&Value| source["name"] == stream && domain_of(source) == Some(&domain);
            let Some(source) = sources(&info.config).iter().find(is_this) else { continue };
            let consumer = source.pointer("/consumer/name").and_then(Value::as_str);
            let (Some(listens), Some(consumer)) = (delivery::of_source(source), consumer) else { continue };
            // Without a token it was never told.
            let unheard =
                silent_for.is_none_or(|silent| silent > UNHEARD) || listens == delivery::stem(listens);
            if !unheard || !self.is_there(&domain, reachable).await {
                continue;
            }
            let api = Api::of_domain(self.api.account, self.api.client, &domain);
            let subject = format!("CONSUMER.INFO.{stream}.{consumer}");
            let asked = timeout(REACH, api.ask::<ConsumerInfo>(&subject, &Value::Null)).await;
            let Ok(Ok(found)) = asked else { continue };
            let delivers = found.config.get("deliver_subject").and_then(Value::as_str).unwrap_or_default();
            // The leaf's word is not taken for a subject that is not its own.
            if delivers != listens && delivery::stem(delivers) == delivery::stem(listens) {
                moved.insert(domain, delivers.to_owned());
            }
        }
        moved
    }

    async fn is_there(&self, domain: &str, reachable: &mut BTreeMap<String, bool>) -> bool {
        if let Some(there) = reachable.get(domain) {
            return *there;
        }
        let request = self.api.client.request(format!("{}.INFO", api_prefix(domain)), Vec::new().into());
        let there = matches!(timeout(REACH, request).await, Ok(Ok(_)));
        reachable.insert(domain.to_owned(), there);
        there
    }

    async fn wake(
        &self,
        stream: &str,
        declared: &Config,
        info: &StreamInfo,
        sleepers: &Sleepers,
    ) -> Result<(), Error> {
        let subject = format!("STREAM.UPDATE.{stream}");
        let whole = marked(listening(restored(stream, declared, &info.config), &sleepers.moved));
        let without = without(stream, &whole, &sleepers.domains);
        // What a torn stream lacks begins anew by being put back.
        if let Some(without) = without.filter(|_| !is_torn(declared, &info.config)) {
            self.api.ask_patiently::<Value>(&subject, &without.into()).await?;
        }
        self.api.ask_patiently::<Value>(&subject, &whole.into()).await?;
        Ok(())
    }
}

fn was_woken_just_now(info: &StreamInfo) -> bool {
    let last = diff::mark(&info.config, NUDGED).and_then(|millis| millis.parse::<u128>().ok());
    // The clock of another node may be somewhat ahead. A time far in the future was written before
    // the clock was set, and says nothing.
    last.is_some_and(|last| last.abs_diff(now_millis()) < PATIENCE.as_millis())
}

fn now_millis() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

fn sources(config: &Config) -> &[Value] {
    config.get("sources").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What a stream captures for a moment, since it must capture or gather something: nothing.
fn placeholder(stream: &str) -> Value {
    json!([format!("leafbox.unused.{stream}")])
}

/// Whether a source that is declared is missing.
fn is_torn(declared: &Config, held: &Config) -> bool {
    let key = |source: &Value| -> Vec<Value> {
        let at = |path| source.pointer(path).filter(|value| !diff::is_absent(Some(value))).cloned();
        ["/name", "/external/api", "/filter_subject"].map(|path| at(path).unwrap_or_default()).to_vec()
    };
    let held: Vec<_> = sources(held).iter().map(key).collect();
    sources(declared).iter().any(|source| !held.contains(&key(source)))
}

/// What is held, with the declared sources, and with what nats-server made of a stream that had none
/// for a moment: it gave it a duplicate window, which would take equal `Nats-Msg-Id`s of two leaves
/// for one message. Other fields stay: who changed them by hand gets them back by apply, and not in
/// passing.
fn restored(stream: &str, declared: &Config, held: &Config) -> Config {
    let mut config = held.clone();
    if sources(declared).is_empty() {
        return config;
    }
    config.insert("sources".into(), sources(declared).into());
    if let Some(window) = declared.get("duplicate_window") {
        config.insert("duplicate_window".into(), window.clone());
    }
    if config.get("subjects") == Some(&placeholder(stream)) {
        config.insert("subjects".into(), declared.get("subjects").cloned().unwrap_or_default());
    }
    delivery::keep(&mut config, held);
    config
}

/// The configuration with the sources of these domains listening there.
fn listening(mut config: Config, moved: &BTreeMap<String, String>) -> Config {
    for source in config.get_mut("sources").and_then(Value::as_array_mut).into_iter().flatten() {
        let subject = domain_of(source).and_then(|domain| moved.get(domain));
        if let Some(subject) = subject.filter(|subject| stem_of(source) == Some(delivery::stem(subject))) {
            delivery::set_of_source(source, subject);
        }
    }
    config
}

fn stem_of(source: &Value) -> Option<&str> {
    delivery::of_source(source).map(delivery::stem)
}

fn domain_of(source: &Value) -> Option<&str> {
    domain(source.pointer("/external/api")?.as_str()?)
}

fn marked(mut config: Config) -> Config {
    if let Some(metadata) = config.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert(NUDGED.into(), json!(now_millis().to_string()));
    }
    config
}

/// The configuration without the sources of these domains; `None` when that is all of it.
fn without(stream: &str, whole: &Config, asleep: &[String]) -> Option<Config> {
    let of_sleeper =
        |source: &&Value| domain_of(source).is_some_and(|domain| asleep.iter().any(|one| one == domain));
    let awake: Vec<&Value> = sources(whole).iter().filter(|source| !of_sleeper(source)).collect();
    if awake.len() == sources(whole).len() {
        return None;
    }
    let mut without = whole.clone();
    without.insert("sources".into(), json!(awake));
    if awake.is_empty() && diff::is_absent(whole.get("subjects")) {
        without.insert("subjects".into(), placeholder(stream));
    }
    Some(without)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn config(value: Value) -> Config {
        value.as_object().unwrap().clone()
    }

    fn gathers(leaves: &[&str]) -> Config {
        let sources: Vec<Value> = leaves.iter().map(|leaf| crate::wire::feed("SALES", leaf, None)).collect();
        config(
            json!({ "name": "SALES", "sources": sources, "duplicate_window": 0, "max_bytes": 5, "metadata": { OWNER: "f" } }),
        )
    }

    #[test]
    fn what_a_broken_nudge_left_out_is_put_back_from_the_declaration() {
        let declared = gathers(&["a", "b"]);
        let mut torn = without("SALES", &marked(declared.clone()), &["a".into(), "b".into()]).unwrap();
        // As nats-server has it for a stream without sources.
        torn.insert("duplicate_window".into(), json!(120));
        assert_eq!(torn["subjects"], json!(["leafbox.unused.SALES"]));
        assert!(is_torn(&declared, &torn) && !is_torn(&declared, &declared));
        let mended = restored("SALES", &declared, &torn);
        assert_eq!(crate::diff::differences(&declared, &mended), []);
        assert!(diff::is_absent(mended.get("subjects")), "{mended:?}");
    }

    #[test]
    fn a_source_is_led_to_where_its_own_outbox_delivers_and_the_others_stay() {
        let stem = |leaf: &str| delivery::stem_of(leaf, "SALES");
        let source = |leaf: &str, subject: &str| crate::wire::consumer_feed("SALES", leaf, "c", subject);
        let told = |leaf: &str| source(leaf, &format!("{}.1", stem(leaf)));
        let declared = config(json!({ "sources": [source("a", &stem("a")), source("b", &stem("b"))] }));
        let held = config(json!({ "sources": [told("a"), told("b")] }));
        let moved = BTreeMap::from([
            ("a".to_owned(), format!("{}.2", stem("a"))),
            ("b".to_owned(), format!("{}.2", stem("a"))),
        ]);
        let led = listening(restored("SALES", &declared, &held), &moved);
        let sources = json!([source("a", &format!("{}.2", stem("a"))), told("b")]);
        assert_eq!(led["sources"], sources);
    }

    #[test]
    fn only_sleepers_are_taken_out_and_nothing_else_is_changed() {
        let declared = gathers(&["a", "b"]);
        let mut held = declared.clone();
        held.insert("max_bytes".into(), json!(9));
        let whole = restored("SALES", &declared, &held);
        assert_eq!(whole["max_bytes"], 9);
        let left = without("SALES", &whole, &["a".into()]).unwrap();
        assert_eq!(left["sources"], json!([crate::wire::feed("SALES", "b", None)]));
        assert_eq!(left.get("subjects"), None);
        assert_eq!(without("SALES", &whole, &["c".into()]), None);
    }
}
