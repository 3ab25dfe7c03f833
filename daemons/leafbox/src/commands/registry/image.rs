//! What a name on the command line stands for.

use anyhow::{Result, bail};
use registry::{Digest, Reference, Repository, Storage, Tag, index::Tagged};

use crate::cli;

/// An image that is there.
pub(super) struct Found {
    pub(super) repository: Repository,
    /// The tag that named it.
    pub(super) tag: Option<(Tag, Tagged)>,
    pub(super) digest: Digest,
}

/// Finds an image; a repository alone means its tag `latest`.
pub(super) fn find(storage: &Storage, image: &cli::Image) -> Result<Found> {
    let (index, repository) = (storage.index(), image.repository.clone());
    let Some(tags) = index.tags(&repository) else {
        bail!("there is no repository {repository} here: `leafbox registry ls` lists those that are");
    };
    let tag = match &image.reference {
        Some(Reference::Digest(digest)) => {
            if index.manifest(&repository, digest).is_none() {
                bail!(
                    "{repository} has no manifest {digest}: `leafbox registry tags {repository}` lists what its tags \
                     stand for"
                );
            }
            return Ok(Found { repository, tag: None, digest: digest.clone() });
        }
        Some(Reference::Tag(tag)) => tag.clone(),
        None => "latest".parse()?,
    };
    match tags.into_iter().find(|(name, _)| *name == tag) {
        Some((name, entry)) => {
            let digest = entry.digest.clone();
            Ok(Found { repository, tag: Some((name, entry)), digest })
        }
        None => bail!(
            "{repository} has no tag {tag}: `leafbox registry tags {repository}` lists those that it has"
        ),
    }
}

/// Enough of a digest to tell it from the others of a repository.
pub(super) fn short(digest: &Digest) -> String {
    digest.to_string().chars().take(digest.algorithm().name().len() + 13).collect()
}
