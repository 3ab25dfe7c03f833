//! One client in one feed.
//!
//! A log client is the sequence that it wants next; a state client is the version that it was sent
//! last. Nothing is queued for either: what it does not take stays in the feed, shared.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::watch;

use super::{
    encode::{End, EndReason, Gap, Notice, Reason, Removed, Snapshot},
    hub::Share,
    latest::Change,
    message::write,
    out::Out,
    position::{Incarnation, Position},
    query::Since,
    replay::{Came, From, Locate, Located, Replay, ReplayError},
    ring::{Behind, Item},
    shared::{Log, Phase},
};

/// Messages that are taken from a feed at once.
const MOST: usize = 64;

/// What a cursor comes to when it is asked.
pub(super) enum Step {
    /// There may be more at once.
    More,
    /// There is nothing until it is waited for.
    Wait,
    /// It cannot go on.
    End(End),
}

/// One client in one feed.
pub(super) struct Cursor {
    index: usize,
    share: Share,
    changed: watch::Receiver<Phase>,
    place: Place,
}

enum Place {
    /// A subject of core NATS: the next number of the ring.
    Core {
        next: Option<u64>,
    },
    Stream(Box<InStream>),
    State {
        seen: u64,
        told: bool,
    },
}

struct InStream {
    locate: Locate,
    from: From,
    at: Option<At>,
    work: Work,
    /// What the work came to.
    found: Option<Result<Located, ReplayError>>,
    came: Option<Came>,
}

#[derive(Clone, Copy)]
struct At {
    incarnation: Incarnation,
    next: u64,
    /// It had all that there was once: if the ring has lost what it wants since, it was too slow. Who is
    /// not there yet is not to blame, and replays.
    live: bool,
    /// The ring is of another incarnation, and the stream was asked about it.
    asked: bool,
}

enum Work {
    None,
    Finding(BoxFuture<'static, Result<Located, ReplayError>>),
    Replaying(Box<Replay>),
}

impl Cursor {
    /// In a state feed, or in a subject of core NATS.
    pub(super) fn new(index: usize, share: Share) -> Self {
        let place = match share.feed.key.kind {
            super::query::Kind::Log => Place::Core { next: None },
            super::query::Kind::State => Place::State { seen: 0, told: false },
        };
        let changed = share.feed.changed.subscribe();
        Self { index, share, changed, place }
    }

    /// In a stream's log.
    pub(super) fn in_stream(index: usize, share: Share, locate: Locate, from: From) -> Self {
        let in_stream = InStream { locate, from, at: None, work: Work::None, found: None, came: None };
        let changed = share.feed.changed.subscribe();
        Self { index, share, changed, place: Place::Stream(Box::new(in_stream)) }
    }

    /// The phase of its feed, when it is no longer starting.
    pub(super) async fn begun(&mut self) -> Phase {
        match self.changed.wait_for(|phase| !matches!(phase, Phase::Starting)).await {
            Ok(phase) => phase.clone(),
            Err(_) => Phase::Refused("the bridge stops".into()),
        }
    }

    /// Takes what there is. It must be called again after [`Self::wait`], which may be dropped.
    pub(super) fn take(&mut self, out: &mut Out<'_>) -> Step {
        match &*self.changed.borrow_and_update() {
            Phase::Starting if !matches!(self.place, Place::State { .. }) => return Step::Wait,
            Phase::Refused(text) => return Step::End(ended(text)),
            Phase::Starting | Phase::Live => {}
        }
        let Self { index, share, place, .. } = self;
        match place {
            Place::Core { next } => take_core(next, share, *index, out),
            Place::State { seen, told } => take_state(seen, told, share, *index, out),
            Place::Stream(in_stream) => in_stream.take(share, *index, out),
        }
    }

