//! A long row of chunks, sent by nats-server as they stand in the stream: a consumer of one upload.
//!
//! nats-server makes room anew for each chunk of a direct get, and spends a third of its time on that;
//! a consumer sends them out of the same few buffers. Whatever is not as expected ends the flow, and
//! single gets go on where it stopped: they are what is made to survive faults.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{Message, Request, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Chunk, Lane, line::Line};
use crate::UploadId;

/// How long the consumer may take to be there. It is memory in nats-server, nothing else.
const OPENING: Duration = Duration::from_secs(2);
/// For how long none is tried after one that could not be made.
const PAUSE: Duration = Duration::from_secs(60);
/// How long nothing may come before single gets are tried.
const SILENCE: Duration = Duration::from_secs(3);
/// How often a reader that waits looks at its connection.
const LOOK: Duration = Duration::from_millis(100);
/// nats-server does away with a consumer that nobody asked for so long: that of a daemon that is gone,
/// or of a client that pauses.
const INACTIVE: Duration = Duration::from_secs(10);

/// Whether flows are worth a try.
#[derive(Clone, Default)]
pub(super) struct Flows(Arc<Mutex<Option<Instant>>>);

impl Flows {
    /// On a cluster, consumers are made by its leader and told to all: more work than they save.
    pub(super) fn may_open(&self, line: &Line) -> bool {
        let failed = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_none_or(|at| at.elapsed() > PAUSE) && line.client().server_info().cluster.is_none()
    }

    fn failed(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// Chunks of one upload, on their way in the order of their stream.
pub(super) struct Flow {
    line: Line,
    lane: Lane,
    session: (String, u64),
    name: String,
    inbox: String,
    messages: Subscriber,
}

impl Flow {
    /// The chunks of `upload` from `first` on, in the lane of that one. `None` when nats-server gives no
    /// such consumer.
    pub(super) async fn open(flows: &Flows, line: &Line, upload: UploadId, first: Chunk) -> Option<Self> {
        let Chunk { lane, sequence, .. } = first;
        let client = line.client();
        let session = line.session();
        let (name, inbox) = (UploadId::random().to_string(), client.new_inbox());
        let config = json!({
            "name": name,
            "filter_subject": lane.subject(upload),
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": sequence,
            "ack_policy": "none",
            "replay_policy": "instant",
            "mem_storage": true,
            "num_replicas": 1,
            "inactive_threshold": u64::try_from(INACTIVE.as_nanos()).unwrap_or(u64::MAX),
        });
        let create = json!({ "stream_name": lane.stream(), "config": config, "action": "create" });
        let subject = format!("$JS.API.CONSUMER.CREATE.{}.{name}", lane.stream());
        let request = Request::new().payload(create.to_string().into()).timeout(Some(OPENING));
        let answered = client.send_request(subject, request).await;
        let made = answered.is_ok_and(|answer| {
            let answer = serde_json::from_slice::<serde_json::Value>(&answer.payload);
            answer.is_ok_and(|answer| answer.get("error").is_none())
        });
        if !made {
            tracing::debug!(
                "nats-server gives no consumer of chunks: they are read one by one for {PAUSE:?}"
            );
            flows.failed();
            return None;
        }
        let messages = client.subscribe(inbox.clone()).await.ok()?;
        Some(Self { line: line.clone(), lane, session, name, inbox, messages })
    }

    /// Whose chunks it sends.
    pub(super) fn lane(&self) -> Lane {
        self.lane
    }

    /// Has this many chunks more sent. Whether they can come.
    pub(super) async fn ask(&self, chunks: usize) -> bool {
        let expires = u64::try_from(INACTIVE.as_nanos() * 6).unwrap_or(u64::MAX);
        let request = json!({ "batch": chunks, "expires": expires }).to_string();
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.lane.stream(), self.name);
        let asked = self.line.client().publish_with_reply(subject, self.inbox.clone(), request.into());
        self.line.is_connected() && asked.await.is_ok()
    }

    /// The next chunk, when it is this one.
    pub(super) async fn next(&mut self, chunk: Chunk) -> Option<Bytes> {
        let Chunk { sequence, size, .. } = chunk;
        let since = Instant::now();
        loop {
            let message = tokio::select! {
                biased;
                message = self.messages.next() => message?,
                () = sleep(LOOK) => {
                    if since.elapsed() > SILENCE || self.line.session() != self.session {
                        return None;
                    }
                    continue;
                }
            };
            if message.status.is_some() {
                return None;
            }
            match sequence_of(&message)? {
                // One that was stored twice, and is counted once.
                found if found < sequence => {
                    if !self.ask(1).await {
                        return None;
                    }
                }
                found => {
                    let is_it = found == sequence && message.payload.len() as u64 == size;
                    return is_it.then_some(message.payload);
                }
            }
        }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        let subject = format!("$JS.API.CONSUMER.DELETE.{}.{}", self.lane.stream(), self.name);
        let client = self.line.client().clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // If it does not arrive, nats-server sees itself that nobody asks any more.
            runtime.spawn(async move { client.request(subject, Bytes::new()).await });
        }
    }
}

/// The stream's sequence of a message: `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.…`, with domain
/// and account before the stream in the longer form (ADR-15).
fn sequence_of(message: &Message) -> Option<u64> {
    let reply = message.reply.as_ref()?;
    let parts: Vec<&str> = reply.split('.').collect();
    let at = if parts.len() == 9 { 5 } else { 7 };
    parts.get(at).filter(|_| reply.starts_with("$JS.ACK."))?.parse().ok()
}
