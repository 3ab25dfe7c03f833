//! How images travel: from the hub's registry to a leaf, from a leaf's to the hub, over NATS; and from
//! an ordinary registry on the internet, over HTTPS.
//!
//! ```text
//!   client ─GET─► leaf ──resolve, blob──► hub ──GET──► upstream
//!                  │  ◄──pieces of windows── │
//!                  └──announce──► hub ──resolve, blob──► leaf
//! ```
//!
//! - Whoever needs something fetches it, by its digest (`protocol.rs`). A leaf has images of the hub
//!   pulled through; a tag that is pushed at a leaf is announced, and the hub fetches it. A hub has
//!   images of upstreams pulled through, for leaves too. A leaf without a way to the hub, or for what
//!   does not travel down, asks the upstream itself.
//! - A blob arrives in an upload like a client's, so that it goes on at the chunk where it stopped, and
//!   is a blob only when its digest was verified (`landing.rs`). It is fetched once, whoever wants it
//!   (`fetches.rs`); a client is given what is stored and what arrives (`following.rs`).
//! - What is here is answered without asking anybody (`images.rs`).
//! - Absent on purpose: deletions. A tag that is deleted on one side stays on the other.

mod announce;
mod answer;
mod blobs;
mod config;
mod error;
mod fetch;
mod fetches;
mod flight;
mod following;
mod gather;
mod images;
mod keep;
mod landing;
mod manifest;
mod onward;
mod pace;
mod peer;
mod progress;
mod protocol;
mod sending;
mod share;
mod source;
mod status;
mod upstream;
mod wants;
mod whole;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_nats::Client;
use settings::NodeRole;
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use config::Config;
pub use error::TravelError;
pub use following::Following;
pub use peer::Side;
pub use source::Bytestream;
pub use status::{AnnouncementStatus, Counters, FetchStatus, GatheringStatus, HubStatus, Status, Travelled};
pub use upstream::UpstreamError;

use self::{peer::Peer, source::Source, upstream::Upstream};
use crate::{
    Digest, Reference, Repository, Tag,
    storage::{Storage, StorageError},
};

/// How images travel. A clone is the same.
#[derive(Clone)]
pub struct Travel(Arc<Core>);

/// What all parts of travel share.
pub(crate) struct Core {
    storage: Storage,
    client: Client,
    config: Config,
    /// The hub, where this leaf has a way to it.
    hub: Option<Arc<Peer>>,
    /// The leaves that were asked for something.
    leaves: Mutex<HashMap<String, Arc<Peer>>>,
    in_flight: Arc<Semaphore>,
    upstreams: Vec<Arc<Upstream>>,
    fetches: Arc<fetches::Fetches>,
    asking: images::Asking,
    announcing: announce::Announcing,
    gathering: gather::Gathering,
    counters: Counters,
    /// Every task of travel.
    tracker: TaskTracker,
    stop: CancellationToken,
    /// A manifest came whose blobs may be missing.
    keep: Notify,
    /// A tag was pushed that may be to travel.
    pushed: Notify,
}

impl Travel {
    /// Travel of a registry. `client` carries nothing else, so that large answers hold up nothing.
    pub fn new(storage: Storage, client: Client, config: Config) -> Result<Self, TravelError> {
        let in_flight = peer::in_flight();
        let is_leaf = config.role == NodeRole::Leaf && config.uplink;
        let hub = is_leaf.then(|| Arc::new(Peer::hub(client.clone(), &config.node, Arc::clone(&in_flight))));
        let upstreams = config.registry.upstreams.iter();
        let upstreams = upstreams.map(|upstream| Ok(Arc::new(Upstream::new(upstream, &config.credentials)?)));
        let upstreams = upstreams.collect::<Result<_, UpstreamError>>()?;
        Ok(Self(Arc::new(Core {
            storage,
            client,
            config,
            hub,
            leaves: Mutex::default(),
            in_flight,
            upstreams,
            fetches: Arc::default(),
            asking: images::Asking::default(),
            announcing: announce::Announcing::default(),
            gathering: gather::Gathering::default(),
            counters: Counters::default(),
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            keep: Notify::new(),
            pushed: Notify::new(),
        })))
    }

