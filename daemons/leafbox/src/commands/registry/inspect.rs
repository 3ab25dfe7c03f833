//! `leafbox registry inspect`: everything that is known of an image.

use anyhow::{Context, Result};
use async_nats::jetstream::{self, kv};
use futures::TryStreamExt;
use registry::{
    Digest, Repository, Storage, Tag,
    records::{ManifestRecord, TAGS_BUCKET, TagRecord},
};
use serde_json::{Value, json};

use super::{
    image::{self, Found},
    list::{origin, when},
    storage,
};
use crate::{cli, figures::amount, say, session::Session, table::Table};

/// No configuration of an image is longer.
const LONGEST_CONFIGURATION: u64 = 4 << 20;

/// A part of an image, as its manifest has it.
struct Part {
    digest: String,
    size: u64,
    media_type: String,
    platform: Option<String>,
}

pub(super) async fn run(session: &Session, wanted: &cli::Image, as_json: bool) -> Result<()> {
    let client = storage::connect(session).await?;
    let storage = storage::open_on(session, client.clone()).await?;
    let found = image::find(&storage, wanted)?;
    let record = storage
        .index()
        .manifest(&found.repository, &found.digest)
        .with_context(|| format!("the manifest {} of {} was just deleted", found.digest, found.repository))?;
    let bytes = storage.manifest_bytes(&found.digest).await?;
    let manifest: Value = serde_json::from_slice(&bytes).context("the manifest is no JSON")?;
    let configuration = configuration(&storage, &found.repository, &manifest).await;
    let history = match &found.tag {
        Some((tag, _)) => history(jetstream::new(client), &found.repository, tag).await?,
        None => Vec::new(),
    };
    if as_json {
        let shown = as_value(&storage, &found, &record, &manifest, configuration.as_ref(), &history);
        say!("{}", serde_json::to_string_pretty(&shown)?);
        return Ok(());
    }
    print(&storage, &found, &record, &manifest, configuration.as_ref());
    if !history.is_empty() {
        print_history(&history);
    }
    Ok(())
}

/// The configuration of an image, when it is one that says something.
async fn configuration(storage: &Storage, repository: &Repository, manifest: &Value) -> Option<Value> {
    let digest: Digest = manifest["config"]["digest"].as_str()?.parse().ok()?;
    let size = storage.blob(repository, &digest).await.ok()??;
    if size > LONGEST_CONFIGURATION {
        return None;
    }
    let pieces: Vec<_> = storage.read(&digest, 0..size).await.ok()?.try_collect().await.ok()?;
    let configuration: Value = serde_json::from_slice(&pieces.concat()).ok()?;
    configuration["os"].is_string().then_some(configuration)
}

/// The last changes of a tag, oldest first.
async fn history(context: jetstream::Context, repository: &Repository, tag: &Tag) -> Result<Vec<TagRecord>> {
    let bucket: kv::Store =
        context.get_key_value(TAGS_BUCKET).await.context("the events of tags cannot be read")?;
    let key = registry::Key::Tag(repository.clone(), tag.clone()).to_string();
    let entries: Vec<kv::Entry> = bucket.history(key).await?.try_collect().await?;
    Ok(entries.iter().filter_map(|entry| serde_json::from_slice(&entry.value).ok()).collect())
}

fn platform(value: &Value) -> Option<String> {
    let words =
        ["os", "architecture", "variant"].map(|key| value[key].as_str().filter(|word| !word.is_empty()));
    let words: Vec<&str> = words.into_iter().flatten().collect();
    (!words.is_empty()).then(|| words.join("/"))
}

fn parts(manifest: &Value, of: &str) -> Vec<Part> {
    let parts = manifest[of].as_array().map(Vec::as_slice).unwrap_or_default();
    let part = |value: &Value| Part {
        digest: value["digest"].as_str().unwrap_or("?").to_owned(),
        size: value["size"].as_u64().unwrap_or(0),
        media_type: value["mediaType"].as_str().unwrap_or_default().to_owned(),
        platform: platform(&value["platform"]),
    };
    // Docker's first schema has `layers` of another form, which is shown as it is.
    parts.iter().map(part).collect()
}

