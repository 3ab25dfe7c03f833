//! Sessions: who is logged in, and until when.
//!
//! A cookie is `<public id>.<secret>`. The secret is replaced after some hours, and when the user's
//! role changed: the browser is offered a new one, which counts from the first request that brings
//! it, and the one before counts for another minute for requests that were under way. So an answer
//! that gets lost, as when somebody goes to another page, does not log anybody out.

use std::{sync::atomic::Ordering, time::Duration};

use data_encoding::HEXLOWER;
use tokio::time::timeout;

use super::{UserRecord, Users, Versioned, WriteError};
use crate::{
    Caller, SessionId,
    login::{
        name::UserName,
        records::{Passing, Record, SESSION, Seconds, SessionRecord, now, session_key, user_key},
        secret::Secret,
    },
};

/// A session that is not used for this long is over.
const IDLE: Seconds = 24 * 3600;
/// A session is over after this long, however much it is used.
const LONGEST: Seconds = 7 * 24 * 3600;
/// How old a secret may become before the browser is offered another.
const ROTATE: Seconds = 4 * 3600;
/// How long the secret before counts, and when an offer that was not taken up is repeated.
const OVERLAP: Seconds = 60;
/// How exactly the last use is known: each write is one to the disk.
const SEEN: Seconds = 600;
/// How long a request waits for a write about its session.
const QUICK: Duration = Duration::from_secs(1);
/// How long none waits after one was not answered.
const PAUSE: Seconds = 30;
/// Sessions of a user. One more ends the one that was used the longest time ago.
const MOST_SESSIONS: usize = 32;
/// Characters of what a browser calls itself.
const LISTED_BROWSER: usize = 200;

/// A session that was begun, and what the browser is to keep.
#[derive(Debug)]
pub(crate) struct NewSession {
    /// Its public name.
    pub id: SessionId,
    /// The cookie's value.
    pub cookie: Cookie,
}

/// The value of a cookie: a secret, kept out of logs.
#[derive(Clone, Debug)]
pub struct Cookie {
    id: SessionId,
    secret: Secret,
    /// Seconds that the browser keeps it.
    pub(crate) life: Seconds,
}

impl Cookie {
    /// The text.
    pub(crate) fn reveal(&self) -> String {
        format!("{}.{}", self.id.0, self.secret.reveal())
    }
}

/// Whose session a cookie is of.
#[derive(Debug)]
pub struct Found {
    /// Who makes the request.
    pub caller: Caller,
    /// When the caller last showed a passkey.
    pub proven: Seconds,
    /// What the browser is to keep instead.
    pub cookie: Option<Cookie>,
}

