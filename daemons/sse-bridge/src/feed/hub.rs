//! Which feeds there are: each is begun by its first client and ended some time after its last.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

use async_nats::Client;
use tokio::{sync::Semaphore, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    config::FeedConfig,
    limits::Limits,
    metrics::{Metrics, Now},
    policy::{LEAFBOX, Policy, SYS},
    pump::Pump,
    shared::{Feed, Key},
    subject::Pattern,
};

/// Connections by account.
#[derive(Clone, Debug)]
pub struct Accounts(BTreeMap<Arc<str>, Client>);

impl Accounts {
    /// The bridge's own account, and the system account if there is a connection to it.
    pub fn new(leafbox: Client, sys: Option<Client>) -> Self {
        let sys = sys.map(|sys| (SYS.into(), sys));
        Self(std::iter::once((LEAFBOX.into(), leafbox)).chain(sys).collect())
    }

    /// With other accounts, by their names.
    #[must_use]
    pub fn and(mut self, others: BTreeMap<String, Client>) -> Self {
        for (name, client) in others {
            self.0.entry(name.into()).or_insert(client);
        }
        self
    }

    /// The connection to an account, with its name.
    pub fn get(&self, account: &str) -> Option<(&Arc<str>, &Client)> {
        self.0.get_key_value(account)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }
}

/// Which subjects streams were seen to have, for while nats-server is away.
#[derive(Debug, Default)]
pub(super) struct Streams(Mutex<HashMap<(String, String), Vec<Pattern>>>);

impl Streams {
    /// Streams that are remembered at most.
    const MOST: usize = 1000;

    pub(super) fn learn(&self, account: &str, stream: &str, subjects: &[Pattern]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (account.to_owned(), stream.to_owned());
        if known.len() < Self::MOST || known.contains_key(&key) {
            known.insert(key, subjects.to_vec());
        }
    }

    pub(super) fn known(&self, account: &str, stream: &str) -> Option<Vec<Pattern>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(account.to_owned(), stream.to_owned())).cloned()
    }
}

/// All feeds of a bridge. A clone is the same.
#[derive(Clone, Debug)]
pub struct Feeds(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) config: Arc<FeedConfig>,
    pub(super) accounts: Accounts,
    pub(super) policy: Policy,
    pub(super) metrics: Metrics,
    pub(super) limits: Limits,
    pub(super) replays: Arc<Semaphore>,
    pub(super) compressed: Arc<Semaphore>,
    pub(super) shutdown: CancellationToken,
    pub(super) streams: Streams,
    feeds: Mutex<HashMap<Key, Arc<Feed>>>,
    tasks: TaskTracker,
}

/// A client's share of a feed, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) feed: Arc<Feed>,
    feeds: Feeds,
}

impl Feeds {
    /// Feeds over these connections, until `shutdown`: clients are then told that the bridge stops.
    pub fn new(config: FeedConfig, accounts: Accounts, policy: Policy, shutdown: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            limits: Limits::new(config.clients, config.clients_per_user),
            replays: Arc::new(Semaphore::new(config.replays)),
            compressed: Arc::new(Semaphore::new(config.compressed)),
            config: Arc::new(config),
            accounts,
            policy,
            metrics: Metrics::default(),
            shutdown,
            streams: Streams::default(),
            feeds: Mutex::default(),
            tasks: TaskTracker::new(),
        }))
    }

    /// Waits until every subscription has ended. Only after `shutdown`.
    pub async fn stopped(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// What is counted, as Prometheus reads it.
    pub fn metrics(&self) -> String {
        let (feeds, lag) = {
            let feeds = self.lock();
            (
                feeds.len(),
                feeds.values().map(|feed| feed.lag.load(Ordering::Relaxed)).max().unwrap_or_default(),
            )
        };
        self.0.metrics.text(Now { clients: self.0.limits.count(), feeds, lag })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Feed>>> {
        self.0.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A share of a feed, which is begun if nobody watches it yet.
    pub(super) fn join(&self, key: &Key, client: &Client) -> Share {
        let mut feeds = self.lock();
        let feed = feeds.entry(key.clone()).or_insert_with(|| {
            let feed = Arc::new(Feed::new(key.clone(), &self.0.config));
            let pump = Pump {
                feed: Arc::clone(&feed),
                client: client.clone(),
                config: Arc::clone(&self.0.config),
                metrics: self.0.metrics.clone(),
            };
            self.0.tasks.spawn(self.clone().tend(Arc::clone(&feed), pump));
            feed
        });
        feed.clients.fetch_add(1, Ordering::Relaxed);
        Share { feed: Arc::clone(feed), feeds: self.clone() }
    }

    async fn tend(self, feed: Arc<Feed>, pump: Pump) {
        tokio::select! {
            () = self.0.shutdown.cancelled() => {}
            () = self.unwatched(&feed) => {}
            () = pump.run() => {}
        }
        let mut feeds = self.lock();
        if feeds.get(&feed.key).is_some_and(|there| Arc::ptr_eq(there, &feed)) {
            feeds.remove(&feed.key);
        }
    }

    /// Returns once nobody has watched for a while; the feed is not to be found any more then.
    async fn unwatched(&self, feed: &Arc<Feed>) {
        loop {
            feed.idle.notified().await;
            sleep(self.0.config.linger).await;
            let mut feeds = self.lock();
            if feed.clients.load(Ordering::Relaxed) == 0 {
                feeds.remove(&feed.key);
                return;
            }
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let _feeds = self.feeds.lock();
        if self.feed.clients.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.feed.idle.notify_one();
        }
    }
}
