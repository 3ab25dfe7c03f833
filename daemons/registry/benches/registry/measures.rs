//! What is measured, one function each. Every one gives one figure of one registry in one round.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::{
    client::{Client, Request, get_blob, put_blob, put_manifest},
    image::{digest, noise},
    peers::Registry,
};

/// The repository that blobs are put in.
pub(crate) const REPOSITORY: &str = "bench/one";
const MIB: f64 = 1024.0 * 1024.0;

/// A blob of this round, the same for every registry.
pub(crate) struct Blob {
    seed: [u8; 8],
    bytes: Arc<Vec<u8>>,
    pub(crate) digest: String,
}

impl Blob {
    pub(crate) fn new(seed: u64, length: usize) -> Self {
        Self::of(seed, Arc::new(noise(seed, length.saturating_sub(8))))
    }

    /// The same with another beginning, and so another digest.
    pub(crate) fn variant(&self, seed: u64) -> Self {
        Self::of(seed, Arc::clone(&self.bytes))
    }

    fn of(seed: u64, bytes: Arc<Vec<u8>>) -> Self {
        let seed = seed.to_le_bytes();
        Self { digest: digest(&[&seed, &bytes]), seed, bytes }
    }

    fn length(&self) -> u64 {
        (self.seed.len() + self.bytes.len()) as u64
    }

    fn rate(&self, since: Instant) -> f64 {
        self.length() as f64 / MIB / since.elapsed().as_secs_f64()
    }
}

/// MiB/s of a push.
pub(crate) fn put(registry: &Registry, blob: &Blob) -> Result<f64> {
    let mut client = Client::connect(registry)?;
    let since = Instant::now();
    put_blob(&mut client, REPOSITORY, &blob.digest, &[&blob.seed, &blob.bytes])?;
    Ok(blob.rate(since))
}

/// MiB/s of a whole read.
pub(crate) fn get(registry: &Registry, blob: &Blob) -> Result<f64> {
    let mut client = Client::connect(registry)?;
    let since = Instant::now();
    let length = get_blob(&mut client, REPOSITORY, &blob.digest, None)?;
    ensure!(length == blob.length(), "{} gave {length} bytes", registry.name);
    Ok(blob.rate(since))
}

/// Milliseconds of a read of a random MiB: the median of `count`.
pub(crate) fn range(registry: &Registry, blob: &Blob, count: u64) -> Result<f64> {
    let mut client = Client::connect(registry)?;
    let most = blob.length() - (1 << 20);
    let mut times = Vec::new();
    for turn in 0..count {
        let bytes = noise(turn + 77, 8);
        let first = u64::from_le_bytes(bytes.try_into().map_err(|_| anyhow::anyhow!("eight bytes"))?) % most;
        let since = Instant::now();
        let length = get_blob(&mut client, REPOSITORY, &blob.digest, Some((first, first + (1 << 20) - 1)))?;
        ensure!(length == 1 << 20, "{} gave {length} bytes", registry.name);
        times.push(since.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(&mut times))
}

/// Waits until leafbox's registry has flushed the blob into its cache.
pub(crate) fn until_cached(registry: &Registry, blob: &Blob) -> Result<()> {
    const HITS: &str = "leafbox_registry_cache_hits_total ";
    let mut client = Client::connect(registry)?;
    let mut hits = || -> Result<u64> {
        get_blob(&mut client, REPOSITORY, &blob.digest, Some((0, 0)))?;
        let (_, metrics) =
            client.ask(&Request { method: "GET", path: "/metrics", headers: &[], body: &[] })?;
        let metrics = String::from_utf8(metrics)?;
        let hits = metrics.lines().find_map(|line| line.strip_prefix(HITS));
        hits.and_then(|hits| hits.parse().ok()).with_context(|| format!("{} tells no {HITS}", registry.name))
    };
    let (before, since) = (hits()?, Instant::now());
    while hits()? == before {
        ensure!(
            since.elapsed().as_secs() < 60,
            "{} does not cache a blob that was read twice",
            registry.name
        );
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Ok(())
}

/// Seconds of `skopeo copy` of a layout into the registry, and out of it again.
pub(crate) fn skopeo(registry: &Registry, layout: &Path, round: usize, to: &Path) -> Result<(f64, f64)> {
    let image = format!("docker://{}/bench/image:{round}", registry.address);
    let push = copy(&format!("oci:{}:bench", layout.display()), &image)?;
    let pull = copy(&image, &format!("oci:{}:bench", to.display()))?;
    std::fs::remove_dir_all(to)?;
    Ok((push, pull))
}

fn copy(from: &str, to: &str) -> Result<f64> {
    let since = Instant::now();
    let output = Command::new("skopeo")
        .args(["copy", "--quiet", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false"])
        // What an earlier round pushed must not be known from a cache.
        .args(["--dest-precompute-digests=false", from, to])
        .env("XDG_DATA_HOME", std::env::temp_dir().join(format!("leafbox-bench-{}", std::process::id())))
        .stdin(Stdio::null())
        .output()
        .context("`skopeo` could not be started: is it installed?")?;
    ensure!(output.status.success(), "skopeo: {}", String::from_utf8_lossy(&output.stderr));
    Ok(since.elapsed().as_secs_f64())
}

/// Makes a repository of `count` tags.
pub(crate) fn tag_many(registry: &Registry, count: usize) -> Result<()> {
    let mut client = Client::connect(registry)?;
    let config = b"{}".as_slice();
    put_blob(&mut client, "bench/many", &digest(&[config]), &[config])?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(&[config]), "size": 2 },
        "layers": [],
    });
    let manifest = manifest.to_string();
    (0..count).try_for_each(|tag| {
        Ok(put_manifest(&mut client, "bench/many", &format!("v{tag:05}"), manifest.as_bytes())?)
    })
}

/// Milliseconds of each page of 1,000 tags: the median, and how many tags all pages had.
pub(crate) fn list_tags(registry: &Registry) -> Result<(f64, usize)> {
    let mut client = Client::connect(registry)?;
    let (mut times, mut tags) = (Vec::new(), 0);
    let mut next = Some("/v2/bench/many/tags/list?n=1000".to_owned());
    while let Some(path) = next {
        let since = Instant::now();
        let (head, body) = client.ask(&Request { method: "GET", path: &path, headers: &[], body: &[] })?;
        times.push(since.elapsed().as_secs_f64() * 1e3);
        let page: serde_json::Value = serde_json::from_slice(&body)?;
        tags += page["tags"].as_array().map_or(0, Vec::len);
        let link = head.header("link").and_then(|link| link.split_once('<')?.1.split_once('>'));
        next = link.map(|(target, _)| match target.split_once("://") {
            Some((_, rest)) => rest[rest.find('/').unwrap_or(0)..].to_owned(),
            None => target.to_owned(),
        });
    }
    Ok((median(&mut times), tags))
}

/// The middle of them.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
