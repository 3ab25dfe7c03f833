//! What travels at the moment, for people and for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::{Core, keep, peer::Side};
use crate::{Digest, Repository, Tag, records::Seconds};

/// Bytes of blobs that travelled since the daemon started.
#[derive(Debug, Default)]
pub struct Counters {
    from_hub: AtomicU64,
    from_leaves: AtomicU64,
    from_upstreams: AtomicU64,
    sent: AtomicU64,
}

/// [`Counters`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Travelled {
    /// Stored here, from the hub.
    pub from_hub: u64,
    /// Stored here, from leaves.
    pub from_leaves: u64,
    /// Stored here, from upstream registries.
    pub from_upstreams: u64,
    /// Sent to the other side of the link.
    pub sent: u64,
}

impl Counters {
    pub(crate) fn arrived(&self, side: &Side, bytes: u64) {
        let counter = match side {
            Side::Hub => &self.from_hub,
            Side::Leaf(_) => &self.from_leaves,
            Side::Upstream(_) => &self.from_upstreams,
        };
        counter.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What they count now.
    pub fn now(&self) -> Travelled {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Travelled {
            from_hub: read(&self.from_hub),
            from_leaves: read(&self.from_leaves),
            from_upstreams: read(&self.from_upstreams),
            sent: read(&self.sent),
        }
    }
}

/// What travels at the moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The hub, as this leaf sees it; absent at the hub and without an uplink.
    pub hub: Option<HubStatus>,
    /// Blobs on their way here.
    pub fetches: Vec<FetchStatus>,
    /// Blobs that manifests from elsewhere need and that are not here.
    pub missing: usize,
    /// Tags that are to be at the hub too.
    pub announcements: Vec<AnnouncementStatus>,
    /// Tags of leaves that this hub daemon fetches.
    pub gathering: Vec<GatheringStatus>,
    /// Tags that came from elsewhere and whose new image is on its way.
    pub renewing: Vec<(Repository, Tag)>,
    /// Blobs that do not come, and why.
    pub refused: Vec<(Digest, String)>,
    /// Bytes since the daemon started.
    pub travelled: Travelled,
}

/// The hub, as a leaf sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HubStatus {
    /// When it last answered.
    pub answered: Option<Seconds>,
    /// What went wrong since.
    pub error: Option<String>,
}

/// A blob on its way here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FetchStatus {
    /// Which one.
    pub digest: Digest,
    /// The repositories that are to have it.
    pub repositories: Vec<Repository>,
    /// Who has it.
    pub from: String,
    /// Bytes that are stored here.
    pub done: u64,
    /// Bytes in all, once they are known.
    pub total: Option<u64>,
    /// Since when this daemon fetches it.
    pub since: Seconds,
    /// Whether a client waits for it.
    pub urgent: bool,
    /// Whether bytes come at the moment.
    pub flows: bool,
    /// Why they do not.
    pub error: Option<String>,
}

/// A tag that is to be at the hub too.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnnouncementStatus {
    /// Its repository.
    pub repository: Repository,
    /// The tag.
    pub tag: Tag,
    /// The manifest.
    pub digest: Digest,
    /// Since when it waits.
    pub since: Seconds,
    /// Bytes that the hub has of those that were missing there.
    pub done: u64,
    /// Bytes that were missing there, as far as the hub knows.
    pub total: u64,
    /// Why it waits.
    pub error: Option<String>,
}

/// A tag of a leaf that the hub fetches.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GatheringStatus {
    /// Where it was pushed.
    pub leaf: String,
    /// Its repository.
    pub repository: Repository,
    /// The tag.
    pub tag: Tag,
}

/// What travels now.
pub(super) fn status(core: &Core) -> Status {
    let hub = core.hub.as_ref().map(|hub| {
        let (answered, error) = hub.contact.last();
        HubStatus { answered, error }
    });
    let mut fetches: Vec<FetchStatus> = core
        .fetches
        .all()
        .into_iter()
        .map(|fetch| {
            let progress = fetch.progress.borrow().clone();
            FetchStatus {
                digest: fetch.digest.clone(),
                repositories: fetch.repositories(),
                from: fetch.wants().side().map(|side| side.to_string()).unwrap_or_default(),
                done: progress.offset,
                total: progress.size,
                since: fetch.since,
                urgent: fetch.is_urgent(),
                flows: progress.flows,
                error: progress.error.map(|error| error.to_string()),
            }
        })
        .collect();
    fetches.sort_by(|left, right| (left.since, &left.digest).cmp(&(right.since, &right.digest)));
    let announcements = core.storage.index().announcements().into_iter().map(|(repository, tag, record)| {
        let (gathered, error) = core.announcing.said(&repository, &tag);
        let (digest, since) = (record.digest.clone(), record.since);
        let (done, total) = (gathered.done, gathered.total);
        AnnouncementStatus { repository, tag, digest, since, done, total, error }
    });
    let gathering = core.gathering.all().into_iter();
    let refused = core.fetches.refused().into_iter();
    Status {
        hub,
        fetches,
        missing: keep::missing(core).len(),
        announcements: announcements.collect(),
        gathering: gathering
            .map(|(leaf, repository, tag)| GatheringStatus { leaf, repository, tag })
            .collect(),
        renewing: core.asking.under_way(),
        refused: refused.map(|(digest, error)| (digest, error.to_string())).collect(),
        travelled: core.counters.now(),
    }
}
