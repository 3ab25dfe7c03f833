//! A declared fleet and its keys to a signed set.
//!
//! Signing twice gives the same set, byte for byte: a JWT that would say the same as the one in
//! the previous set is taken over. What the previous set knows and the fleet does not is kept too:
//! revocations, the keys of nodes enrolled elsewhere, and accounts that are no longer declared,
//! which only [`removal`](crate::removal) takes away.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{SystemTime, UNIX_EPOCH},
};

use settings::{Account, Fleet, Name, SYSTEM_ACCOUNT, builtin::is_used_at_node_only, fleet::Role};

use crate::{
    activation::{ActivationError, Context},
    claims::{AccountBody, Claims, OperatorBody, SigningKeyClaim, UserScope},
    declared,
    enrolled::{self, EnrolError, EnrolledNode},
    jwt_set::{AccountJwt, JwtSet},
    keystore::{KeyStore, KeyStoreError},
    nkey::{KeyKind, SecretKey, public_key_kind},
};

/// Between a role and the node that holds a key of its own for it; no name has this character.
pub(crate) const AT_NODE: char = '@';
/// The networks from which a node reaches its own nats-server.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// Why a set could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// A key is missing or damaged.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
    /// An enrolled node cannot be read.
    #[error(transparent)]
    Enrolled(#[from] EnrolError),
    /// An import cannot be activated.
    #[error(transparent)]
    Activation(#[from] ActivationError),
    /// The previous set is of another operator.
    #[error(
        "the signed set here is of the operator {theirs_name} ({theirs}), but the keys here are of the operator {ours}: use the keys or the set of the same fleet"
    )]
    ForeignOperator {
        /// The operator in the set.
        theirs: String,
        /// Its name.
        theirs_name: String,
        /// The operator, or its signing key, in the keys directory.
        ours: String,
    },
    /// An account has another key than before.
    #[error(
        "the account {account} has the key {found} here, but the signed set knows it as {expected}: restore accounts/{account}.nk from a backup, for with another key it would be another account, without its stores"
    )]
    AccountKeyChanged {
        /// The account.
        account: Name,
        /// The public key in the set.
        expected: String,
        /// The public key in the keys directory.
        found: String,
    },
    /// No such account is in the set.
    #[error("the signed set has no account {account}: run `leafbox apply` first, or check the name")]
    UnknownAccount {
        /// The account.
        account: Name,
    },
    /// What is to be revoked is not a user.
    #[error(
        "`{key}` is not the public key of a user: it starts with `U`, or is `*` for all users of the account"
    )]
    NotAUser {
        /// The text given, public by intent.
        key: String,
    },
    /// The system account cannot be removed.
    #[error("the account {account} cannot be removed: the servers need it")]
    NotRemovable {
        /// The account.
        account: Name,
    },
}

/// Signs what is declared, keeping from `previous` whatever still says the same.
///
/// A newly signed JWT is dated `now`, or one second after the one before where that is later:
/// servers take the newer of two.
pub fn sign(
    keys: &KeyStore,
    fleet: &Fleet,
    previous: Option<&JwtSet>,
    now: SystemTime,
) -> Result<JwtSet, SignError> {
    let now = seconds(now);
    let signers = keys.operator_signing()?;
    let authority = authority(keys, previous, &signers)?;
    let declared = fleet.all_accounts();
    let mut account_keys = BTreeMap::new();
    for name in declared.keys() {
        let key = keys.account(name)?;
        let before = previous.and_then(|set| set.accounts.get(name));
        if let Some(before) = before.filter(|before| before.public_key != key.public_key()) {
            let (expected, found) = (before.public_key.clone(), key.public_key());
            return Err(SignError::AccountKeyChanged { account: name.clone(), expected, found });
        }
        account_keys.insert(name.clone(), key);
    }
    let (operator, operator_claims) = match &authority {
        Authority::Previous(set) => (set.operator.clone(), set.operator_claims().clone()),
        Authority::Key(key) => operator(key, fleet, previous, &signers, &account_keys[SYSTEM_ACCOUNT], now),
    };

    let nodes = enrolled::enrolled(keys)?;
    let bodies_of = Bodies { keys, fleet, nodes: &nodes };
    let mut bodies = BTreeMap::new();
    for (name, account) in &declared {
        let before = previous.and_then(|set| set.accounts.get(name)).map(|account| &account.claims().nats);
        bodies.insert(name.clone(), bodies_of.body(name, account, before)?);
    }
    Context { declared: &declared, keys: &account_keys, previous, now }.activate(&mut bodies)?;

    let mut accounts: BTreeMap<Name, AccountJwt> =
        previous.map(|set| set.accounts.clone()).unwrap_or_default();
    let trusted = &operator_claims.nats.signing_keys;
    let signer = signer(&signers, trusted);
    for (name, body) in bodies {
        let claims = Claims::new(account_keys[&name].public_key(), &name, body);
        let sealed = seal(claims, accounts.get(&name), signer, trusted, now);
        accounts.insert(name, sealed);
    }
    // An account that is not declared any more still needs a signature that counts.
    for (name, account) in &mut accounts {
        if !declared.contains_key(name) {
            let claims = account.claims().clone();
            *account = seal(claims, Some(account), signer, trusted, now);
        }
    }
    Ok(JwtSet::signed(operator, operator_claims, accounts))
}

