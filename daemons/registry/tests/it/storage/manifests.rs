//! Manifests: stored, refused, referred to, deleted.

use bytes::Bytes;
use registry::{
    Algorithm, Digest, Key, Reference, Repository, Storage, StorageError,
    records::{LinkRecord, ManifestRecord, Origin},
    storage::{PutManifest, StoredManifest},
};
use serde_json::{Value, json};

use crate::harness::{Node, content, digest_of, push, read, repository, sha256, tag, until_only};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn put(repository: &Repository, media_type: &str, body: &Value) -> PutManifest {
    PutManifest {
        repository: repository.clone(),
        digest: None,
        tags: Vec::new(),
        media_type: media_type.to_owned(),
        bytes: body.to_string().into(),
        by: "ci".to_owned(),
        origin: Origin::Pushed,
    }
}

fn image(config: &Digest, layers: &[&Digest]) -> Value {
    let descriptor = |digest: &Digest| json!({ "mediaType": "application/x", "digest": digest, "size": 1 });
    let layers: Vec<_> = layers.iter().map(|layer| descriptor(layer)).collect();
    json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": descriptor(config), "layers": layers })
}

async fn stored(storage: &Storage, put: PutManifest) -> StoredManifest {
    storage.put_manifest(put).await.unwrap()
}

#[tokio::test]
async fn an_image_is_found_by_digest_and_by_all_its_tags_with_its_exact_bytes() {
    let node = Node::start().await;
    let (storage, other) = (node.storage().await, node.storage().await);
    let team = repository("team/app");
    let config = push(&storage, &team, &content(1, 300)).await.unwrap();
    let layer = push(&storage, &team, &content(2, 30_000)).await.unwrap();
    let mut wanted = put(&team, &format!("{IMAGE}; charset=utf-8"), &image(&config, &[&layer]));
    wanted.tags = vec![tag("1.0"), tag("latest")];
    let bytes = wanted.bytes.clone();
    let StoredManifest { digest, subject } = stored(&storage, wanted).await;
    assert_eq!((digest.clone(), subject), (sha256(&bytes), None));
    for reference in ["1.0", "latest", &digest.to_string()] {
        for storage in [&storage, &other] {
            let reference: Reference = reference.parse().unwrap();
            let found = storage.manifest(&team, &reference).await.unwrap().unwrap();
            assert_eq!((&found.digest, &*found.media_type), (&digest, IMAGE));
            assert_eq!(found.size, bytes.len() as u64);
            assert_eq!(storage.manifest_bytes(&found.digest).await.unwrap(), bytes);
        }
    }
    let missing: Reference = "2.0".parse().unwrap();
    assert_eq!(storage.manifest(&team, &missing).await.unwrap(), None);
    let names: Vec<_> =
        storage.tags(&team).await.unwrap().unwrap().into_iter().map(|(tag, _)| tag.to_string()).collect();
    assert_eq!(names, ["1.0", "latest"]);
    assert!(storage.tags(&repository("nobody")).await.unwrap().is_none());
    let record = storage.index().manifest(&team, &digest).unwrap();
    assert_eq!(record.blobs, [config, layer]);
    until_only(&storage, 3).await;
}

#[tokio::test]
async fn a_sha512_manifest_is_stored_under_that_digest() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let mut wanted = put(&team, INDEX, &json!({ "schemaVersion": 2, "manifests": [] }));
    let digest = digest_of(Algorithm::Sha512, &wanted.bytes);
    wanted.digest = Some(digest.clone());
    assert_eq!(stored(&storage, wanted.clone()).await.digest, digest);
    assert_eq!(storage.manifest_bytes(&digest).await.unwrap(), wanted.bytes);

    wanted.digest = Some(sha256(b"other"));
    let refused = storage.put_manifest(wanted).await.unwrap_err();
    assert!(matches!(refused, StorageError::DigestMismatch { .. }), "{refused}");
}

