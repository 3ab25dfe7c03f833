//! A small fleet and its keys, for the tests of this crate.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use settings::{Fleet, Name};

use crate::{JwtSet, KeyStore, ensure_fleet_keys, sign};

pub(crate) const SHOPS: &str = r#"
name = "shops"
[accounts.HEAD]
exports = [
  { subject = "prices.>", kind = "stream", to = ["SHOP"], description = "price list" },
  { subject = "stock.*", kind = "service", response = "chunked" },
]
[accounts.HEAD.services.office]
publish = ["prices.>"]
[accounts.SHOP]
description = "a shop"
imports = [
  { from = "HEAD", subject = "stock.*", kind = "service", local = "head.stock.*", share = true },
  { from = "HEAD", subject = "prices.fruit.>", kind = "stream" },
]
[accounts.SHOP.limits]
connections = 10
payload = "1KiB"
[accounts.SHOP.jetstream]
storage = "1GiB"
streams = 5
[accounts.SHOP.roles.till]
description = "a till"
publish = ["sales.>"]
publish_deny = ["sales.void"]
subscribe = ["prices.>", "_INBOX.>"]
[accounts.SHOP.roles.answers]
subscribe = ["ask"]
responses = { max = 2, expires = "5s" }
[accounts.SHOP.services.till-1]
role = "till"
"#;

pub(crate) fn fleet(text: &str) -> Fleet {
    toml::from_str(text).unwrap()
}

pub(crate) fn shops() -> Fleet {
    fleet(SHOPS)
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A fixed moment and some seconds.
pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

/// A keys directory with all that the fleet needs.
pub(crate) fn keys(fleet: &Fleet) -> (tempfile::TempDir, KeyStore) {
    let folder = tempfile::tempdir().unwrap();
    let keys = KeyStore::create(&folder.path().join("keys")).unwrap();
    ensure_fleet_keys(&keys, fleet, at(0)).unwrap();
    (folder, keys)
}

/// A fleet, its keys and its first signed set.
pub(crate) fn signed() -> (tempfile::TempDir, KeyStore, Fleet, JwtSet) {
    let fleet = shops();
    let (folder, keys) = keys(&fleet);
    let set = sign(&keys, &fleet, None, at(0)).unwrap();
    (folder, keys, fleet, set)
}
