//! What the registry keeps about blobs, manifests, tags and uploads: one JSON record a key.
//!
//! Two KV buckets of the `LEAFBOX` account hold them, beside the stream of chunks:
//!
//! | bucket | key | record |
//! |---|---|---|
//! | [`RECORDS_BUCKET`] | `blob.<algorithm>.<hex>` | [`BlobRecord`]: one for all repositories |
//! | | `link.<repository>.<algorithm>.<hex>` | [`LinkRecord`]: the repository has the blob |
//! | | `manifest.<repository>.<algorithm>.<hex>` | [`ManifestRecord`]; its bytes are a blob |
//! | | `upload.<id>` | [`UploadRecord`]: made before the first chunk |
//! | | `token.<id>` | [`TokenRecord`] |
//! | | `bearer` | the key that signs Bearer tokens, made once |
//! | | `collector` | [`crate::collect::Lease`]: which daemon collects |
//! | | `announce.<repository>.<tag>` | [`AnnounceRecord`]: a tag that is to travel to the hub |
//! | [`TAGS_BUCKET`] | `<repository>.<tag>` | [`TagRecord`], and those before it: the events |
//!
//! Readers tolerate fields that they do not know: a newer leafbox may have written them.
//!
//! # Writers beside the collector
//!
//! The collector deletes in two steps: it marks a record (`idle`, `dying`) by its revision, looks
//! whether anything relies on it in a state of the index that has the mark, and deletes the record as
//! marked, by its revision. Who comes to rely on a record does the mirror image: write what relies on
//! it, wait until the index has that write, and look at the record relied upon again. All of it is in
//! one bucket, so that either the collector sees the writer or the writer sees the mark, whatever the
//! clocks say and however short the grace time is:
//!
//! - After a link is written, its blob must be there and not `dying`. Else a mount takes the link back
//!   and is none; a push puts its own chunks in place of the record, and so purges its own chunks only
//!   after this look.
//! - After a manifest is written, each of its blobs must be linked and there, not `dying`, its own
//!   bytes too; an `idle` link is written anew without the mark, by its revision. Else the manifest is
//!   deleted again, by its revision, and refused.
//! - After a tag is written, its manifest must be there (tags are in another bucket: both indexes
//!   have to catch up); an `idle` one is written anew without the mark.
//! - An upload is `claimed` by its revision before the blob record that names its chunks is written,
//!   and its record goes last, after link or manifest. Who cancels an upload deletes its record by its
//!   revision, and purges its chunks only if no blob record names them: of a claimed upload, after
//!   all writes before that deletion are known.

use std::collections::BTreeMap;

pub use runtime::clock::{Seconds, now};
use serde::{Deserialize, Serialize};
use settings::builtin::{REGISTRY_RECORDS, REGISTRY_TAGS};

use crate::{Algorithm, Digest, Repository, Tag, UploadId, chunks::Runs};

/// The bucket of all records but tags.
pub const RECORDS_BUCKET: &str = REGISTRY_RECORDS;
/// The bucket of tags, with the last 64 changes of each: whoever watches it sees every change, and
/// can replay them.
pub const TAGS_BUCKET: &str = REGISTRY_TAGS;

/// A blob: where its bytes are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlobRecord {
    /// Bytes.
    pub size: u64,
    /// The upload that wrote its chunks, which names their subject.
    pub upload: UploadId,
    /// Where in the streams of chunks they are.
    pub runs: Runs,
    /// When something last relied on it: a push, a mount, a deduplicated push.
    pub touched: Seconds,
    /// The collector is about to purge its chunks: nobody may rely on it any more. A push of the same
    /// content replaces the record with one about its own chunks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dying: bool,
}

impl BlobRecord {
    /// Whether it has forgotten its chunks, which are purged, about to be, or lost. A blob without bytes
    /// has none to lose.
    pub fn is_forsaken(&self) -> bool {
        self.dying && self.size > 0 && self.runs.as_slice().is_empty()
    }
}

/// A repository has a blob.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkRecord {
    /// Bytes of the blob, so that use can be counted without its record.
    pub size: u64,
    /// When a client last relied on it while no manifest mentions it: the collector's grace time
    /// counts from here.
    pub touched: Seconds,
    /// Since when the collector knows that no manifest of the repository mentions it. Whoever relies
    /// on it writes it anew without this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Seconds>,
}

