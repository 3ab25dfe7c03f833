//! The streams of chunks as a whole.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_nats::{Client, Message, StatusCode};
use bytes::Bytes;
use futures::{Stream, future::try_join_all};
use serde::Deserialize;
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    Budget, ChunkError, Lane, Limit, Room, Runs, Writer, Written, answers,
    flow::Flows,
    line::{Answer, Line, Progress},
    reader,
};
use crate::{UploadId, records::Seconds};

/// What a chunk holds at most: the default payload limit of nats-server without a header's room.
pub(crate) const LARGEST_CHUNK: usize = 1_047_552;
/// What the payload limit keeps free for headers, should a chunk ever have some.
const HEADROOM: usize = 1024;
/// How long nats-server may give no answer before an operation gives up.
const PATIENCE: Duration = Duration::from_secs(30);

const INFO: &str = "describe a stream of chunks";
const PURGE: &str = "purge an upload's chunks";

/// The connections of a daemon. A direct get runs in the loop of nats-server that reads its
/// connection, so that reads on the writing connection would hold up what is written.
#[derive(Clone, Debug)]
pub struct ChunkConnections {
    /// Carries chunks that are stored, and requests of the API.
    pub write: Client,
    /// Carry chunks that are read, in turn. None of them: the writing one does.
    pub read: Vec<Client>,
}

/// The streams of chunks. Clones share connections and budget.
#[derive(Clone)]
pub struct ChunkStore {
    write: Line,
    read: Arc<[Line]>,
    turn: Arc<AtomicUsize>,
    budget: Budget,
    flows: Flows,
    room: Room,
}

/// How much the streams hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamState {
    /// Chunks.
    pub messages: u64,
    /// Bytes, with what nats-server keeps beside each chunk; its files shrink later.
    pub bytes: u64,
    /// The `max_bytes` of all, when they have one.
    pub limit: Option<u64>,
}

impl ChunkStore {
    /// Uses these connections; asks nothing of nats-server yet.
    pub fn open(connections: ChunkConnections, budget: Budget) -> Self {
        Self::with_patience(connections, budget, PATIENCE)
    }

    /// The same, giving up after `patience` without any answer from nats-server instead of 30 s.
    pub fn with_patience(connections: ChunkConnections, budget: Budget, patience: Duration) -> Self {
        // Apart, so that what gets on for readers is no reason to wait for a stream that stores nothing.
        let progress = Progress::new(patience);
        let write = Line::new(connections.write, Progress::new(patience));
        let read: Vec<_> =
            connections.read.into_iter().map(|client| Line::new(client, progress.clone())).collect();
        let read = if read.is_empty() { vec![write.clone()] } else { read };
        let (turn, flows, room) = (Arc::default(), Flows::default(), Room::default());
        Self { write, read: read.into(), turn, budget, flows, room }
    }

    /// Stores chunks of an upload, which begins or goes on.
    pub fn writer(&self, upload: UploadId, resume: Written) -> Writer {
        Writer::new(self.clone(), upload, resume)
    }

    /// The bytes `range` of what the runs name, verified to be chunks of `upload`. Nothing is asked for
    /// far ahead of the consumer. After an error the stream ends.
    pub fn read(
        &self,
        runs: &Runs,
        upload: UploadId,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, ChunkError>> + Send + Unpin + 'static {
        reader::read(self.clone(), runs.clone(), upload, range)
    }

    /// Stores one chunk of an upload, in this lane or one that has room, and tells where. The request is
    /// handed to the connection when the future is first polled.
    pub(crate) async fn put(
        &self,
        upload: UploadId,
        lane: Lane,
        chunk: Bytes,
    ) -> Result<(Lane, u64), ChunkError> {
        match self.put_in(upload, lane, chunk.clone()).await {
            // Few uploads may not fill them alike.
            Err(ChunkError::Full { limit: Limit::Stream, .. }) => {
                self.put_in(upload, lane.next(), chunk).await
            }
            result => result,
        }
    }

    async fn put_in(&self, upload: UploadId, lane: Lane, chunk: Bytes) -> Result<(Lane, u64), ChunkError> {
        let judge = |message| answers::stored(&message, lane);
        let stored = self.write.ask(answers::STORE, lane.subject(upload), chunk, judge).await;
        if let Err(ChunkError::Full { limit: Limit::JetStream, detail }) = &stored {
            self.room.refused(detail);
        }
        Ok((lane, stored?))
    }

    /// Whether JetStream has room for what is stored.
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// Removes all chunks of an upload, and tells how many there were. Without any, that is 0.
    pub async fn purge(&self, upload: UploadId) -> Result<u64, ChunkError> {
        self.truncate(upload, 0).await
    }

    /// Removes the oldest chunks of an upload until no stream has more than `keep` of them, and tells how
    /// many were removed.
    pub(crate) async fn truncate(&self, upload: UploadId, keep: u64) -> Result<u64, ChunkError> {
        #[derive(Deserialize)]
        struct Purged {
            purged: u64,
        }
        let purges = Lane::ALL.map(async |lane| {
            let subject = format!("$JS.API.STREAM.PURGE.{}", lane.stream());
            let payload = payload(&json!({ "filter": lane.subject(upload), "keep": keep }));
            let judge = |message| answers::api::<Purged>(PURGE, &message);
            self.write.ask(PURGE, subject, payload, judge).await
        });
        Ok(try_join_all(purges).await?.iter().map(|lane| lane.purged).sum())
    }

