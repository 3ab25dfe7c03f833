//! What a page says of the action that led to it: kept here between the two requests, since a text in
//! the address could be anybody's.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use maud::{Markup, html};

use crate::SessionId;

/// Messages that wait for their page at most; the oldest goes.
const MOST: usize = 256;

/// What was done, said once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message(String);

impl Message {
    /// That something was done.
    pub(super) fn done(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// On the page.
    pub(super) fn markup(&self) -> Markup {
        html! {
            p.message role="status" { strong { "✓ " } (self.0) }
        }
    }
}

/// Messages on their way to the page that is loaded next. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Arc<Mutex<VecDeque<(String, SessionId, Message)>>>);

impl Told {
    /// Keeps a message for a page of this session, and gives the name by which the page finds it.
    pub(super) fn keep(&self, session: &SessionId, message: Message) -> String {
        let name = format!("{:016x}", rand::random::<u64>());
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST {
            kept.pop_front();
        }
        kept.push_back((name.clone(), session.clone(), message));
        name
    }

    /// The message of this name, once, if it is the session's.
    pub(super) fn take(&self, session: &SessionId, name: &str) -> Option<Message> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|(known, of, _)| known == name && of == session)?;
        kept.remove(found).map(|(_, _, message)| message)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_message_is_said_once_and_to_its_session_alone() {
        let told = Told::default();
        let (own, other) = (SessionId("own".into()), SessionId("other".into()));
        let name = told.keep(&own, Message::done("<b>purged</b>"));
        assert_eq!(told.take(&other, &name), None);
        let message = told.take(&own, &name).unwrap();
        assert!(message.markup().into_string().contains("&lt;b&gt;purged"));
        assert_eq!(told.take(&own, &name), None);
        for _ in 0..2 * MOST {
            told.keep(&own, Message::done("done"));
        }
        assert_eq!(told.0.lock().unwrap().len(), MOST);
    }
}
