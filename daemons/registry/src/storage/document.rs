//! What a manifest says: OCI image manifests and indexes, and Docker's of schema 2.
//!
//! OCI image specification 1.1, "Image Manifest", "Image Index"; Docker "Image Manifest V 2, Schema 2".
//! Fields that are not known here are nobody's business: the bytes are kept as they came.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;

use super::StorageError;
use crate::Digest;

/// The most bytes of a manifest. The distribution specification asks for 4 MiB at least.
pub const LARGEST_MANIFEST: u64 = 8 << 20;

const IMAGES: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

/// Whether manifests of this media type are stored.
pub fn is_manifest_type(media_type: &str) -> bool {
    IMAGES.contains(&media_type) || INDEXES.contains(&media_type)
}

/// What a manifest may mention at most: its record, which is a message, has all of it.
const MOST_MENTIONED: usize = 4096;

/// What the registry takes from a manifest.
#[derive(Debug, Default, PartialEq)]
pub struct Document {
    /// What it is: one of [`is_manifest_type`].
    pub media_type: String,
    /// The manifest that it refers to.
    pub subject: Option<Digest>,
    /// What kind of artifact it is; of an image that does not say it, the media type of its
    /// configuration.
    pub artifact_type: Option<String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// The blobs that an image needs, each once: configuration and layers.
    pub blobs: Vec<Digest>,
    /// The manifests that an index mentions, each once.
    pub manifests: Vec<Digest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    schema_version: Option<u64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: Option<String>,
    digest: String,
    urls: Option<Vec<String>>,
}

impl Descriptor {
    fn digest(&self) -> Result<Digest, StorageError> {
        self.digest.parse().map_err(|error| invalid(format!("`{}` in it is no digest: {error}", self.digest)))
    }

    fn is_elsewhere(&self) -> bool {
        is_elsewhere(self.media_type.as_deref().unwrap_or_default(), self.urls.as_deref().unwrap_or_default())
    }
}

/// Whether clients have a layer from elsewhere: its licence may forbid that it is pushed.
pub(crate) fn is_elsewhere(media_type: &str, urls: &[String]) -> bool {
    !urls.is_empty()
        || media_type.starts_with("application/vnd.docker.image.rootfs.foreign")
        || media_type.contains(".nondistributable.")
}

/// The annotations of a manifest that was found right when it was pushed.
pub fn annotations_of(bytes: &[u8]) -> BTreeMap<String, String> {
    let body: Option<Body> = serde_json::from_slice(bytes).ok();
    body.and_then(|body| body.annotations).unwrap_or_default()
}

impl Document {
    /// Reads a manifest that a client sent as `content_type`, which may have parameters or be empty.
    ///
    /// # Errors
    /// [`StorageError::ManifestInvalid`], with what is wrong with it.
    pub fn of(content_type: &str, bytes: &[u8]) -> Result<Self, StorageError> {
        let body: Body =
            serde_json::from_slice(bytes).map_err(|error| invalid(format!("its JSON: {error}")))?;
        if body.schema_version != Some(2) {
            return Err(invalid(
                "its schemaVersion is not 2; push it with a client of this decade".to_owned(),
            ));
        }
        let sent = content_type.split(';').next().unwrap_or_default().trim();
        let own = body.media_type.as_deref().unwrap_or_default();
        let media_type = match (sent, own) {
            ("", "") if body.manifests.is_some() => INDEXES[0],
            ("", "") => IMAGES[0],
            ("", own) => own,
            (sent, "") => sent,
            (sent, own) if sent == own => sent,
            (sent, own) => return Err(invalid(format!("its Content-Type is {sent}, its mediaType {own}"))),
        };
        let is_index = INDEXES.contains(&media_type);
        if !is_index && !IMAGES.contains(&media_type) {
            return Err(invalid(format!("`{media_type}` is not a media type of manifests")));
        }
        // What is both would be one for some clients and the other for others (CVE-2021-41190).
        let has_layers =
            body.config.is_some() || body.layers.as_ref().is_some_and(|layers| !layers.is_empty());
        if is_index && has_layers || !is_index && body.manifests.as_ref().is_some_and(|all| !all.is_empty()) {
            return Err(invalid("it is an image and an index at once".to_owned()));
        }
        let not_empty = |text: &String| !text.is_empty();
        let mut document = Self {
            media_type: media_type.to_owned(),
            subject: body.subject.as_ref().map(Descriptor::digest).transpose()?,
            artifact_type: body.artifact_type.filter(not_empty),
            annotations: body.annotations.unwrap_or_default(),
            ..Self::default()
        };
        if is_index {
            let manifests = body.manifests.ok_or_else(|| invalid("it has no manifests".to_owned()))?;
            document.manifests = distinct(manifests.iter())?;
        } else {
            let config = body.config.ok_or_else(|| invalid("it has no config".to_owned()))?;
            let layers = body.layers.unwrap_or_default();
            let needed = layers.iter().filter(|layer| !layer.is_elsewhere());
            document.blobs = distinct(std::iter::once(&config).chain(needed))?;
            if document.artifact_type.is_none() {
                document.artifact_type = config.media_type.filter(not_empty);
            }
        }
        if document.blobs.len() + document.manifests.len() > MOST_MENTIONED {
            return Err(invalid(format!("it mentions more than {MOST_MENTIONED} others")));
        }
        Ok(document)
    }
}

