//! How far a blob on its way here is, and for whom it comes.

use super::error::TravelError;
use crate::UploadId;

/// How far a blob is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// Its bytes, once they are known.
    pub(crate) size: Option<u64>,
    /// How many are stored here.
    pub(crate) offset: u64,
    /// The upload that they are in.
    pub(crate) upload: Option<UploadId>,
    /// Bytes come at the moment.
    pub(crate) flows: bool,
    /// How often it was tried in vain from all who may have it.
    pub(crate) failures: u64,
    /// Why the last of them did.
    pub(crate) error: Option<TravelError>,
    /// All of it is here and verified, though not in every repository that is to have it.
    pub(crate) landed: bool,
    /// It is here, or will not come.
    pub(crate) ended: Option<Result<(), TravelError>>,
}

/// Who wants a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// A client waits for it.
    Client,
    /// A manifest here needs it, and goes on needing it.
    Kept,
}
