//! Tokens with which somebody enrols: the first admin, an invited user, and who lost all passkeys.
//!
//! Only the hash is stored. A token is used up before the passkey that it is for is written: of two
//! who show it at once, one is refused.

use std::time::Duration;

use super::{Users, Versioned, WriteError};
use crate::{
    Role,
    login::{
        name::UserName,
        records::{ENROLMENT, EnrolmentRecord, Purpose, Record, Seconds, now},
        secret::Secret,
    },
};

/// Whom a token is for.
#[derive(Clone, Debug, Default)]
pub struct Invite {
    /// The user's name; `admin` when left out.
    pub user: Option<UserName>,
    /// What the user may do; an admin when left out.
    pub role: Option<Role>,
    /// Also where there is an admin, or such a user.
    pub recover: bool,
}

/// No token is made, or one is not good.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// Whoever has the machine is not asked for a name when there is nobody yet; later they say what
    /// they mean.
    #[error(
        "there is an admin already: `leafbox console enroll --user NAME --role ROLE` invites somebody else, \
         and `leafbox console enroll --recover --user NAME` gives a user a new passkey"
    )]
    HasAdmin,
    /// There is such a user.
    #[error(
        "there is a user `{user}` already: `--recover` gives them a new passkey, and they add more in the console"
    )]
    UserExists {
        /// The name.
        user: UserName,
    },
    /// A recovery does not change roles.
    #[error("`{user}` is {role}, and `--recover` leaves it so: leave `--role` out")]
    OtherRole {
        /// The name.
        user: UserName,
        /// The role that the user has.
        role: Role,
    },
    /// Nobody knows the token.
    #[error(
        "this link is not good: it was used already, it is too old, or a newer one was made; \
         `leafbox console enroll` on the machine makes another"
    )]
    BadToken,
    /// The token is not written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Users {
    /// Makes a token that is good for `life`. One that was made before for the same is void then.
    ///
    /// # Errors
    /// When there is somebody already and it is no recovery, or it cannot be written.
    pub async fn invite(
        &self,
        invite: &Invite,
        life: Duration,
    ) -> Result<(Secret, EnrolmentRecord), EnrolError> {
        let named = invite.user.clone();
        let user = named.clone().unwrap_or_else(|| "admin".parse().expect("`admin` is a name"));
        let there = self.user(&user).map(|user| user.record).filter(|user| !user.passkeys.is_empty());
        let has_admin = self.has_admin();
        let purpose = match (&there, invite.recover) {
            (_, true) => Purpose::Recovery,
            (None, false) if !has_admin && invite.role.is_none_or(|role| role == Role::Admin) => {
                Purpose::FirstAdmin
            }
            _ if named.is_none() => return Err(EnrolError::HasAdmin),
            (Some(_), false) => return Err(EnrolError::UserExists { user }),
            (None, false) => Purpose::Invitation,
        };
        let role = match there {
            Some(there) if invite.role.is_some_and(|role| role != there.role) => {
                return Err(EnrolError::OtherRole { user, role: there.role });
            }
            Some(there) => there.role,
            None => invite.role.unwrap_or(Role::Admin),
        };
        let secret = Secret::of_enrolment();
        let until = now() + life.as_secs();
        let record = EnrolmentRecord { token: secret.hash(), user, role, purpose, until };
        let key = record.key();
        let stored = Record::Enrolment(record.clone());
        let known = self.state().get(&key).map(|(revision, _)| revision);
        match known {
            Some(revision) => self.update(&key, revision, stored).await?,
            None => self.create(&key, stored).await?,
        }
        Ok((secret, record))
    }

    /// What a token is for, if it is good at `now`.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn enrolment(
        &self,
        token: &str,
        now: Seconds,
    ) -> Result<Versioned<EnrolmentRecord>, EnrolError> {
        let found = self.state().all(ENROLMENT).find_map(|(_, revision, record)| match &**record {
            Record::Enrolment(record) if record.token.is_of(token) => {
                Some(Versioned { revision, record: record.clone() })
            }
            _ => None,
        });
        let found = found.ok_or(EnrolError::BadToken)?;
        let there = self.user(&found.record.user).is_some_and(|user| !user.record.passkeys.is_empty());
        let is_void = match found.record.purpose {
            Purpose::FirstAdmin => there || self.has_admin(),
            Purpose::Invitation => there,
            Purpose::Recovery => false,
        };
        if is_void || now >= found.record.until {
            return Err(EnrolError::BadToken);
        }
        Ok(found)
    }

    /// The same, of a token that may be newer than what this daemon has heard of: who opens a link at
    /// once is not told that it is no good.
    ///
    /// # Errors
    /// When it is not good.
    pub(crate) async fn fresh_enrolment(
        &self,
        token: &str,
        now: Seconds,
    ) -> Result<Versioned<EnrolmentRecord>, EnrolError> {
        match self.enrolment(token, now) {
            // Where JetStream does not answer, what is known has to do.
            Err(EnrolError::BadToken) if self.caught_up().await.is_ok() => self.enrolment(token, now),
            found => found,
        }
    }

    /// Uses a token up.
    ///
    /// # Errors
    /// When somebody else did, or it cannot be written.
    pub(crate) async fn use_up(&self, found: &Versioned<EnrolmentRecord>) -> Result<(), EnrolError> {
        match self.delete(&found.record.key(), found.revision).await {
            Err(WriteError::Conflict { .. }) => Err(EnrolError::BadToken),
            result => Ok(result?),
        }
    }

    /// Deletes tokens whose time is over.
    pub(super) async fn sweep_enrolments(&self, now: Seconds) {
        let over: Vec<_> = {
            let state = self.state();
            let over = state.all(ENROLMENT).filter_map(|(key, revision, record)| match &**record {
                Record::Enrolment(record) if record.until <= now => Some((key.to_owned(), revision)),
                _ => None,
            });
            over.collect()
        };
        for (key, revision) in over {
            if let Err(error) = self.delete(&key, revision).await {
                tracing::debug!("a token whose time is over stays for now: {error}");
            }
        }
    }
}
