//! The stream of chunks as a whole.

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
use futures::Stream;
use serde::Deserialize;
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    Budget, ChunkError, Runs, Writer, Written, answers,
    flow::Flows,
    line::{Answer, Line, Progress},
    reader,
};
use crate::{
    UploadId,
    records::{CHUNKS_STREAM, CHUNKS_SUBJECT, Seconds},
};

/// What a chunk holds at most: the default payload limit of nats-server without a header's room.
pub(crate) const LARGEST_CHUNK: usize = 1_047_552;
/// What the payload limit keeps free for headers, should a chunk ever have some.
const HEADROOM: usize = 1024;
/// How long nats-server may give no answer before an operation gives up.
const PATIENCE: Duration = Duration::from_secs(30);

const INFO: &str = "describe the stream of chunks";
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

/// The stream of chunks. Clones share connections and budget.
#[derive(Clone)]
pub struct ChunkStore {
    write: Line,
    read: Arc<[Line]>,
    turn: Arc<AtomicUsize>,
    budget: Budget,
    flows: Flows,
}

/// How much the stream holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamState {
    /// Chunks.
    pub messages: u64,
    /// Bytes, with what nats-server keeps beside each chunk; its files shrink later.
    pub bytes: u64,
    /// The stream's `max_bytes`, when it has one.
    pub limit: Option<u64>,
}

/// The subject of an upload's chunks.
pub(super) fn subject(upload: UploadId) -> String {
    format!("{CHUNKS_SUBJECT}.{upload}")
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
        Self { write, read: read.into(), turn: Arc::default(), budget, flows: Flows::default() }
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

    /// Removes all chunks of an upload, and tells how many there were. Without any, that is 0.
    pub async fn purge(&self, upload: UploadId) -> Result<u64, ChunkError> {
        #[derive(Deserialize)]
        struct Purged {
            purged: u64,
        }
        let subject = format!("$JS.API.STREAM.PURGE.{CHUNKS_STREAM}");
        let payload = payload(&json!({ "filter": self::subject(upload) }));
        let judge = |message| answers::api::<Purged>(PURGE, &message);
        Ok(self.write.ask(PURGE, subject, payload, judge).await?.purged)
    }

    /// The uploads that have chunks, and how many each has.
    pub async fn subjects(&self) -> Result<BTreeMap<UploadId, u64>, ChunkError> {
        let (mut uploads, mut offset) = (BTreeMap::new(), 0);
        loop {
            let filter = json!({ "subjects_filter": format!("{CHUNKS_SUBJECT}.*"), "offset": offset });
            let info = self.info(payload(&filter)).await?;
            let page = info.state.subjects.len();
            uploads.extend(info.state.subjects.into_iter().filter_map(|(subject, count)| {
                let id = subject.strip_prefix(CHUNKS_SUBJECT)?.strip_prefix('.')?;
                Some((id.parse().ok()?, count))
            }));
            offset += page;
            if page == 0 || offset >= info.total {
                return Ok(uploads);
            }
        }
    }

    /// How much the stream holds.
    pub async fn state(&self) -> Result<StreamState, ChunkError> {
        let info = self.info(Bytes::new()).await?;
        let limit = u64::try_from(info.config.max_bytes).ok().filter(|limit| *limit > 0);
        Ok(StreamState { messages: info.state.messages, bytes: info.state.bytes, limit })
    }

    /// When the last chunk of an upload was stored, by nats-server's clock; `None` without chunks. It
    /// carries that chunk over the connection: for the few uploads that nobody knows.
    pub async fn last_stored(&self, upload: UploadId) -> Result<Option<Seconds>, ChunkError> {
        let (_permit, line) = (self.budget.acquire(LARGEST_CHUNK).await, self.read_line());
        let payload = payload(&json!({ "last_by_subj": subject(upload) }));
        line.ask(answers::READ, get_subject(), payload, last_stored).await
    }

    async fn info(&self, payload: Bytes) -> Result<Info, ChunkError> {
        let subject = format!("$JS.API.STREAM.INFO.{CHUNKS_STREAM}");
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

    pub(super) fn write_line(&self) -> &Line {
        &self.write
    }

    /// The next reading connection in turn.
    pub(super) fn read_line(&self) -> &Line {
        &self.read[self.turn.fetch_add(1, Ordering::Relaxed) % self.read.len()]
    }
}

/// The subject of direct gets.
pub(super) fn get_subject() -> String {
    format!("$JS.API.DIRECT.GET.{CHUNKS_STREAM}")
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
