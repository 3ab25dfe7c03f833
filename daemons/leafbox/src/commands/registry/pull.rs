//! What is at the hub, brought here as a client's pull would.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, bail};
use futures::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use registry::{
    Digest, Reference, Repository, Storage,
    records::Origin,
    travel::{Config, Travel},
};
use runtime::Credentials;
use settings::NodeRole;

use super::storage;
use crate::{cli::Image, session::Session};

const POLL: Duration = Duration::from_millis(100);

/// Brings an image with everything it needs, and waits for it. What is stored of a blob is not asked for
/// again, also by the next attempt.
pub(super) async fn from_hub(session: &Session, storage: &Storage, image: &Image) -> Result<()> {
    let node = &session.settings.node;
    if node.role == NodeRole::Hub || node.uplink.urls.is_empty() {
        bail!("{} has no uplink to a hub: name the image without `hub://`", node.name);
    }
    let reference = image.reference.clone().map_or_else(|| "latest".parse(), Ok)?;
    let repository = &image.repository;
    let config = Config::new(node, &session.settings.fleet, Credentials::in_directory(&session.keys));
    // Not the daemon's name: what one of the two fetches, the other follows.
    let config = Config { fetcher: format!("{} command", node.name), ..config };
    let travel = Travel::new(storage.clone(), storage::connect_to_travel(session).await?, config)?;
    renew(&travel, storage, repository, &reference).await?;
    let there = travel.fetch_manifest(repository, &reference).await;
    if !there.with_context(|| format!("{repository} cannot be had from the hub"))? {
        bail!("the hub has no {image}, or fleet.toml does not let it travel (`registry.travel.down`)");
    }
    let digest = storage.manifest(repository, &reference).await?.map(|manifest| manifest.digest);
    let digest = digest.with_context(|| format!("{image} was deleted here meanwhile"))?;
    bring(&travel, storage, repository, &digest).await
}

/// Has a tag that came from the hub before stand for what it does there now.
async fn renew(
    travel: &Travel,
    storage: &Storage,
    repository: &Repository,
    reference: &Reference,
) -> Result<()> {
    let Reference::Tag(tag) = reference else { return Ok(()) };
    let Some(here) = storage.index().tag(repository, tag) else { return Ok(()) };
    if *here.origin != Origin::Hub {
        bail!(
            "{repository}:{tag} here is not the hub's and is not replaced by it: name the hub's by its digest, or \
             delete the one here with `leafbox registry rm {repository}:{tag}`"
        );
    }
    travel.refresh(repository, tag);
    let bar = ProgressBar::new_spinner().with_message(format!("asking the hub for {repository}:{tag}"));
    bar.enable_steady_tick(POLL);
    let key = (repository.clone(), tag.clone());
    while travel.status().renewing.contains(&key) {
        tokio::time::sleep(POLL).await;
    }
    bar.finish_and_clear();
    if let Some(error) = travel.status().hub.and_then(|hub| hub.error) {
        bail!("{repository}:{tag} here stays as it is, since the hub could not be asked: {error}");
    }
    Ok(())
}

async fn bring(travel: &Travel, storage: &Storage, repository: &Repository, root: &Digest) -> Result<()> {
    let bar = ProgressBar::no_length();
    bar.set_style(ProgressStyle::with_template(
        "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
    )?);
    let (mut open, mut seen) = (vec![root.clone()], BTreeSet::new());
    while let Some(digest) = open.pop() {
        if !seen.insert(digest.clone()) {
            continue;
        }
        let reference = Reference::Digest(digest.clone());
        // The manifests of an index need not all be there.
        if !travel.fetch_manifest(repository, &reference).await? {
            continue;
        }
        let Some(manifest) = storage.index().manifest(repository, &digest) else { continue };
        open.extend(manifest.manifests.iter().cloned());
        for blob in &manifest.blobs {
            if storage.blob(repository, blob).await?.is_some() {
                continue;
            }
            let following = travel.blob(repository, blob).await?;
            let following =
                following.with_context(|| format!("the hub does not have {blob}, which {digest} needs"))?;
            bar.set_message(super::image::short(blob));
            let size = following.size;
            bar.set_length(size);
            bar.set_position(0);
            let mut bytes = following.stream(0..size);
            while let Some(piece) = bytes.try_next().await? {
                bar.inc(piece.len() as u64);
            }
            // Its digest is verified after its last byte.
            while storage.blob(repository, blob).await?.is_none() {
                let fetches = travel.status().fetches;
                if !fetches.iter().any(|fetch| fetch.digest == *blob)
                    && storage.blob(repository, blob).await?.is_none()
                {
                    bail!("{blob} came and could not be kept: try again");
                }
                tokio::time::sleep(POLL).await;
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}
