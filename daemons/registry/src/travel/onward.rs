//! Requests of the other side of the link that are passed on, mostly to an upstream.
//!
//! Who is asked may take long, or swallow what it is asked. Such a request gives back its turn among
//! those that are answered, and takes one among those for the same source: what is here, and what comes
//! from elsewhere, is answered meanwhile.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::Semaphore, time::timeout};

use super::{
    answer::Reply,
    protocol::{Code, Head, Refused},
};

/// Requests for one source at a time, most of which wait; more are told to come later.
const ROOM: usize = 64;
/// Questions to one source at a time.
const ASKED: usize = 8;
/// How long a question waits for its turn.
const TURN: Duration = Duration::from_secs(5);

/// The requests that are passed on to one source.
#[derive(Clone, Debug)]
pub(crate) struct Onward {
    room: Arc<Semaphore>,
    asked: Arc<Semaphore>,
}

impl Default for Onward {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(ROOM)), asked: Arc::new(Semaphore::new(ASKED)) }
    }
}

impl Onward {
    /// Lets a question be passed on.
    pub(crate) async fn ask(&self, reply: &mut Reply) -> Result<(), Refused> {
        self.follow(reply).await?;
        let turn = timeout(TURN, self.asked.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(busy()) };
        reply.turns.push(turn);
        Ok(())
    }

    /// Lets a request for the bytes of a blob be passed on, which takes as long as they take to arrive.
    pub(crate) async fn follow(&self, reply: &mut Reply) -> Result<(), Refused> {
        let room = self.room.clone().try_acquire_owned().map_err(|_| busy())?;
        reply.turns = vec![room];
        reply.send(&Head::refused(Code::Wait, "an upstream registry is asked"), Bytes::new()).await;
        Ok(())
    }
}

fn busy() -> Refused {
    Refused::new(Code::Busy, "too many requests wait for an upstream registry")
}
