//! Travelling stores: which side holds what, and how it reaches the other.
//!
//! - `up`, stream: the leaf holds a work queue that takes everything and drops nothing; the hub
//!   empties it through a durable consumer made on the leaf (ADR-60), so that a message leaves the
//!   leaf only when the hub has stored it, and a source that was cut off is woken by the leaf's
//!   first heartbeat. See [`crate::delivery`] for an outbox that is made anew.
//! - `up`, bucket: the leaf holds an ordinary bucket, the hub's bucket gathers from all of them.
//! - `down`, stream and object bucket: the hub holds the store, each leaf a stream that gathers from
//!   it. Not a mirror: a mirror whose request was lost in a cut waits 30 s and nothing hurries it, and
//!   it stays behind for good when the hub's stream was made anew; a source does neither. What it
//!   costs is that sequence numbers differ.
//! - `down`, key-value bucket: each leaf holds a mirror. Clients know by it that they write to the
//!   hub, and compare-and-set needs the hub's sequence numbers.
//! - `both`: each node captures its own subject token; the hub gathers each leaf's token, a leaf
//!   gathers every token but its own from the hub. Nothing can come back to where it was written.
//!
//! Only the work queue has a consumer of its own. A durable consumer remembers how far a copy got,
//! so a leaf or hub that lost its disk would never be sent the past again; plain mirrors and
//! sources ask from where they stand, and [`crate::nudge`] wakes them.

use settings::{
    Fleet, HUB_DOMAIN, Name, Node, NodeRole, Span, Subject,
    store::{Discard, On, Retention, Stream, Travel},
    travel as topology,
};

use serde_json::Value;

use crate::{delivery, wire};

/// The node for which a layout is made.
pub(crate) struct Site<'a> {
    pub fleet: &'a Fleet,
    pub node: &'a Node,
    /// Its JetStream domain, and its token as a writer.
    pub domain: &'a str,
}

/// A store as it stands on one node.
pub(crate) struct Layout {
    pub stream: Stream,
    pub marker_ttl: Option<Span>,
    /// The mirrored stream of another domain.
    pub mirror: Option<Value>,
    /// Sources in other domains.
    pub feeds: Vec<Value>,
    /// The consumer by which the hub empties this stream.
    pub emptied_by: Option<Emptying>,
    pub problem: Option<String>,
}

impl Layout {
    fn of(stream: Stream) -> Self {
        Self { stream, marker_ttl: None, mirror: None, feeds: Vec::new(), emptied_by: None, problem: None }
    }
}

/// The consumer by which the hub empties an outbox.
pub(crate) struct Emptying {
    pub consumer: String,
    pub deliver_subject: String,
}

/// A bucket before it travels.
pub(crate) struct Bucket {
    pub stream: String,
    pub spaces: Vec<String>,
    pub travel: Option<Travel>,
    pub on: On,
    pub marker_ttl: Option<Span>,
    pub is_kv: bool,
    pub base: Stream,
}

/// The consumer by which the hub empties an outbox.
pub(crate) const EMPTIED_BY: &str = "leafbox-hub";

/// The consumer on a leaf's outbox and the stem of the subject on which it delivers to the hub.
fn emptying(stream: &str, leaf: &str) -> Emptying {
    Emptying { consumer: EMPTIED_BY.to_owned(), deliver_subject: delivery::stem_of(leaf, stream) }
}

