//! Ranges of a blob out of chunks of the streams.
//!
//! A task of its own asks for chunks, a few ahead of what its consumer takes, so that it can give up
//! what the consumer of a slow client leaves lying while others wait: chunks can be asked for again.

use std::{collections::VecDeque, ops::Range, time::Duration};

use bytes::Bytes;
use futures::{
    FutureExt, Stream,
    future::{BoxFuture, join_all},
};
use serde_json::json;
use tokio::{sync::mpsc, time::sleep};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Budget, Chunk, ChunkError, ChunkStore, Lane, Permit, Pool, Runs, answers, flow::Flow, line::Line, store,
};
use crate::UploadId;

/// Chunks that are asked for ahead of the consumer, when the budget has room.
const AHEAD: usize = 16;
/// Chunks of a read that is worth a consumer, which takes about as long to make as to read one.
const LONG: usize = 8;
/// The pieces in which a chunk is handed over when memory is short. They are copies, so that a consumer
/// that stops holds no whole chunk.
const PIECE: usize = 64 << 10;
/// How long a chunk may wait for its consumer while others wait for its room.
const LEFT_LYING: Duration = Duration::from_secs(1);

type Item = Result<Bytes, ChunkError>;

pub(super) fn read(
    store: ChunkStore,
    runs: Runs,
    upload: UploadId,
    range: Range<u64>,
) -> impl Stream<Item = Item> + Send + Unpin + 'static {
    let (sender, mut receiver) = mpsc::channel(1);
    let range = range.start..range.end.min(runs.bytes());
    let line = store.read_line().clone();
    let reader =
        Reader { store, line, runs, upload, range, asked: VecDeque::new(), flows: Vec::new(), sender };
    let task = AbortOnDropHandle::new(tokio::spawn(reader.run()));
    futures::stream::poll_fn(move |context| {
        let _ended_with_the_stream = &task;
        receiver.poll_recv(context)
    })
}

struct Reader {
    store: ChunkStore,
    /// One connection for all direct gets: chunks that are read out of order cost nats-server a second look
    /// at their block, which it decrypts as a whole.
    line: Line,
    runs: Runs,
    upload: UploadId,
    /// What is not handed over yet.
    range: Range<u64>,
    /// Chunks that follow what is handed over, in order.
    asked: VecDeque<Asked>,
    /// What sends the chunks of `asked` that come by themselves: for each lane, or none.
    flows: Vec<Flow>,
    sender: mpsc::Sender<Item>,
}

struct Asked {
    chunk: Chunk,
    bytes: Coming,
    permit: Permit,
}

/// How a chunk comes.
enum Coming {
    /// As the answer to a direct get.
    Answer(BoxFuture<'static, Result<Bytes, ChunkError>>),
    /// By the flow, as its next one.
    Flow,
}

/// A chunk that counts against the budget until its last reader drops it.
struct Held {
    bytes: Bytes,
    _permits: [Permit; 2],
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Reader {
    async fn run(mut self) {
        if self.is_long() && self.store.flows().may_open(&self.line) {
            let (store, flows, upload) = (self.store.clone(), self.store.flows().clone(), self.upload);
            // Each on another connection: both ends of one have a single task that moves bytes.
            let others = std::iter::repeat_with(|| store.read_line().clone());
            let lines = std::iter::once(self.line.clone()).chain(others);
            let opened = self.firsts().into_iter().zip(lines).map(|(first, line)| {
                let flows = &flows;
                async move { Flow::open(flows, &line, upload, first).await }
            });
            // One for each lane, or none: half a read by flows is no quicker.
            self.flows = join_all(opened).await.into_iter().collect::<Option<_>>().unwrap_or_default();
        }
        while !self.range.is_empty() {
            self.ask_ahead().await;
            let Some(Asked { chunk, bytes, permit }) = self.asked.pop_front() else { return };
            let bytes = match bytes {
                Coming::Answer(answer) => answer.await,
                Coming::Flow => match self.flowed(chunk).await {
                    Some(bytes) => Ok(bytes),
                    None => {
                        self.stop_flows();
                        continue;
                    }
                },
            };
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(error) => {
                    // Nobody listens when the client went away.
                    let _ = self.sender.send(Err(error)).await;
                    return;
                }
            };
            let wanted =
                usize::try_from(chunk.skip).and_then(|skip| Ok(skip..skip + usize::try_from(chunk.take)?));
            let Ok(wanted) = wanted else { return };
            if self.hand_over(bytes.slice(wanted), permit).await.is_none() {
                return;
            }
        }
    }

