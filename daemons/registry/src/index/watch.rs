//! Keeps the index as the buckets are.

use std::collections::HashSet;

use runtime::follow::{Mirror, follow as follow_bucket};

use super::Index;
use crate::{Bucket, Key};

/// Follows a bucket for as long as it is polled.
pub(super) async fn follow(index: Index, bucket: Bucket) {
    let context = index.context().clone();
    follow_bucket(&context, bucket.name(), &mut Part { index, bucket }).await;
}

/// What the index has of a bucket.
struct Part {
    index: Index,
    bucket: Bucket,
}

impl Mirror for Part {
    fn applied(&self) -> u64 {
        self.index.applied(self.bucket)
    }

    fn forget(&mut self) {
        self.index.forget(self.bucket);
    }

    fn changed(&mut self, key: &str, sequence: u64, value: Option<&[u8]>, listing: bool) {
        self.index.watched(self.bucket, Key::parse(self.bucket, key), sequence, value, !listing);
    }

    fn listed(&mut self, seen: &HashSet<u64>, snapshot: u64, last: u64) {
        self.index.listed(self.bucket, seen, snapshot, last);
    }
}