/// How a declared stream stands on this node; `None` when it does not exist here.
pub(crate) fn stream_layout(site: &Site, name: &Name, declared: &Stream) -> Option<Layout> {
    let subjects = topology::stream_subjects(name, declared, site.node.role, site.domain);
    let base = Stream { subjects, ..declared.clone() };
    let Some(travel) = declared.travel else {
        return topology::exists_on(declared.on, site.node.role).then(|| plain(site, base));
    };
    let mut layout = match (travel, site.node.role) {
        (Travel::Up, NodeRole::Leaf) => outbox(site, name, base),
        (Travel::Up, NodeRole::Hub) => gathered_outboxes(site, name, base),
        (Travel::Down, NodeRole::Hub) => plain(site, base),
        (Travel::Down, NodeRole::Leaf) => gathered_from_hub(site, base, name),
        (Travel::Both, NodeRole::Hub) => {
            let feeds = site.fleet.nodes.leaves.iter().flat_map(|leaf| {
                let filters = declared.subjects.iter().map(|subject| topology::for_writer(subject, leaf));
                filters.map(|filter| wire::feed(name, leaf, Some(&filter))).collect::<Vec<_>>()
            });
            Layout { feeds: feeds.collect(), ..plain(site, base) }
        }
        (Travel::Both, NodeRole::Leaf) => {
            let feeds = others(site).flat_map(|writer| {
                let filters =
                    declared.subjects.iter().map(move |subject| topology::for_writer(subject, writer));
                filters.map(|filter| wire::feed(name, HUB_DOMAIN, Some(&filter))).collect::<Vec<_>>()
            });
            Layout { feeds: feeds.collect(), ..plain(site, base) }
        }
    };
    layout.problem = problem(declared, travel);
    Some(layout)
}

/// How a bucket stands on this node; `None` when it does not exist here.
pub(crate) fn bucket_layout(site: &Site, bucket: &Bucket) -> Option<Layout> {
    let subjects =
        topology::bucket_subjects(&bucket.spaces, bucket.travel, bucket.on, site.node.role, site.domain);
    let base = Stream { subjects, ..bucket.base.clone() };
    let name = &bucket.stream;
    let own_keys = |writer: &str| bucket.spaces.iter().map(|space| format!("{space}.{writer}.>")).collect();
    let layout = match (bucket.travel, site.node.role) {
        (None, role) => topology::exists_on(bucket.on, role).then(|| plain(site, base))?,
        (Some(Travel::Up), NodeRole::Leaf) | (Some(Travel::Down), NodeRole::Hub) => plain(site, base),
        (Some(Travel::Up), NodeRole::Hub) => {
            let feeds = site.fleet.nodes.leaves.iter().map(|leaf| wire::feed(name, leaf, None));
            Layout { feeds: feeds.collect(), ..plain(site, base) }
        }
        // Markers of expired keys come with the mirrored messages; a mirror may make none.
        (Some(Travel::Down), NodeRole::Leaf) if bucket.is_kv => return Some(mirror(base, name)),
        (Some(Travel::Down), NodeRole::Leaf) => gathered_from_hub(site, base, name),
        (Some(Travel::Both), NodeRole::Hub) => {
            let feeds = site.fleet.nodes.leaves.iter().flat_map(|leaf| {
                let filters: Vec<String> = own_keys(leaf);
                filters.into_iter().map(|filter| wire::feed(name, leaf, Some(&filter))).collect::<Vec<_>>()
            });
            Layout { feeds: feeds.collect(), ..plain(site, base) }
        }
        (Some(Travel::Both), NodeRole::Leaf) => {
            let feeds = others(site).flat_map(|writer| {
                let filters: Vec<String> = own_keys(writer);
                filters
                    .into_iter()
                    .map(|filter| wire::feed(name, HUB_DOMAIN, Some(&filter)))
                    .collect::<Vec<_>>()
            });
            Layout { feeds: feeds.collect(), ..plain(site, base) }
        }
    };
    let refused = bucket.travel == Some(Travel::Both) && !bucket.is_kv;
    let problem = refused.then(|| {
        "an object bucket cannot travel both ways, its names hold no writer: declare one bucket with `travel = \"up\"` and one with `travel = \"down\"`".to_owned()
    });
    Some(Layout { marker_ttl: bucket.marker_ttl, problem, ..layout })
}

/// Every writer but this node.
fn others<'a>(site: &'a Site) -> impl Iterator<Item = &'a str> {
    topology::writers(site.fleet).filter(move |writer| *writer != site.domain)
}

fn plain(site: &Site, mut stream: Stream) -> Layout {
    if site.node.role == NodeRole::Leaf {
        stream.placement = None;
    }
    Layout::of(stream)
}