impl Users {
    /// Begins a session of a user who just showed a passkey.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) async fn begin_session(
        &self,
        name: &UserName,
        user: &UserRecord,
        browser: &str,
    ) -> Result<NewSession, WriteError> {
        let id = SessionId(HEXLOWER.encode(&rand::random::<[u8; 12]>()).into());
        let (secret, now) = (Secret::of_session(), now());
        let record = SessionRecord {
            user: name.clone(),
            user_id: user.id,
            role: user.role,
            secret: secret.hash(),
            offered: None,
            before: None,
            created: now,
            rotated: now,
            seen: now,
            proven: now,
            ends: now + LONGEST,
            browser: browser
                .chars()
                .filter(|character| !character.is_control())
                .take(LISTED_BROWSER)
                .collect(),
        };
        self.create(&session_key(&id), Record::Session(record)).await?;
        for (surplus, _) in self.sessions(Some(name)).into_iter().skip(MOST_SESSIONS) {
            self.end_session(&surplus).await?;
        }
        Ok(NewSession { id: id.clone(), cookie: Cookie { id, secret, life: LONGEST } })
    }

    /// Whose session this cookie is of, at `now`. Writes what has to be written about it; where that
    /// fails it is for a later request to do.
    pub(crate) async fn find_session(&self, cookie: &str, now: Seconds) -> Option<Found> {
        let (id, secret) = cookie.split_once('.')?;
        let id = SessionId(id.into());
        let found = self.session(&id)?;
        let user = self.user(&found.record.user)?.record;
        if is_over(&found.record, now) {
            return None;
        }
        let step = step(&found.record, secret, user.role, now)?;
        let proven = found.record.proven;
        let user_key = user_key(&found.record.user);
        let ended = self.change().ended(&id, user_key, user.role)?;
        let caller = Caller { name: found.record.user.shared(), role: user.role, session: id.clone(), ended };
        let cookie = self.take(&id, found, step, now).await;
        Some(Found { caller, proven, cookie })
    }

    async fn take(
        &self,
        id: &SessionId,
        found: Versioned<SessionRecord>,
        step: Step,
        now: Seconds,
    ) -> Option<Cookie> {
        let (record, secret) = match step {
            Step::Nothing => return None,
            Step::Seen => (SessionRecord { seen: now, ..found.record }, None),
            Step::Promote => (promoted(found.record, now), None),
            Step::Offer(role) => {
                let secret = Secret::of_session();
                let offered = Some(Passing { secret: secret.hash(), until: now + OVERLAP });
                (SessionRecord { offered, role, seen: now, ..found.record }, Some(secret))
            }
        };
        if now < self.0.paused.load(Ordering::Relaxed) {
            return None;
        }
        let life = record.ends.saturating_sub(now);
        let key = session_key(id);
        let written = timeout(QUICK, self.update(&key, found.revision, Record::Session(record))).await;
        match written {
            Ok(Ok(())) => return secret.map(|secret| Cookie { id: id.clone(), secret, life }),
            // Another request of the same page did it.
            Ok(Err(WriteError::Conflict { .. })) => {}
            Ok(Err(error)) => {
                tracing::debug!("a session is not written for now: {error}");
                self.0.paused.store(now + PAUSE, Ordering::Relaxed);
            }
            Err(_) => self.0.paused.store(now + PAUSE, Ordering::Relaxed),
        }
        None
    }

    /// Keeps that the user of a session showed a passkey again.
    ///
    /// # Errors
    /// When the session is over, or it cannot be written.
    pub(crate) async fn prove_session(&self, id: &SessionId) -> Result<(), WriteError> {
        let conflict = || WriteError::Conflict { key: session_key(id) };
        loop {
            let found = self.session(id).ok_or_else(conflict)?;
            let record = SessionRecord { proven: now(), ..found.record };
            match self.update(&session_key(id), found.revision, Record::Session(record)).await {
                Err(WriteError::Conflict { .. }) => self.catch_up_after_conflict().await?,
                result => return result,
            }
        }
    }

    /// Ends a session: whoever is logged in with it is out, wherever that is. `false` when there is none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn end_session(&self, id: &SessionId) -> Result<bool, WriteError> {
        loop {
            let key = session_key(id);
            let Some((revision, _)) = self.state().get(&key) else { return Ok(false) };
            match self.delete(&key, revision).await {
                Err(WriteError::Conflict { .. }) => self.catch_up_after_conflict().await?,
                result => return result.map(|()| true),
            }
        }
    }

    /// Ends all sessions of a user but the one given, and says how many.
    ///
    /// # Errors
    /// When one cannot be written; some have ended then.
    pub async fn end_sessions(&self, user: &UserName, but: Option<&SessionId>) -> Result<usize, WriteError> {
        let mut ended = 0;
        for (id, _) in self.sessions(Some(user)) {
            if but != Some(&id) && self.end_session(&id).await? {
                ended += 1;
            }
        }
        Ok(ended)
    }

    /// Ends what has become too old: callers of such sessions at once, and the records of sessions and
    /// tokens as soon as JetStream takes it.
    pub(crate) async fn sweep(&self, now: Seconds) {
        let over: Vec<SessionId> = {
            let mut state = self.change();
            let over = state.all(SESSION).filter_map(|(key, _, record)| match &**record {
                Record::Session(session) if is_over(session, now) => {
                    key.strip_prefix(SESSION).map(|id| SessionId(id.into()))
                }
                _ => None,
            });
            let over: Vec<_> = over.collect();
            over.iter().for_each(|id| state.end(id));
            over
        };
        for id in over {
            if let Err(error) = self.end_session(&id).await {
                tracing::debug!("a session that is over stays in the bucket for now: {error}");
            }
        }
        self.sweep_enrolments(now).await;
    }
}

fn is_over(session: &SessionRecord, now: Seconds) -> bool {
    now >= session.ends || now >= session.seen + IDLE
}

/// What a request with a good secret makes of the session.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    /// The last use has to be kept.
    Seen,
    /// The browser has the secret that it was offered.
    Promote,
    /// The browser gets another secret.
    Offer(crate::Role),
}

