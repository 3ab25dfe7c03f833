//! One feed: what one subscription or consumer brings, for all who watch it.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, AtomicUsize},
};

use tokio::sync::{Notify, watch};

use super::{
    config::FeedConfig,
    latest::{Latest, LatestLimits},
    position::Incarnation,
    query::Kind,
    ring::{Ring, RingLimits},
    subject::Pattern,
};

/// What tells feeds apart: two clients that ask for the same share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The account that it is in.
    pub(super) account: Arc<str>,
    /// What is watched.
    pub(super) source: Source,
    /// How.
    pub(super) kind: Kind,
}

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// A subject of core NATS.
    Core(Pattern),
    /// A stream.
    Stream {
        /// Its name.
        name: Arc<str>,
        /// Its subjects that are wanted, sorted.
        filters: Vec<Pattern>,
    },
}

/// How far a feed is.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// nats-server was not heard yet.
    Starting,
    /// It has begun.
    Live,
    /// It cannot be.
    Refused(Arc<str>),
}

#[derive(Debug)]
pub(super) struct Feed {
    pub(super) key: Key,
    shared: Mutex<Shared>,
    /// Changed with each message, and with the phase.
    pub(super) changed: watch::Sender<Phase>,
    /// Clients. Changed under the lock of the map of feeds alone.
    pub(super) clients: AtomicUsize,
    /// Told when the last client has gone.
    pub(super) idle: Notify,
    /// Messages that nats-server has and has not sent.
    pub(super) lag: AtomicU64,
}

#[derive(Debug)]
pub(super) enum Shared {
    Log(Log),
    State(State),
}

/// Every message in order.
#[derive(Debug)]
pub(super) struct Log {
    /// Which stream; none for core NATS, and before the feed has begun.
    pub(super) incarnation: Option<Incarnation>,
    pub(super) ring: Ring,
    /// The stream's first sequence when the ring began.
    pub(super) first: u64,
    /// The stream's last sequence when it was last asked for.
    pub(super) last: u64,
}

/// The latest of each subject.
#[derive(Debug)]
pub(super) struct State {
    pub(super) latest: Latest,
    /// The version that has all that was there at first.
    pub(super) whole: Option<u64>,
}

impl Feed {
    pub(super) fn new(key: Key, config: &FeedConfig) -> Self {
        let shared = match key.kind {
            Kind::Log => Shared::Log(Log {
                incarnation: None,
                ring: Ring::starting_at(1, ring_limits(config)),
                first: 1,
                last: 0,
            }),
            Kind::State => Shared::State(State {
                latest: Latest::new(LatestLimits {
                    subjects: config.state_subjects,
                    bytes: config.state_bytes,
                }),
                whole: None,
            }),
        };
        Self {
            key,
            shared: Mutex::new(shared),
            changed: watch::Sender::new(Phase::Starting),
            clients: AtomicUsize::new(0),
            idle: Notify::new(),
            lag: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at or changes a log. Nothing where the feed is none.
    pub(super) fn log<T>(&self, act: impl FnOnce(&mut Log) -> T) -> Option<T> {
        match &mut *self.lock() {
            Shared::Log(log) => Some(act(log)),
            Shared::State(_) => None,
        }
    }

    /// Looks at or changes a state. Nothing where the feed is none.
    pub(super) fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> Option<T> {
        match &mut *self.lock() {
            Shared::State(state) => Some(act(state)),
            Shared::Log(_) => None,
        }
    }

    /// Wakes all who watch.
    pub(super) fn tell(&self) {
        self.changed.send_modify(|_| {});
    }

    /// Says that it has begun, and wakes all who watch.
    pub(super) fn begin(&self) {
        self.changed.send_modify(|phase| *phase = Phase::Live);
    }
}

pub(super) fn ring_limits(config: &FeedConfig) -> RingLimits {
    RingLimits { messages: config.ring_messages, bytes: config.ring_bytes }
}