#[tokio::test]
async fn what_a_manifest_needs_must_be_in_its_repository() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let (team, other) = (repository("team/app"), repository("other"));
    let config = push(&storage, &team, &content(3, 300)).await.unwrap();
    let elsewhere = push(&storage, &other, &content(4, 300)).await.unwrap();
    let refused = storage.put_manifest(put(&team, IMAGE, &image(&config, &[&elsewhere]))).await.unwrap_err();
    let names_it = |digest: &Digest| *digest == elsewhere;
    assert!(
        matches!(&refused, StorageError::ManifestBlobUnknown { digest } if names_it(digest)),
        "{refused}"
    );
    assert!(storage.index().manifests(&team).is_empty());
    storage.mount(&team, &elsewhere, Some(&other)).await.unwrap();
    let again = put(&team, IMAGE, &image(&config, &[&elsewhere]));
    stored(&storage, again.clone()).await;

    // Clients may delete what a manifest mentions, but then not push it again.
    assert!(storage.unlink(&team, &elsewhere).await.unwrap());
    let refused = storage.put_manifest(again.clone()).await.unwrap_err();
    assert!(matches!(refused, StorageError::ManifestBlobUnknown { .. }), "{refused}");
    assert_eq!(storage.index().manifests(&team).len(), 1, "it was there before");

    // An index may mention what is not there.
    let sparse = json!({ "schemaVersion": 2, "manifests": [{ "digest": sha256(b"not here") }] });
    stored(&storage, put(&team, INDEX, &sparse)).await;
    let nothing = put(&team, IMAGE, &json!({ "schemaVersion": 1 }));
    let refused = storage.put_manifest(nothing).await.unwrap_err();
    assert!(matches!(refused, StorageError::ManifestInvalid { .. }), "{refused}");
}

#[tokio::test]
async fn referrers_are_known_before_their_subject_and_gone_when_deleted() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let config = push(&storage, &team, &content(5, 2)).await.unwrap();
    let subject = sha256(b"pushed later, or never");
    let mut body = image(&config, &[]);
    body["subject"] = json!({ "mediaType": IMAGE, "digest": subject, "size": 3 });
    body["annotations"] = json!({ "org.example": "x" });
    let first = stored(&storage, put(&team, IMAGE, &body)).await;
    assert_eq!(first.subject.as_ref(), Some(&subject));
    body["artifactType"] = json!("application/vnd.example.signature");
    let second = stored(&storage, put(&team, IMAGE, &body)).await;
    let found = storage.index().referrers(&team, &subject);
    let mut expected = [first.digest.clone(), second.digest.clone()];
    expected.sort();
    assert_eq!(found.iter().map(|(digest, _)| digest.clone()).collect::<Vec<_>>(), expected);
    for (digest, record) in &found {
        let is_first = *digest == first.digest;
        let expected = if is_first { "application/x" } else { "application/vnd.example.signature" };
        assert_eq!(record.artifact_type.as_deref(), Some(expected));
        assert_eq!(record.annotations["org.example"], "x");
    }
    assert!(storage.index().referrers(&repository("other"), &subject).is_empty());
    storage.delete_manifest(&team, &first.digest, "ci").await.unwrap();
    assert_eq!(storage.index().referrers(&team, &subject).len(), 1);
}

