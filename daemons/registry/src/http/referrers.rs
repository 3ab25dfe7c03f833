//! `GET /v2/<name>/referrers/<digest>`: what refers to a manifest, whether that is here or not.

use std::collections::BTreeMap;

use axum::{
    http::{HeaderName, StatusCode, header},
    response::Response,
};
use serde::Serialize;

use super::{Asked, Failure, Parts, answer::Answer};
use crate::{Digest, Repository, access::Action, parse::next_link, storage::annotations_of};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// Bytes of descriptors in one answer, roughly: clients expect to take manifests of 4 MiB.
const LARGEST: usize = 3 << 20;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u8,
    media_type: &'static str,
    manifests: &'a [Descriptor],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    size: u64,
    digest: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Bytes that it takes in an answer, roughly and rather more.
    fn weight(&self) -> usize {
        let annotations = self.annotations.iter().map(|(key, value)| key.len() + value.len() + 8);
        let artifact_type = self.artifact_type.as_ref().map_or(0, String::len);
        256 + self.media_type.len() + artifact_type + annotations.sum::<usize>()
    }
}

pub(crate) async fn list(
    parts: &Parts,
    asked: &Asked,
    repository: &Repository,
    subject: &str,
) -> Result<Response, Failure> {
    asked.caller.may(repository, Action::Pull)?;
    let subject: Digest = subject.parse()?;
    let page = asked.query.page()?;
    let wanted_type = asked.query.get("artifactType").filter(|wanted| !wanted.is_empty());
    let all = parts.storage.index().referrers(repository, &subject);
    let mut found = all.into_iter().filter(|(digest, manifest)| {
        let fits = wanted_type.is_none_or(|wanted| manifest.artifact_type.as_deref() == Some(wanted));
        fits && page.last.is_none_or(|last| *digest.to_string() > *last)
    });
    let mut manifests = Vec::new();
    let mut weight = 0;
    let mut more = false;
    for (digest, manifest) in found.by_ref() {
        // These are read for their descriptors one by one, and only until the page is full.
        let annotations = if manifest.annotations_apart {
            annotations_of(&parts.storage.manifest_bytes(&digest).await?)
        } else {
            manifest.annotations.clone()
        };
        let descriptor = Descriptor {
            media_type: manifest.media_type.clone(),
            size: manifest.size,
            digest,
            artifact_type: manifest.artifact_type.clone(),
            annotations,
        };
        weight += descriptor.weight();
        let is_full = !manifests.is_empty() && weight > LARGEST;
        if is_full || page.count.is_some_and(|count| manifests.len() >= count) {
            more = page.count != Some(0);
            break;
        }
        manifests.push(descriptor);
    }
    let mut answer = Answer::of(StatusCode::OK);
    if wanted_type.is_some() {
        answer = answer.with(FILTERS_APPLIED, "artifactType");
    }
    if let Some(last) = manifests.last().filter(|_| more) {
        let (last, count) = (last.digest.to_string(), page.count.map(|count| count.to_string()));
        let mut parameters = vec![("last", &*last)];
        parameters.extend(count.as_deref().map(|count| ("n", count)));
        parameters.extend(wanted_type.map(|wanted| ("artifactType", wanted)));
        let path = format!("/v2/{repository}/referrers/{subject}");
        answer = answer.with(header::LINK, next_link(&path, &parameters));
    }
    Ok(answer.json(INDEX, &Index { schema_version: 2, media_type: INDEX, manifests: &manifests }))
}
