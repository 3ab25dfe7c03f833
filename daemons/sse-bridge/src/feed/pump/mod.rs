//! What brings messages into a feed: one subscription or one consumer, however many watch.

mod core;
mod stream;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_nats::{Client, Message, Subscriber};
use futures::{FutureExt, StreamExt};

use super::{
    config::FeedConfig,
    jetstream::JetStream,
    metrics::Metrics,
    shared::{Feed, Source},
};

/// Messages that are taken at once, so that clients are woken once for them.
const BURST: usize = 256;

/// What a pump has.
pub(super) struct Pump {
    pub(super) feed: Arc<Feed>,
    pub(super) client: Client,
    pub(super) config: Arc<FeedConfig>,
    pub(super) metrics: Metrics,
}

impl Pump {
    /// Brings messages until the feed turns out to be impossible, which is told in its phase, or until
    /// the connection is closed for good.
    pub(super) async fn run(self) {
        match self.feed.key.source.clone() {
            Source::Core(subject) => self.core(&subject).await,
            Source::Stream { name, filters } => {
                let jetstream = JetStream::new(self.client.clone());
                self.stream(&jetstream, &name, &filters).await;
            }
        }
    }

    /// How often the connection was made: it differs when it was lost in between.
    fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }
}

/// The next message, and what else is there already.
async fn burst(subscriber: &mut Subscriber, into: &mut Vec<Message>) -> bool {
    match subscriber.next().await {
        Some(message) => into.push(message),
        None => return false,
    }
    while into.len() < BURST
        && let Some(Some(message)) = subscriber.next().now_or_never()
    {
        into.push(message);
    }
    true
}

/// The wait before another attempt.
fn wait(attempts: u32) -> Duration {
    runtime::Backoff::new(Duration::from_millis(50), Duration::from_secs(2)).after(attempts)
}