    /// Waits until there may be something to take.
    pub(super) async fn wait(&mut self) {
        if let Place::Stream(in_stream) = &mut self.place {
            match &mut in_stream.work {
                Work::None => {}
                Work::Finding(finding) => {
                    in_stream.found = Some(finding.await);
                    in_stream.work = Work::None;
                    return;
                }
                Work::Replaying(replay) => {
                    in_stream.came = Some(replay.come().await);
                    return;
                }
            }
        }
        if self.changed.changed().await.is_err() {
            // The feed has ended with the bridge, which tells its clients itself.
            std::future::pending::<()>().await;
        }
    }
}

fn take_core(next: &mut Option<u64>, share: &Share, index: usize, out: &mut Out<'_>) -> Step {
    let mut items = Vec::new();
    let read = share.feed.log(|log| log.ring.read(*next.get_or_insert(log.ring.next()), MOST, &mut items));
    match read {
        Some(Ok(reached)) => *next = Some(reached),
        Some(Err(Behind { .. })) => return Step::End(too_slow()),
        None => return Step::Wait,
    }
    let step = if items.is_empty() { Step::Wait } else { Step::More };
    for item in items {
        match item {
            Item::Event(event) => out.message(index, &event.written(out.encode()), None),
            Item::Gap(gap) => out.notice(&Notice::Gap((*gap).clone()), None),
        }
    }
    step
}

fn take_state(seen: &mut u64, told: &mut bool, share: &Share, index: usize, out: &mut Out<'_>) -> Step {
    let mut changes = Vec::new();
    let state = share.feed.state(|state| {
        *seen = state.latest.after(*seen, MOST, &mut changes);
        let whole = state.whole.is_some_and(|version| *seen >= version);
        (whole, Snapshot { subjects: state.latest.subjects(), complete: state.latest.dropped() == 0 })
    });
    let step = if changes.is_empty() { Step::Wait } else { Step::More };
    for change in changes {
        match change {
            Change::Is(event) => out.message(index, &event.written(out.encode()), None),
            // Who was sent nothing yet does not know that it was there.
            Change::Gone(subject) if *told => {
                out.notice(&Notice::Removed(Removed { subject: subject.as_ref().into() }), None);
            }
            Change::Gone(_) => {}
        }
    }
    if let (false, Some((true, snapshot))) = (*told, state) {
        *told = true;
        out.notice(&Notice::Snapshot(snapshot), None);
    }
    step
}

impl InStream {
    fn take(&mut self, share: &Share, index: usize, out: &mut Out<'_>) -> Step {
        match self.found.take() {
            Some(Ok(located)) => self.found(located, index, out),
            Some(Err(ReplayError::JetStream(error))) if error.is_final() && self.at.is_none() => {
                return Step::End(ended(&error.to_string()));
            }
            Some(Err(error)) => tracing::debug!("a client's place is looked for again: {error}"),
            None => {}
        }
        if matches!(self.work, Work::Finding(_)) {
            return Step::Wait;
        }
        let Some(at) = self.at else { return self.begin(share, index, out) };
        if matches!(self.work, Work::Replaying(_)) {
            return self.replayed(share, at, index, out);
        }
        self.live(share, at, index, out)
    }

    /// Where a client begins that wants what comes, or is in the ring: most are, and ask for nothing.
    fn begin(&mut self, share: &Share, index: usize, out: &mut Out<'_>) -> Step {
        let from = self.from;
        let at = share.feed.log(|log| {
            let incarnation = log.incarnation?;
            let next = match from {
                From::Since(Since::Now) => log.ring.next().max(log.last + 1),
                From::Position { incarnation: was, next } if was == incarnation => {
                    (log.ring.floor() <= next && next <= log.ring.next().max(log.last + 1)).then_some(next)?
                }
                From::Position { .. } | From::Since(_) => return None,
            };
            Some((incarnation, next))
        });
        match at.flatten() {
            Some((incarnation, next)) => {
                self.at = Some(At { incarnation, next, live: false, asked: false });
                out.begins(index, self.position(incarnation, next));
                Step::More
            }
            None => self.find(from),
        }
    }

