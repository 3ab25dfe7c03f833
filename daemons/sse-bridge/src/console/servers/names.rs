//! What accounts are called: where they are JWTs, servers name them by their public keys.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::json;

use super::{Endpoint, Servers, wire::Accountz};

/// Accounts whose names are kept at most.
const MOST: usize = 10_000;

/// Names by key. A clone is the same.
#[derive(Clone, Default)]
pub(super) struct Names(Arc<Mutex<HashMap<String, String>>>);

impl Names {
    fn get(&self, account: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(account).cloned()
    }

    fn key_of(&self, name: &str) -> Option<String> {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.iter().find(|(_, known)| *known == name).map(|(key, _)| key.clone())
    }

    fn keep(&self, account: &str, name: &str) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() < MOST {
            names.insert(account.to_owned(), name.to_owned());
        }
    }
}

impl Servers {
    /// What servers call an account of this name, as far as a page has met it; else the name.
    pub(in crate::console) fn account_key(&self, name: &str) -> String {
        self.names.key_of(name).unwrap_or_else(|| name.to_owned())
    }

    /// The name of an account; what servers call it where it has no other.
    pub(in crate::console) async fn account_name(&self, account: &str) -> String {
        if !is_key(account) {
            return account.to_owned();
        }
        if let Some(name) = self.names.get(account) {
            return name;
        }
        let Ok(own) = self.own() else { return account.to_owned() };
        let asked = self.read::<Accountz>(&own, Endpoint::Accountz, &json!({ "account": account })).await;
        match asked {
            Ok(accountz) => {
                let name =
                    accountz.account_detail.map(|detail| detail.name_tag).filter(|name| !name.is_empty());
                let name = name.unwrap_or_else(|| account.to_owned());
                self.names.keep(account, &name);
                name
            }
            Err(_) => account.to_owned(),
        }
    }
}

/// Whether it is an account's public key.
fn is_key(account: &str) -> bool {
    account.len() == 56
        && account.starts_with('A')
        && account.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
