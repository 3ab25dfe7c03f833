//! `GET /sse`: checks who asks for what, and answers with events.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::{
    client::{Parts, events},
    compress::{compressed, slot},
    cursor::Cursor,
    encode::{Encode, RawJson},
    failure::Failure,
    hub::Feeds,
    jetstream::{JetStream, JetStreamError},
    origin::is_own,
    policy::{LEAFBOX, Refused, SYS},
    position::LastEventId,
    query::{Asked, Kind},
    replay::{From, Locate},
    shared::{Key, Phase, Source},
    subject::Pattern,
};
use crate::Caller;

/// `GET /sse`. A request needs its [`Caller`] as an extension.
pub fn router(feeds: Feeds) -> Router {
    Router::new().route("/sse", get(sse)).with_state(feeds)
}

async fn sse(
    State(feeds): State<Feeds>,
    caller: Option<Extension<Caller>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let answer = async {
        let Extension(caller) = caller.ok_or(Failure::NotLoggedIn)?;
        if !is_own(&headers, feeds.0.config.origin.as_deref()) {
            return Err(Failure::Origin);
        }
        let mut asked = Asked::of(query.as_deref().unwrap_or_default())?;
        // The header is newer than the query: a browser sends it when it connects again.
        if let Some(id) = headers.get("last-event-id") {
            asked.last_event_id = Some(String::from_utf8_lossy(id.as_bytes()).parse()?);
        }
        asked.accept_encoding =
            headers.get(header::ACCEPT_ENCODING).and_then(|it| it.to_str().ok()).map(Into::into);
        feeds.open(&caller, &asked, Arc::new(RawJson)).await
    };
    answer.await.unwrap_or_else(|failure: Failure| {
        feeds.0.metrics.refused(1);
        failure.into_response()
    })
}

impl Feeds {
    /// Opens a stream of events in a format, after checking that the caller may have it.
    ///
    /// # Errors
    /// With what the client is to be answered.
    pub async fn open(
        &self,
        caller: &Caller,
        asked: &Asked,
        encode: Arc<dyn Encode>,
    ) -> Result<Response, Failure> {
        let inner = &self.0;
        let place = inner.limits.enter(&caller.name)?;
        let keys = self.keys(caller, asked).await?;
        let ids = asked.last_event_id.clone().unwrap_or_default();
        let mut cursors = Vec::with_capacity(keys.len());
        for key in &keys {
            cursors.push(self.cursor(cursors.len(), key, asked, &ids)?);
        }
        let deadline = Instant::now() + inner.config.opening;
        for cursor in &mut cursors {
            // A nats-server that is away is waited for by the client: a browser takes no error for an answer.
            if let Ok(Phase::Refused(text)) = timeout_at(deadline, cursor.begun()).await {
                return Err(Failure::NoFeed(text.to_string()));
            }
        }
        let streams =
            keys.iter().filter(|key| key.kind == Kind::Log && matches!(key.source, Source::Stream { .. }));
        let events = events(Parts {
            streams: streams.count(),
            cursors,
            encode,
            session: caller.ended.clone(),
            shutdown: inner.shutdown.clone(),
            heartbeat: inner.config.heartbeat.max(Duration::from_millis(10)),
            retry: inner.config.retry,
            metrics: inner.metrics.clone(),
            place,
        });
        let slot = slot(asked.accept_encoding.as_deref(), &inner.compressed);
        let brotli = slot.is_some();
        let whole = Ok::<_, std::convert::Infallible>;
        let mut response = Response::new(match slot {
            Some(slot) => Body::from_stream(compressed(events, slot).map(whole)),
            None => Body::from_stream(events.map(whole)),
        });
        of_events(response.headers_mut(), brotli);
        Ok(response)
    }

    /// Whether the caller may watch all of a subject of an account: what may not be watched is not
    /// offered.
    pub fn allows(&self, caller: &Caller, account: &str, subject: &Pattern) -> bool {
        self.check(caller, account, subject).is_ok()
    }

    /// The same, with the reason.
    ///
    /// # Errors
    /// With what to ask for instead.
    pub fn check(&self, caller: &Caller, account: &str, subject: &Pattern) -> Result<(), Refused> {
        self.0.policy.check(caller.role, account, subject)
    }