/// A repository has a manifest. Its bytes are a blob of the same digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManifestRecord {
    /// As pushed, exactly.
    pub media_type: String,
    /// Bytes.
    pub size: u64,
    /// The manifest that this one refers to, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Digest>,
    /// What a list of referrers shows: `artifactType`, else the configuration's media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Its annotations, for lists of referrers; none where there is no subject.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// They are too long for a record: only the manifest itself has them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub annotations_apart: bool,
    /// The configuration and layers that it needs, which the repository has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<Digest>,
    /// The manifests of an index, which the repository need not have (sparse indexes).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<Digest>,
    /// When it was pushed or last relied on.
    pub touched: Seconds,
    /// Since when the collector knows that no tag leads to it, where a retention rule says that it
    /// goes then. Whoever relies on it writes it anew without this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Seconds>,
    /// Where it came from.
    #[serde(default)]
    pub origin: Origin,
}

/// Who made a manifest or tag known here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A client pushed it here.
    #[default]
    Pushed,
    /// Pulled through from the hub's registry, which may have newer ones.
    Hub,
    /// Pulled through from the upstream registry of this prefix in fleet.toml.
    Upstream(String),
    /// A leaf announced it to this hub.
    Leaf(String),
}

impl UploadRecord {
    /// How long it is kept while nothing is added, when a client's is kept for `expiry`: a blob that
    /// travels goes on after a cut of days.
    pub fn kept_for(&self, expiry: Seconds) -> Seconds {
        if self.travels.is_some() { expiry.max(TRAVEL_EXPIRY) } else { expiry }
    }
}

/// How long the upload of a blob that travels is kept at least.
const TRAVEL_EXPIRY: Seconds = 14 * 86_400;

impl Origin {
    /// Whether it was pulled through, so that there may be a newer one where it came from.
    pub fn comes_down(&self) -> bool {
        matches!(self, Self::Hub | Self::Upstream(_))
    }
}

/// What a tag stands for, or stood for until it was deleted. Each version of it is an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TagRecord {
    /// The repository, spelled out for readers of events.
    pub repository: Repository,
    /// The tag.
    pub tag: Tag,
    /// The manifest; `None` says that the tag was deleted.
    pub digest: Option<Digest>,
    /// What it stood for before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// Media type of the manifest.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// Bytes of the manifest.
    #[serde(default)]
    pub size: u64,
    /// When it changed; of one that a leaf announced, when it was pushed there.
    pub at: Seconds,
    /// Who changed it: the name of a token, `anonymous`, `travel`, `retention` or `command`.
    pub by: String,
    /// Where it came from.
    #[serde(default)]
    pub origin: Origin,
}

/// An upload under way. It is written before its first chunk, so that chunks of an upload that nobody
/// ends are found and purged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UploadRecord {
    /// The repository that it was begun in.
    pub repository: Repository,
    /// Which digest is computed on the way in.
    pub algorithm: Algorithm,
    /// The state of that computation after `offset` bytes, serialized, as base64.
    pub hash: String,
    /// Bytes that are stored and flushed.
    pub offset: u64,
    /// Where they are.
    pub runs: Runs,
    /// Bytes that count against the namespace's quota already.
    pub reserved: u64,
    /// When bytes last arrived.
    pub touched: Seconds,
    /// The blob that travels, when it is no client's upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub travels: Option<Travels>,
    /// The blob that these chunks are, verified: the upload is being committed, or was. Nothing is
    /// added to it any more, and only the expiry of uploads cancels it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed: Option<Digest>,
}

/// A blob on its way from another registry, so that it goes on where it stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Travels {
    /// What it is.
    pub digest: Digest,
    /// Bytes in all.
    pub size: u64,
    /// Where it comes from.
    pub from: Origin,
    /// Who fetches it: the daemon of the node of this name, or `leafbox registry copy` there, which says
    /// so. Others leave the upload alone while it gets on.
    #[serde(default, rename = "node")]
    pub fetcher: String,
}

/// What a client may do, and how it shows who it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// What people call it; the user name of `docker login`.
    pub name: String,
    /// SHA-256 of the secret, as hexadecimal digits. The secret has 256 random bits, so that a slow
    /// hash would add nothing.
    pub hash: String,
    /// Patterns of repositories, such as `team/*` or `**`.
    pub repositories: Vec<String>,
    /// May pull.
    pub pull: bool,
    /// May push, and mount what it may pull.
    pub push: bool,
    /// May delete manifests, tags and blobs.
    #[serde(default)]
    pub delete: bool,
    /// When it was made.
    pub created: Seconds,
    /// When it ends; never when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Seconds>,
}

/// A tag that was pushed at the edge and is to be at the hub too. Gone when the hub has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnnounceRecord {
    /// The manifest.
    pub digest: Digest,
    /// Since when it waits.
    pub since: Seconds,
}
