//! How many clients there are, in all and of each user.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Counts clients by user.
#[derive(Clone, Debug)]
pub(super) struct Limits(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    most: usize,
    most_per_user: usize,
    users: Mutex<(usize, HashMap<Arc<str>, usize>)>,
}

/// There are too many already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// Of this user.
    User(usize),
    /// In all.
    All(usize),
}

/// A client's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    limits: Limits,
    user: Arc<str>,
}

impl Limits {
    pub(super) fn new(most: usize, most_per_user: usize) -> Self {
        Self(Arc::new(Counted { most, most_per_user, users: Mutex::default() }))
    }

    /// A place for one more client of a user.
    pub(super) fn enter(&self, user: &Arc<str>) -> Result<Place, Full> {
        let mut users = self.0.users.lock().unwrap_or_else(PoisonError::into_inner);
        let of_user = users.1.get(user).copied().unwrap_or_default();
        if of_user >= self.0.most_per_user {
            return Err(Full::User(self.0.most_per_user));
        }
        if users.0 >= self.0.most {
            return Err(Full::All(self.0.most));
        }
        users.0 += 1;
        users.1.insert(Arc::clone(user), of_user + 1);
        Ok(Place { limits: self.clone(), user: Arc::clone(user) })
    }

    /// Clients at the moment.
    pub(super) fn count(&self) -> usize {
        self.0.users.lock().unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut users = self.limits.0.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.0 -= 1;
        if let Some(count) = users.1.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                users.1.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_place_is_given_back() {
        let limits = Limits::new(3, 2);
        let (ann, bob): (Arc<str>, Arc<str>) = ("ann".into(), "bob".into());
        let first = limits.enter(&ann).unwrap();
        let _second = limits.enter(&ann).unwrap();
        assert_eq!(limits.enter(&ann).unwrap_err(), Full::User(2));
        let _third = limits.enter(&bob).unwrap();
        assert_eq!(limits.enter(&bob).unwrap_err(), Full::All(3));
        drop(first);
        assert_eq!(limits.count(), 2);
        assert!(limits.enter(&ann).is_ok());
    }
}