    /// The feeds that are asked for, each checked.
    async fn keys(&self, caller: &Caller, asked: &Asked) -> Result<Vec<Key>, Failure> {
        let mut keys = Vec::new();
        if asked.streams.is_empty() {
            for subject in &asked.subjects {
                let of_system = subject.as_str() == "$SYS" || subject.as_str().starts_with("$SYS.");
                let default = if of_system { SYS } else { LEAFBOX };
                let (account, _) = self.account(asked, default)?;
                self.0.policy.check(caller.role, &account, subject)?;
                keys.push(Key { account, source: Source::Core(subject.clone()), kind: asked.kind });
            }
        }
        for name in &asked.streams {
            let (account, jetstream) = self.account(asked, LEAFBOX)?;
            let filters: Vec<_> = asked.subjects.iter().cloned().collect();
            // What was checked is what is asked for: a stream that takes more subjects later sends no more.
            let mut filters = self.subjects_of(&account, &jetstream, name, &filters).await?;
            filters.sort();
            for subject in &filters {
                self.0.policy.check(caller.role, &account, subject)?;
            }
            keys.push(Key {
                account,
                source: Source::Stream { name: Arc::clone(name), filters },
                kind: asked.kind,
            });
        }
        Ok(keys)
    }

    /// What may come out of a stream. One that copies from others may have any subject.
    async fn subjects_of(
        &self,
        account: &str,
        jetstream: &JetStream,
        stream: &str,
        filters: &[Pattern],
    ) -> Result<Vec<Pattern>, Failure> {
        if !filters.is_empty() {
            return Ok(filters.to_vec());
        }
        let deadline = Instant::now() + self.0.config.opening;
        let error = match timeout_at(deadline, jetstream.info(stream)).await {
            Ok(Ok(info)) if info.copies || info.subjects.is_empty() => {
                return Ok(">".parse().into_iter().collect());
            }
            Ok(Ok(info)) => {
                self.0.streams.learn(account, stream, &info.subjects);
                return Ok(info.subjects);
            }
            Ok(Err(error @ (JetStreamError::NoStream(_) | JetStreamError::Refused { .. }))) => {
                return Err(Failure::NoFeed(error.to_string()));
            }
            Ok(Err(error)) => error.to_string(),
            Err(late) => late.to_string(),
        };
        // A browser takes no error for an answer. What it was seen to have before is what is asked for.
        tracing::debug!(stream.name = stream, "a stream's subjects cannot be asked for: {error}");
        self.0.streams.known(account, stream).ok_or(Failure::Away)
    }

    fn account(&self, asked: &Asked, default: &str) -> Result<(Arc<str>, JetStream), Failure> {
        let account = asked.account.as_deref().unwrap_or(default);
        let (name, client) = self.0.accounts.get(account).ok_or_else(|| Failure::NoAccount {
            asked: account.to_owned(),
            known: self.0.accounts.names().collect::<Vec<_>>().join(", "),
        })?;
        Ok((Arc::clone(name), JetStream::new(client.clone())))
    }

    fn cursor(&self, index: usize, key: &Key, asked: &Asked, ids: &LastEventId) -> Result<Cursor, Failure> {
        let Some((_, client)) = self.0.accounts.get(&key.account) else { return Err(Failure::Away) };
        let share = self.join(key, client);
        let (Kind::Log, Source::Stream { name, filters }) = (key.kind, &key.source) else {
            return Ok(Cursor::new(index, share));
        };
        let from = match ids.of(name) {
            Some(at) => From::Position { incarnation: at.incarnation, next: at.sequence + 1 },
            None => From::Since(asked.since),
        };
        let locate = Locate {
            jetstream: JetStream::new(client.clone()),
            feed: Arc::clone(&share.feed),
            stream: Arc::clone(name),
            filters: filters.clone(),
            config: Arc::clone(&self.0.config),
            slots: Arc::clone(&self.0.replays),
            metrics: self.0.metrics.clone(),
        };
        Ok(Cursor::in_stream(index, share, locate, from))
    }
}

/// What an answer that is a stream of events says of itself.
pub(super) fn of_events(headers: &mut HeaderMap, brotli: bool) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx and those who learnt from it hold back what they are sent otherwise.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if brotli {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
}
