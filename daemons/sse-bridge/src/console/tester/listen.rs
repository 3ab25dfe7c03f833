//! A subscription for as long as somebody looks, and its messages as fragments.
//!
//! Of a subject with more messages than anybody reads, the newest are written each quarter of a second,
//! and how many came in between is told: neither side keeps more than a page.

use std::{collections::VecDeque, sync::atomic::Ordering, time::Duration};

use async_nats::{Client, Message, Subscriber, connection::State};
use axum::{extract::Query, http::HeaderMap, response::Response};
use futures::{Stream, StreamExt, stream};
use maud::html;
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    Asked,
    heard::{self, SHOWN},
};
use crate::{
    console::{
        datastar, events,
        failure::Failure,
        figures::now,
        guard::Heard,
        jetstream::{Account, READING},
        said::Said,
        visit::Visit,
    },
    feed::Frame,
};

/// What comes within so long is one event.
const TOGETHER: Duration = Duration::from_millis(250);
/// How often a page hears that its data is fresh, though nothing came.
const FRESH: Duration = Duration::from_secs(5);

/// What may be listened to, and where.
#[derive(Debug)]
pub(super) struct Place {
    account: Account,
    subject: Heard,
}

impl Place {
    /// What is asked for, if the caller may have it.
    pub(super) fn of(visit: &Visit, asked: &Asked) -> Result<Self, Failure> {
        let subject = Heard::read(&asked.account, asked.subject.trim())?;
        let account = visit.account(&asked.account)?;
        visit.console.feeds.check(&visit.caller, &account.name, subject.pattern())?;
        Ok(Self { account, subject })
    }
}

/// `GET /live/subscribe`.
pub(super) async fn live(visit: Visit, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    match begin(&visit, &asked).await {
        Ok(listening) => events::stream(&visit.console, &visit.caller, &headers, listening.frames()),
        Err(failure) => visit.failed("Subscribe", &failure),
    }
}

async fn begin(visit: &Visit, asked: &Asked) -> Result<Listening, Failure> {
    let Place { account, subject } = Place::of(visit, asked)?;
    let client = account.client;
    let subscriber = client.subscribe(subject.pattern().as_str().to_owned()).await;
    let subscriber = subscriber.map_err(|error| Failure::Body(error.to_string()))?;
    // Who is told that it listens hears what is published from then on. A nats-server that is away is
    // subscribed to when it is back.
    let _ = timeout(READING, client.flush()).await;
    let connects = client.statistics().connects.load(Ordering::Relaxed);
    Ok(Listening {
        prefix: format!("heard-{:08x}", rand::random::<u32>()),
        subscriber,
        client,
        connects,
        on_page: asked.shown,
        written: 0,
        came: VecDeque::new(),
        count: 0,
        passed_over: 0,
        said: heard::said(),
    })
}

/// A page that listens.
struct Listening {
    /// What the ids of this connection's rows begin with: the page may have some of an earlier one.
    prefix: String,
    subscriber: Subscriber,
    client: Client,
    connects: u64,
    /// Rows of the page.
    on_page: usize,
    /// Rows that were written so far.
    written: u64,
    /// Messages to write, with the moment at which each came.
    came: VecDeque<(String, Message)>,
    /// Messages that came.
    count: u64,
    /// Of them, those since the last event that are not shown.
    passed_over: u64,
    said: Said,
}

impl Listening {
    fn frames(self) -> impl Stream<Item = Frame> + Send + 'static {
        stream::unfold((self, true), |(mut listening, first)| async move {
            if first {
                let mut frame = Frame::default();
                let id = listening.id();
                listening.put(&heard::remark(&id, "Listening from here on."), 1, &mut frame);
                datastar::patch(&heard::state(0), &mut frame);
                return Some((frame, (listening, false)));
            }
            let more = listening.gather().await;
            more.then(|| (listening.frame(), (listening, false)))
        })
    }

    /// Waits for messages, and takes those that come within [`TOGETHER`]; false when no more will come.
    async fn gather(&mut self) -> bool {
        let fresh = Instant::now() + FRESH;
        tokio::select! {
            message = self.subscriber.next() => match message {
                Some(message) => self.take(message),
                None => return false,
            },
            () = sleep_until(fresh) => return true,
        }
        let end = Instant::now() + TOGETHER;
        loop {
            tokio::select! {
                // A subject that never rests would hold the event back.
                biased;
                () = sleep_until(end) => return true,
                message = self.subscriber.next() => match message {
                    Some(message) => self.take(message),
                    None => return true,
                },
            }
        }
    }

    fn take(&mut self, message: Message) {
        self.count += 1;
        self.said.add(1);
        if self.came.len() == SHOWN {
            self.came.pop_front();
            self.passed_over += 1;
        }
        self.came.push_back((now(), message));
    }

    fn frame(&mut self) -> Frame {
        let mut frame = Frame::default();
        let connects = self.client.statistics().connects.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.connects, connects) != connects {
            let id = self.id();
            self.put(
                &heard::remark(&id, "⚠ The connection was lost: what came meanwhile is missing here."),
                1,
                &mut frame,
            );
        }
        if self.passed_over > 0 {
            let (id, count) = (self.id(), std::mem::take(&mut self.passed_over));
            self.put(
                &heard::remark(&id, &format!("{count} more messages came here, faster than they are shown.")),
                1,
                &mut frame,
            );
        }
        let came = std::mem::take(&mut self.came);
        if !came.is_empty() {
            let rows: Vec<_> = came.iter().map(|(at, message)| heard::row(&self.id(), at, message)).collect();
            self.put(&html! { @for row in rows.iter().rev() { (row) } }, rows.len(), &mut frame);
        }
        // While nats-server is away nothing is fresh.
        if self.client.connection_state() == State::Connected {
            datastar::patch(&heard::state(self.count), &mut frame);
        }
        self.said.tell(&mut frame);
        frame
    }

    fn id(&mut self) -> String {
        self.written += 1;
        format!("{}-{}", self.prefix, self.written)
    }

    /// Writes rows above all others, and has the oldest go.
    fn put(&mut self, rows: &maud::Markup, count: usize, frame: &mut Frame) {
        datastar::prepend("heard", rows, frame);
        self.on_page = self.on_page.saturating_add(count);
        if self.on_page > SHOWN {
            datastar::remove_all(&format!("#heard > tr:nth-child(n + {})", SHOWN + 1), frame);
            self.on_page = SHOWN;
        }
    }
}
