//! `leafbox registry rm`: deletes a tag or a manifest.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use registry::{Digest, Index, Reference, Repository, Storage, Tag, audit::What};
use settings::fleet;

use super::{
    BY,
    audited::{audited, event},
    image::{self, Found},
};
use crate::{
    cli,
    commands::enroll::paste,
    figures::{amount, span},
    say,
    session::Session,
};

pub(super) async fn run(session: &Session, image: &cli::Image, yes: bool) -> Result<()> {
    // Nothing is deleted by a default.
    if image.reference.is_none() {
        bail!(
            "say what of {0} goes: `{0}:TAG`, or `{0}@DIGEST`; `leafbox registry tags {0}` lists them",
            image.repository
        );
    }
    let registry = &session.settings.fleet.registry;
    audited(session, async |storage, audit| {
        let Found { repository, tag, digest } = image::find(storage, image)?;
        let removed = match tag {
            Some((tag, _)) => {
                remove_tag(storage, registry, &repository, &tag, &digest, yes).await?;
                Reference::Tag(tag)
            }
            None => {
                remove_manifest(storage, registry, &repository, &digest, yes).await?;
                Reference::Digest(digest)
            }
        };
        audit.record(event(What::Deleted, &repository, &removed));
        Ok(())
    })
    .await
}

async fn remove_tag(
    storage: &Storage,
    registry: &fleet::Registry,
    repository: &Repository,
    tag: &Tag,
    digest: &Digest,
    yes: bool,
) -> Result<()> {
    let others: Vec<String> = storage
        .index()
        .tags_of(repository, digest)
        .into_iter()
        .map(|(other, _)| other)
        .filter(|other| other != tag)
        .map(|other| other.to_string())
        .collect();
    eprintln!("{repository}:{tag} is {digest}.");
    let governed = registry.retain.iter().any(|rule| rule.repositories.matches(repository.as_str()));
    let after = if !others.is_empty() {
        format!("It stays, with its other tags: {}.", others.join(", "))
    } else if governed {
        format!(
            "A rule in `registry.retain` speaks of {repository}, so that it goes too, {} later, unless an index \
             there has it or a tag comes back.",
            span(registry.grace.0.as_secs())
        )
    } else {
        format!(
            "It stays and takes its space, and can be pulled by digest; `leafbox registry rm {repository}@{digest}` \
             deletes it with all its tags."
        )
    };
    eprintln!("{after}");
    if !yes && !paste::confirm("Delete the tag?")? {
        bail!("not deleted");
    }
    storage.delete_tag(repository, tag, BY).await?;
    say!("deleted the tag {repository}:{tag}");
    Ok(())
}

async fn remove_manifest(
    storage: &Storage,
    registry: &fleet::Registry,
    repository: &Repository,
    digest: &Digest,
    yes: bool,
) -> Result<()> {
    let index = storage.index();
    let tags: Vec<String> =
        index.tags_of(repository, digest).into_iter().map(|(tag, _)| tag.to_string()).collect();
    let manifest = index.manifest(repository, digest);
    eprintln!("{repository}@{digest}");
    if !tags.is_empty() {
        eprintln!("  its tags go too: {}", tags.join(", "));
    }
    if manifest.as_ref().is_some_and(|manifest| !manifest.manifests.is_empty()) {
        eprintln!("  its manifests, one for each platform, stay until they are deleted themselves");
    }
    let referrers = index.referrers(repository, digest).len();
    if referrers > 0 {
        eprintln!(
            "  {referrers} that refer to it, such as signatures, stay until they are deleted themselves"
        );
    }
    match freed(index, repository, digest) {
        0 => eprintln!("  no space comes back: other manifests use all of it"),
        freed => eprintln!(
            "  {} that no other manifest uses is free in JetStream after the grace time of {}, at the next pass of the \
             collector (each hour)",
            amount(freed),
            span(registry.grace.0.as_secs())
        ),
    }
    if !yes && !paste::confirm("Delete the manifest?")? {
        bail!("not deleted");
    }
    storage.delete_manifest(repository, digest, BY).await?;
    say!("deleted {repository}@{digest}");
    eprintln!(
        "`leafbox registry gc` begins its grace time now; `leafbox registry gc --now` does not wait for it."
    );
    Ok(())
}

/// Bytes that no other manifest of any repository needs.
fn freed(index: &Index, repository: &Repository, digest: &Digest) -> u64 {
    let Some(manifest) = index.manifest(repository, digest) else { return 0 };
    let sizes = manifest
        .blobs
        .iter()
        .map(|blob| (blob.clone(), index.link(repository, blob).map_or(0, |link| link.size)));
    let mut own: BTreeMap<Digest, u64> = sizes.collect();
    own.insert(digest.clone(), manifest.size);
    for other in index.repositories() {
        let manifests = index.manifests(&other).into_iter();
        let needed = manifests
            .filter(|(name, _)| (&other, name) != (repository, digest))
            .flat_map(|(name, manifest)| manifest.blobs.iter().cloned().chain([name]).collect::<Vec<_>>());
        for digest in needed {
            own.remove(&digest);
        }
    }
    own.values().sum()
}