    /// How many chunks of an upload each stream has.
    pub(crate) async fn count(&self, upload: UploadId) -> Result<[u64; Lane::ALL.len()], ChunkError> {
        let mut counts = [0; Lane::ALL.len()];
        for lane in Lane::ALL {
            let filter = json!({ "subjects_filter": lane.subject(upload) });
            let info = self.info(lane, payload(&filter)).await?;
            counts[lane.index()] = info.state.subjects.values().sum();
        }
        Ok(counts)
    }

    /// The uploads that have chunks, and how many each has, without the ballast.
    pub async fn subjects(&self) -> Result<BTreeMap<UploadId, u64>, ChunkError> {
        let mut uploads = BTreeMap::new();
        for lane in Lane::ALL {
            let mut offset = 0;
            loop {
                let filter = json!({ "subjects_filter": lane.subjects(), "offset": offset });
                let info = self.info(lane, payload(&filter)).await?;
                for (subject, count) in &info.state.subjects {
                    if let Some(upload) = lane.upload(subject).filter(|upload| *upload != UploadId::BALLAST) {
                        *uploads.entry(upload).or_default() += count;
                    }
                }
                let page = info.state.subjects.len();
                offset += page;
                if page == 0 || offset >= info.total {
                    break;
                }
            }
        }
        Ok(uploads)
    }

    /// How much the streams hold.
    pub async fn state(&self) -> Result<StreamState, ChunkError> {
        let mut all = StreamState::default();
        for lane in Lane::ALL {
            let Info { config, state, .. } = self.info(lane, Bytes::new()).await?;
            let limit = u64::try_from(config.max_bytes).ok().filter(|limit| *limit > 0);
            all.messages += state.messages;
            all.bytes += state.bytes;
            all.limit = limit.map(|limit| all.limit.unwrap_or_default().saturating_add(limit));
        }
        Ok(all)
    }

    /// When the last chunk of an upload was stored, by nats-server's clock; `None` without chunks. It
    /// carries that chunk over the connection: for the few uploads that nobody knows.
    pub async fn last_stored(&self, upload: UploadId) -> Result<Option<Seconds>, ChunkError> {
        let (_permit, line) = (self.budget.acquire(LARGEST_CHUNK).await, self.read_line());
        let mut last = None;
        for lane in Lane::ALL {
            let payload = payload(&json!({ "last_by_subj": lane.subject(upload) }));
            last = last.max(line.ask(answers::READ, get_subject(lane), payload, last_stored).await?);
        }
        Ok(last)
    }

    async fn info(&self, lane: Lane, payload: Bytes) -> Result<Info, ChunkError> {
        let subject = format!("$JS.API.STREAM.INFO.{}", lane.stream());
        self.write.ask(INFO, subject, payload, |message| answers::api(INFO, &message)).await
    }

    /// Bytes of a full chunk.
    pub(crate) fn chunk_size(&self) -> usize {
        self.write.client().max_payload().saturating_sub(HEADROOM).clamp(1, LARGEST_CHUNK)
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(super) fn flows(&self) -> &Flows {
        &self.flows
    }

    /// The next reading connection in turn.
    pub(super) fn read_line(&self) -> &Line {
        &self.read[self.turn.fetch_add(1, Ordering::Relaxed) % self.read.len()]
    }
}

/// The subject of direct gets.
pub(super) fn get_subject(lane: Lane) -> String {
    format!("$JS.API.DIRECT.GET.{}", lane.stream())
}

fn payload(json: &serde_json::Value) -> Bytes {
    json.to_string().into()
}

fn last_stored(message: Message) -> Answer<Option<Seconds>> {
    match message.status {
        None => {}
        Some(StatusCode::NOT_FOUND) => return Answer::Done(None),
        Some(status) => {
            let description = message.description.unwrap_or_default().to_string();
            let code = u64::from(status.as_u16());
            return Answer::Later(ChunkError::Refused { what: answers::READ, code, description });
        }
    }
    let stored = message.headers.as_ref().and_then(|headers| headers.get("Nats-Time-Stamp"));
    let stored = stored.and_then(|value| OffsetDateTime::parse(value.as_str(), &Rfc3339).ok());
    match stored.and_then(|at| Seconds::try_from(at.unix_timestamp()).ok()) {
        Some(at) => Answer::Done(Some(at)),
        None => {
            let detail = "it does not say when the chunk was stored".to_owned();
            Answer::Failed(ChunkError::Answer { what: answers::READ, detail })
        }
    }
}

#[derive(Deserialize)]
struct Info {
    config: Config,
    state: State,
    /// Subjects in all, of which this is a page.
    #[serde(default)]
    total: usize,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    max_bytes: i64,
}

#[derive(Deserialize)]
struct State {
    messages: u64,
    bytes: u64,
    #[serde(default)]
    subjects: BTreeMap<String, u64>,
}
