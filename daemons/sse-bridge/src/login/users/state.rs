//! The bucket in memory, and who is logged in with a request under way.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;

use super::super::records::{Record, SESSION, USER, session_key};
use crate::{Role, SessionId};

/// All records, and the tokens of sessions in use.
#[derive(Default)]
pub(super) struct State {
    entries: BTreeMap<String, Entry>,
    live: HashMap<SessionId, Live>,
    /// The sequence up to which all is known.
    pub(super) applied: u64,
}

struct Entry {
    revision: u64,
    /// `None` where it was deleted by this process, until the watch has told so too: what it brings
    /// late must not bring the record back.
    record: Option<Arc<Record>>,
}

/// What callers of a session wait for.
struct Live {
    ended: CancellationToken,
    user_key: String,
    role: Role,
}

impl State {
    pub(super) fn get(&self, key: &str) -> Option<(u64, Arc<Record>)> {
        let entry = self.entries.get(key)?;
        Some((entry.revision, Arc::clone(entry.record.as_ref()?)))
    }

    /// All records whose keys begin with `prefix`, in order.
    pub(super) fn all<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, u64, &'a Arc<Record>)> {
        self.entries
            .range(prefix.to_owned()..)
            .take_while(move |(key, _)| key.starts_with(prefix))
            .filter_map(|(key, entry)| Some((key.as_str(), entry.revision, entry.record.as_ref()?)))
    }

    /// What this process wrote itself.
    pub(super) fn own(&mut self, key: &str, revision: u64, record: Option<Record>) {
        // The watch may have told of it already, and of what came after.
        let known = self.entries.get(key).map_or(0, |entry| entry.revision);
        if revision <= self.applied || revision <= known {
            return;
        }
        self.entries.insert(key.to_owned(), Entry { revision, record: record.map(Arc::new) });
        self.end_what_ended(key);
    }

    /// What the watch brought.
    pub(super) fn watched(&mut self, key: &str, revision: u64, value: Option<&[u8]>, complete: bool) {
        if complete {
            self.applied = revision;
        }
        let known = self.entries.get(key).map_or(0, |entry| entry.revision);
        if revision < known {
            return;
        }
        match value.and_then(|value| Record::parse(key, value)) {
            Some(record) => {
                self.entries.insert(key.to_owned(), Entry { revision, record: Some(Arc::new(record)) });
            }
            None => {
                self.entries.remove(key);
            }
        }
        self.end_what_ended(key);
    }

    /// A listing is complete: what it did not bring is gone.
    pub(super) fn listed(&mut self, seen: &HashSet<u64>, snapshot: u64, last: u64) {
        self.entries.retain(|_, entry| entry.revision > snapshot || seen.contains(&entry.revision));
        self.applied = snapshot.max(last);
        self.end_what_ended("");
    }

    pub(super) fn forget(&mut self) {
        self.entries.clear();
        self.applied = 0;
        self.end_what_ended("");
    }

    /// What is cancelled when the session is no more, or its user has another role; nothing where that
    /// is so already.
    pub(super) fn ended(
        &mut self,
        session: &SessionId,
        user_key: String,
        role: Role,
    ) -> Option<CancellationToken> {
        if !holds(&self.entries, session, &user_key, role) {
            return None;
        }
        let live = self.live.entry(session.clone()).or_insert_with(|| Live {
            ended: CancellationToken::new(),
            user_key,
            role,
        });
        Some(live.ended.clone())
    }

    /// Ends the callers of a session whose time is over.
    pub(super) fn end(&mut self, session: &SessionId) {
        if let Some(live) = self.live.remove(session) {
            live.ended.cancel();
        }
    }

    /// Ends the callers of sessions that a change of `key` ended; with no key, of all that ended.
    fn end_what_ended(&mut self, key: &str) {
        if !(key.is_empty() || key.starts_with(SESSION) || key.starts_with(USER)) {
            return;
        }
        let entries = &self.entries;
        self.live.retain(|session, live| {
            let holds = holds(entries, session, &live.user_key, live.role);
            if !holds {
                live.ended.cancel();
            }
            holds
        });
    }
}

/// Whether there is such a session, of a user who has this role.
fn holds(entries: &BTreeMap<String, Entry>, session: &SessionId, user_key: &str, role: Role) -> bool {
    let record = |key: &str| entries.get(key).and_then(|entry| entry.record.as_deref());
    match (record(&session_key(session)), record(user_key)) {
        (Some(Record::Session(session)), Some(Record::User(user))) => {
            user.id == session.user_id && user.role == role
        }
        _ => false,
    }
}