#[tokio::test]
async fn a_deleted_manifest_is_gone_at_once_with_its_tags_and_its_repository_after_its_blobs() {
    let node = Node::start().await;
    let (storage, other) = (node.storage().await, node.storage().await);
    let team = repository("team/app");
    let config = push(&storage, &team, &content(6, 300)).await.unwrap();
    let mut wanted = put(&team, IMAGE, &image(&config, &[]));
    wanted.tags = vec![tag("a"), tag("b")];
    let digest = stored(&storage, wanted.clone()).await.digest;
    let mut kept = put(&team, INDEX, &json!({ "schemaVersion": 2, "manifests": [] }));
    kept.tags = vec![tag("c")];
    let kept = stored(&storage, kept).await.digest;

    other.delete_manifest(&team, &digest, "ci").await.unwrap();
    for reference in ["a", "b", &digest.to_string()] {
        assert_eq!(other.manifest(&team, &reference.parse().unwrap()).await.unwrap(), None);
    }
    assert_eq!(other.tags(&team).await.unwrap().unwrap().len(), 1);
    let again = other.delete_manifest(&team, &digest, "ci").await.unwrap_err();
    assert!(matches!(again, StorageError::ManifestUnknown { .. }), "{again}");

    // What was deleted may be pushed again.
    stored(&storage, wanted).await;
    assert!(storage.manifest(&team, &"a".parse().unwrap()).await.unwrap().is_some());
    for digest in [&digest, &kept] {
        storage.delete_manifest(&team, digest, "ci").await.unwrap();
    }
    assert_eq!(storage.tags(&team).await.unwrap().map(|tags| tags.len()), Some(0));
    assert!(storage.unlink(&team, &config).await.unwrap());
    until_only(&storage, 3).await;
    assert!(storage.tags(&team).await.unwrap().is_none());
}

#[tokio::test]
async fn four_mebibytes_are_stored_and_more_than_eight_refused() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let padded = |bytes: usize| {
        let mut body = json!({ "schemaVersion": 2, "manifests": [], "padding": "" });
        let frame = body.to_string().len();
        body["padding"] = json!("x".repeat(bytes - frame));
        body
    };
    let large = put(&team, INDEX, &padded(4 << 20));
    assert_eq!(large.bytes.len(), 4 << 20);
    let digest = stored(&storage, large.clone()).await.digest;
    assert_eq!(storage.manifest_bytes(&digest).await.unwrap(), large.bytes);
    assert_eq!(read(&storage, &digest).await.unwrap(), large.bytes);
    let refused = storage.put_manifest(put(&team, INDEX, &padded((8 << 20) + 1))).await.unwrap_err();
    assert!(matches!(refused, StorageError::TooLarge { limit: 8_388_608 }), "{refused}");
}

#[tokio::test]
async fn a_push_takes_the_collectors_marks_from_what_it_relies_on() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let config = push(&storage, &team, &content(7, 300)).await.unwrap();
    let mut wanted = put(&team, IMAGE, &image(&config, &[]));
    let digest = stored(&storage, wanted.clone()).await.digest;

    let link = storage.index().link(&team, &config).unwrap();
    let marked = LinkRecord { idle: Some(1), ..(*link.record).clone() };
    let key = Key::Link(team.clone(), config.clone());
    storage.ledger().update(&key, link.revision, &marked).await.unwrap();
    let manifest = storage.index().manifest(&team, &digest).unwrap();
    let marked = ManifestRecord { idle: Some(1), ..(*manifest.record).clone() };
    let key = Key::Manifest(team.clone(), digest.clone());
    storage.ledger().update(&key, manifest.revision, &marked).await.unwrap();

    wanted.tags = vec![tag("latest")];
    stored(&storage, wanted).await;
    assert_eq!(storage.index().link(&team, &config).unwrap().idle, None);
    assert_eq!(storage.index().manifest(&team, &digest).unwrap().idle, None);
}

#[tokio::test]
async fn damaged_bytes_of_a_manifest_are_told_and_not_given() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let wanted = put(&team, INDEX, &json!({ "schemaVersion": 2, "manifests": [] }));
    let digest = stored(&storage, wanted).await.digest;
    let fresh = node.storage().await;
    let blob = fresh.index().blob(&digest).unwrap();
    let other = push(&storage, &team, &Bytes::from_static(b"other bytes")).await.unwrap();
    let other = storage.index().blob(&other).unwrap();
    let wrong = registry::records::BlobRecord {
        runs: other.runs.clone(),
        upload: other.upload,
        ..(*blob.record).clone()
    };
    fresh.ledger().update(&Key::Blob(digest.clone()), blob.revision, &wrong).await.unwrap();
    let damaged = fresh.manifest_bytes(&digest).await.unwrap_err();
    assert!(matches!(damaged, StorageError::Damaged { .. }), "{damaged}");
}
