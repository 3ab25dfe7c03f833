//! Taking an account away from the servers without it coming back.
//!
//! A server that was down while an account was deleted still has its file and hands it to all
//! others. So the account is first replaced by a newer JWT that allows nothing (its tombstone),
//! which wins over the old file, and only then deleted. The tombstone stays in the signed set, for
//! it keeps the revocations and the date that a later account of the same name must exceed.

use std::time::SystemTime;

use settings::Name;

use crate::{
    claims::{AccountBody, Claims, DeletionBody},
    jwt_set::{JwtSet, REMOVED_TAG},
    keystore::KeyStore,
    sign::{SignError, resign, seconds},
};

/// An account about to be taken away.
#[derive(Clone, Debug)]
pub struct Removal {
    /// The account.
    pub account: Name,
    /// The set with the account's tombstone, to be kept in place of the one before.
    pub set: JwtSet,
    /// The signed order to delete it.
    pub deletion: String,
}

/// Prepares the removal of an account. Nothing is sent.
pub fn prepare_removal(
    keys: &KeyStore,
    set: &JwtSet,
    account: &Name,
    now: SystemTime,
) -> Result<Removal, SignError> {
    let public_key = set.accounts.get(account).map(|account| account.public_key.clone()).unwrap_or_default();
    if public_key == set.system_account {
        return Err(SignError::NotRemovable { account: account.clone() });
    }
    let now = seconds(now);
    let next = resign(keys, set, account, now, |body| {
        *body = AccountBody {
            revocations: std::mem::take(&mut body.revocations),
            description: std::mem::take(&mut body.description),
            tags: vec![REMOVED_TAG.into()],
            ..AccountBody::default()
        };
    })?;
    let signers = keys.operator_signing()?;
    let trusted = &set.operator_claims().nats.signing_keys;
    let signer = signers.iter().find(|signer| trusted.contains(&signer.public_key())).unwrap_or(&signers[0]);
    let mut deletion = Claims::new(signer.public_key(), "", DeletionBody::new(vec![public_key]));
    let deletion = deletion.sign(signer, now);
    Ok(Removal { account: account.clone(), set: next, deletion })
}
