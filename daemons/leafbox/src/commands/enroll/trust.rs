//! Which operator a box obeys: the one that it knows already, or the one of its first answer.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use identity::{
    JwtSet,
    nkey::{KeyKind, public_key_kind},
    secret_file,
};
use serde::{Deserialize, Serialize};

use super::device::Device;

/// What says that an answer was accepted whole. Root's, unlike the JWTs: they may be lost, and
/// nats-server's user may change them.
#[derive(Serialize, Deserialize)]
pub(super) struct Marker {
    /// The operator that the box obeys.
    pub(super) operator: String,
    /// The fingerprint of the request that was answered.
    pub(super) request: String,
}

impl Marker {
    fn read(path: &Path) -> Result<Option<Self>> {
        let text = match secret_file::read(path) {
            Err(error) if error.is_missing() => return Ok(None),
            other => other?,
        };
        let marker = serde_json::from_str(&text).with_context(|| {
            format!("{} says which operator this box obeys, and is damaged: delete it", path.display())
        })?;
        Ok(Some(marker))
    }
}

/// Why an operator is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The JWTs that came with the image or with an earlier answer are of the same.
    Known,
    /// `--operator` says so.
    Pinned,
    /// It is the first that this box met.
    First,
}

/// Refuses an operator that is not the one that the box knows.
pub(super) fn check(device: &Device, answer: &JwtSet, pinned: Option<&str>) -> Result<Reason> {
    let offered = &answer.operator_claims().subject;
    if let Some(pinned) = pinned {
        if public_key_kind(pinned) != Some(KeyKind::Operator) {
            bail!("`{pinned}` is not the public key of an operator: it starts with `O`; nothing was changed");
        }
        if pinned != offered {
            bail!(
                "the answer is of the operator {offered}, and --operator wants {pinned}; nothing was changed"
            );
        }
    }
    let known = known(device)?;
    if let Some((ours, place)) = known.iter().find(|(ours, _)| ours != offered) {
        bail!(
            "the answer is of the operator {offered}, and this box obeys {ours} ({}): it is of another fleet; \
             nothing was changed",
            place.display()
        );
    }
    Ok(match (known.is_empty(), pinned) {
        (false, _) => Reason::Known,
        (true, Some(_)) => Reason::Pinned,
        (true, None) => Reason::First,
    })
}

/// The operators that the box knows, each with the place where that stands.
fn known(device: &Device) -> Result<Vec<(String, PathBuf)>> {
    let marker = device.places.marker();
    let mut known = Vec::new();
    known.extend(Marker::read(&marker)?.map(|found| (found.operator, marker)));
    for folder in [device.settings.jwts_dir(), device.jwts()] {
        known.extend(JwtSet::operator_of(&folder)?.map(|operator| (operator, folder)));
    }
    Ok(known)
}