    fn is_long(&self) -> bool {
        self.runs.chunks(self.range.clone()).nth(LONG - 1).is_some()
    }

    /// The first chunk of each lane that has any.
    fn firsts(&self) -> Vec<Chunk> {
        let first = |lane| self.runs.chunks(self.range.clone()).find(|chunk| chunk.lane == lane);
        Lane::ALL.into_iter().filter_map(first).collect()
    }

    async fn flowed(&mut self, chunk: Chunk) -> Option<Bytes> {
        self.flows.iter_mut().find(|flow| flow.lane() == chunk.lane)?.next(chunk).await
    }

    /// What was asked for and is not here is asked for again, one by one.
    fn stop_flows(&mut self) {
        self.asked.clear();
        self.flows.clear();
    }

    /// Asks for the next chunk, waiting for room, and for more where there is room.
    async fn ask_ahead(&mut self) {
        // A flow is asked for several at once.
        let flow = !self.flows.is_empty();
        if flow && self.asked.len() > AHEAD / 2 {
            return;
        }
        let asked: u64 = self.asked.iter().map(|asked| asked.chunk.take).sum();
        let mut from = self.range.start + asked;
        let mut flowing = [0; Lane::ALL.len()];
        while self.asked.len() < AHEAD {
            let Some(chunk) = self.runs.chunks(from..self.range.end).next() else { break };
            let Ok(size) = usize::try_from(chunk.size) else { break };
            let permit = if self.asked.is_empty() {
                self.store.budget().reading.acquire(size).await
            } else {
                let Some(permit) = self.store.budget().reading.try_acquire(size) else { break };
                permit
            };
            from += chunk.take;
            let bytes = if flow {
                flowing[chunk.lane.index()] += 1;
                Coming::Flow
            } else {
                let mut answer = self.get(chunk);
                // Polled once, which hands the request to the connection.
                if let Some(result) = (&mut answer).now_or_never() {
                    answer = std::future::ready(result).boxed();
                }
                Coming::Answer(answer)
            };
            self.asked.push_back(Asked { chunk, bytes, permit });
        }
        for flow in &self.flows {
            let chunks = flowing[flow.lane().index()];
            if chunks > 0 && !flow.ask(chunks).await {
                // The first one that does not come ends it.
                tracing::debug!("chunks cannot be asked for at the moment");
            }
        }
    }

    fn get(&self, chunk: Chunk) -> BoxFuture<'static, Result<Bytes, ChunkError>> {
        let (line, upload) = (self.line.clone(), self.upload);
        // The next one of the upload from there on, which is this one. Asked by sequence alone,
        // nats-server takes two chunks a block for a scan backwards, and decrypts the block for each.
        let request =
            json!({ "seq": chunk.sequence, "next_by_subj": chunk.lane.subject(upload) }).to_string();
        async move {
            let judge = |message| answers::chunk(message, upload, chunk);
            line.ask(answers::READ, store::get_subject(chunk.lane), request.into(), judge).await
        }
        .boxed()
    }

    /// `None` when nobody listens any more.
    async fn hand_over(&mut self, mut bytes: Bytes, permit: Permit) -> Option<()> {
        let Budget { reading, held, .. } = self.store.budget().clone();
        let mut permit = Some(permit);
        while !bytes.is_empty() {
            let Some(slot) = taken(&self.sender, &reading).await? else {
                // Left lying. What is dropped here is asked for again once the consumer wants more.
                self.stop_flows();
                drop((bytes, permit));
                drop(self.sender.reserve().await.ok()?);
                return Some(());
            };
            let room = bytes.len();
            let whole = held.try_acquire(room).and_then(|held| Some([permit.take()?, held]));
            let piece = match whole {
                Some(permits) => {
                    Bytes::from_owner(Held { bytes: std::mem::take(&mut bytes), _permits: permits })
                }
                None => Bytes::copy_from_slice(&bytes.split_to(bytes.len().min(PIECE))),
            };
            self.range.start += piece.len() as u64;
            slot.send(Ok(piece));
        }
        Some(())
    }
}

/// Waits for the consumer to want more; `Some(None)` when it leaves what it has lying while others
/// wait for room, `None` when it is gone.
async fn taken<'a>(sender: &'a mpsc::Sender<Item>, pool: &Pool) -> Option<Option<mpsc::Permit<'a, Item>>> {
    let mut slot = std::pin::pin!(sender.reserve());
    loop {
        tokio::select! {
            biased;
            slot = &mut slot => return slot.ok().map(Some),
            () = sleep(LEFT_LYING) => if pool.pressed() { return Some(None) },
        }
    }
}
