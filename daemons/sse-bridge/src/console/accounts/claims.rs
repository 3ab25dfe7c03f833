//! What of an account's claims the pages read. The whole of them is shown beside it, without JWTs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::console::servers::Count;

/// Between a role and the node that holds a key of its own for it.
const AT_NODE: char = '@';

/// ACCOUNTZ: of all accounts the keys, of one account what the server knows of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Accountz {
    pub(super) accounts: Option<Vec<String>>,
    pub(super) account_detail: Option<Value>,
}

/// An account, as the server has it at the moment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Detail {
    /// Its public key, or its name where accounts are no JWTs.
    account_name: String,
    name_tag: String,
    pub(super) is_system: bool,
    pub(super) jetstream_enabled: bool,
    pub(super) client_connections: Count,
    pub(super) leafnode_connections: Count,
    pub(super) subscriptions: Count,
    pub(super) update_time: String,
    pub(super) decoded_jwt: Option<Claims>,
}

/// The claims of an account's JWT.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Claims {
    /// Seconds since 1970.
    pub(super) iat: i64,
    /// Seconds since 1970; 0 for never.
    pub(super) exp: i64,
    /// The operator's key that signed it.
    pub(super) iss: String,
    pub(super) nats: Body,
}

/// What the claims say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Body {
    pub(super) description: String,
    pub(super) limits: Map<String, Value>,
    pub(super) imports: Vec<Import>,
    pub(super) exports: Vec<Export>,
    pub(super) signing_keys: Vec<SigningKey>,
    /// By public key, or `*` for all: users signed at this second or before may not connect.
    pub(super) revocations: BTreeMap<String, i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Export {
    pub(super) subject: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) token_req: bool,
    pub(super) response_type: String,
    pub(super) description: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Import {
    pub(super) subject: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// The public key of the account that exports it.
    pub(super) account: String,
    pub(super) local_subject: String,
}

/// A key that signs users: with a scope they have its permissions, else what they are given.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum SigningKey {
    Plain(String),
    Scoped(Box<Scope>),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Scope {
    pub(super) key: String,
    /// `role@node` for a key that an enrolled node holds.
    pub(super) role: String,
    pub(super) description: String,
    pub(super) template: Permissions,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Permissions {
    #[serde(rename = "pub")]
    pub(super) publish: Permission,
    #[serde(rename = "sub")]
    pub(super) subscribe: Permission,
    pub(super) resp: Option<Responses>,
    /// Networks that its users come from; all when there are none.
    pub(super) src: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Permission {
    pub(super) allow: Vec<String>,
    pub(super) deny: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Responses {
    pub(super) max: i64,
    /// Nanoseconds.
    pub(super) ttl: i64,
}

impl Detail {
    /// What people call it.
    pub(super) fn name(&self) -> &str {
        if self.name_tag.is_empty() { &self.account_name } else { &self.name_tag }
    }

    /// By which servers know it.
    pub(super) fn key(&self) -> &str {
        &self.account_name
    }

    /// What its claims say; nothing where it is an account of the configuration file.
    pub(super) fn body(&self) -> Option<&Body> {
        self.decoded_jwt.as_ref().map(|claims| &claims.nats)
    }
}

impl Body {
    /// The keys with a scope.
    pub(super) fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.signing_keys.iter().filter_map(|key| match key {
            SigningKey::Plain(_) => None,
            SigningKey::Scoped(scope) => Some(&**scope),
        })
    }

    /// The keys without one: their users may do what they were given when they were minted.
    pub(super) fn unscoped(&self) -> impl Iterator<Item = &str> {
        self.signing_keys.iter().filter_map(|key| match key {
            SigningKey::Plain(key) => Some(key.as_str()),
            SigningKey::Scoped(_) => None,
        })
    }

    /// The nodes that hold keys of their own.
    pub(super) fn nodes(&self) -> BTreeSet<&str> {
        self.scopes().filter_map(Scope::node).collect()
    }
}

impl Scope {
    /// The role's name alone.
    pub(super) fn role_name(&self) -> &str {
        self.role.split(AT_NODE).next().unwrap_or_default()
    }

    /// The node that holds the key, where it is one's own.
    pub(super) fn node(&self) -> Option<&str> {
        self.role.split_once(AT_NODE).map(|(_, node)| node)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    /// As nats-server 2.15 writes them: without what is empty, and keys with and without a scope in one
    /// list.
    #[test]
    fn claims_are_read_as_the_server_writes_them() {
        let detail: Detail = serde_json::from_value(json!({
            "account_name": "AKEY", "name_tag": "SHOP", "client_connections": 2, "new": [1],
            "decoded_jwt": { "iat": 7, "iss": "OKEY", "nats": {
                "limits": { "subs": -1, "new_limit": 3 },
                "signing_keys": [
                    "APLAIN",
                    { "kind": "user_scope", "key": "A1", "role": "till", "template": { "pub": { "allow": ["orders.>"] }, "sub": {}, "resp": { "max": 1, "ttl": 5 } } },
                    { "kind": "user_scope", "key": "A2", "role": "till@van-1", "template": { "pub": {}, "sub": {}, "src": ["127.0.0.0/8"] } },
                ],
                "revocations": { "UKEY": 9 },
            } },
        }))
        .unwrap();
        let body = detail.body().unwrap();
        assert_eq!((detail.name(), detail.key()), ("SHOP", "AKEY"));
        assert_eq!(body.unscoped().collect::<Vec<_>>(), ["APLAIN"]);
        let roles: Vec<_> = body.scopes().map(|scope| (scope.role_name(), scope.node())).collect();
        assert_eq!(roles, [("till", None), ("till", Some("van-1"))]);
        assert_eq!(body.nodes().into_iter().collect::<Vec<_>>(), ["van-1"]);
        assert_eq!(body.revocations["UKEY"], 9);
        let of_a_file: Detail = serde_json::from_value(json!({ "account_name": "SHOP" })).unwrap();
        assert!(of_a_file.name() == "SHOP" && of_a_file.body().is_none());
    }
}
