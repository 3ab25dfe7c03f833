//! Who may use the console: the bucket `leafbox_users`, in memory and written by compare-and-set.
//!
//! A task follows the bucket, so that what anybody changes anywhere, another daemon or the command,
//! counts here a moment later: the callers of a session that ended learn it by [`crate::Caller::ended`].
//! What this process writes itself counts at once. While nats-server is away, who is logged in stays
//! so and nothing can be changed.

mod enrolments;
mod passkeys;
mod sessions;
mod state;
mod write;

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic::AtomicU64},
    time::Duration,
};

use async_nats::{Client, jetstream};
use runtime::follow::{FollowError, Mirror, follow, stream_info};
use tokio::{sync::watch, task::JoinSet};

pub use enrolments::{EnrolError, Invite};
pub use passkeys::PasskeyError;
pub(crate) use passkeys::label as passkey_label;
pub(crate) use sessions::Cookie;
pub use sessions::Found;
pub use write::WriteError;

use super::{
    name::UserName,
    records::{
        BUCKET, PasskeyRecord, Record, SESSION, SessionRecord, USER, UserRecord, passkey_key, session_key,
        user_key,
    },
};
use crate::{Role, SessionId};
use state::State;

/// How long a write may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The users. A clone is the same.
#[derive(Clone)]
pub struct Users(Arc<Shared>);

struct Shared {
    state: RwLock<State>,
    /// How far the bucket is known; `None` until it was listed once.
    progress: watch::Sender<Option<u64>>,
    context: jetstream::Context,
    /// Until when sessions are not written about: JetStream did not answer, and no request waits for
    /// it again and again.
    paused: AtomicU64,
}

/// A record, and the revision that a change of it expects.
#[derive(Clone, Debug)]
pub struct Versioned<T> {
    /// Its revision.
    pub revision: u64,
    /// The record.
    pub record: T,
}

/// A user as listed.
#[derive(Clone, Debug)]
pub struct User {
    /// The name.
    pub name: UserName,
    /// The record.
    pub record: UserRecord,
}

impl Users {
    /// Follows the bucket with a client of `LEAFBOX` for as long as the task is there.
    pub fn follow(client: &Client) -> (Self, JoinSet<()>) {
        let mut context = jetstream::new(client.clone());
        context.set_timeout(PATIENCE);
        let users = Self(Arc::new(Shared {
            state: RwLock::default(),
            progress: watch::Sender::new(None),
            context,
            paused: AtomicU64::new(0),
        }));
        let mut tasks = JoinSet::new();
        let mut follower = Follower(users.clone());
        tasks.spawn(async move {
            let context = follower.0.0.context.clone();
            follow(&context, BUCKET, &mut follower).await;
        });
        (users, tasks)
    }

    /// Whether the bucket was listed: before that nobody is known.
    pub fn is_ready(&self) -> bool {
        self.0.progress.borrow().is_some()
    }

    /// Waits until all is known that was in the bucket at the time of the call.
    ///
    /// # Errors
    /// When JetStream does not answer within five seconds, or has no such bucket.
    pub async fn caught_up(&self) -> Result<(), FollowError> {
        let wanted = stream_info(&self.0.context, BUCKET).await?.state.last_seq;
        let mut progress = self.0.progress.subscribe();
        let reached = progress.wait_for(|applied| applied.is_some_and(|applied| applied >= wanted));
        match tokio::time::timeout(PATIENCE, reached).await {
            Ok(_) => Ok(()),
            Err(_) => Err(FollowError::Ended { bucket: BUCKET, why: "its records did not come in time" }),
        }
    }

    /// A user.
    pub fn user(&self, name: &UserName) -> Option<Versioned<UserRecord>> {
        let (revision, record) = self.state().get(&user_key(name))?;
        let Record::User(user) = &*record else { return None };
        Some(Versioned { revision, record: user.clone() })
    }

    /// All users, by name.
    pub fn all(&self) -> Vec<User> {
        let state = self.state();
        let users = state.all(USER).filter_map(|(key, _, record)| match &**record {
            Record::User(user) => {
                Some(User { name: key.strip_prefix(USER)?.parse().ok()?, record: user.clone() })
            }
            _ => None,
        });
        users.collect()
    }

    /// Whether somebody can log in who may do everything.
    pub fn has_admin(&self) -> bool {
        self.all().iter().any(|user| user.record.role == Role::Admin && !user.record.passkeys.is_empty())
    }