/// Forbids users of an account whose JWT was signed at `at` or before: one by its public key, or
/// all by `*`. They are dropped when the returned set is pushed.
pub fn revoke(
    keys: &KeyStore,
    set: &JwtSet,
    account: &Name,
    user: &str,
    at: SystemTime,
) -> Result<JwtSet, SignError> {
    if user != "*" && public_key_kind(user) != Some(KeyKind::User) {
        return Err(SignError::NotAUser { key: user.into() });
    }
    let at = seconds(at);
    resign(keys, set, account, at, |body| {
        let entry = body.revocations.entry(user.into()).or_insert(at);
        // A revocation only ever covers more.
        *entry = at.max(*entry);
    })
}

/// Changes the claims of one account of a set and signs it again, dated after the one before.
pub(crate) fn resign(
    keys: &KeyStore,
    set: &JwtSet,
    account: &Name,
    now: i64,
    change: impl FnOnce(&mut AccountBody),
) -> Result<JwtSet, SignError> {
    let before =
        set.accounts.get(account).ok_or_else(|| SignError::UnknownAccount { account: account.clone() })?;
    let signers = keys.operator_signing()?;
    let trusted = &set.operator_claims().nats.signing_keys;
    if !signers.iter().any(|signer| trusted.contains(&signer.public_key())) {
        return Err(foreign(set, &signers[0].public_key()));
    }
    let mut claims = before.claims().clone();
    change(&mut claims.nats);
    let sealed = seal(claims, Some(before), signer(&signers, trusted), trusted, now);
    let mut next = set.clone();
    next.accounts.insert(account.clone(), sealed);
    Ok(next)
}

/// Seconds since 1970; a clock before that counts as 1970.
pub(crate) fn seconds(time: SystemTime) -> i64 {
    let elapsed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}

pub(crate) fn foreign(set: &JwtSet, ours: &str) -> SignError {
    let operator = set.operator_claims();
    SignError::ForeignOperator {
        theirs: operator.subject.clone(),
        theirs_name: operator.name.clone(),
        ours: ours.into(),
    }
}

/// The first key that the operator's JWT names.
pub(crate) fn signer<'a>(signers: &'a [SecretKey], trusted: &[String]) -> &'a SecretKey {
    signers.iter().find(|signer| trusted.contains(&signer.public_key())).unwrap_or(&signers[0])
}

/// Where the operator's JWT comes from. Its own key is best kept offline: without it the previous
/// JWT stays.
enum Authority<'a> {
    Key(Box<SecretKey>),
    Previous(&'a JwtSet),
}

/// Finds the operator, once it is certain that the previous set is of the same one.
fn authority<'a>(
    keys: &KeyStore,
    previous: Option<&'a JwtSet>,
    signers: &[SecretKey],
) -> Result<Authority<'a>, SignError> {
    match (keys.operator(), previous) {
        (Err(KeyStoreError::NoKey { .. }), Some(set)) => {
            let trusted = &set.operator_claims().nats.signing_keys;
            if !signers.iter().any(|signer| trusted.contains(&signer.public_key())) {
                return Err(foreign(set, &signers[0].public_key()));
            }
            Ok(Authority::Previous(set))
        }
        (Ok(key), Some(set)) if set.operator_claims().subject != key.public_key() => {
            Err(foreign(set, &key.public_key()))
        }
        (key, _) => Ok(Authority::Key(Box::new(key?))),
    }
}

