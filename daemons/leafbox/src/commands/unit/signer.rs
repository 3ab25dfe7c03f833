//! `leafbox unit signer`: [`crate::signer`] in a process of its own, on the machine that has the
//! operator's keys.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use runtime::{ConnectOptions, notify};
use sse_bridge::signing::SERVICE;

use crate::{
    cli::Global,
    confinement, contradiction,
    session::{self, Session},
    signer,
};

/// It answers whoever asks: there is nothing that could be stuck for longer.
const LOOK: Duration = Duration::from_secs(60);

pub(super) fn run(global: &Global) -> Result<()> {
    let session = Session::of(session::load(global)?)?;
    if !signer::has_operator(&session.keys) {
        contradiction!(
            "{} has no operator's keys, without which nothing can be signed: start this where they are",
            session.keys.display()
        );
    }
    confinement::of_signer(&session);
    super::one_thread()?.block_on(serve(session))
}

async fn serve(session: Session) -> Result<()> {
    let shutdown = runtime::shutdown::token().context("cannot listen for signals")?;
    let client = runtime::connect(&ConnectOptions {
        urls: vec![session.client_url()?],
        credentials: Some(signer::creds(&session.keys)),
        tls: session.client_tls(),
        name: format!("{SERVICE} {}", session.settings.node.name),
        from: session.addresses.client.and_then(runtime::from_loopback),
        inbox: None,
    })
    .await?;
    let pulse = runtime::Pulse::new();
    let alive = pulse.clone();
    let serve = signer::run_with(Arc::new(session), client, pulse, shutdown.clone());
    notify::around(move || alive.is_fresh(LOOK), &shutdown, serve).await
}
