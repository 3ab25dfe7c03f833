//! Answers what the other side of the link asks.

use std::sync::Arc;

use async_nats::{Client, Message, Subject};
use bytes::Bytes;
use futures::StreamExt;
use runtime::Backoff;
use serde::de::DeserializeOwned;
use settings::NodeRole;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    Core,
    error::TravelError,
    gather, images,
    protocol::{
        self, Announce, Code, Head, LONGEST_INLINE, MOST_REFERRERS, Operation, QUEUE, Referrer, Refused,
        Resolve, Stat, Window, hub_subject, leaf_subject,
    },
    sending,
};
use crate::{Reference, Repository};

/// Requests that are answered at a time; more wait their turn.
const AT_ONCE: usize = 32;

/// Where an answer goes.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) client: Client,
    pub(crate) subject: Subject,
    /// What the request counts among: those that are answered, or those that are passed on.
    pub(crate) turns: Vec<OwnedSemaphorePermit>,
}

impl Reply {
    /// Sends a part of an answer. That it is lost is for who asked to notice.
    pub(crate) async fn send(&self, head: &Head, payload: Bytes) {
        let sent = self.client.publish_with_headers(self.subject.clone(), head.headers(), payload).await;
        if let Err(error) = sent {
            tracing::debug!("an answer to {} was not sent: {error}", self.subject);
        }
    }
}

/// An answer that is one message.
type Answer = Result<(Head, Bytes), Refused>;

/// Answers until the daemon stops.
pub(super) async fn serve(core: &Arc<Core>) {
    let subject = match core.config.role {
        NodeRole::Hub => format!("{}.*", hub_subject("*")),
        NodeRole::Leaf => format!("{}.*", leaf_subject(&core.config.node)),
    };
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut backoff = Backoff::new(std::time::Duration::from_millis(100), std::time::Duration::from_secs(5));
    while !core.stop.is_cancelled() {
        match core.client.queue_subscribe(subject.clone(), QUEUE.to_owned()).await {
            Ok(mut requests) => {
                backoff.reset();
                while let Some(Some(request)) = core.stop.run_until_cancelled(requests.next()).await {
                    let Ok(turn) = turns.clone().acquire_owned().await else { return };
                    let core = Arc::clone(core);
                    core.tracker.clone().spawn(async move {
                        core.stop.run_until_cancelled(answer(&core, request, turn)).await;
                    });
                }
            }
            Err(error) => tracing::debug!("{subject} cannot be heard: {error}"),
        }
        let _ = core.stop.run_until_cancelled(tokio::time::sleep(backoff.wait())).await;
    }
}

async fn answer(core: &Arc<Core>, request: Message, turn: OwnedSemaphorePermit) {
    let Some(subject) = request.reply.clone() else { return };
    let mut reply = Reply { client: core.client.clone(), subject, turns: vec![turn] };
    let mut tokens = request.subject.split('.').skip(3);
    let (Some(node), Some(operation)) = (tokens.next(), tokens.next()) else { return };
    let Some(operation) = Operation::from_token(operation) else {
        let unknown = Head::refused(Code::Malformed, "this registry does not know what is asked");
        return reply.send(&unknown, Bytes::new()).await;
    };
    if core.config.role == NodeRole::Hub && !core.config.leaves.contains(node) {
        tracing::warn!(node.name = node, "{node} asks the registry, and is no leaf of this fleet");
        let message = format!("{node} is none of `nodes.leaves` in the hub's fleet.toml");
        return reply.send(&Head::refused(Code::Denied, message), Bytes::new()).await;
    }
    let payload = &request.payload;
    let answer = match operation {
        Operation::Resolve => match read::<Resolve>(core, payload, |asked| &asked.repository) {
            Ok(asked) => resolve(core, &mut reply, &asked).await,
            Err(refused) => Err(refused),
        },
        Operation::Stat => match read::<Stat>(core, payload, |asked| &asked.repository) {
            Ok(asked) => stat(core, &mut reply, &asked).await,
            Err(refused) => Err(refused),
        },
        Operation::Referrers => {
            read::<Stat>(core, payload, |asked| &asked.repository).map(|asked| referrers(core, &asked))
        }
        Operation::Announce => match announced(core, node, payload) {
            Ok(announce) => Ok((gather::announced(core, node, announce).await, Bytes::new())),
            Err(refused) => Err(refused),
        },
        Operation::Blob => match read::<Window>(core, payload, |asked| &asked.repository) {
            Ok(asked) => return sending::send(core, &mut reply, &asked).await,
            Err(refused) => Err(refused),
        },
    };
    let (head, payload) = answer.unwrap_or_else(|refused| (refused.into(), Bytes::new()));
    reply.send(&head, payload).await;
}

