//! Names of repositories, tags and uploads, and how they stand in a NATS subject.
//!
//! The grammar is that of the OCI distribution specification 1.1, "Pulling manifests". A subject's
//! tokens end at a dot, and no name holds an equals sign, so that one stands for the other there.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Digest;

/// The longest name of a repository: more would be cut by clients that put a host before it.
const LONGEST_REPOSITORY: usize = 255;
/// The longest tag.
const LONGEST_TAG: usize = 128;

fn to_token(name: &str) -> String {
    name.replace('.', "=")
}

fn from_token<T: FromStr>(token: &str) -> Option<T> {
    token.replace('=', ".").parse().ok()
}

/// The text is no name of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a repository is named by lower-case letters and digits, with `.`, `_`, `__` or `-` between them and `/` between its parts, 255 bytes at most"
)]
pub struct BadRepository;

/// The text is no tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tag is 1 to 128 letters, digits, `_`, `.` and `-`, and starts with neither `.` nor `-`")]
pub struct BadTag;

/// The name of a repository, such as `team/app`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository(Box<str>);

impl Repository {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As one token of a NATS subject.
    pub fn token(&self) -> String {
        to_token(&self.0)
    }

    /// Reads what [`Repository::token`] wrote.
    pub fn from_token(token: &str) -> Option<Self> {
        from_token(token)
    }
}

impl FromStr for Repository {
    type Err = BadRepository;

    fn from_str(text: &str) -> Result<Self, BadRepository> {
        let fits = text.len() <= LONGEST_REPOSITORY && text.split('/').all(is_path_component);
        fits.then(|| Self(text.into())).ok_or(BadRepository)
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    is_word(first)
        && is_word(last)
        && bytes.chunk_by(|left, right| is_word(*left) == is_word(*right)).all(|run| match run {
            [b'.' | b'_'] | [b'_', b'_'] => true,
            run => is_word(run[0]) || run.iter().all(|byte| *byte == b'-'),
        })
}

/// A tag, such as `1.4.2`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Box<str>);

impl Tag {
    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As one token of a NATS subject.
    pub fn token(&self) -> String {
        to_token(&self.0)
    }

    /// Reads what [`Tag::token`] wrote.
    pub fn from_token(token: &str) -> Option<Self> {
        from_token(token)
    }
}

impl FromStr for Tag {
    type Err = BadTag;

    fn from_str(text: &str) -> Result<Self, BadTag> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let mut bytes = text.bytes();
        let starts = bytes.next().is_some_and(is_word);
        let goes_on = bytes.all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'));
        (starts && goes_on && text.len() <= LONGEST_TAG).then(|| Self(text.into())).ok_or(BadTag)
    }
}

/// A manifest as a client asks for it: by tag or by digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// Whatever the tag stands for now.
    Tag(Tag),
    /// Exactly this content.
    Digest(Digest),
}

impl FromStr for Reference {
    type Err = BadReference;

    /// What holds a colon is a digest: no tag may.
    fn from_str(text: &str) -> Result<Self, BadReference> {
        if text.contains(':') {
            return Ok(Self::Digest(text.parse()?));
        }
        Ok(Self::Tag(text.parse()?))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(formatter),
            Self::Digest(digest) => digest.fmt(formatter),
        }
    }
}

/// The text is neither a tag nor a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReference {
    /// No tag.
    #[error(transparent)]
    Tag(#[from] BadTag),
    /// No digest.
    #[error(transparent)]
    Digest(#[from] crate::digest::BadDigest),
}

/// What names one upload, from its `POST` to its commit, and the chunks that it wrote: 128 random
/// bits, so that nobody guesses another's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId([u8; 16]);

impl UploadId {
    /// Names what keeps room for records, and no upload: see [`crate::storage::Ballast`].
    pub const BALLAST: Self = Self([0; 16]);

    /// A new one.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Whether it is odd as a number, as half of them are.
    pub(crate) fn is_odd(self) -> bool {
        self.0[15] % 2 == 1
    }
}

impl FromStr for UploadId {
    type Err = BadUploadId;

    fn from_str(text: &str) -> Result<Self, BadUploadId> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| BadUploadId)?;
        bytes.try_into().map(Self).map_err(|_| BadUploadId)
    }
}

/// The text names no upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an upload is named by 32 lower-case hexadecimal digits")]
pub struct BadUploadId;

impl fmt::Display for UploadId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&HEXLOWER.encode(&self.0))
    }
}

macro_rules! text_value {
    ($($name:ident $(. $field:tt)?),*) => {$(
        $(impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.$field)
            }
        })?

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

text_value!(Repository.0, Tag.0, UploadId);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn repositories_follow_the_specification() {
        let longest = "a".repeat(LONGEST_REPOSITORY);
        for good in ["a", "team/app", "a.b/c_d/e__f/g---h", "0/1", &longest] {
            let repository: Repository = good.parse().expect(good);
            assert_eq!(Repository::from_token(&repository.token()), Some(repository));
        }
        let too_long = "a".repeat(LONGEST_REPOSITORY + 1);
        for bad in [
            "", "/", "a/", "/a", "a//b", "A", ".a", "a.", "a..b", "a___b", "a_-b", "a._b", "-a", "a b",
            "a:b", "a=b", "ä", &too_long,
        ] {
            assert!(bad.parse::<Repository>().is_err(), "{bad}");
        }
    }

    #[test]
    fn tags_follow_the_specification() {
        let longest = "1".repeat(LONGEST_TAG);
        for good in ["latest", "1.4.2", "_", "V-1.0_x", &longest] {
            let tag: Tag = good.parse().expect(good);
            assert_eq!(Tag::from_token(&tag.token()), Some(tag));
        }
        let too_long = "1".repeat(LONGEST_TAG + 1);
        for bad in ["", ".a", "-a", "a:b", "a/b", "a=b", "a b", "ä", &too_long] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
    }

    #[test]
    fn no_token_ends_a_subjects_token() {
        let repository: Repository = "a.b/c.d".parse().unwrap();
        assert_eq!(repository.token(), "a=b/c=d");
        let tag: Tag = "1.4.2".parse().unwrap();
        assert_eq!(tag.token(), "1=4=2");
    }

    #[test]
    fn an_upload_is_named_by_its_digits_and_never_twice() {
        let id = UploadId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_ne!(id, UploadId::random());
        assert!("abc".parse::<UploadId>().is_err());
    }
}