fn outbox(site: &Site, name: &Name, declared: Stream) -> Layout {
    let stream = Stream {
        retention: Retention::Workqueue,
        discard: Discard::New,
        discard_new_per_subject: false,
        max_messages: declared.outbox.max_messages,
        max_messages_per_subject: None,
        max_bytes: declared.outbox.max_bytes.or(declared.max_bytes),
        max_age: None,
        max_consumers: None,
        // The hub's consumer takes messages out: these hold for the hub's copy.
        deny_delete: false,
        deny_purge: false,
        // A work queue has no room for a second consumer: the declared ones are the hub's.
        consumers: Default::default(),
        ..declared
    };
    Layout { emptied_by: Some(emptying(name, site.domain)), ..plain(site, stream) }
}

/// The hub's side of outboxes. Messages were transformed when the leaf stored them.
///
/// It has no duplicate window unless one is declared: the window would take equal `Nats-Msg-Id`s
/// of two leaves for one message and drop the second. The outbox has it, where the publisher is.
fn gathered_outboxes(site: &Site, name: &Name, declared: Stream) -> Layout {
    let feeds = site.fleet.nodes.leaves.iter().map(|leaf| {
        let by = emptying(name, leaf);
        wire::consumer_feed(name, leaf, &by.consumer, &by.deliver_subject)
    });
    let feeds: Vec<Value> = feeds.collect();
    // Without a leaf there is nothing to gather from, and a stream must capture something.
    let subjects = if feeds.is_empty() { vec![format!("leafbox.unused.{name}")] } else { Vec::new() };
    let stream = Stream { subjects, subject_transform: None, duplicate_window: None, ..declared };
    Layout { feeds, ..plain(site, stream) }
}

/// A leaf's side of what travels down.
fn gathered_from_hub(site: &Site, declared: Stream, stream: &str) -> Layout {
    let copy = Stream { subjects: Vec::new(), subject_transform: None, duplicate_window: None, ..declared };
    Layout { feeds: vec![wire::feed(stream, HUB_DOMAIN, None)], ..plain(site, copy) }
}

fn mirror(declared: Stream, stream: &str) -> Layout {
    let stream_here = Stream {
        subjects: Vec::new(),
        subject_transform: None,
        duplicate_window: None,
        placement: None,
        ..declared
    };
    Layout { mirror: Some(wire::feed(stream, HUB_DOMAIN, None)), ..Layout::of(stream_here) }
}

fn problem(declared: &Stream, travel: Travel) -> Option<String> {
    if declared.mirror.is_some() || !declared.sources.is_empty() {
        return Some("a travelling stream gets its mirror and sources from `travel`: leave out `travel`, or `mirror` and `sources`".into());
    }
    match travel {
        Travel::Up => None,
        Travel::Down if declared.retention != Retention::Limits => Some(
            "a stream that travels down is copied to every leaf, and a copy would take the messages of a work queue or interest stream: declare `retention = \"limits\"`"
                .into(),
        ),
        Travel::Both if declared.retention != Retention::Limits => Some(
            "a stream that travels both ways is gathered by every node: declare `retention = \"limits\"`".into(),
        ),
        Travel::Both if declared.subject_transform.is_some() => {
            Some("a stream that travels both ways cannot transform subjects, which name the writer: leave out `subject_transform`".into())
        }
        Travel::Both if !declared.subjects.iter().all(|subject| names_writer(subject)) => Some(format!(
            "each subject of a stream that travels both ways names the writing node: write the token `{0}`, such as \"records.{0}.>\"",
            topology::WRITER_TOKEN
        )),
        Travel::Both if declared.subjects.is_empty() => Some("a stream that travels both ways declares its subjects".into()),
        Travel::Down | Travel::Both => None,
    }
}

fn names_writer(subject: &str) -> bool {
    subject.split('.').any(|token| token == topology::WRITER_TOKEN)
        && topology::for_writer(subject, "x").parse::<Subject>().is_ok()
}
