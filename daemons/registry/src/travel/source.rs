//! Where a repository's images come from when they are not here: the hub, a leaf, or an upstream.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use tokio::sync::Semaphore;

use super::{
    error::TravelError,
    flight::{self, Opened},
    manifest::LONGEST_MANIFEST,
    onward::Onward,
    peer::{Peer, Resolved, Side},
    protocol::{MOST_REFERRERS, Referrer},
    upstream::Upstream,
};
use crate::{Digest, Reference, Repository, chunks::Hasher, records::Origin};

/// Where a repository's images come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// The registry at the other end of the link.
    Peer(Arc<Peer>),
    /// An upstream, and what the repository is called there.
    Upstream(Arc<Upstream>, String),
}

/// The bytes of a blob as they come.
pub type Bytestream = BoxStream<'static, Result<Bytes, TravelError>>;

impl Source {
    pub(crate) fn side(&self) -> Side {
        match self {
            Self::Peer(peer) => peer.side.clone(),
            Self::Upstream(upstream, _) => Side::Upstream(upstream.prefix.clone()),
        }
    }

    /// How the records of what comes from here say so.
    pub(crate) fn origin(&self) -> Origin {
        match self.side() {
            Side::Hub => Origin::Hub,
            Side::Leaf(name) => Origin::Leaf(name),
            Side::Upstream(prefix) => Origin::Upstream(prefix),
        }
    }

    /// Counts the blobs from here that nobody waits for.
    pub(crate) fn kept(&self) -> Arc<Semaphore> {
        match self {
            Self::Peer(peer) => Arc::clone(&peer.kept),
            Self::Upstream(upstream, _) => Arc::clone(&upstream.kept),
        }
    }

    /// Counts the requests of others that are passed on to it.
    pub(crate) fn onward(&self) -> &Onward {
        match self {
            Self::Peer(peer) => &peer.onward,
            Self::Upstream(upstream, _) => &upstream.onward,
        }
    }

    /// A manifest with its bytes, which are checked; `None` when there is none. The one that is
    /// `known` comes without.
    pub(crate) async fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        known: Option<&Digest>,
    ) -> Result<Option<Resolved>, TravelError> {
        let resolved = match self {
            Self::Peer(peer) => peer.resolve(repository, reference, known).await?,
            Self::Upstream(upstream, name) => upstream.resolve(name, reference, known).await?,
        };
        let Some(mut resolved) = resolved else { return Ok(None) };
        if known == Some(&resolved.digest) {
            return Ok(Some(resolved));
        }
        if let Reference::Digest(asked) = reference
            && *asked != resolved.digest
        {
            return Err(self.tampered(asked));
        }
        let bytes = match resolved.bytes.take() {
            Some(bytes) => bytes,
            None => self.whole(repository, &resolved.digest, resolved.size).await?,
        };
        let mut hasher = Hasher::new(resolved.digest.algorithm());
        hasher.update(&bytes);
        if hasher.digest() != resolved.digest {
            return Err(self.tampered(&resolved.digest));
        }
        Ok(Some(Resolved { bytes: Some(bytes), ..resolved }))
    }

    /// A long manifest as the blob that it is too.
    async fn whole(&self, repository: &Repository, digest: &Digest, size: u64) -> Result<Bytes, TravelError> {
        if size > LONGEST_MANIFEST as u64 {
            return Err(TravelError::TooLarge { side: self.side(), digest: digest.clone(), size });
        }
        let opened = self.open(repository, digest, 0).await?;
        if opened.size != size {
            let message = format!("the manifest {digest} has {size} bytes, and then {}", opened.size);
            return Err(TravelError::Broken { side: self.side(), message });
        }
        let pieces: Vec<Bytes> = opened.bytes.try_collect().await?;
        Ok(pieces.concat().into())
    }

    /// Whether the repository has a blob there, and its bytes.
    pub(crate) async fn stat(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<u64>, TravelError> {
        match self {
            Self::Peer(peer) => peer.stat(repository, digest).await,
            Self::Upstream(upstream, name) => Ok(upstream.stat(name, digest).await?),
        }
    }

    /// A blob from `offset` on.
    pub(crate) async fn open(
        &self,
        repository: &Repository,
        digest: &Digest,
        offset: u64,
    ) -> Result<Opened<Bytestream>, TravelError> {
        match self {
            Self::Peer(peer) => {
                let opened = flight::open(peer, repository, digest, offset).await?;
                Ok(Opened { size: opened.size, bytes: opened.bytes.boxed() })
            }
            Self::Upstream(upstream, name) => {
                let opened = upstream.open(name, digest, offset).await?;
                let opened = opened.ok_or_else(|| TravelError::Unknown { side: self.side() })?;
                Ok(Opened { size: opened.size, bytes: opened.bytes.boxed() })
            }
        }
    }

    /// The manifests that refer to one, [`MOST_REFERRERS`] at most. An upstream is not asked: what
    /// refers to its images is seldom there.
    pub(crate) async fn referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Vec<Referrer>, TravelError> {
        let Self::Peer(peer) = self else { return Ok(Vec::new()) };
        let mut referrers = peer.referrers(repository, digest).await?;
        referrers.truncate(MOST_REFERRERS);
        Ok(referrers)
    }

    pub(crate) fn tampered(&self, digest: &Digest) -> TravelError {
        TravelError::Tampered { side: self.side(), digest: digest.clone() }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// An upstream that nobody asks.
    pub(crate) fn upstream(prefix: &str) -> Source {
        let text = format!("prefix = \"{prefix}\"\nurl = \"http://127.0.0.1:1\"");
        let credentials = runtime::Credentials::in_directory("/nowhere");
        let upstream = Upstream::new(&toml::from_str(&text).unwrap(), &credentials).unwrap();
        Source::Upstream(Arc::new(upstream), "library/alpine".to_owned())
    }
}
