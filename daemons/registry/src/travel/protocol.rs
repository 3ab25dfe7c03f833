//! What two registries say to each other over NATS.
//!
//! Whoever needs something asks for it: a leaf the hub, and, when a leaf has announced a tag, the hub
//! that leaf. A request is JSON. A reply has one header, [`HEADER`], with a [`Head`] in JSON, and bytes
//! as its payload. Both sides say the version that they speak, and pass over fields that they do not
//! know.
//!
//! Messages are lost when a link breaks: nothing is sent again by itself. Who asks notices a gap by
//! the offset of the next piece, or silence by its own clock, and asks again from what it has stored.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Digest, Reference, Repository, Tag, records::Seconds};

/// The version that this code speaks.
pub(crate) const VERSION: u32 = 1;
/// The header of every reply.
pub(crate) const HEADER: &str = "Leafbox-Travel";
/// Hub daemons share the requests of leaves.
pub(crate) const QUEUE: &str = "registry";
/// Most bytes of a blob in one message. Small, so that what else crosses a slow link does not wait
/// long behind one.
pub(crate) const LONGEST_PIECE: u64 = 256 * 1024;
/// Most bytes that are answered to one request: a link holds at most 64 MiB for a slow reader before
/// it is cut.
pub(crate) const LONGEST_WINDOW: u64 = 8 * 1024 * 1024;
/// The longest manifest that goes along with the answer that names it.
pub(crate) const LONGEST_INLINE: u64 = 512 * 1024;
/// Kept free of a message's limit for headers.
pub(crate) const HEADERS_ROOM: u64 = 4096;
/// Most referrers of one manifest that travel with it.
pub(crate) const MOST_REFERRERS: usize = 256;
/// How long the first sign of an answer may take before the other side counts as unreachable.
pub(crate) const ANSWER: Duration = Duration::from_secs(3);
/// How long the other side may take once it said that it is asking its own upstream.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What is asked; the last token of the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Which manifest is this? [`Resolve`].
    Resolve,
    /// How long is this blob? [`Stat`].
    Stat,
    /// Give me these bytes. [`Window`].
    Blob,
    /// Which manifests refer to this one? [`Stat`].
    Referrers,
    /// I have a tag for you. [`Announce`].
    Announce,
}

impl Operation {
    const ALL: [Self; 5] = [Self::Resolve, Self::Stat, Self::Blob, Self::Referrers, Self::Announce];

    pub(crate) fn token(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Stat => "stat",
            Self::Blob => "blob",
            Self::Referrers => "referrers",
            Self::Announce => "announce",
        }
    }

    pub(crate) fn from_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.token() == token)
    }
}

/// Where `leaf` asks the hub; `*` for every leaf.
pub(crate) fn hub_subject(leaf: &str) -> String {
    format!("leafbox.registry.hub.{leaf}")
}

/// Where the hub asks `leaf`.
pub(crate) fn leaf_subject(leaf: &str) -> String {
    format!("leafbox.registry.leaf.{leaf}")
}

/// Which manifest is this?
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Resolve {
    pub(crate) v: u32,
    pub(crate) repository: Repository,
    /// A tag or a digest.
    pub(crate) reference: String,
    /// The manifest that the asker has already: its bytes are not sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) known: Option<Digest>,
    /// Most bytes of a message that the asker's server takes.
    #[serde(default)]
    pub(crate) most: u64,
}

impl Resolve {
    pub(crate) fn reference(&self) -> Option<Reference> {
        self.reference.parse().ok()
    }
}

/// Something about one digest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stat {
    pub(crate) v: u32,
    pub(crate) repository: Repository,
    pub(crate) digest: Digest,
}

/// Give me these bytes of a blob or manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Window {
    pub(crate) v: u32,
    pub(crate) repository: Repository,
    pub(crate) digest: Digest,
    /// The first byte.
    pub(crate) offset: u64,
    /// How many bytes; fewer come at the blob's end.
    pub(crate) length: u64,
    /// Most bytes of a message that the asker's server takes.
    #[serde(default)]
    pub(crate) most: u64,
}

/// A tag of the leaf's is to be at the hub too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Announce {
    pub(crate) v: u32,
    pub(crate) repository: Repository,
    pub(crate) tag: Tag,
    pub(crate) digest: Digest,
    /// The manifests that refer to it, such as signatures: the hub has all only with these.
    #[serde(default)]
    pub(crate) referrers: Vec<Digest>,
    /// When it was pushed, by the leaf's clock: of two pushes of a tag the newer one counts. Older leaves
    /// do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<Seconds>,
}

