//! What a pass of the collector did, or would do.

use std::{fmt, ops::AddAssign};

use serde::{Deserialize, Serialize};

use crate::records::Seconds;

/// What a pass did; of a dry run, what it would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Nothing was changed.
    pub dry_run: bool,
    /// When it began.
    pub at: Seconds,
    /// Tags that retention deleted.
    pub tags: u64,
    /// Manifests that retention deleted.
    pub manifests: u64,
    /// Links of repositories to blobs that were deleted.
    pub links: u64,
    /// Blobs whose chunks were purged.
    pub blobs: u64,
    /// Bytes of these in the stream. The disk follows minutes later, and not to the byte.
    pub bytes: u64,
    /// Uploads that expired.
    pub uploads: u64,
    /// Bytes of these in the stream.
    pub upload_bytes: u64,
    /// Chunks that belonged to nothing, by their upload.
    pub stray: u64,
    /// Links and manifests found unused, whose grace time has begun.
    pub marked: u64,
    /// Those whose grace time runs, these among them.
    pub waiting: u64,
    /// Bytes of blobs that only these keep.
    pub waiting_bytes: u64,
    /// When the grace time of the first of these ends.
    pub next: Option<Seconds>,
    /// Records of another version of leafbox, which may rely on anything: while there are some, only
    /// tags and uploads go.
    pub unreadable: u64,
    /// What was left alone since somebody came to rely on it meanwhile.
    pub touched: u64,
}

impl Report {
    /// Whether nothing was deleted.
    pub fn is_empty(&self) -> bool {
        self.tags + self.manifests + self.links + self.blobs + self.uploads + self.stray == 0
    }
}

/// What all passes did since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Passes that came to an end.
    pub passes: u64,
    /// Passes that did not.
    pub failures: u64,
    /// Tags deleted.
    pub tags: u64,
    /// Manifests deleted.
    pub manifests: u64,
    /// Blobs purged.
    pub blobs: u64,
    /// Bytes of blobs and uploads freed in the stream.
    pub bytes: u64,
    /// Uploads expired.
    pub uploads: u64,
}

impl AddAssign<&Report> for Totals {
    fn add_assign(&mut self, report: &Report) {
        self.passes += 1;
        self.tags += report.tags;
        self.manifests += report.manifests;
        self.blobs += report.blobs;
        self.bytes += report.bytes + report.upload_bytes;
        self.uploads += report.uploads;
    }
}

impl fmt::Display for Report {
    /// For a log: one line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} tags, {} manifests, {} links, {} blobs of {} bytes, {} uploads of {} bytes",
            self.tags, self.manifests, self.links, self.blobs, self.bytes, self.uploads, self.upload_bytes
        )
    }
}