fn distinct<'a>(descriptors: impl Iterator<Item = &'a Descriptor>) -> Result<Vec<Digest>, StorageError> {
    let (mut all, mut known) = (Vec::new(), HashSet::new());
    for descriptor in descriptors {
        let digest = descriptor.digest()?;
        if known.insert(digest.clone()) {
            all.push(digest);
        }
    }
    Ok(all)
}

fn invalid(why: String) -> StorageError {
    StorageError::ManifestInvalid { why }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn digest(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    fn image() -> serde_json::Value {
        json!({
            "schemaVersion": 2,
            "config": { "mediaType": "application/vnd.example", "digest": digest('a'), "size": 2 },
            "layers": [
                { "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest('b'), "size": 3 },
                { "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest('b'), "size": 3 },
                { "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar", "digest": digest('c'), "size": 3 },
                { "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": digest('d'), "size": 3 },
                { "mediaType": "application/x", "digest": digest('e'), "size": 3, "urls": ["https://example.net/"] },
            ],
            "org.example": { "unknown": true },
        })
    }

    fn read(content_type: &str, body: &serde_json::Value) -> Result<Document, StorageError> {
        Document::of(content_type, body.to_string().as_bytes())
    }

    #[test]
    fn an_image_needs_its_configuration_and_the_layers_that_are_not_elsewhere() {
        for media_type in IMAGES {
            let document = read(&format!("{media_type}; charset=utf-8"), &image()).unwrap();
            assert_eq!(document.media_type, media_type);
            let blobs: Vec<_> = document.blobs.iter().map(Digest::to_string).collect();
            assert_eq!(blobs, [digest('a'), digest('b')]);
            assert_eq!(document.artifact_type.as_deref(), Some("application/vnd.example"));
        }
    }

    #[test]
    fn an_index_mentions_manifests_and_a_subject_names_what_it_is_about() {
        let mut body = json!({
            "schemaVersion": 2,
            "mediaType": INDEXES[0],
            "manifests": [{ "digest": digest('a') }],
            "subject": { "digest": digest('f') },
            "annotations": { "a": "b" },
        });
        let document = read("", &body).unwrap();
        assert_eq!(document.media_type, INDEXES[0]);
        assert_eq!(document.manifests.len(), 1);
        assert_eq!(document.subject.unwrap().to_string(), digest('f'));
        assert_eq!(document.artifact_type, None);
        assert_eq!(document.annotations["a"], "b");
        body["artifactType"] = json!("application/vnd.example");
        assert_eq!(read("", &body).unwrap().artifact_type.unwrap(), "application/vnd.example");
    }

    /// A regression test: each was compared with all before it, which took minutes of a core.
    #[test]
    fn a_manifest_that_mentions_too_many_is_refused_at_once() {
        let layers: Vec<_> = (0..90_000).map(|n| json!({ "digest": format!("sha256:{n:064x}") })).collect();
        let mut body = image();
        body["layers"] = layers.into();
        assert!(body.to_string().len() < LARGEST_MANIFEST as usize);
        let refused = read(IMAGES[0], &body).unwrap_err().to_string();
        assert!(refused.contains("more than 4096"), "{refused}");
    }

    #[test]
    fn what_is_no_manifest_is_refused_with_the_reason() {
        let mut other_type = image();
        other_type["mediaType"] = json!(IMAGES[1]);
        let mut both = image();
        both["manifests"] = json!([{ "digest": digest('a') }]);
        let mut schema_1 = image();
        schema_1["schemaVersion"] = json!(1);
        let mut bad_digest = image();
        bad_digest["config"]["digest"] = json!("md5:00");
        let cases = [
            (IMAGES[0], other_type, "its mediaType"),
            (IMAGES[0], both, "at once"),
            (IMAGES[0], schema_1, "schemaVersion"),
            (IMAGES[0], bad_digest, "md5:00"),
            (IMAGES[0], json!({ "schemaVersion": 2 }), "no config"),
            (INDEXES[0], json!({ "schemaVersion": 2 }), "no manifests"),
            (INDEXES[0], image(), "at once"),
            ("text/plain", image(), "text/plain"),
            (IMAGES[0], json!("text"), "JSON"),
        ];
        for (content_type, body, reason) in cases {
            let refused = read(content_type, &body).unwrap_err();
            assert!(matches!(refused, StorageError::ManifestInvalid { .. }), "{refused}");
            assert!(refused.to_string().contains(reason), "{refused}");
        }
        assert!(Document::of(IMAGES[0], b"\xff{").is_err());
    }
}
