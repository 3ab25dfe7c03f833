//! Byte quotas of namespaces.
//!
//! A reservation is in the upload record before its bytes are stored, and is looked at in a state of
//! the index that has it: of two daemons that reserve at the same time, the later one sees the other.
//! So a quota is never exceeded, though both may be refused.

use settings::Prefix;

use super::{Storage, StorageError};
use crate::Repository;

/// Bytes that are reserved ahead while nobody says how many will come.
const STEP: u64 = 16 << 20;

/// What a namespace holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Repositories of this name and below, those of a longer namespace with a quota left out.
    pub namespace: Prefix,
    /// Its quota in bytes.
    pub quota: u64,
    /// Bytes of its distinct blobs and manifests.
    pub stored: u64,
    /// Bytes reserved by uploads under way.
    pub reserved: u64,
}

impl Usage {
    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.stored.saturating_add(self.reserved)
    }

    /// Bytes that are left.
    pub fn left(&self) -> u64 {
        self.quota.saturating_sub(self.used())
    }

    /// Refuses, when more is in use than there is, of which `wanted` bytes are new.
    pub(super) fn check(&self, wanted: u64) -> Result<(), StorageError> {
        if self.used() <= self.quota {
            Ok(())
        } else {
            Err(self.over(self.used().saturating_sub(wanted), wanted))
        }
    }

    /// Refuses `wanted` bytes that nothing is reserved for yet, where they would not fit now.
    pub(crate) fn check_ahead(&self, wanted: u64) -> Result<(), StorageError> {
        if wanted <= self.left() { Ok(()) } else { Err(self.over(self.used(), wanted)) }
    }

    /// Refuses an upload of `total` bytes for which an empty namespace would have no room. Such a
    /// reservation is never written: others would be refused while it stands.
    pub(super) fn check_alone(&self, total: u64) -> Result<(), StorageError> {
        if total <= self.quota { Ok(()) } else { Err(self.over(self.used(), total)) }
    }

    fn over(&self, used: u64, wanted: u64) -> StorageError {
        StorageError::OverQuota { namespace: self.namespace.to_string(), quota: self.quota, used, wanted }
    }
}

impl Storage {
    /// What the namespace of a repository holds, when it has a quota.
    pub fn usage(&self, repository: &Repository) -> Option<Usage> {
        let namespace = self.namespace_of(repository)?;
        Some(self.usage_of(namespace))
    }

    /// What all namespaces with a quota hold.
    pub fn usages(&self) -> Vec<Usage> {
        self.policy().quotas.keys().map(|namespace| self.usage_of(namespace)).collect()
    }

    fn usage_of(&self, namespace: &Prefix) -> Usage {
        let belongs = |repository: &Repository| self.namespace_of(repository) == Some(namespace);
        let (stored, reserved) = self.index().bytes_of(belongs);
        let quota = self.policy().quotas.get(namespace).map_or(0, |bytes| bytes.0);
        Usage { namespace: namespace.clone(), quota, stored, reserved }
    }

    fn namespace_of(&self, repository: &Repository) -> Option<&Prefix> {
        let fitting = self.policy().quotas.keys().filter(|prefix| prefix.covers(repository.as_str()));
        fitting.max_by_key(|prefix| prefix.as_str().len())
    }

    /// How many bytes an upload that needs `needed` reserves, of which it has `reserved` already: some
    /// ahead while there are enough.
    pub(super) fn reservation(&self, repository: &Repository, needed: u64, reserved: u64) -> u64 {
        let Some(usage) = self.usage(repository) else { return needed };
        let most = usage.left().saturating_add(reserved);
        needed.checked_next_multiple_of(STEP).unwrap_or(needed).min(most).max(needed)
    }
}
