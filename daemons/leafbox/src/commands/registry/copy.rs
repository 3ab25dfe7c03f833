//! `leafbox registry copy`: an image with all it needs.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use registry::{
    Digest, Key, Reference, Repository, Storage, Tag,
    audit::{About, Audit, Event, What},
    records::{AnnounceRecord, Origin, now},
    storage::{CasError, PutManifest},
};
use serde_json::json;
use settings::NodeRole;

use super::{
    BY,
    audited::{audited, event},
    image,
    list::origin,
    pull,
};
use crate::{
    cli::{self, Image, Place},
    figures::{amount, count},
    say,
    session::Session,
};

/// What was copied.
#[derive(Default)]
struct Copied {
    manifests: u64,
    blobs: u64,
    bytes: u64,
}

pub(super) async fn run(session: &Session, arguments: &cli::CopyImage) -> Result<()> {
    if let (Place::Hub(_), Place::Hub(_)) = (&arguments.source, &arguments.target) {
        bail!("both are at the hub: type this there");
    }
    if let Place::Hub(target) = &arguments.target
        && session.settings.node.role == NodeRole::Hub
    {
        bail!("this is the hub: name the target `{target}`, without `hub://`");
    }
    if let Place::Here(target) | Place::Hub(target) = &arguments.target
        && let Some(Reference::Digest(_)) = target.reference
    {
        bail!("{target} names a digest, which is the image's own: name the repository, or a tag in it");
    }
    audited(session, async |storage, audit| match (&arguments.source, &arguments.target) {
        (Place::Here(image), Place::Here(target)) => {
            copy_here(storage, audit, image, target, arguments).await
        }
        (Place::Hub(image), Place::Here(target)) => {
            pull::from_hub(session, storage, image).await?;
            copy_here(storage, audit, image, target, arguments).await
        }
        (Place::Here(image), Place::Hub(target)) => announce(session, storage, image, target).await,
        (Place::Hub(_), Place::Hub(_)) => unreachable!("refused above"),
    })
    .await
}

/// Copies what is in one repository here to another, or to another tag. No bytes move.
async fn copy_here(
    storage: &Storage,
    audit: &Audit,
    image: &Image,
    target: &Image,
    arguments: &cli::CopyImage,
) -> Result<()> {
    let found = image::find(storage, image)?;
    let tag = match &target.reference {
        Some(Reference::Tag(tag)) => Some(tag.clone()),
        _ => found.tag.as_ref().map(|(tag, _)| tag.clone()),
    };
    let mut copied = Copied::default();
    // What was pulled from the hub to where it is wanted is there, and keeps on following the hub's.
    let same =
        found.repository == target.repository && found.tag.as_ref().map(|(tag, _)| tag) == tag.as_ref();
    if !same || matches!(arguments.source, Place::Here(_)) {
        let manifests = tree(storage, &found.repository, &found.digest, arguments.referrers);
        let bar = ProgressBar::new(manifests.len() as u64);
        bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} manifests")?);
        for manifest in &manifests {
            let tag = tag.as_ref().filter(|_| *manifest == found.digest);
            copy_one(storage, &found.repository, &target.repository, manifest, tag, &mut copied).await?;
            audit.record(pushed(&found.repository, &target.repository, manifest, tag));
            bar.inc(1);
        }
        bar.finish_and_clear();
    }
    let name = match &tag {
        Some(tag) => format!("{}:{tag}", target.repository),
        None => format!("{}@{}", target.repository, found.digest),
    };
    if arguments.json {
        let shown = json!({
            "source": arguments.source.to_string(),
            "target": name,
            "digest": found.digest,
            "manifests": copied.manifests,
            "blobs": copied.blobs,
            "bytes": copied.bytes,
        });
        say!("{}", serde_json::to_string_pretty(&shown)?);
        return Ok(());
    }
    say!("{name} is {}", found.digest);
    if copied.manifests > 0 {
        say!(
            "  {} and {}, {}, which take no more space than before",
            count(copied.manifests, "manifest"),
            count(copied.blobs, "blob"),
            amount(copied.bytes)
        );
    }
    Ok(())
}