/// Reads a request, and checks that its repository travels to who asks.
fn read<T: DeserializeOwned>(
    core: &Core,
    payload: &Bytes,
    repository: impl Fn(&T) -> &Repository,
) -> Result<T, Refused> {
    let asked: T = parse(payload)?;
    let repository = repository(&asked);
    let (allowed, list) = match core.config.role {
        NodeRole::Hub => (core.config.goes_down(repository), "down"),
        NodeRole::Leaf => (core.config.goes_up(repository), "up"),
    };
    if allowed { Ok(asked) } else { Err(denied(repository, list)) }
}

fn parse<T: DeserializeOwned>(payload: &Bytes) -> Result<T, Refused> {
    serde_json::from_slice(payload).map_err(|error| Refused::new(Code::Malformed, error))
}

fn denied(repository: &Repository, list: &str) -> Refused {
    let message = format!("no pattern of `registry.travel.{list}` in its fleet.toml fits {repository}");
    Refused::new(Code::Denied, message)
}

fn announced(core: &Core, leaf: &str, payload: &Bytes) -> Result<Announce, Refused> {
    let announce: Announce = parse(payload)?;
    if core.config.role != NodeRole::Hub {
        return Err(Refused::new(Code::Denied, "tags are announced to the hub"));
    }
    if !core.config.goes_up(&announce.repository) {
        tracing::info!(
            node.name = leaf,
            "{leaf} announces {}, which does not travel up",
            announce.repository
        );
        return Err(denied(&announce.repository, "up"));
    }
    if announce.referrers.len() > MOST_REFERRERS {
        return Err(Refused::new(Code::Malformed, format!("more than {MOST_REFERRERS} referrers")));
    }
    Ok(announce)
}

async fn resolve(core: &Arc<Core>, reply: &mut Reply, asked: &Resolve) -> Answer {
    let Some(reference) = asked.reference() else {
        return Err(Refused::new(Code::Malformed, "the reference is neither tag nor digest"));
    };
    let repository = &asked.repository;
    let mut found = core.storage.manifest(repository, &reference).await.map_err(failed)?;
    let source = core.source(repository).filter(|_| found.is_none());
    if let Some(source) = source {
        source.onward().ask(reply).await?;
        images::pull(core, repository, &reference).await.map_err(told)?;
        found = core.storage.manifest(repository, &reference).await.map_err(failed)?;
    } else if let Reference::Tag(tag) = &reference {
        images::refresh(core, repository, tag);
    }
    let found = found.ok_or_else(|| unknown(&format!("{repository}:{reference}")))?;
    let head = Head {
        digest: Some(found.digest.clone()),
        media_type: Some(found.media_type),
        size: Some(found.size),
        ..Head::new()
    };
    let most = protocol::most_payload(core.client.max_payload() as u64, asked.most).min(LONGEST_INLINE);
    if asked.known.as_ref() == Some(&found.digest) || found.size > most {
        return Ok((head, Bytes::new()));
    }
    let bytes = core.storage.manifest_bytes(&found.digest).await.map_err(failed)?;
    Ok((Head { last: true, ..head }, bytes))
}

async fn stat(core: &Arc<Core>, reply: &mut Reply, asked: &Stat) -> Answer {
    let (repository, digest) = (&asked.repository, &asked.digest);
    let mut size = core.size(repository, digest).await.map_err(failed)?;
    if size.is_none()
        && let Some(source) = core.source(repository)
    {
        source.onward().ask(reply).await?;
        size = source.stat(repository, digest).await.map_err(told)?;
    }
    let size = size.ok_or_else(|| unknown(&format!("{repository}@{digest}")))?;
    Ok((Head { size: Some(size), ..Head::new() }, Bytes::new()))
}

fn referrers(core: &Core, asked: &Stat) -> (Head, Bytes) {
    let referrers = core.storage.index().referrers(&asked.repository, &asked.digest).into_iter();
    let referrers: Vec<Referrer> = referrers
        .take(MOST_REFERRERS)
        .map(|(digest, manifest)| Referrer { digest, size: manifest.size })
        .collect();
    (Head::new(), protocol::request(&referrers))
}

pub(crate) fn unknown(what: &str) -> Refused {
    Refused::new(Code::Unknown, format!("{what} is not here"))
}

/// What the other side is told of a failure of ours; its detail is for our log.
pub(crate) fn failed(error: impl std::error::Error) -> Refused {
    tracing::warn!("a request of another registry could not be answered: {error}");
    Refused::new(Code::Failed, "its storage does not answer")
}

/// What the other side is told when an upstream did not give something.
pub(crate) fn told(error: TravelError) -> Refused {
    let code = match &error {
        TravelError::Unknown { .. } => Code::Unknown,
        TravelError::Denied { .. } => Code::Denied,
        error if error.is_unreachable() => Code::Busy,
        // Asked again, it would be the same: who asks is not to try all the time.
        error if error.is_final() => Code::Denied,
        _ => Code::Failed,
    };
    Refused::new(code, error)
}