/// The operator's JWT, signed again only when it says something new.
fn operator(
    key: &SecretKey,
    fleet: &Fleet,
    previous: Option<&JwtSet>,
    signers: &[SecretKey],
    system_account: &SecretKey,
    now: i64,
) -> (String, Claims<OperatorBody>) {
    let signing_keys = signers.iter().map(SecretKey::public_key).collect();
    let body = OperatorBody::new(signing_keys, system_account.public_key());
    let mut claims = Claims::new(key.public_key(), &fleet.name, body);
    if let Some(set) = previous
        && claims.says_the_same_as(set.operator_claims())
    {
        return (set.operator.clone(), set.operator_claims().clone());
    }
    let issued_at = previous.map_or(now, |set| now.max(set.operator_claims().issued_at + 1));
    let jwt = claims.sign(key, issued_at);
    (jwt, claims)
}

/// What the accounts' JWTs are made of.
struct Bodies<'a> {
    keys: &'a KeyStore,
    fleet: &'a Fleet,
    nodes: &'a [EnrolledNode],
}

impl Bodies<'_> {
    /// What an account's JWT says, but for what activations add.
    fn body(
        &self,
        name: &Name,
        account: &Account,
        before: Option<&AccountBody>,
    ) -> Result<AccountBody, SignError> {
        let Self { keys, fleet, nodes } = self;
        let roles = account.all_roles();
        let scope = |key: String, label: String, role: &Role| UserScope {
            kind: "user_scope".into(),
            key,
            role: label,
            template: declared::permissions(role),
            description: role.description.clone().unwrap_or_default(),
            other: Default::default(),
        };
        let scope_at = |key: &str, role: &Name, node: &Name| {
            let narrowed = fleet.role_at_node(name, role, &roles[role], node);
            let mut scope = scope(key.into(), format!("{role}{AT_NODE}{node}"), &narrowed);
            if is_used_at_node_only(name, role) {
                scope.template.other.insert("src".into(), LOOPBACK.into_iter().collect());
            }
            scope
        };
        let mut scopes: BTreeMap<String, UserScope> = BTreeMap::new();
        for (role, declared) in &roles {
            let key = keys.role(name, role)?.public_key();
            scopes.insert(key.clone(), scope(key, role.to_string(), declared));
        }
        for node in *nodes {
            let held =
                node.keys.get(name).into_iter().flatten().filter(|(role, _)| roles.contains_key(*role));
            for (role, key) in held {
                scopes.insert(key.clone(), scope_at(key, role, &node.node));
            }
        }
        // Nodes that were enrolled where another keys directory is: their keys stand in the set alone.
        let taken_back: BTreeSet<&String> = nodes.iter().flat_map(|node| &node.taken_back).collect();
        for claim in before.iter().flat_map(|body| &body.signing_keys) {
            let SigningKeyClaim::Scoped(old) = claim else { continue };
            let Some((role, node)) = old.role.split_once(AT_NODE) else { continue };
            let held = roles.get_key_value(role).zip(node.parse::<Name>().ok());
            if let Some(((role, _), node)) = held.filter(|_| !taken_back.contains(&old.key)) {
                scopes.entry(old.key.clone()).or_insert_with(|| scope_at(&old.key, role, &node));
            }
        }
        let mut exports: Vec<_> = account.exports.iter().map(declared::export).collect();
        exports.sort_by(|one, two| (&one.subject, one.kind as u8).cmp(&(&two.subject, two.kind as u8)));
        Ok(AccountBody {
            exports,
            limits: declared::limits(account),
            signing_keys: scopes.into_values().map(Box::new).map(SigningKeyClaim::Scoped).collect(),
            revocations: before.map(|body| body.revocations.clone()).unwrap_or_default(),
            description: account.description.clone().unwrap_or_default(),
            ..AccountBody::default()
        })
    }
}

/// The JWT of the claims: the one before where it says the same, else a newer one.
pub(crate) fn seal(
    mut claims: Claims<AccountBody>,
    before: Option<&AccountJwt>,
    signer: &SecretKey,
    trusted: &[String],
    now: i64,
) -> AccountJwt {
    if let Some(before) = before
        && trusted.contains(&before.claims().issuer)
        && claims.says_the_same_as(before.claims())
    {
        return before.clone();
    }
    let issued_at = before.map_or(now, |before| now.max(before.issued_at + 1));
    let jwt = claims.sign(signer, issued_at);
    AccountJwt::new(jwt, claims)
}

#[cfg(test)]
mod tests;