    /// Answers the other side of the link, brings what is missing, and announces, until `shutdown`;
    /// returns when every task of travel has ended.
    pub async fn serve(&self, shutdown: CancellationToken) {
        let core = &self.0;
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = async { tokio::join!(answer::serve(core), keep::run(core), announce::run(core)) } => {}
        }
        core.stop.cancel();
        core.tracker.close();
        core.tracker.wait().await;
    }

    /// Fetches a manifest that is not here, when the repository comes from elsewhere; `true` when it is
    /// here now, `false` when it is nowhere. Takes 3 s at most when the hub does not answer, and no time
    /// when no way leads to it.
    pub async fn fetch_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<bool, TravelError> {
        images::pull(&self.0, repository, reference).await
    }

    /// Looks, in the background, whether a tag that is here and came from elsewhere stands for something
    /// else there by now. At most once in 30 s for each tag.
    pub fn refresh(&self, repository: &Repository, tag: &Tag) {
        images::refresh(&self.0, repository, tag);
    }

    /// A blob that is not here, or on its way; `None` when it is nowhere.
    pub async fn blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Following>, TravelError> {
        blobs::follow(&self.0, repository, digest).await
    }

    /// Bytes of a blob that is not here, by what the other side says; `None` when it is nowhere.
    pub async fn size(&self, repository: &Repository, digest: &Digest) -> Result<Option<u64>, TravelError> {
        match self.0.source(repository) {
            Some(source) => source.stat(repository, digest).await,
            None => Ok(None),
        }
    }

    /// Whether images of a repository may come from elsewhere.
    pub fn comes_from_elsewhere(&self, repository: &Repository) -> bool {
        self.0.has_source(repository)
    }

    /// A tag was pushed: what is to travel up is announced at once rather than a moment later.
    pub fn pushed(&self) {
        self.0.pushed.notify_one();
    }

    /// What travels at the moment.
    pub fn status(&self) -> Status {
        status::status(&self.0)
    }

    /// Bytes that travelled.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Fetches under way, and announcements that wait: for metrics.
    pub fn backlog(&self) -> (usize, usize) {
        (self.0.fetches.all().len(), self.0.storage.index().counts().announcements)
    }
}

impl Core {
    /// Where images of a repository come from when they are not here.
    fn source(&self, repository: &Repository) -> Option<Source> {
        if let Some(hub) = self.hub.as_ref().filter(|_| self.config.goes_down(repository)) {
            return Some(Source::Peer(Arc::clone(hub)));
        }
        let (upstream, name) = self.config.registry.upstream_of(repository.as_str())?;
        let upstream = self.upstreams.iter().find(|known| known.prefix == upstream.prefix.as_str())?;
        Some(Source::Upstream(Arc::clone(upstream), name.to_owned()))
    }

    fn has_source(&self, repository: &Repository) -> bool {
        self.source(repository).is_some()
    }

    /// The registry of a leaf.
    fn leaf(&self, name: &str) -> Arc<Peer> {
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Peer::leaf(self.client.clone(), name, Arc::clone(&self.in_flight)));
        Arc::clone(leaves.entry(name.to_owned()).or_insert_with(new))
    }

    /// Whether a repository has a blob, as far as the index knows.
    fn has(&self, repository: &Repository, digest: &Digest) -> bool {
        let index = self.storage.index();
        index.link(repository, digest).is_some() && index.blob(digest).is_some_and(|blob| !blob.dying)
    }

    /// Bytes of a blob or manifest that a repository has.
    async fn size(&self, repository: &Repository, digest: &Digest) -> Result<Option<u64>, StorageError> {
        if let Some(manifest) = self.storage.index().manifest(repository, digest) {
            return Ok(Some(manifest.size));
        }
        self.storage.blob(repository, digest).await
    }
}
