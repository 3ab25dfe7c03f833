//! `leafbox unit apply`: the stores of this node as fleet.toml has them, once.
//!
//! Exits with 1 when not all could be applied: the unit is started again, later and later.

use std::time::Duration;

use anyhow::{Result, bail};
use runtime::Backoff;
use tokio::time::Instant;

use crate::{
    applying::{self, Outcome},
    cli::Global,
    confinement, converge,
    session::{self, Session},
};

/// How long nats-server may take to be healthy: a hub node waits for the others.
const PATIENCE: Duration = Duration::from_secs(60);
const FIRST_POLL: Duration = Duration::from_millis(50);
const LONGEST_POLL: Duration = Duration::from_secs(2);

pub(super) fn run(global: &Global) -> Result<()> {
    let session = Session::of(session::load(global)?)?;
    confinement::of_apply(&session);
    super::one_thread()?.block_on(apply(&session))
}

async fn apply(session: &Session) -> Result<()> {
    // An earlier run's answer is not this one's.
    let _ = std::fs::remove_file(health::Applied::path(session.data.root()));
    let mut polls = Backoff::new(FIRST_POLL, LONGEST_POLL);
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = converge::ask_healthy(session).await {
        if Instant::now() >= deadline {
            return Err(error.context(format!("nats-server was not healthy within {PATIENCE:?}")));
        }
        tokio::time::sleep(polls.wait()).await;
    }
    match applying::apply_once(session).await {
        Outcome::Applied => Ok(()),
        Outcome::Failed(why) => bail!("not all could be applied: {why}"),
    }
}