/// The manifests of an image that are here, each after those that it mentions.
fn tree(storage: &Storage, repository: &Repository, root: &Digest, referrers: bool) -> Vec<Digest> {
    let index = storage.index();
    let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
    let mut open = vec![(root.clone(), false)];
    while let Some((digest, visited)) = open.pop() {
        let Some(manifest) = index.manifest(repository, &digest) else { continue };
        if visited {
            order.push(digest);
            continue;
        }
        if !seen.insert(digest.clone()) {
            continue;
        }
        // What refers to it comes after it, and so below it on the stack.
        if referrers {
            open.extend(index.referrers(repository, &digest).into_iter().map(|(other, _)| (other, false)));
        }
        open.push((digest, true));
        open.extend(manifest.manifests.iter().map(|child| (child.clone(), false)));
    }
    order
}

/// What the daemon tells of a manifest that a client pushes; its blobs were mounted, as the detail says.
fn pushed(from: &Repository, to: &Repository, digest: &Digest, tag: Option<&Tag>) -> Event {
    let named = tag.map_or_else(|| Reference::Digest(digest.clone()), |tag| Reference::Tag(tag.clone()));
    let event = event(What::Pushed, to, &named);
    let about = About { digest: Some(digest.clone()), ..event.about };
    Event { about, detail: Some(format!("from {from}")), ..event }
}

async fn copy_one(
    storage: &Storage,
    from: &Repository,
    to: &Repository,
    digest: &Digest,
    tag: Option<&Tag>,
    copied: &mut Copied,
) -> Result<()> {
    let gone = || format!("{from}@{digest} was deleted meanwhile");
    let manifest = storage.index().manifest(from, digest).with_context(gone)?;
    for blob in &manifest.blobs {
        // A layer may be of elsewhere, and then is nowhere here.
        let Some(size) = storage.blob(from, blob).await? else { continue };
        if from != to && !storage.mount(to, blob, Some(from)).await? {
            bail!("the blob {blob} of {from} was deleted meanwhile: nothing is lost, try again");
        }
        copied.blobs += 1;
        copied.bytes += size;
    }
    let bytes = storage.manifest_bytes(digest).await.with_context(gone)?;
    copied.manifests += 1;
    copied.bytes += manifest.size;
    let put = PutManifest {
        repository: to.clone(),
        digest: Some(digest.clone()),
        tags: tag.into_iter().cloned().collect(),
        media_type: manifest.media_type.clone(),
        bytes,
        by: BY.to_owned(),
        origin: Origin::Pushed,
    };
    storage.put_manifest(put).await?;
    Ok(())
}

/// Has the daemon bring an image to the hub.
async fn announce(session: &Session, storage: &Storage, image: &Image, target: &Image) -> Result<()> {
    let found = image::find(storage, image)?;
    let Some((tag, tagged)) = &found.tag else {
        bail!("only a tag travels to the hub: `{}:TAG`", found.repository);
    };
    if *tagged.origin != Origin::Pushed {
        bail!(
            "{0}:{tag} came from {1}, and only what was pushed here travels to the hub: `leafbox registry copy \
             {0}:{tag} REPOSITORY:TAG` makes it this node's own, which travels by itself where `registry.travel.up` \
             in fleet.toml has a pattern for REPOSITORY",
            found.repository,
            origin(&tagged.origin)
        );
    }
    let other = match &target.reference {
        Some(Reference::Tag(other)) => other != tag,
        _ => false,
    };
    if target.repository != found.repository || other {
        bail!(
            "at the hub it has the same name: `hub://{0}:{tag}`; to have another there, first copy it here, with \
             `leafbox registry copy {0}:{tag} {1}`",
            found.repository,
            target
        );
    }
    let up = &session.settings.fleet.registry.travel.up;
    if !up.iter().any(|pattern| pattern.matches(found.repository.as_str())) {
        bail!(
            "fleet.toml does not let {} travel to the hub: add a pattern for it to `registry.travel.up`, there and here",
            found.repository
        );
    }
    let key = Key::Announce(found.repository.clone(), tag.clone());
    let record = AnnounceRecord { digest: found.digest.clone(), since: now() };
    let waiting = storage.ledger().fetch::<AnnounceRecord>(&key).await?;
    let written = match waiting {
        Some(waiting) if waiting.digest == found.digest => Ok(0),
        Some(waiting) => storage.ledger().update(&key, waiting.revision, &record).await,
        None => storage.ledger().create(&key, &record).await,
    };
    match written {
        // Somebody pushed it at this moment, which announces it too.
        Ok(_) | Err(CasError::Conflict) => {}
        Err(CasError::Failed(error)) => return Err(error.into()),
    }
    say!(
        "{}:{tag} goes to the hub when the link is up: `leafbox registry status` shows how far it is",
        found.repository
    );
    Ok(())
}