    /// A passkey, if its user has it still.
    pub fn passkey(&self, id: &str) -> Option<Versioned<PasskeyRecord>> {
        let (revision, record) = self.state().get(&passkey_key(id))?;
        let Record::Passkey(passkey) = &*record else { return None };
        let user = self.user(&passkey.user)?.record;
        let is_of_user = user.id == passkey.user_id && user.passkeys.iter().any(|known| known == id);
        is_of_user.then(|| Versioned { revision, record: (**passkey).clone() })
    }

    /// A session, if its user is there still. Whether its time is over is not looked at.
    pub fn session(&self, id: &SessionId) -> Option<Versioned<SessionRecord>> {
        let (revision, record) = self.state().get(&session_key(id))?;
        let Record::Session(session) = &*record else { return None };
        let user = self.user(&session.user)?.record;
        (user.id == session.user_id).then(|| Versioned { revision, record: session.clone() })
    }

    /// The sessions of a user, or of all, the latest use first.
    pub fn sessions(&self, of: Option<&UserName>) -> Vec<(SessionId, SessionRecord)> {
        let ids: Vec<SessionId> = {
            let state = self.state();
            let keys = state.all(SESSION).filter_map(|(key, _, _)| key.strip_prefix(SESSION));
            keys.map(|id| SessionId(id.into())).collect()
        };
        let mut sessions: Vec<_> = ids
            .into_iter()
            .filter_map(|id| Some((id.clone(), self.session(&id)?.record)))
            .filter(|(_, session)| of.is_none_or(|of| session.user == *of))
            .collect();
        sessions.sort_by_key(|(_, session)| std::cmp::Reverse(session.seen));
        sessions
    }

    /// Gives a user another role; what they have open ends, and begins again with the new one.
    ///
    /// # Errors
    /// When there is no such user, or it cannot be written.
    pub async fn set_role(&self, name: &UserName, role: Role) -> Result<(), UserError> {
        loop {
            let user = self.user(name).ok_or_else(|| UserError::Unknown { user: name.clone() })?;
            if user.record.role == role {
                return Ok(());
            }
            let record = UserRecord { role, ..user.record };
            match self.update(&user_key(name), user.revision, Record::User(record)).await {
                Err(WriteError::Conflict { .. }) => self.catch_up_after_conflict().await?,
                result => return Ok(result?),
            }
        }
    }

    /// Removes a user with all passkeys and sessions. They are out when the first write is done; what
    /// is left of the others counts no more.
    ///
    /// # Errors
    /// When there is no such user, or it cannot be written.
    pub async fn remove(&self, name: &UserName) -> Result<(), UserError> {
        let user = loop {
            let user = self.user(name).ok_or_else(|| UserError::Unknown { user: name.clone() })?;
            match self.delete(&user_key(name), user.revision).await {
                Ok(()) => break user.record,
                Err(WriteError::Conflict { .. }) => self.catch_up_after_conflict().await?,
                Err(error) => return Err(error.into()),
            }
        };
        let mut keys: Vec<String> = user.passkeys.iter().map(|id| passkey_key(id)).collect();
        keys.extend(self.state().all(SESSION).filter_map(|(key, _, record)| match &**record {
            Record::Session(session) if session.user_id == user.id => Some(key.to_owned()),
            _ => None,
        }));
        for key in keys {
            let revision = self.state().get(&key).map(|(revision, _)| revision);
            if let Some(revision) = revision
                && let Err(error) = self.delete(&key, revision).await
            {
                tracing::debug!("what was left of {name} stays, and counts no more: {error}");
            }
        }
        Ok(())
    }

    /// After a conflict: what somebody else wrote has to be known before the next try.
    async fn catch_up_after_conflict(&self) -> Result<(), WriteError> {
        self.caught_up().await.map_err(WriteError::Behind)
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, State> {
        self.0.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A user cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is none.
    #[error("there is no user `{user}`: `leafbox console users` lists them")]
    Unknown {
        /// The name.
        user: UserName,
    },
    /// It is not written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Takes what the watch brings.
struct Follower(Users);

impl Mirror for Follower {
    fn applied(&self) -> u64 {
        self.0.state().applied
    }

    fn forget(&mut self) {
        self.0.change().forget();
        self.0.0.progress.send_replace(None);
    }

    fn changed(&mut self, key: &str, sequence: u64, value: Option<&[u8]>, listing: bool) {
        self.0.change().watched(key, sequence, value, !listing);
        if !listing {
            self.0.0.progress.send_replace(Some(sequence));
        }
    }

    fn listed(&mut self, seen: &HashSet<u64>, snapshot: u64, last: u64) {
        self.0.change().listed(seen, snapshot, last);
        self.0.0.progress.send_replace(Some(snapshot.max(last)));
    }
}
