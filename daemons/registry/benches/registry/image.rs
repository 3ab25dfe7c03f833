//! A container image of a given size as an OCI layout on disk, for `skopeo copy`.

use std::{fs, io, path::Path};

use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest, Sha256};

/// Bytes that no compression and no earlier round knows: xorshift64*, seeded anew each time.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// `sha256:…` of some bytes, in parts.
pub(crate) fn digest(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    format!("sha256:{}", HEXLOWER.encode(&hasher.finalize()))
}

/// Writes an image of `layers` layers of `size` bytes each.
pub(crate) fn write_layout(folder: &Path, seed: u64, layers: usize, size: usize) -> io::Result<()> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let put = |bytes: &[u8]| -> io::Result<String> {
        let digest = digest(&[bytes]);
        fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes)?;
        Ok(digest)
    };
    let mut descriptors = Vec::new();
    for layer in 0..layers {
        let digest = put(&noise(seed.wrapping_add(layer as u64 + 1), size))?;
        let media_type = "application/vnd.oci.image.layer.v1.tar";
        descriptors.push(json!({ "mediaType": media_type, "digest": digest, "size": size }));
    }
    let diff_ids: Vec<_> = descriptors.iter().map(|layer| layer["digest"].clone()).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = config.to_string();
    let config_digest = put(config.as_bytes())?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len(),
        },
        "layers": descriptors,
    });
    let manifest = manifest.to_string();
    let digest = put(manifest.as_bytes())?;
    let descriptor = json!({
        "mediaType": MANIFEST, "digest": digest, "size": manifest.len(),
        "annotations": { "org.opencontainers.image.ref.name": "bench" },
    });
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor] });
    fs::write(folder.join("index.json"), index.to_string())?;
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
