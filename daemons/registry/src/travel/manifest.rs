//! What a manifest needs, read from its bytes.

use serde::Deserialize;

use crate::{Digest, storage::is_elsewhere};

/// The longest manifest that travels.
pub(crate) const LONGEST_MANIFEST: usize = 8 * 1024 * 1024;

/// What a manifest needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Configuration and layers, with their bytes.
    pub(crate) blobs: Vec<(Digest, u64)>,
    /// The manifests of an index.
    pub(crate) children: Vec<Child>,
}

/// A manifest of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Child {
    pub(crate) digest: Digest,
    /// Such as `linux/arm64/v8`.
    pub(crate) platform: Option<String>,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    /// The blobs of an artifact manifest.
    #[serde(default)]
    blobs: Vec<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: Digest,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    urls: Option<Vec<String>>,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: String,
}

impl Needs {
    /// The blobs without their sizes.
    pub(crate) fn digests(&self) -> Vec<Digest> {
        self.blobs.iter().map(|(digest, _)| digest.clone()).collect()
    }

    /// Reads a manifest; one that cannot be read needs nothing, as registries take any JSON.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes) else { return Self::default() };
        let layers = manifest.layers.into_iter().chain(manifest.blobs);
        // Nobody pushes those, so that they are nowhere that they could travel from.
        let pushed = layers
            .filter(|layer| !is_elsewhere(&layer.media_type, layer.urls.as_deref().unwrap_or_default()));
        let all = manifest.config.into_iter().chain(pushed);
        let mut blobs: Vec<(Digest, u64)> = all.map(|blob| (blob.digest, blob.size)).collect();
        blobs.sort();
        blobs.dedup();
        let children = manifest.manifests.into_iter().map(|child| Child {
            digest: child.digest,
            platform: child.platform.map(|platform| {
                let parts = [platform.os, platform.architecture, platform.variant];
                parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
            }),
        });
        Self { blobs, children: children.collect() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::storage::Document;

    fn digest(digits: &str) -> Digest {
        format!("sha256:{}", digits.repeat(32)).parse().unwrap()
    }

    #[test]
    fn an_image_needs_its_configuration_and_the_layers_that_may_be_passed_on() {
        let image = format!(
            r#"{{"config":{{"digest":"{}","size":2}},"layers":[
                {{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{}","size":7}},
                {{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{}","size":7}},
                {{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar","digest":"{}","size":9}},
                {{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"{}","size":9}}
            ]}}"#,
            digest("01"),
            digest("02"),
            digest("02"),
            digest("03"),
            digest("04"),
        );
        let needs = Needs::of(image.as_bytes());
        assert_eq!(needs.blobs, [(digest("01"), 2), (digest("02"), 7)]);
        assert_eq!(needs.children, []);
    }

    /// A regression test: an image with a layer of `urls` was taken from its client, and never travelled.
    #[test]
    fn what_travels_with_an_image_is_what_its_client_had_to_push() {
        let tar = "application/vnd.oci.image.layer.v1.tar";
        let layers = [
            (tar, "null"),
            (tar, "[]"),
            (tar, r#"["https://example.net/"]"#),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "null"),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "null"),
            ("application/vnd.example.foreign.v1", "null"),
            ("application/vnd.example-nondistributable", "null"),
            ("", "null"),
        ];
        let descriptor = |(number, (media_type, urls)): (usize, &(&str, &str))| {
            let digest = digest(&format!("{number:02}"));
            format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":1,"urls":{urls}}}"#)
        };
        let layers: Vec<String> = layers.iter().enumerate().map(descriptor).collect();
        let config = descriptor((99, &("application/x", r#"["https://example.net/"]"#)));
        let image = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{}]}}"#, layers.join(","));
        let mut pushed = Document::of("", image.as_bytes()).unwrap().blobs;
        pushed.sort();
        assert_eq!(pushed.len(), 6);
        assert_eq!(Needs::of(image.as_bytes()).digests(), pushed);
    }

    #[test]
    fn an_index_needs_no_blob_and_says_its_platforms() {
        let index = format!(
            r#"{{"manifests":[
                {{"digest":"{}","size":1,"platform":{{"os":"linux","architecture":"arm64","variant":"v8"}}}},
                {{"digest":"{}","size":1}}
            ]}}"#,
            digest("0a"),
            digest("0b"),
        );
        let needs = Needs::of(index.as_bytes());
        assert_eq!(needs.blobs, []);
        let platforms: Vec<_> = needs.children.iter().map(|child| child.platform.as_deref()).collect();
        assert_eq!(platforms, [Some("linux/arm64/v8"), None]);
    }

    #[test]
    fn what_is_no_manifest_needs_nothing() {
        for text in ["", "[]", "{}", r#"{"layers":[{"digest":"md5:0"}]}"#] {
            assert_eq!(Needs::of(text.as_bytes()), Needs::default(), "{text}");
        }
    }
}
