//! The collector beside a real nats-server.

mod between;
mod lease;
mod links;
mod marks;
mod retention;
mod space;
mod stress;
mod uploads;

use bytes::Bytes;
use registry::{
    Digest, Repository, Storage,
    collect::{Collector, Outcome, Policy, Report},
    records::Origin,
    storage::{PutManifest, StoredManifest},
};
use serde_json::{Value, json};

use crate::harness::{content, push, tag};

pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// All grace times are over at once, save that of uploads.
pub(crate) fn at_once() -> Policy {
    Policy { grace: 0, ..Policy::default() }
}

/// One pass.
pub(crate) async fn pass(storage: &Storage, policy: Policy) -> Report {
    let collector = Collector::new(storage.clone(), policy, "test".to_owned());
    match collector.pass(&|_| {}).await.unwrap() {
        Outcome::Done(report) => report,
        Outcome::Busy(lease) => panic!("{lease:?}"),
    }
}

/// The text of an image of these blobs.
pub(crate) fn image(blobs: &[Digest]) -> Value {
    let descriptor = |digest: &Digest| json!({ "mediaType": "application/x", "digest": digest, "size": 1 });
    let layers: Vec<_> = blobs[1..].iter().map(descriptor).collect();
    json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": descriptor(&blobs[0]), "layers": layers })
}

/// The text of an index of these manifests.
pub(crate) fn index_of(manifests: &[Digest]) -> Value {
    let descriptor = |digest: &Digest| json!({ "mediaType": IMAGE, "digest": digest, "size": 1 });
    let manifests: Vec<_> = manifests.iter().map(descriptor).collect();
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests })
}

pub(crate) fn manifest(repository: &Repository, tags: &[&str], body: &Value) -> PutManifest {
    PutManifest {
        repository: repository.clone(),
        digest: None,
        tags: tags.iter().map(|name| tag(name)).collect(),
        media_type: body["mediaType"].as_str().unwrap().to_owned(),
        bytes: Bytes::from(body.to_string()),
        by: "ci".to_owned(),
        origin: Origin::Pushed,
    }
}

/// Pushes an image with a configuration and a layer of its own.
pub(crate) async fn push_image(
    storage: &Storage,
    repository: &Repository,
    number: u64,
    tags: &[&str],
) -> Digest {
    let blobs = [
        push(storage, repository, &content(number, 200)).await.unwrap(),
        push(storage, repository, &content(number + 1_000_000, 5_000)).await.unwrap(),
    ];
    let StoredManifest { digest, .. } =
        storage.put_manifest(manifest(repository, tags, &image(&blobs))).await.unwrap();
    digest
}