/// What a request with this secret does; nothing where the secret is not good.
fn step(session: &SessionRecord, secret: &str, role: crate::Role, now: Seconds) -> Option<Step> {
    let is = |passing: &Option<Passing>| passing.as_ref().is_some_and(|passing| passing.secret.is_of(secret));
    if session.secret.is_of(secret) {
        let is_due = session.role != role || now >= session.rotated + ROTATE;
        let is_offered = session.offered.as_ref().is_some_and(|offered| now < offered.until);
        return Some(match (is_due || session.offered.is_some(), is_offered) {
            (true, false) => Step::Offer(role),
            _ if now >= session.seen + SEEN => Step::Seen,
            _ => Step::Nothing,
        });
    }
    if is(&session.offered) {
        return Some(Step::Promote);
    }
    let counts = session.before.as_ref().is_some_and(|before| now < before.until);
    (counts && is(&session.before)).then_some(Step::Nothing)
}

fn promoted(session: SessionRecord, now: Seconds) -> SessionRecord {
    let secret = match session.offered {
        Some(offered) => offered.secret,
        None => return session,
    };
    SessionRecord {
        before: Some(Passing { secret: session.secret, until: now + OVERLAP }),
        secret,
        offered: None,
        rotated: now,
        seen: now,
        ..session
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use webauthn_rs::prelude::Uuid;

    use super::*;
    use crate::Role;

    const START: Seconds = 1_000_000;

    fn session(secret: &Secret) -> SessionRecord {
        SessionRecord {
            user: "ada".parse().unwrap(),
            user_id: Uuid::nil(),
            role: Role::Viewer,
            secret: secret.hash(),
            offered: None,
            before: None,
            created: START,
            rotated: START,
            seen: START,
            proven: START,
            ends: START + LONGEST,
            browser: String::new(),
        }
    }

    fn offer(session: SessionRecord, secret: &Secret, now: Seconds) -> SessionRecord {
        let offered = Some(Passing { secret: secret.hash(), until: now + OVERLAP });
        SessionRecord { offered, role: Role::Viewer, ..session }
    }

    #[test]
    fn a_secret_rotates_after_hours_and_the_old_one_counts_until_the_new_one_came_and_a_minute_more() {
        let (old, new) = (Secret::of_session(), Secret::of_session());
        let mut session = session(&old);
        let look =
            |session: &SessionRecord, secret: &Secret, now| step(session, secret.reveal(), Role::Viewer, now);
        assert_eq!(look(&session, &old, START + 1), Some(Step::Nothing));
        assert_eq!(look(&session, &old, START + SEEN), Some(Step::Seen));
        let due = START + ROTATE;
        assert_eq!(look(&session, &old, due), Some(Step::Offer(Role::Viewer)));
        session.seen = due;
        session = offer(session, &new, due);
        // The answer is on its way: others get no second offer, and the old secret counts.
        assert_eq!(look(&session, &old, due + 1), Some(Step::Nothing));
        // It got lost.
        assert_eq!(look(&session, &old, due + OVERLAP), Some(Step::Offer(Role::Viewer)));
        assert_eq!(look(&session, &new, due + 2), Some(Step::Promote));
        session = promoted(session, due + 2);
        assert_eq!(look(&session, &new, due + 3), Some(Step::Nothing));
        assert_eq!(look(&session, &old, due + 3), Some(Step::Nothing), "a request under way");
        assert_eq!(look(&session, &old, due + 2 + OVERLAP), None, "the old secret is of no more use");
        assert_eq!(look(&session, &Secret::of_session(), due + 3), None);
    }

    #[test]
    fn another_role_makes_the_secret_rotate_at_once() {
        let secret = Secret::of_session();
        let session = session(&secret);
        let step = |role| step(&session, secret.reveal(), role, START + 1);
        assert_eq!(step(Role::Admin), Some(Step::Offer(Role::Admin)));
        assert_eq!(step(Role::Viewer), Some(Step::Nothing));
    }

    #[test]
    fn a_session_ends_when_it_is_not_used_and_when_it_is_old() {
        let secret = Secret::of_session();
        let mut session = session(&secret);
        assert!(!is_over(&session, START + IDLE - 1));
        assert!(is_over(&session, START + IDLE));
        session.seen = START + LONGEST - 1;
        assert!(!is_over(&session, START + LONGEST - 1));
        assert!(is_over(&session, START + LONGEST));
    }
}
