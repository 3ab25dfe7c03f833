//! Where a record is: its bucket, and its key there, as the table in [`crate::records`] has them.

use std::fmt;

use crate::{
    Digest, Repository, Tag, UploadId,
    records::{RECORDS_BUCKET, TAGS_BUCKET},
};

/// One of the two buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// All records but tags.
    Records,
    /// Tags.
    Tags,
}

impl Bucket {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Records => RECORDS_BUCKET,
            Self::Tags => TAGS_BUCKET,
        }
    }

    /// The stream that it is in JetStream.
    pub fn stream(self) -> String {
        format!("KV_{}", self.name())
    }

    /// What stands before a key in its subject.
    pub fn prefix(self) -> String {
        format!("$KV.{}.", self.name())
    }
}

/// The key of a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// Of a [`crate::records::BlobRecord`].
    Blob(Digest),
    /// Of a [`crate::records::LinkRecord`].
    Link(Repository, Digest),
    /// Of a [`crate::records::ManifestRecord`].
    Manifest(Repository, Digest),
    /// Of an [`crate::records::UploadRecord`].
    Upload(UploadId),
    /// Of a [`crate::records::TokenRecord`]: letters, digits, `-` and `_`.
    Token(String),
    /// Of the key that signs Bearer tokens.
    Bearer,
    /// Of the collector's [`crate::collect::Lease`].
    Collector,
    /// Of an [`crate::records::AnnounceRecord`].
    Announce(Repository, Tag),
    /// Of a [`crate::records::TagRecord`].
    Tag(Repository, Tag),
}

impl Key {
    /// The bucket that it is in.
    pub fn bucket(&self) -> Bucket {
        match self {
            Self::Tag(..) => Bucket::Tags,
            _ => Bucket::Records,
        }
    }

    /// The subject that the record is stored at.
    pub fn subject(&self) -> String {
        format!("{}{self}", self.bucket().prefix())
    }

    /// Reads the key of a bucket; `None` for what another version of leafbox may have put there.
    pub fn parse(bucket: Bucket, text: &str) -> Option<Self> {
        let (first, rest) = text.split_once('.').unwrap_or((text, ""));
        if bucket == Bucket::Tags {
            return Some(Self::Tag(Repository::from_token(first)?, Tag::from_token(rest)?));
        }
        let named = || {
            let (repository, name) = rest.split_once('.')?;
            Some((Repository::from_token(repository)?, name))
        };
        Some(match first {
            "blob" => Self::Blob(Digest::from_token(rest)?),
            "link" => named().and_then(|(owner, name)| Some(Self::Link(owner, Digest::from_token(name)?)))?,
            "manifest" => {
                named().and_then(|(owner, name)| Some(Self::Manifest(owner, Digest::from_token(name)?)))?
            }
            "upload" => Self::Upload(rest.parse().ok()?),
            "token" if is_token_id(rest) => Self::Token(rest.to_owned()),
            "bearer" if rest.is_empty() => Self::Bearer,
            "collector" if rest.is_empty() => Self::Collector,
            "announce" => {
                named().and_then(|(owner, name)| Some(Self::Announce(owner, Tag::from_token(name)?)))?
            }
            _ => return None,
        })
    }
}

/// Whether a text can stand in a subject as the id of a token.
pub fn is_token_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(digest) => write!(formatter, "blob.{}", digest.token()),
            Self::Link(owner, digest) => write!(formatter, "link.{}.{}", owner.token(), digest.token()),
            Self::Manifest(owner, digest) => {
                write!(formatter, "manifest.{}.{}", owner.token(), digest.token())
            }
            Self::Upload(id) => write!(formatter, "upload.{id}"),
            Self::Token(id) => write!(formatter, "token.{id}"),
            Self::Bearer => formatter.write_str("bearer"),
            Self::Collector => formatter.write_str("collector"),
            Self::Announce(owner, tag) => write!(formatter, "announce.{}.{}", owner.token(), tag.token()),
            Self::Tag(owner, tag) => write!(formatter, "{}.{}", owner.token(), tag.token()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_key_is_read_and_written_alike_and_another_versions_is_none() {
        let repository: Repository = "team/app.web".parse().unwrap();
        let tag: Tag = "1.4.2".parse().unwrap();
        let digest: Digest = format!("sha512:{}", "0f".repeat(64)).parse().unwrap();
        let keys = [
            Key::Blob(digest.clone()),
            Key::Link(repository.clone(), digest.clone()),
            Key::Manifest(repository.clone(), digest),
            Key::Upload(UploadId::random()),
            Key::Token("ci-1".to_owned()),
            Key::Bearer,
            Key::Collector,
            Key::Announce(repository.clone(), tag.clone()),
            Key::Tag(repository, tag),
        ];
        for key in keys {
            assert_eq!(Key::parse(key.bucket(), &key.to_string()), Some(key));
        }
        for other in ["", "blob", "blob.sha256.0f", "link.a", "later.x", "bearer.x", "token.", "upload.7"] {
            assert_eq!(Key::parse(Bucket::Records, other), None, "{other}");
        }
        assert_eq!(Key::parse(Bucket::Tags, "team"), None);
    }
}
