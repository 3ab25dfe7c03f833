//! Buckets of objects (ADR-20): listed, described, downloaded and deleted.
//!
//! An object is a description at `$O.<bucket>.M.<name in base64>` and chunks at `$O.<bucket>.C.<nuid>`.

mod bucket;
mod chunks;
mod delete;
mod list;
mod object;
mod upload;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};
use data_encoding::BASE64URL;
use maud::Markup;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Console,
    failure::Failure,
    guard::BucketName,
    jetstream::Account,
    link::{self, trail},
    stored::Stored,
    visit::Visit,
};

/// The pages of objects.
pub(super) fn router() -> Router<Console> {
    let bucket = "/objects/{account}/{bucket}";
    let of = |rest: &str| format!("{bucket}{rest}");
    Router::new()
        .route("/objects", get(list::show))
        .route(bucket, get(bucket::show))
        .route(&of("/delete"), post(delete::delete))
        // An object may be as large as its bucket: no more than a chunk of it is in memory.
        .route(&of("/upload"), post(upload::upload).layer(DefaultBodyLimit::disable()))
        .route(&of("/of/{object}"), get(object::show))
        .route(&of("/of/{object}/file"), get(object::file))
}

/// A bucket that a path names: it may be read, and the account is there.
#[derive(Clone, Debug)]
struct Bucket {
    account: Account,
    name: BucketName,
}

/// What a bucket says of an object; what is newer than this program stays in `all`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Described {
    name: String,
    description: String,
    nuid: String,
    size: u64,
    mtime: String,
    chunks: u64,
    digest: String,
    deleted: bool,
    /// The whole of it.
    #[serde(skip)]
    all: Value,
    /// The sequence of the description.
    #[serde(skip)]
    sequence: u64,
    /// When it was written.
    #[serde(skip)]
    written: String,
}

impl Bucket {
    fn of(visit: &Visit, account: &str, bucket: &str) -> Result<Self, Failure> {
        Ok(Self { account: visit.account(account)?, name: BucketName::objects(account, bucket)? })
    }

    /// The path of the bucket's page and of what is below it.
    fn path(&self, below: &[&str]) -> String {
        let mut segments = vec!["objects", &self.account.name, self.name.as_str()];
        segments.extend(below);
        link::path(&segments)
    }

    /// What is before the name in the subjects of descriptions.
    fn described_at(&self) -> String {
        format!("$O.{}.M.", self.name.as_str())
    }

    /// The subject of an object's description.
    fn subject(&self, object: &str) -> String {
        format!("{}{}", self.described_at(), BASE64URL.encode(object.as_bytes()))
    }

    /// What the bucket says at the subject of a description.
    async fn at(&self, subject: &str) -> Result<Option<Described>, Failure> {
        let found = self.account.message(self.name.stream(), &json!({ "last_by_subj": subject })).await?;
        let Some(found) = found.map(|found| Stored::of(&found)) else { return Ok(None) };
        let all: Value = serde_json::from_slice(&found.data).unwrap_or_default();
        let described: Described = serde_json::from_value(all.clone()).unwrap_or_default();
        Ok(Some(Described { all, sequence: found.sequence, written: found.time, ..described }))
    }

    /// An object that is there.
    async fn object(&self, name: &str) -> Result<Described, Failure> {
        let found = self.at(&self.subject(name)).await?.filter(|found| !found.deleted);
        found.ok_or_else(|| Failure::Missing(format!("object {name} in {}", self.name.as_str())))
    }
}

fn above(bucket: &Bucket) -> Markup {
    trail(&[("/objects", "Objects"), (&bucket.path(&[]), bucket.name.as_str())])
}
