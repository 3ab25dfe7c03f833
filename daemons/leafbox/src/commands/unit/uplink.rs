//! `leafbox unit uplink`: [`crate::uplink`] in a process of its own.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use runtime::{Pulse, notify};

use crate::{
    cli::Global,
    confinement,
    session::{self, Session},
    uplink,
};

/// A look at all stores over a slow link takes this long at most.
const LONGEST_ROUND: Duration = Duration::from_secs(300);

pub(super) fn run(global: &Global) -> Result<()> {
    let session = Session::of(session::load(global)?)?;
    confinement::of_uplink(&session);
    super::one_thread()?.block_on(watch(session))
}

async fn watch(session: Session) -> Result<()> {
    let shutdown = runtime::shutdown::token().context("cannot listen for signals")?;
    let pulse = Pulse::new();
    let alive = pulse.clone();
    let watch = uplink::watch(Arc::new(session), pulse, shutdown.clone());
    notify::around(move || alive.is_fresh(LONGEST_ROUND), &shutdown, watch).await
}
