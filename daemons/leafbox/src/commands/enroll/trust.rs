//! Which operator a box obeys: the one that it knows already, or the one of its first answer.

use anyhow::{Result, bail};
use identity::{
    JwtSet,
    nkey::{KeyKind, public_key_kind},
};
use settings::Settings;

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
pub(super) fn check(settings: &Settings, answer: &JwtSet, pinned: Option<&str>) -> Result<Reason> {
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
    let given = settings.jwts_dir();
    let mut known = false;
    for folder in [given, settings.data_dir().join("jwts")] {
        let Some(ours) = JwtSet::operator_of(&folder)? else { continue };
        if ours != *offered {
            bail!(
                "the answer is of the operator {offered}, and this box obeys {ours} ({}): it is of another fleet; \
                 nothing was changed",
                folder.display()
            );
        }
        known = true;
    }
    Ok(match (known, pinned) {
        (true, _) => Reason::Known,
        (false, Some(_)) => Reason::Pinned,
        (false, None) => Reason::First,
    })
}
