//! The signer: signs users and boxes for admins of the web console, on the machine that has the
//! operator's keys. A box that was let in mints users with its own keys, and nothing else.
//! What it is asked and answers is [`sse_bridge::signing`].
//!
//! - It uses the console's creds of `LEAFBOX`: with the keys that it has it could sign itself any others,
//!   so a role of its own would protect nothing.
//! - Who asks is believed to be the console: no other role may send there, and no link carries it. What
//!   has no place for a reply was not sent by it, as what a stream publishes again, and is dropped.
//! - No secret leaves it: whoever wants a user makes the seed, and sends the public key.
//! - It signs no user of leafbox's own accounts and roles: these are the nodes'.

mod answers;
mod events;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use async_nats::{Client, Message};
use futures::StreamExt;
use identity::KeyStore;
use runtime::{
    Pulse,
    micro::{Micro, register},
};
use settings::{LEAFBOX_ACCOUNT, Settings, builtin::SIGNING};
use sse_bridge::signing::{LONGEST, Reply, SERVICE};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{commands::enroll, session::Session};
use answers::Signer;

/// Requests at once; more wait.
const AT_ONCE: usize = 8;
/// How often it shows that it lives.
const BEAT: Duration = Duration::from_secs(2);

/// Whether this machine signs anything: it has the operator's keys, or made its own as a box.
pub fn is_here(settings: &Settings, keys: &Path) -> bool {
    creds(keys).exists() && (has_operator(keys) || enroll::has_own_keys(settings))
}

/// Whether this keys directory is the operator's.
pub fn has_operator(keys: &Path) -> bool {
    KeyStore::open(keys).is_ok_and(|keys| keys.has_operator())
}

/// The creds that it connects with.
pub fn creds(keys: &Path) -> PathBuf {
    identity::layout::console_creds(keys, &LEAFBOX_ACCOUNT.parse().expect("a built-in name is valid"))
}

/// Answers until `stop`. nats-server need not be there yet.
///
/// # Errors
/// When it cannot listen.
pub async fn run(session: Arc<Session>, client: Client, stop: CancellationToken) -> Result<()> {
    run_with(session, client, Pulse::new(), stop).await
}

/// The same, with a pulse for systemd's watchdog.
///
/// # Errors
/// When it cannot listen.
pub async fn run_with(
    session: Arc<Session>,
    client: Client,
    pulse: Pulse,
    stop: CancellationToken,
) -> Result<()> {
    let node = session.settings.node.name.to_string();
    let micro = Micro {
        name: SERVICE,
        version: env!("CARGO_PKG_VERSION"),
        description: "signs users and boxes for the web console",
        node: &node,
    };
    let service = register(&client, &micro).await?;
    let (audit, publisher) = runtime::audit::channel(&client, &node);
    let published = CancellationToken::new();
    let publishing = tokio::spawn(publisher.run(published.clone()));
    let subject = format!("{SIGNING}.*");
    let asked = client.queue_subscribe(subject.clone(), SERVICE.to_owned()).await;
    let mut asked = asked.with_context(|| format!("cannot listen on {subject}"))?;
    let signer = Arc::new(Signer::new(session, audit));
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut answering = JoinSet::new();
    loop {
        let message = tokio::select! {
            () = stop.cancelled() => break,
            _ = beats.tick() => { pulse.beat(); continue; }
            message = asked.next(), if answering.len() < AT_ONCE => message,
            Some(_) = answering.join_next() => continue,
        };
        let Some(message) = message else { break };
        let (signer, client) = (Arc::clone(&signer), client.clone());
        answering.spawn(async move { answer(&signer, &client, message).await });
    }
    // What was begun is signed and told.
    while answering.join_next().await.is_some() {}
    drop(signer);
    published.cancel();
    if let Err(error) = publishing.await {
        tracing::error!("the audit events of the signer could not be kept: {error}");
    }
    if let Err(error) = service.stop().await {
        tracing::debug!("{SERVICE} could not be taken off the list of services: {error}");
    }
    Ok(())
}

async fn answer(signer: &Signer, client: &Client, message: Message) {
    let Some(reply) = message.reply.clone() else { return };
    let verb = message.subject.rsplit('.').next().unwrap_or_default();
    let answer = if message.payload.len() > LONGEST {
        serde_json::to_vec(&Reply::<()>::Refused(format!("the request is longer than {LONGEST} bytes")))
    } else {
        serde_json::to_vec(&signer.answer(verb, &message.payload).await)
    };
    let answer = answer.expect("a reply is plain JSON");
    if let Err(error) = client.publish(reply, answer.into()).await {
        tracing::warn!("the signer's answer to {verb} could not be sent: {error}");
    }
}
