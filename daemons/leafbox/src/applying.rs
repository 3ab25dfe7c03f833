//! Apply as a node does it by itself: told in the log, and tried again after a failure.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use runtime::Backoff;
use supervisor::supervise::State;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{converge, session::Session};

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// How the last apply ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All that this machine can do was done.
    Applied,
    /// Something failed, in words; it is tried again.
    Failed(String),
}

/// Applies once nats-server is ready, again after each restart of it, and again after a failure.
pub(crate) async fn keep_applied(
    session: Arc<Session>,
    mut state: watch::Receiver<State>,
    applied: watch::Sender<Option<Outcome>>,
    stop: CancellationToken,
) -> Result<()> {
    let work = async {
        let mut backoff = Backoff::new(FIRST_RETRY, LONGEST_RETRY);
        loop {
            let ready = state.wait_for(|state| matches!(state, State::Ready(_))).await;
            ready.context("nats-server is no longer supervised")?;
            state.mark_unchanged();
            let outcome = apply_once(&session).await;
            let settled = outcome == Outcome::Applied;
            applied.send_replace(Some(outcome));
            if settled {
                backoff.reset();
                state.changed().await.context("nats-server is no longer supervised")?;
            } else {
                // A restart may be what it takes, so it cuts the wait short.
                let _ = tokio::time::timeout(backoff.wait(), state.changed()).await;
            }
        }
    };
    stop.run_until_cancelled(work).await.unwrap_or(Ok(()))
}

/// Applies the fleet as the file has it now, and says in the log what came of it.
pub(crate) async fn apply_once(session: &Session) -> Outcome {
    let converged = async { converge::converge(&session.refreshed()?).await };
    let outcome = match converged.await {
        Ok(converged) => {
            tell(&converged);
            let problems = converged.problems();
            if problems.is_empty() { Outcome::Applied } else { Outcome::Failed(problems.join("; ")) }
        }
        Err(error) => Outcome::Failed(crate::explain(&error)),
    };
    if let Outcome::Failed(why) = &outcome {
        warn!("not all could be applied, trying again: {why}");
    }
    outcome
}

fn tell(converged: &converge::Converged) {
    let refused = converged.refused();
    if refused > 0 {
        warn!("{refused} store changes are refused: `leafbox plan` says why and how to make them by hand");
    }
    let waiting: BTreeSet<&str> =
        converged.accounts.waiting.iter().map(|change| change.account.as_str()).collect();
    if !waiting.is_empty() {
        let names = waiting.into_iter().collect::<Vec<_>>().join(", ");
        warn!("changes of the accounts {names} wait for the operator: `leafbox plan` shows them");
    }
    info!("stores applied: {} changed", converged.applied.done.len());
}
