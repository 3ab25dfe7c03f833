//! The bytes of a blob from the other end of a link, two windows asked for at a time.
//!
//! Several hub daemons may answer, each a window: pieces of two windows come in any order among each
//! other, and in order within one.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_nats::Subscriber;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout},
};

use super::{
    error::TravelError,
    peer::{self, FLIGHT_UNIT, Peer},
    protocol::{self, Code, Operation, PATIENCE, Refused, VERSION},
};
use crate::{Digest, Repository};

/// Silence after which the other side is asked anew. Longer than for a question: on a slow link the
/// first piece may wait behind those of other blobs.
const SILENCE: Duration = Duration::from_secs(10);
/// Windows that are asked for at a time, so that a link is not idle for the way there and back.
const WINDOWS: usize = 2;

/// Bytes that were asked for.
struct Asked {
    number: u64,
    start: u64,
    length: u64,
    /// How many of them have arrived.
    received: u64,
    pieces: VecDeque<Bytes>,
    since: Instant,
    /// Counts them as under way, until they are taken.
    _permit: OwnedSemaphorePermit,
}

/// A blob on its way.
struct Flight {
    peer: Arc<Peer>,
    repository: Repository,
    digest: Digest,
    inbox: String,
    replies: Subscriber,
    windows: VecDeque<Asked>,
    /// The first byte that was not asked for yet.
    next: u64,
    /// Bytes of the blob, once the first reply said so.
    size: Option<u64>,
    number: u64,
}

/// A blob from `offset` on.
pub(crate) struct Opened<S> {
    /// Bytes of the whole blob.
    pub(crate) size: u64,
    /// Its bytes from the offset to the end.
    pub(crate) bytes: S,
}

/// Begins to get a blob from `offset` on; returns when the other side has answered.
pub(crate) async fn open(
    peer: &Arc<Peer>,
    repository: &Repository,
    digest: &Digest,
    offset: u64,
) -> Result<Opened<impl Stream<Item = Result<Bytes, TravelError>> + Send + 'static>, TravelError> {
    let inbox = peer::inbox();
    let replies = peer.subscribe(format!("{inbox}.*")).await?;
    let mut flight = Flight {
        peer: Arc::clone(peer),
        repository: repository.clone(),
        digest: digest.clone(),
        inbox,
        replies,
        windows: VecDeque::new(),
        next: offset,
        size: None,
        number: 0,
    };
    flight.ask_first().await?;
    let size = flight.receive(SILENCE).await.inspect_err(|error| peer.note(Err(error)))?;
    peer.note(Ok(()));
    let bytes = stream::unfold(Some(flight), |flight| async {
        let mut flight = flight?;
        match flight.take().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(flight))),
            Ok(None) => None,
            Err(error) => {
                flight.peer.note(Err(&error));
                Some((Err(error), None))
            }
        }
    });
    Ok(Opened { size, bytes })
}

impl Flight {
    /// The next bytes; `None` at the end of the blob.
    async fn take(&mut self) -> Result<Option<Bytes>, TravelError> {
        loop {
            self.ask_more().await?;
            let Some(front) = self.windows.front_mut() else { return Ok(None) };
            if let Some(piece) = front.pieces.pop_front() {
                return Ok(Some(piece));
            }
            if front.received == front.length {
                self.windows.pop_front();
                continue;
            }
            self.receive(SILENCE).await?;
        }
    }

    /// Keeps [`WINDOWS`] asked for, or fewer when other fetches have their share; never none.
    async fn ask_more(&mut self) -> Result<(), TravelError> {
        while self.windows.len() < WINDOWS && self.size.is_some_and(|size| self.next < size) {
            let wanted = self.units();
            let permit = self.peer.in_flight.clone().try_acquire_many_owned(wanted);
            match permit {
                Ok(permit) => self.ask(permit).await?,
                // To wait with a window under way would have fetches wait for each other for ever.
                Err(_) if !self.windows.is_empty() => break,
                Err(_) => self.ask_first().await?,
            }
        }
        Ok(())
    }

    /// Asks when there is room for it among all fetches.
    async fn ask_first(&mut self) -> Result<(), TravelError> {
        let permit = self.peer.in_flight.clone().acquire_many_owned(self.units()).await;
        self.ask(permit.map_err(|_| TravelError::Stopping)?).await
    }

    fn units(&self) -> u32 {
        u32::try_from(self.peer.pace.window().div_ceil(FLIGHT_UNIT)).unwrap_or(u32::MAX)
    }

    async fn ask(&mut self, permit: OwnedSemaphorePermit) -> Result<(), TravelError> {
        let left = self.size.map_or(u64::MAX, |size| size - self.next);
        let length = (permit.num_permits() as u64 * FLIGHT_UNIT).min(left);
        let request = protocol::Window {
            v: VERSION,
            repository: self.repository.clone(),
            digest: self.digest.clone(),
            offset: self.next,
            length,
            most: self.peer.most(),
        };
        self.number += 1;
        let reply = format!("{}.{}", self.inbox, self.number);
        self.peer.publish(Operation::Blob, reply, &request).await?;
        self.windows.push_back(Asked {
            number: self.number,
            start: self.next,
            length,
            received: 0,
            pieces: VecDeque::new(),
            since: Instant::now(),
            _permit: permit,
        });
        self.next += length;
        Ok(())
    }

    /// Receives one piece of some window, and puts it there. Returns the size of the blob.
    async fn receive(&mut self, mut patience: Duration) -> Result<u64, TravelError> {
        loop {
            let reply = timeout(patience, self.replies.next()).await;
            let reply = reply.map_err(|_| self.peer.silent(patience))?;
            let number = reply.as_ref().and_then(|reply| reply.subject.rsplit('.').next()?.parse().ok());
            let (head, payload) = self.peer.read(reply)?;
            match head.refused {
                None => {}
                Some(Refused { code: Code::Wait, .. }) => {
                    patience = PATIENCE;
                    continue;
                }
                Some(refused) => return Err(self.peer.refused(refused)),
            }
            let (Some(size), Some(offset)) = (head.size, head.offset) else {
                return Err(self.peer.broken("a piece of a blob without offset or size"));
            };
            if self.size.is_some_and(|known| known != size) {
                return Err(self.peer.broken("another size of the blob than before"));
            }
            self.put(number, offset, payload, size, head.last)?;
            return Ok(size);
        }
    }

    fn put(
        &mut self,
        number: Option<u64>,
        offset: u64,
        payload: Bytes,
        size: u64,
        last: bool,
    ) -> Result<(), TravelError> {
        if self.size.is_none() {
            // The first window was asked for before anybody knew where the blob ends.
            self.size = Some(size);
            if let Some(first) = self.windows.front_mut() {
                first.length = first.length.min(size.saturating_sub(first.start));
                self.next = first.start + first.length;
            }
        }
        let window = self.windows.iter_mut().find(|window| Some(window.number) == number);
        let Some(window) = window else { return Err(self.peer.broken("a piece that nobody asked for")) };
        let received = window.received + payload.len() as u64;
        if offset != window.start + window.received || received > window.length {
            return Err(self.peer.broken("a piece is missing: the link broke on the way"));
        }
        window.received = received;
        if !payload.is_empty() {
            window.pieces.push_back(payload);
        }
        if received == window.length {
            self.peer.pace.took(window.length, window.since.elapsed());
        } else if last {
            return Err(self.peer.broken("fewer bytes than were asked for"));
        }
        Ok(())
    }
}