    fn find(&mut self, from: From) -> Step {
        let locate = self.locate.clone();
        self.work = Work::Finding(Box::pin(async move {
            let found = locate.find(from).await;
            if found.is_err() {
                // nats-server is away, most likely: once a second is enough for each client.
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            found
        }));
        Step::Wait
    }

    fn found(&mut self, located: Located, index: usize, out: &mut Out<'_>) {
        let Located { incarnation, next, last, gaps, replay } = located;
        self.locate.feed.log(|log| {
            if log.incarnation == Some(incarnation) {
                log.last = log.last.max(last);
            }
        });
        let first = self.at.is_none();
        self.at = Some(At { incarnation, next, live: false, asked: true });
        let position = self.position(incarnation, next);
        if gaps.is_empty() && first {
            out.begins(index, position);
        } else {
            for gap in gaps {
                out.notice(&Notice::Gap(gap), Some((index, position.clone())));
            }
        }
        self.work = replay.map_or(Work::None, |replay| Work::Replaying(Box::new(replay)));
    }

    /// What the ring has, in its incarnation.
    fn live(&mut self, share: &Share, at: At, index: usize, out: &mut Out<'_>) -> Step {
        let mut items = Vec::new();
        let read = share.feed.log(|log| read(log, at, &mut items)).unwrap_or(Read::Other);
        match read {
            Read::Ring { next, all } => self.at = Some(At { next, live: at.live || all, asked: false, ..at }),
            Read::Behind if at.live => return Step::End(too_slow()),
            Read::Behind | Read::Ahead => {
                return self.find(From::Position { incarnation: at.incarnation, next: at.next });
            }
            Read::Remade { incarnation, first } => {
                let gap = Gap {
                    stream: Some(self.locate.stream.as_ref().into()),
                    subject: None,
                    from: Some(at.next),
                    to: None,
                    reason: Reason::Remade,
                };
                self.at = Some(At { incarnation, next: first, live: false, asked: false });
                out.notice(&Notice::Gap(gap), Some((index, self.position(incarnation, first))));
                return Step::More;
            }
            Read::Other if at.asked => return Step::Wait,
            Read::Other => return self.find(From::Position { incarnation: at.incarnation, next: at.next }),
        }
        let step = if items.is_empty() { Step::Wait } else { Step::More };
        for item in items {
            match item {
                Item::Event(event) => {
                    out.message(index, &event.written(out.encode()), event.message.position())
                }
                Item::Gap(gap) => {
                    let next = gap.to.map_or(at.next, |to| to + 1);
                    let position = self.position(at.incarnation, next);
                    out.notice(&Notice::Gap((*gap).clone()), Some((index, position)));
                }
            }
        }
        step
    }

    /// What was read for this client alone, until it is where the ring is.
    fn replayed(&mut self, share: &Share, mut at: At, index: usize, out: &mut Out<'_>) -> Step {
        let Work::Replaying(replay) = &mut self.work else { return Step::More };
        while let Some(message) = replay.pop() {
            let sequence = message.stored.as_ref().map_or(0, |stored| stored.sequence);
            if sequence >= at.next {
                at.next = sequence + 1;
                out.message(index, &write(&message, out.encode()), message.position());
            }
        }
        let in_ring =
            share.feed.log(|log| log.incarnation == Some(at.incarnation) && log.ring.floor() <= at.next);
        let mut step = Step::Wait;
        match self.came.take() {
            _ if in_ring == Some(true) => (self.work, step) = (Work::None, Step::More),
            Some(Came::Whole { next }) => {
                at.next = at.next.max(next);
                (self.work, step) = (Work::None, Step::More);
            }
            Some(Came::Broken) => (self.work, step) = (Work::None, Step::More),
            Some(Came::TooMuch) => {
                let last = share.feed.log(|log| log.last.max(log.ring.next() - 1)).unwrap_or(at.next);
                let gap = Gap {
                    stream: Some(self.locate.stream.as_ref().into()),
                    subject: None,
                    from: Some(at.next),
                    to: Some(last),
                    reason: Reason::TooMany,
                };
                at.next = at.next.max(last + 1);
                (self.work, step) = (Work::None, Step::More);
                out.notice(&Notice::Gap(gap), Some((index, self.position(at.incarnation, at.next))));
            }
            Some(Came::Messages) | None => {}
        }
        self.at = Some(at);
        step
    }

    fn position(&self, incarnation: Incarnation, next: u64) -> Position {
        Position { stream: Arc::clone(&self.locate.stream), incarnation, sequence: next.saturating_sub(1) }
    }
}

/// What the ring has for a client.
enum Read {
    /// Up to this sequence; whether that is all that there is.
    Ring { next: u64, all: bool },
    /// Nothing that old any more.
    Behind,
    /// The client was further than the stream was known to be.
    Ahead,
    /// The stream was made anew; the ring has it from its beginning.
    Remade { incarnation: Incarnation, first: u64 },
    /// It is of another incarnation, or it has not begun.
    Other,
}

fn read(log: &Log, at: At, items: &mut Vec<Item>) -> Read {
    match log.incarnation {
        Some(incarnation) if incarnation == at.incarnation => {}
        Some(incarnation) if incarnation > at.incarnation && log.ring.floor() <= log.first => {
            return Read::Remade { incarnation, first: log.first };
        }
        _ => return Read::Other,
    }
    if at.next > log.ring.next().max(log.last + 1) {
        return Read::Ahead;
    }
    match log.ring.read(at.next, MOST, items) {
        Ok(next) => Read::Ring { next, all: next >= log.ring.next().max(log.last + 1) },
        Err(Behind { .. }) => Read::Behind,
    }
}

fn too_slow() -> End {
    let message = "the client took too long to read: it may connect again, and resume where there is an id";
    End { reason: EndReason::Slow, message: Some(message.into()) }
}

fn ended(text: &str) -> End {
    End { reason: EndReason::Feed, message: Some(text.into()) }
}