fn as_value(
    storage: &Storage,
    found: &Found,
    record: &ManifestRecord,
    manifest: &Value,
    configuration: Option<&Value>,
    history: &[TagRecord],
) -> Value {
    let index = storage.index();
    let tags = index.tags_of(&found.repository, &found.digest);
    let referrers = index.referrers(&found.repository, &found.digest);
    json!({
        "repository": found.repository,
        "tag": found.tag.as_ref().map(|(tag, _)| tag),
        "digest": found.digest,
        "media_type": record.media_type,
        "bytes": index.needs(&found.repository, &found.digest).values().sum::<u64>(),
        "platform": configuration.and_then(platform),
        "origin": record.origin,
        "tags": tags.iter().map(|(tag, _)| tag).collect::<Vec<_>>(),
        "referrers": referrers.iter().map(|(digest, record)| json!({
            "digest": digest,
            "artifact_type": record.artifact_type,
            "bytes": record.size,
            "annotations": record.annotations,
        })).collect::<Vec<_>>(),
        "history": history,
        "manifest": manifest,
    })
}

fn print(
    storage: &Storage,
    found: &Found,
    record: &ManifestRecord,
    manifest: &Value,
    configuration: Option<&Value>,
) {
    let (index, repository) = (storage.index(), &found.repository);
    match &found.tag {
        Some((tag, _)) => say!("{repository}:{tag}"),
        None => say!("{repository}@{}", image::short(&found.digest)),
    }
    let needs: u64 = index.needs(repository, &found.digest).values().sum();
    say!("  digest      {}", found.digest);
    say!("  media type  {}", record.media_type);
    // Of an image that is its configuration's type, which says nothing.
    if let Some(kind) = record.artifact_type.as_ref().filter(|_| configuration.is_none()) {
        say!("  artifact    {kind}");
    }
    say!("  size        {} in all, {} of it the manifest", amount(needs), amount(record.size));
    if let Some(configuration) = configuration {
        say!("  platform    {}", platform(configuration).unwrap_or_default());
        if let Some(created) = configuration["created"].as_str() {
            say!("  built       {created}");
        }
    }
    say!("  from        {}", origin(&record.origin));
    if let Some((_, entry)) = &found.tag {
        say!("  tagged      {} by {}", when(entry.at), entry.by);
    }
    let tags: Vec<String> =
        index.tags_of(repository, &found.digest).iter().map(|(tag, _)| tag.to_string()).collect();
    say!("  tags        {}", if tags.is_empty() { "none".to_owned() } else { tags.join(", ") });
    if let Some(subject) = &record.subject {
        let here = if index.manifest(repository, subject).is_some() { "" } else { " (not here)" };
        say!("  refers to   {subject}{here}");
    }
    for (key, value) in &record.annotations {
        say!("  annotation  {key} = {value}");
    }

    let manifests = parts(manifest, "manifests");
    if !manifests.is_empty() {
        let mut table = Table::new(&["PLATFORM", "DIGEST", "SIZE", "HERE"]);
        for part in manifests {
            let digest: Option<Digest> = part.digest.parse().ok();
            let here = digest.as_ref().and_then(|digest| index.manifest(repository, digest));
            let size = digest
                .as_ref()
                .filter(|_| here.is_some())
                .map(|digest| amount(index.needs(repository, digest).values().sum()));
            table.row([
                part.platform.unwrap_or(part.media_type),
                part.digest,
                size.unwrap_or_default(),
                if here.is_some() { "yes" } else { "no" }.to_owned(),
            ]);
        }
        say!("\nManifests\n{}", table.to_string().trim_end());
    }
    let layers = parts(manifest, "layers");
    if !layers.is_empty() {
        let mut table = Table::new(&["DIGEST", "SIZE", "MEDIA TYPE"]);
        for part in layers {
            table.row([part.digest, amount(part.size), part.media_type]);
        }
        say!("\nLayers\n{}", table.to_string().trim_end());
    }
    let referrers = index.referrers(repository, &found.digest);
    if !referrers.is_empty() {
        let mut table = Table::new(&["DIGEST", "SIZE", "ARTIFACT TYPE"]);
        for (digest, record) in referrers {
            let kind = record.artifact_type.clone().unwrap_or_default();
            table.row([digest.to_string(), amount(record.size), kind]);
        }
        say!("\nWhat refers to it\n{}", table.to_string().trim_end());
    }
}

fn print_history(history: &[TagRecord]) {
    let mut table = Table::new(&["WHEN", "WHAT", "BY", "FROM"]);
    for event in history.iter().rev() {
        let (what, from) = match &event.digest {
            Some(digest) => (image::short(digest), origin(&event.origin)),
            None => ("deleted".to_owned(), String::new()),
        };
        table.row([when(event.at), what, event.by.clone(), from]);
    }
    say!("\nChanges of the tag, the last 64 at most\n{}", table.to_string().trim_end());
}
