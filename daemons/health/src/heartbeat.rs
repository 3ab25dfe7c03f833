//! Sends the report to the fleet, for as long as there is somebody to send it to.
//!
//! Nothing is queued: without a connection a heartbeat is left out, and each waits for its answer
//! before the next is made.

use std::time::Duration;

use async_nats::{RequestErrorKind, connection::State};
use serde::Deserialize;
use settings::builtin::NODES_BUCKET;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::observer::Observer;

/// How long JetStream may take to store a heartbeat.
const DEADLINE: Duration = Duration::from_secs(2);
/// A heartbeat that failed is tried again after this, so that a node that has just started is seen
/// at once.
const RETRY: Duration = Duration::from_secs(1);

/// Why a heartbeat was not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum BeatError {
    #[error("there is no connection to nats-server")]
    NotConnected,
    #[error("the bucket {NODES_BUCKET} is not there: run `leafbox apply`")]
    NoBucket,
    #[error("{0}")]
    NotSent(String),
    #[error("a write to the bucket {NODES_BUCKET} got no answer within {DEADLINE:?}")]
    NotStored,
    #[error("a write to the bucket {NODES_BUCKET} was refused: {0}")]
    Refused(String),
}

impl BeatError {
    /// Whether JetStream takes no writes, rather than that there is nowhere to write to.
    fn is_of_storage(&self) -> bool {
        matches!(self, Self::NotStored | Self::Refused(_))
    }
}

/// What JetStream answers to a write.
#[derive(Deserialize)]
struct Stored {
    error: Option<StoreError>,
}

#[derive(Deserialize)]
struct StoreError {
    description: String,
}

/// Sends a heartbeat at each interval until `shutdown`.
pub(crate) async fn beat(observer: &Observer, shutdown: CancellationToken) {
    let interval = observer.config.heartbeat;
    let mut last: Option<Result<(), BeatError>> = None;
    loop {
        observer.config.pulse.beat();
        let Some(result) = shutdown.run_until_cancelled(send(observer)).await else { return };
        let problem = result.as_ref().err().filter(|error| error.is_of_storage());
        observer.wrote(problem.map(ToString::to_string)).await;
        if last.as_ref() != Some(&result) {
            tell(&result, last.is_none());
        }
        let wait = if result.is_ok() { interval } else { interval.min(RETRY) };
        last = Some(result);
        if shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
            return;
        }
    }
}

async fn send(observer: &Observer) -> Result<(), BeatError> {
    let mut report = observer.report().await;
    let nats = &observer.nats;
    // A publish without a connection is kept and sent later, all of them at once.
    if nats.connection_state() != State::Connected {
        return Err(BeatError::NotConnected);
    }
    report.sequence = observer.next_sequence();
    let node = &observer.config.node;
    let payload = serde_json::to_vec(&report).map_err(|error| BeatError::NotSent(error.to_string()))?;
    let sent = nats.publish(format!("leafbox.node.{node}.heartbeat"), payload.clone().into()).await;
    sent.map_err(|error| BeatError::NotSent(error.to_string()))?;
    let stored = nats.request(format!("$KV.{NODES_BUCKET}.{node}"), payload.into());
    match timeout(DEADLINE, stored).await {
        Ok(Ok(answer)) => match serde_json::from_slice::<Stored>(&answer.payload) {
            Ok(Stored { error: None }) => Ok(()),
            Ok(Stored { error: Some(error) }) => Err(BeatError::Refused(error.description)),
            Err(error) => Err(BeatError::Refused(error.to_string())),
        },
        Ok(Err(error)) => Err(match error.kind() {
            RequestErrorKind::NoResponders => BeatError::NoBucket,
            RequestErrorKind::TimedOut => BeatError::NotStored,
            _ => BeatError::NotSent(error.to_string()),
        }),
        Err(_) => Err(BeatError::NotStored),
    }
}

/// Logs a change. That there is no connection yet, or no bucket on a node that is being set up, is
/// no news at the start.
fn tell(result: &Result<(), BeatError>, first: bool) {
    match result {
        Ok(()) => tracing::info!("heartbeats reach the bucket {NODES_BUCKET}"),
        Err(error @ (BeatError::NotConnected | BeatError::NoBucket)) if first => {
            tracing::debug!("no heartbeat: {error}");
        }
        Err(error) => tracing::warn!("no heartbeat: {error}"),
    }
}
