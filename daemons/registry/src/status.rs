//! `leafbox.registry.status.<node>`: what this registry has under way, for `leafbox registry status`.

use async_nats::service::Request;
use serde::{Deserialize, Serialize};

use crate::{
    Repository, UploadId, collect,
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

pub(crate) async fn answer(service: &Service, node: &str, request: Request) {
    let status = of(service, node);
    let payload = serde_json::to_vec(&status).expect("a status is plain JSON");
    if let Err(error) = request.respond(Ok(payload.into())).await {
        tracing::debug!("a question for the status could not be answered: {error}");
    }
}

fn of(service: &Service, node: &str) -> Status {
    let status = Status {
        node: node.to_owned(),
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
