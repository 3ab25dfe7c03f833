//! Requests over one connection, asked again when their answer may be lost.
//!
//! The NATS client connects again by itself, but what was under way is lost without a word: a request
//! is sent once more when the connection is another than the one that carried it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::{Client, Message, Request, RequestError, RequestErrorKind, connection::State};
use bytes::Bytes;
use runtime::Backoff;
use tokio::time::sleep;

use super::ChunkError;

/// How often a request that waits looks at its connection.
const LOOK: Duration = Duration::from_millis(100);
/// Without a word from nats-server for this long, what waits is asked again: an answer can be lost
/// without a lost connection, such as that of a stream whose leader changed.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// How often a doubtful answer is asked for again.
const DOUBTS: u32 = 3;

/// One connection, with what is known about its answers.
#[derive(Clone)]
pub(super) struct Line {
    client: Client,
    progress: Progress,
}

/// Answers so far, on any connection of the store: a disk that is slow but gets on is no reason to give
/// up.
#[derive(Clone)]
pub(super) struct Progress {
    answers: Arc<AtomicU64>,
    patience: Duration,
}

/// For how long nothing came. Only time that was spent waiting counts: a read whose consumer pauses is
/// not looked at meanwhile.
struct Silence {
    progress: Progress,
    seen: u64,
    silent: Duration,
    /// Since the answers say "later".
    put_off: Duration,
}

/// What an answer means to who asked.
pub(super) enum Answer<T> {
    /// That is it.
    Done(T),
    /// Not now: ask again a little later, and give up with this error.
    Later(ChunkError),
    /// Most likely this error, but worth a second look or two.
    Doubtful(ChunkError),
    /// Never.
    Failed(ChunkError),
}

impl<T> Answer<T> {
    pub(super) fn and_then<U>(self, next: impl FnOnce(T) -> Answer<U>) -> Answer<U> {
        match self {
            Self::Done(value) => next(value),
            Self::Later(error) => Answer::Later(error),
            Self::Doubtful(error) => Answer::Doubtful(error),
            Self::Failed(error) => Answer::Failed(error),
        }
    }
}

impl Progress {
    pub(super) fn new(patience: Duration) -> Self {
        Self { answers: Arc::default(), patience }
    }

    fn made(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    fn silence(&self) -> Silence {
        let seen = self.answers.load(Ordering::Relaxed);
        Silence { progress: self.clone(), seen, silent: Duration::ZERO, put_off: Duration::ZERO }
    }
}

impl Silence {
    async fn look(&mut self) {
        sleep(LOOK).await;
        let seen = self.progress.answers.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.seen, seen) == seen {
            self.silent += LOOK;
        } else {
            self.silent = Duration::ZERO;
        }
    }

    fn is_over(&self) -> bool {
        self.silent >= self.progress.patience
    }

    async fn put_off(&mut self, wait: Duration) {
        sleep(wait).await;
        self.put_off += wait;
    }

    fn is_put_off_too_long(&self) -> bool {
        self.put_off >= self.progress.patience
    }
}

impl Line {
    pub(super) fn new(client: Client, progress: Progress) -> Self {
        Self { client, progress }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Asks until there is an answer that `judge` takes, or nothing came for too long. The request is
    /// handed to the connection when the future is first polled, if there is one.
    pub(super) async fn ask<T>(
        &self,
        what: &'static str,
        subject: String,
        payload: Bytes,
        judge: impl Fn(Message) -> Answer<T>,
    ) -> Result<T, ChunkError> {
        let mut silence = self.progress.silence();
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut doubts = 0;
        loop {
            self.connected(what, &mut silence).await?;
            let error = match self.ask_once(what, &subject, &payload, &mut silence).await? {
                None => continue,
                Some(Ok(message)) => {
                    self.progress.made();
                    match judge(message) {
                        Answer::Done(value) => return Ok(value),
                        Answer::Failed(error) => return Err(error),
                        Answer::Later(error) => error,
                        Answer::Doubtful(error) if doubts == DOUBTS => return Err(error),
                        Answer::Doubtful(error) => {
                            doubts += 1;
                            error
                        }
                    }
                }
                Some(Err(source)) => match source.kind() {
                    RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
                        return Err(ChunkError::Client { what, source });
                    }
                    // A server that has just started answers before its streams do.
                    RequestErrorKind::NoResponders | RequestErrorKind::TimedOut | RequestErrorKind::Other => {
                        unanswered(what, &silence, Some(source))
                    }
                },
            };
            if silence.is_put_off_too_long() {
                return Err(error);
            }
            silence.put_off(backoff.wait()).await;
        }
    }

    /// `None` when the answer will not come any more.
    async fn ask_once(
        &self,
        what: &'static str,
        subject: &str,
        payload: &Bytes,
        silence: &mut Silence,
    ) -> Result<Option<Result<Message, RequestError>>, ChunkError> {
        let request = Request::new().payload(payload.clone()).timeout(None);
        let (session, before) = (self.session(), silence.silent);
        let mut answer = std::pin::pin!(self.client.send_request(subject.to_owned(), request));
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return Ok(Some(answer)),
                () = silence.look() => {}
            }
            if silence.is_over() {
                return Err(unanswered(what, silence, None));
            }
            let reconnected = self.is_connected() && self.session() != session;
            if reconnected || silence.silent.saturating_sub(before) >= ASK_AGAIN {
                return Ok(None);
            }
        }
    }

    /// Waits for a connection. The client would queue what is sent without one, and what was queued
    /// would be sent twice.
    async fn connected(&self, what: &'static str, silence: &mut Silence) -> Result<(), ChunkError> {
        while !self.is_connected() {
            if silence.is_over() {
                return Err(unanswered(what, silence, None));
            }
            silence.look().await;
        }
        Ok(())
    }

    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// What differs between one connection and the next.
    pub(super) fn session(&self) -> (String, u64) {
        let info = self.client.server_info();
        (info.server_id, info.client_id)
    }
}

fn unanswered(what: &'static str, silence: &Silence, source: Option<RequestError>) -> ChunkError {
    ChunkError::Unanswered { what, waited: silence.silent.max(silence.put_off), source }
}
