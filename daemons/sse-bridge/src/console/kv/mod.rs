//! Buckets of keys and values (ADR-8): listed, read with their history, kept up to date, and written
//! where nobody else wrote meanwhile.

mod bucket;
mod entry;
mod key;
mod list;
mod rows;
mod write;

use axum::{
    Router,
    routing::{get, post},
};
use serde_json::Value;

use super::{Console, failure::Failure, guard::BucketName, jetstream::Account, link, visit::Visit};

/// The pages of buckets.
pub(super) fn router() -> Router<Console> {
    let bucket = "/kv/{account}/{bucket}";
    let of = |rest: &str| format!("{bucket}{rest}");
    Router::new()
        .route("/kv", get(list::show))
        .route(bucket, get(bucket::show))
        .route("/live/kv/{account}/{bucket}", get(rows::live))
        .route(&of("/put"), post(write::put))
        .route(&of("/delete"), post(write::delete))
        .route(&of("/purge"), post(write::purge))
        .route(&of("/keys/{key}"), get(key::show))
}

/// A bucket that a path names: it may be read, and the account is there.
#[derive(Debug)]
struct Bucket {
    account: Account,
    name: BucketName,
}

impl Bucket {
    fn of(visit: &Visit, account: &str, bucket: &str) -> Result<Self, Failure> {
        Ok(Self { account: visit.account(account)?, name: BucketName::kv(account, bucket)? })
    }

    /// The path of the bucket's page and of what is below it.
    fn path(&self, below: &[&str]) -> String {
        let mut segments = vec!["kv", &self.account.name, self.name.as_str()];
        segments.extend(below);
        link::path(&segments)
    }

    /// What is before a key in the subjects of the bucket's stream.
    fn prefix(&self) -> String {
        format!("$KV.{}.", self.name.as_str())
    }
}

/// What a key had, the newest first, as far as the bucket keeps it.
pub(super) async fn values(
    visit: &Visit,
    account: &str,
    bucket: &str,
    key: &str,
) -> Result<Vec<Vec<u8>>, Failure> {
    let bucket = Bucket::of(visit, account, bucket)?;
    let history = key::history(&bucket, super::guard::key(key)?).await?;
    Ok(history.into_iter().map(|entry| entry.value).collect())
}

/// Where a key is written: in the bucket that a mirror copies, of another domain where it says so.
fn written_to(config: &Value, bucket: &BucketName, key: &str) -> String {
    let mirror = &config["mirror"];
    let Some(origin) = mirror["name"].as_str().and_then(|stream| stream.strip_prefix("KV_")) else {
        return format!("$KV.{}.{key}", bucket.as_str());
    };
    match mirror["external"]["api"].as_str() {
        Some(api) if !api.is_empty() => format!("{api}.$KV.{origin}.{key}"),
        _ => format!("$KV.{origin}.{key}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_of_a_mirror_is_written_where_it_comes_from() {
        let bucket = BucketName::kv("SHOP", "prices").unwrap();
        for (config, subject) in [
            (json!({}), "$KV.prices.a.b"),
            (json!({ "mirror": { "name": "KV_origin" } }), "$KV.origin.a.b"),
            (
                json!({ "mirror": { "name": "KV_prices", "external": { "api": "$JS.hub.API" } } }),
                "$JS.hub.API.$KV.prices.a.b",
            ),
        ] {
            assert_eq!(written_to(&config, &bucket, "a.b"), subject);
        }
    }
}
