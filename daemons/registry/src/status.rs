//! `leafbox.registry.status.<node>`: what this registry has under way, for `leafbox registry status`, and
//! what it stores, for the console.

use std::net::SocketAddr;

use async_nats::service::{Request, error::Error as ServiceError};
use serde::{Deserialize, Serialize};

use crate::{
    Repository, UploadId,
    catalog::{self, Question},
    collect,
    http::{Parts, Service},
    records::Seconds,
    travel,
};

/// What a registry has under way.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The node.
    pub node: String,
    /// The version of leafbox.
    pub version: String,
    /// Where clients reach it, host and port; empty where an older version answers.
    pub address: String,
    /// Whether requests are answered.
    pub ready: bool,
    /// Repositories that exist.
    pub repositories: usize,
    /// Tags of all repositories.
    pub tags: usize,
    /// Manifests of all repositories.
    pub manifests: usize,
    /// Blobs, those of manifests among them.
    pub blobs: usize,
    /// Uploads under way.
    pub uploads: Vec<Upload>,
    /// The hot blobs on disk.
    pub cache: CacheStatus,
    /// Audit events that were lost since the start.
    pub audit_dropped: u64,
    /// What the collector did since the start.
    pub collected: collect::Totals,
    /// Its last pass that came to an end.
    pub last_collection: Option<collect::Report>,
    /// What travels; `None` until the registry is ready.
    pub travel: Option<travel::Status>,
}

/// An upload under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// Where it was begun.
    pub repository: Repository,
    /// Bytes that are stored.
    pub offset: u64,
    /// Bytes in all, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When bytes last arrived.
    pub touched: Seconds,
}

/// The hot blobs on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheStatus {
    /// Bytes that it holds.
    pub bytes: u64,
    /// Bytes that it may hold.
    pub limit: u64,
    /// Blobs that it holds.
    pub blobs: u64,
    /// Reads that it answered since the start.
    pub hits: u64,
    /// Reads that it could not answer.
    pub misses: u64,
}

/// The subject that a node answers.
pub fn subject(node: &str) -> String {
    format!("leafbox.registry.status.{node}")
}

/// Who answers.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    pub(crate) node: String,
    pub(crate) address: SocketAddr,
}

pub(crate) async fn answer(service: &Service, own: &Own, request: Request) {
    let answer = match &*request.message.payload {
        b"" => Ok(serde_json::to_vec(&of(service, own)).expect("a status is plain JSON")),
        question => listed(service, question).await,
    };
    if let Err(error) = request.respond(answer.map(Into::into)).await {
        tracing::debug!("a question for the status could not be answered: {error}");
    }
}

/// The answer to a [`Question`].
async fn listed(service: &Service, question: &[u8]) -> Result<Vec<u8>, ServiceError> {
    let refused = |code, status: String| ServiceError { code, status };
    let question: Question = serde_json::from_slice(question)
        .map_err(|error| refused(400, format!("no question that this version knows: {error}")))?;
    let Some(parts) = service.parts_now() else {
        return Err(refused(503, "the registry waits for its stores".to_owned()));
    };
    let storage = parts.storage.clone();
    // A listing looks at each record: others are answered meanwhile.
    let answered =
        tokio::task::spawn_blocking(move || catalog::answer(&storage, &question).to_string()).await;
    answered.map(String::into_bytes).map_err(|_| refused(500, "the listing failed".to_owned()))
}

fn of(service: &Service, Own { node, address }: &Own) -> Status {
    let status = Status {
        node: node.clone(),
        address: runtime::reachable(*address).to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ready: service.is_ready(),
        ..Status::default()
    };
    let Some(Parts { storage, audit, travel, collector, .. }) = service.parts_now() else { return status };
    let index = storage.index();
    let counts = index.counts();
    let mut uploads: Vec<Upload> = index
        .uploads()
        .into_iter()
        .map(|(id, upload)| Upload {
            id,
            repository: upload.repository.clone(),
            offset: upload.offset,
            size: upload.travels.as_ref().map(|travels| travels.size),
            touched: upload.touched,
        })
        .collect();
    uploads.sort_by_key(|upload| upload.touched);
    let cache = storage.cache().usage();
    let (collected, last_collection) = collector.totals();
    Status {
        repositories: counts.repositories,
        tags: counts.tags,
        manifests: counts.manifests,
        blobs: counts.blobs,
        uploads,
        cache: CacheStatus {
            bytes: cache.bytes,
            limit: cache.limit,
            blobs: cache.files,
            hits: cache.hits,
            misses: cache.misses,
        },
        audit_dropped: audit.dropped(),
        collected,
        last_collection,
        travel: Some(travel.status()),
        ..status
    }
}