/// What a reply says about its payload, or instead of one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) v: u32,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<Refused>,
    /// The manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<Digest>,
    /// Its media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    /// Bytes of the whole manifest or blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    /// Where in the blob the payload begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) offset: Option<u64>,
    /// Nothing more comes of this window; for a manifest, its bytes are the payload.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) last: bool,
    /// How far the hub is with an announced tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gathered: Option<Gathered>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub(crate) code: Code,
    /// For people.
    pub(crate) message: String,
}

impl Refused {
    pub(crate) fn new(code: Code, message: impl ToString) -> Self {
        Self { code, message: message.to_string() }
    }
}

impl From<Refused> for Head {
    fn from(refused: Refused) -> Self {
        Self { refused: Some(refused), ..Self::new() }
    }
}

/// Why there is no answer, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    /// It is not here.
    Unknown,
    /// fleet.toml does not let it travel, or it would fail in the same way again.
    Denied,
    /// Not now: ask again later.
    Busy,
    /// Not yet: the answer comes after this one, an upstream is asked.
    Wait,
    /// The request is not understood.
    Malformed,
    /// It went wrong over there.
    #[serde(other)]
    Failed,
}

/// How far the hub is with an announced tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gathered {
    /// Everything is there, and the tag stands for it.
    pub(crate) here: bool,
    /// Bytes that arrived of the blobs that were missing.
    pub(crate) done: u64,
    /// Bytes of those blobs, as far as they are known.
    pub(crate) total: u64,
}

/// One of the manifests that refer to another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Referrer {
    pub(crate) digest: Digest,
    #[serde(default)]
    pub(crate) size: u64,
}

impl Head {
    pub(crate) fn new() -> Self {
        Self { v: VERSION, ..Self::default() }
    }

    pub(crate) fn refused(code: Code, message: impl ToString) -> Self {
        Refused::new(code, message).into()
    }

    /// As the headers of a message.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let text = serde_json::to_string(self).expect("a head has only plain fields");
        headers.insert(HEADER, text.as_str());
        headers
    }

    /// Reads the headers of a message; `None` when it is no reply of a registry.
    pub(crate) fn read(headers: Option<&HeaderMap>) -> Option<Self> {
        serde_json::from_str(headers?.get(HEADER)?.as_str()).ok()
    }
}

/// A request as the payload of a message.
pub(crate) fn request(request: &impl Serialize) -> Bytes {
    serde_json::to_vec(request).expect("a request has only plain fields").into()
}

/// Most payload of one reply, by what each side's server takes.
pub(crate) fn most_payload(ours: u64, theirs: u64) -> u64 {
    let theirs = if theirs == 0 { ours } else { theirs };
    ours.min(theirs).saturating_sub(HEADERS_ROOM).max(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_a_newer_registry_adds_is_passed_over() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        let newer = format!(
            r#"{{"v":2,"digest":"{digest}","colour":"red","refused":{{"code":"hiccup","message":"m","more":1}}}}"#
        );
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, newer.as_str());
        let head = Head::read(Some(&headers)).unwrap();
        assert_eq!(head.digest.unwrap().to_string(), digest);
        assert_eq!(head.refused.unwrap().code, Code::Failed, "a code that is not known");
        let asked: Stat =
            serde_json::from_str(&format!(r#"{{"v":9,"repository":"a/b","digest":"{digest}","x":[]}}"#))
                .unwrap();
        assert_eq!(asked.v, 9);
    }

    #[test]
    fn a_head_is_read_as_it_was_written_and_nothing_else_is_one() {
        let head = Head { size: Some(3), offset: Some(0), last: true, ..Head::new() };
        assert_eq!(Head::read(Some(&head.headers())), Some(head));
        let refusal = Head::refused(Code::Unknown, "line\nbreak");
        assert_eq!(Head::read(Some(&refusal.headers())), Some(refusal));
        assert_eq!(Head::read(None), None);
        assert_eq!(Head::read(Some(&HeaderMap::new())), None);
    }

    #[test]
    fn a_message_fits_both_sides() {
        assert_eq!(most_payload(1 << 20, 8 << 20), (1 << 20) - HEADERS_ROOM);
        assert_eq!(most_payload(8 << 20, 1 << 20), (1 << 20) - HEADERS_ROOM);
        assert_eq!(most_payload(1 << 20, 0), (1 << 20) - HEADERS_ROOM, "an asker that does not say");
        assert_eq!(most_payload(10, 10), 1);
    }

    #[test]
    fn every_operation_has_a_token_of_its_own() {
        for operation in Operation::ALL {
            assert_eq!(Operation::from_token(operation.token()), Some(operation));
        }
        assert_eq!(Operation::from_token("delete"), None);
    }
}
