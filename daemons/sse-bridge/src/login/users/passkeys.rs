//! The passkeys of users.
//!
//! Which ones a user has stands in the user's record, so that it is one compare-and-set to add or
//! remove one. The passkey's own record is there before it is listed and deleted after: a crash in
//! between leaves one that counts for nobody.

use webauthn_rs::prelude::{AuthenticationResult, Uuid};

use super::{UserRecord, Users, WriteError};
use crate::{
    Role,
    login::{
        name::UserName,
        records::{PasskeyRecord, Record, Seconds, passkey_key, user_key},
    },
};

/// Passkeys of a user.
const MOST_PASSKEYS: usize = 16;
/// Characters of a label.
const LONGEST_LABEL: usize = 64;

/// A passkey cannot be added, changed or removed.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// There is no such user.
    #[error("there is no user `{user}` any more")]
    NoUser {
        /// The name.
        user: UserName,
    },
    /// There is a user of the name already.
    #[error(
        "there is a user `{user}` already: choose another name, or give `--recover` to add a passkey to it"
    )]
    UserExists {
        /// The name.
        user: UserName,
    },
    /// The user has no such passkey.
    #[error("you have no such passkey: load the list again")]
    Unknown,
    /// Somebody has it already.
    #[error("this passkey is known already: choose another device or password manager")]
    Known,
    /// Nobody could log in as the user any more.
    #[error("this is your last passkey, without which you could not log in: add another one first")]
    Last,
    /// There are enough.
    #[error("you have {MOST_PASSKEYS} passkeys, which is as many as there can be: remove one first")]
    TooMany,
    /// It is not written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// A label as it is stored: no control characters, and never empty.
pub(crate) fn label(text: &str) -> String {
    let text: String = text.chars().filter(|character| !character.is_control()).take(LONGEST_LABEL).collect();
    let text = text.trim();
    if text.is_empty() { "Passkey".to_owned() } else { text.to_owned() }
}

impl Users {
    /// The passkeys of a user, the oldest first, each with its credential id.
    pub fn passkeys(&self, user: &UserName) -> Vec<(String, PasskeyRecord)> {
        let ids = self.user(user).map(|user| user.record.passkeys).unwrap_or_default();
        ids.into_iter().filter_map(|id| Some((id.clone(), self.passkey(&id)?.record))).collect()
    }

    /// Makes a user with a first passkey, of the credential id `id`.
    ///
    /// # Errors
    /// When there is such a user who can log in, the passkey is known, or it cannot be written.
    pub(crate) async fn add_user(
        &self,
        role: Role,
        id: &str,
        passkey: PasskeyRecord,
    ) -> Result<(), PasskeyError> {
        let (user, user_id, created) = (passkey.user.clone(), passkey.user_id, passkey.created);
        self.create_passkey(id, passkey).await?;
        let record = Record::User(UserRecord { id: user_id, role, created, passkeys: vec![id.to_owned()] });
        match self.create(&user_key(&user), record).await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.drop_passkey(id).await;
                Err(match error {
                    WriteError::Conflict { .. } => PasskeyError::UserExists { user },
                    error => error.into(),
                })
            }
        }
    }

    /// Adds a passkey to the user that it names.
    ///
    /// # Errors
    /// When the user is gone or has enough, the passkey is known, or it cannot be written.
    pub(crate) async fn add_passkey(&self, id: &str, passkey: PasskeyRecord) -> Result<(), PasskeyError> {
        let (user, user_id) = (passkey.user.clone(), passkey.user_id);
        self.create_passkey(id, passkey).await?;
        let listed = self
            .change_passkeys(&user, user_id, |passkeys| {
                if passkeys.len() >= MOST_PASSKEYS {
                    return Err(PasskeyError::TooMany);
                }
                passkeys.push(id.to_owned());
                Ok(())
            })
            .await;
        if listed.is_err() {
            self.drop_passkey(id).await;
        }
        listed
    }

    /// Removes a passkey of a user, if another one stays.
    ///
    /// # Errors
    /// When it is the last one or not the user's, or it cannot be written.
    pub(crate) async fn remove_passkey(
        &self,
        user: &UserName,
        user_id: Uuid,
        id: &str,
    ) -> Result<(), PasskeyError> {
        self.change_passkeys(user, user_id, |passkeys| {
            let at = passkeys.iter().position(|known| known == id).ok_or(PasskeyError::Unknown)?;
            if passkeys.len() == 1 {
                return Err(PasskeyError::Last);
            }
            passkeys.remove(at);
            Ok(())
        })
        .await?;
        self.drop_passkey(id).await;
        Ok(())
    }

    /// Calls a passkey of a user something else.
    ///
    /// # Errors
    /// When it is not the user's, or it cannot be written.
    pub(crate) async fn rename_passkey(
        &self,
        user: &UserName,
        id: &str,
        text: &str,
    ) -> Result<(), PasskeyError> {
        let known = self.passkey(id).filter(|known| known.record.user == *user);
        let known = known.ok_or(PasskeyError::Unknown)?;
        let record = PasskeyRecord { label: label(text), ..known.record };
        Ok(self.update(&passkey_key(id), known.revision, Record::Passkey(Box::new(record))).await?)
    }

    /// Keeps what an authenticator counted, and when.
    ///
    /// # Errors
    /// When it cannot be written, or another login with the same passkey was faster: the counter of
    /// that one may be higher, so that this one is not to be trusted.
    pub(crate) async fn passkey_used(
        &self,
        id: &str,
        result: &AuthenticationResult,
        now: Seconds,
    ) -> Result<(), PasskeyError> {
        let known = self.passkey(id).ok_or(PasskeyError::Unknown)?;
        let mut record = known.record;
        record.passkey.update_credential(result);
        record.used = Some(now);
        Ok(self.update(&passkey_key(id), known.revision, Record::Passkey(Box::new(record))).await?)
    }

    async fn create_passkey(&self, id: &str, passkey: PasskeyRecord) -> Result<(), PasskeyError> {
        match self.create(&passkey_key(id), Record::Passkey(Box::new(passkey))).await {
            Err(WriteError::Conflict { .. }) => Err(PasskeyError::Known),
            result => Ok(result?),
        }
    }

    /// Deletes the record of a passkey that no user lists.
    async fn drop_passkey(&self, id: &str) {
        let key = passkey_key(id);
        let known = self.state().get(&key).map(|(revision, _)| revision);
        if let Some(revision) = known
            && let Err(error) = self.delete(&key, revision).await
        {
            tracing::debug!("a passkey that counts no more stays in the bucket: {error}");
        }
    }

    async fn change_passkeys(
        &self,
        name: &UserName,
        user_id: Uuid,
        change: impl Fn(&mut Vec<String>) -> Result<(), PasskeyError>,
    ) -> Result<(), PasskeyError> {
        loop {
            let user = self.user(name).filter(|user| user.record.id == user_id);
            let mut user = user.ok_or_else(|| PasskeyError::NoUser { user: name.clone() })?;
            change(&mut user.record.passkeys)?;
            match self.update(&user_key(name), user.revision, Record::User(user.record)).await {
                Err(WriteError::Conflict { .. }) => self.catch_up_after_conflict().await?,
                result => return Ok(result?),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_short_and_never_empty() {
        assert_eq!(label(" my\nphone "), "myphone");
        assert_eq!(label(" \t"), "Passkey");
        assert_eq!(label(&"ä".repeat(100)).chars().count(), LONGEST_LABEL);
    }
}
