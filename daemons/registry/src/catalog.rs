//! What is stored, for who may ask for the status: names, sizes and times, and nothing of tokens.
//!
//! Questions come to the subject of [`status`](crate::status), as JSON; an empty one asks for the status.

use serde::{Deserialize, Serialize};

use crate::{
    Digest, Key, Repository, Storage, Tag,
    collect::{self, RepositorySpace},
    index::Tagged,
    records::{Origin, Seconds},
};

/// Entries of an answer: the longest names and digests fit a message many times.
const PAGE: usize = 200;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// The repositories, in order.
    Repositories {
        /// Those after this one, which need not exist.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Repository>,
    },
    /// The tags of a repository, in order.
    Tags {
        /// Which one.
        repository: Repository,
        /// Those after this one, which need not exist.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Tag>,
    },
    /// One tag.
    Tag {
        /// Its repository.
        repository: Repository,
        /// The tag.
        tag: Tag,
    },
}

/// Repositories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repositories {
    /// Those of this answer, in order.
    pub repositories: Vec<RepositorySpace>,
    /// Whether there are more after them.
    pub more: bool,
    /// Bytes of all blobs and manifests, each counted once, in whatever repositories.
    pub bytes: u64,
    /// Bytes that uploads under way have reserved.
    pub reserved: u64,
}

/// Tags of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tags {
    /// Whether there is such a repository.
    pub exists: bool,
    /// Those of this answer, in order.
    pub tags: Vec<TagEntry>,
    /// Whether there are more after them.
    pub more: bool,
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagEntry {
    /// The tag.
    pub tag: Tag,
    /// Its key in the bucket of tags, which has its changes.
    pub key: String,
    /// The manifest that it stands for.
    pub digest: Digest,
    /// Media type of the manifest.
    pub media_type: String,
    /// Bytes of the manifest and of all that it needs and that is here.
    pub bytes: u64,
    /// When it changed.
    pub at: Seconds,
    /// Who changed it.
    pub by: String,
    /// Where it came from.
    pub origin: Origin,
    /// Whether it waits to be at the hub too.
    pub waits_for_hub: bool,
}

/// Answers a question.
pub(crate) fn answer(storage: &Storage, question: &Question) -> serde_json::Value {
    let answer = match question {
        Question::Repositories { after } => serde_json::to_value(repositories(storage, after.as_ref())),
        Question::Tags { repository, after } => {
            serde_json::to_value(tags(storage, repository, after.as_ref()))
        }
        Question::Tag { repository, tag } => serde_json::to_value(one(storage, repository, tag)),
    };
    answer.expect("names, numbers and texts are plain JSON")
}

fn repositories(storage: &Storage, after: Option<&Repository>) -> Repositories {
    let mut all = collect::repositories(storage);
    all.retain(|row| after.is_none_or(|after| row.repository > *after));
    let more = all.len() > PAGE;
    all.truncate(PAGE);
    let (bytes, reserved) = storage.index().bytes_of(|_| true);
    Repositories { repositories: all, more, bytes, reserved }
}

fn tags(storage: &Storage, repository: &Repository, after: Option<&Tag>) -> Tags {
    let Some(mut found) = storage.index().tags_after(repository, after, PAGE + 1) else {
        return Tags::default();
    };
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let waiting: Vec<Tag> = waiting(storage, repository).collect();
    let entries =
        found.into_iter().map(|(tag, entry)| TagEntry::of(storage, repository, tag, entry, &waiting));
    Tags { exists: true, tags: entries.collect(), more }
}

fn one(storage: &Storage, repository: &Repository, tag: &Tag) -> Tags {
    let waiting: Vec<Tag> = waiting(storage, repository).collect();
    let entry = storage.index().tag(repository, tag);
    let entry = entry.map(|entry| TagEntry::of(storage, repository, tag.clone(), entry, &waiting));
    Tags { exists: storage.index().exists(repository), tags: entry.into_iter().collect(), more: false }
}

impl TagEntry {
    fn of(storage: &Storage, repository: &Repository, tag: Tag, entry: Tagged, waiting: &[Tag]) -> Self {
        let needs = storage.index().needs(repository, &entry.digest);
        Self {
            key: Key::Tag(repository.clone(), tag.clone()).to_string(),
            bytes: needs.values().sum(),
            media_type: entry.media_type.to_string(),
            at: entry.at,
            by: entry.by.to_string(),
            origin: (*entry.origin).clone(),
            waits_for_hub: waiting.contains(&tag),
            digest: entry.digest,
            tag,
        }
    }
}

/// The tags of a repository that are to be at the hub too.
fn waiting(storage: &Storage, repository: &Repository) -> impl Iterator<Item = Tag> {
    let all = storage.index().announcements().into_iter();
    all.filter(move |(of, _, _)| of == repository).map(|(_, tag, _)| tag)
}
