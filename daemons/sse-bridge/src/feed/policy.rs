//! Which subjects each role may watch: one table, and nothing that is not in it.
//!
//! A subject with wildcards is granted when one line covers all of it, and none of [`SECRET`] is in
//! it: who may see `$KV.>` but for one bucket names the buckets.

use super::subject::Pattern;
use crate::Role;

/// The bridge's own account.
pub const LEAFBOX: &str = "LEAFBOX";
/// The system account.
pub const SYS: &str = "SYS";

/// From which role on subjects of an account may be watched.
///
/// Events of the system account hold the JWTs of those who connect, and a JWT may be a bearer token:
/// only an admin has them as they are.
const ALLOWED: [(Role, &str, &str); 15] = [
    (Role::Viewer, LEAFBOX, "leafbox.node.>"),
    (Role::Viewer, LEAFBOX, "leafbox.audit.>"),
    (Role::Viewer, LEAFBOX, "leafbox.release.>"),
    (Role::Viewer, LEAFBOX, "$KV.leafbox_nodes.>"),
    (Role::Viewer, LEAFBOX, "$KV.leafbox_tags.>"),
    (Role::Viewer, LEAFBOX, "$JS.EVENT.ADVISORY.STREAM.>"),
    (Role::Viewer, LEAFBOX, "$JS.EVENT.ADVISORY.CONSUMER.>"),
    (Role::Viewer, LEAFBOX, "$JS.EVENT.ADVISORY.SERVER.>"),
    (Role::Viewer, LEAFBOX, "$JS.EVENT.METRIC.>"),
    (Role::Viewer, SYS, "$SYS.SERVER.*.STATSZ"),
    (Role::Viewer, SYS, "$SYS.ACCOUNT.*.SERVER.CONNS"),
    (Role::Operator, LEAFBOX, "leafbox.>"),
    (Role::Operator, LEAFBOX, "$KV.>"),
    (Role::Admin, SYS, "$SYS.>"),
    (Role::Admin, LEAFBOX, ">"),
];

/// What nobody may watch: hashes of sessions and tokens, keys, and answers to others. `ADVISORY.API` has
/// each request to JetStream with its answer, which may be a message that was asked for.
const SECRET: [(&str, &str); 11] = [
    (LEAFBOX, "$KV.leafbox_users.>"),
    (LEAFBOX, "$KV.leafbox_registry.token.>"),
    (LEAFBOX, "$KV.leafbox_registry.bearer"),
    (LEAFBOX, "_INBOX.>"),
    (LEAFBOX, "_R_.>"),
    (LEAFBOX, "_SERVERS.>"),
    (LEAFBOX, "$JS.API.>"),
    (LEAFBOX, "$JS.EVENT.ADVISORY.API"),
    (LEAFBOX, "$JSC.>"),
    (SYS, "$SYS._INBOX.>"),
    (SYS, "$SYS.REQ.>"),
];

/// The same for each account that fleet.toml declares. Who publishes there may see what is published;
/// what is stored, everybody may.
const ALLOWED_IN_DECLARED: [(Role, &str); 6] = [
    (Role::Viewer, "$KV.>"),
    (Role::Viewer, "$JS.EVENT.ADVISORY.STREAM.>"),
    (Role::Viewer, "$JS.EVENT.ADVISORY.CONSUMER.>"),
    (Role::Viewer, "$JS.EVENT.ADVISORY.SERVER.>"),
    (Role::Viewer, "$JS.EVENT.METRIC.>"),
    (Role::Operator, ">"),
];

/// What nobody may watch there.
const SECRET_IN_DECLARED: [&str; 5] = ["_INBOX.>", "_R_.>", "$JS.API.>", "$JS.EVENT.ADVISORY.API", "$JSC.>"];

/// Which subjects each role may watch.
#[derive(Clone, Debug)]
pub struct Policy {
    allowed: Vec<Rule>,
    secret: Vec<(String, Pattern)>,
}

/// A line of the table.
#[derive(Clone, Debug)]
pub struct Rule {
    /// This role and those that may more.
    pub from: Role,
    /// The account that the subjects are in.
    pub account: String,
    /// The subjects.
    pub subjects: Pattern,
}

/// A role may not watch a subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{role} may not watch `{subject}` of the account {account}; {hint}")]
pub struct Refused {
    role: Role,
    subject: Pattern,
    account: String,
    hint: &'static str,
}

impl Policy {
    /// The table of this file.
    ///
    /// # Panics
    /// Never: a test reads every line.
    pub fn standard() -> Self {
        let read = |text: &str| text.parse::<Pattern>().expect("the table holds subjects");
        let allowed = ALLOWED.iter().map(|(from, account, subjects)| Rule {
            from: *from,
            account: (*account).to_owned(),
            subjects: read(subjects),
        });
        let secret = SECRET.iter().map(|(account, subjects)| ((*account).to_owned(), read(subjects)));
        Self { allowed: allowed.collect(), secret: secret.collect() }
    }

    /// With the accounts that fleet.toml declares.
    ///
    /// # Panics
    /// Never: a test reads every line.
    #[must_use]
    pub fn and_accounts<'a>(mut self, accounts: impl IntoIterator<Item = &'a str>) -> Self {
        let read = |text: &str| text.parse::<Pattern>().expect("the table holds subjects");
        for account in accounts {
            self.allowed.extend(ALLOWED_IN_DECLARED.iter().map(|(from, subjects)| Rule {
                from: *from,
                account: account.to_owned(),
                subjects: read(subjects),
            }));
            self.secret
                .extend(SECRET_IN_DECLARED.iter().map(|subjects| (account.to_owned(), read(subjects))));
        }
        self
    }

    /// Allows more, but nothing of what nobody may watch.
    #[must_use]
    pub fn and(mut self, rule: Rule) -> Self {
        self.allowed.push(rule);
        self
    }

    /// Whether a role may watch all of a subject.
    ///
    /// # Errors
    /// With what to ask for instead.
    pub fn check(&self, role: Role, account: &str, subject: &Pattern) -> Result<(), Refused> {
        let refused =
            |hint| Err(Refused { role, subject: subject.clone(), account: account.to_owned(), hint });
        let mut rules =
            self.allowed.iter().filter(|rule| rule.account == account && rule.subjects.covers(subject));
        let Some(least) = rules.by_ref().map(|rule| rule.from).min() else {
            return refused("no role may: ask for subjects that are in the bridge's table");
        };
        if role < least {
            return refused("ask an admin for a role that may more");
        }
        if self.secret.iter().any(|(of, secret)| of == account && secret.overlaps(subject)) {
            return refused(
                "it holds secrets: name the subjects that are wanted, without wildcards over them",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_sees_its_lines_and_nobody_sees_secrets() {
        let policy = Policy::standard();
        for (role, account, subject, allowed) in [
            (Role::Viewer, LEAFBOX, "leafbox.audit.>", true),
            (Role::Viewer, LEAFBOX, "leafbox.node.*.heartbeat", true),
            (Role::Admin, LEAFBOX, "_SERVERS.hub.shop-1.>", false),
            (Role::Viewer, LEAFBOX, "$JS.EVENT.ADVISORY.STREAM.>", true),
            (Role::Admin, LEAFBOX, "$JS.EVENT.ADVISORY.>", false),
            (Role::Admin, LEAFBOX, "$JS.EVENT.ADVISORY.API", false),
            (Role::Viewer, LEAFBOX, "leafbox.>", false),
            (Role::Operator, LEAFBOX, "leafbox.>", true),
            (Role::Viewer, LEAFBOX, "orders.new", false),
            (Role::Admin, LEAFBOX, "orders.new", true),
            (Role::Viewer, SYS, "$SYS.ACCOUNT.*.CONNECT", false),
            (Role::Operator, SYS, "$SYS.ACCOUNT.*.CONNECT", false),
            (Role::Admin, SYS, "$SYS.ACCOUNT.*.CONNECT", true),
            (Role::Admin, SYS, "$SYS.ACCOUNT.>", true),
            (Role::Admin, SYS, "$SYS.>", false),
            (Role::Admin, SYS, "orders", false),
            (Role::Admin, LEAFBOX, ">", false),
            (Role::Admin, LEAFBOX, "$KV.>", false),
            (Role::Operator, LEAFBOX, "$KV.mine.>", true),
            (Role::Admin, LEAFBOX, "$KV.leafbox_users.session.x", false),
            (Role::Admin, LEAFBOX, "$KV.leafbox_registry.bearer", false),
            (Role::Admin, LEAFBOX, "$KV.leafbox_registry.link.>", true),
            (Role::Admin, LEAFBOX, "$KV.*.bearer", false),
            (Role::Admin, LEAFBOX, "*.abc.*", false),
            (Role::Admin, "ELSEWHERE", "orders.new", false),
        ] {
            let subject: Pattern = subject.parse().expect("a subject");
            assert_eq!(policy.check(role, account, &subject).is_ok(), allowed, "{role} {account} {subject}");
        }
    }

    #[test]
    fn in_a_declared_account_what_is_stored_is_for_all_and_what_is_said_for_who_may_say_it() {
        let policy = Policy::standard().and_accounts(["SHOP"]);
        for (role, account, subject, allowed) in [
            (Role::Viewer, "SHOP", "$KV.prices.>", true),
            (Role::Viewer, "SHOP", "$JS.EVENT.ADVISORY.STREAM.>", true),
            (Role::Viewer, "SHOP", "orders.>", false),
            (Role::Operator, "SHOP", "orders.>", true),
            (Role::Admin, "SHOP", ">", false),
            (Role::Admin, "SHOP", "_INBOX.>", false),
            (Role::Admin, "SHOP", "$JS.API.>", false),
            (Role::Operator, "BANK", "orders.>", false),
            (Role::Viewer, LEAFBOX, "orders.>", false),
        ] {
            let subject: Pattern = subject.parse().expect("a subject");
            assert_eq!(policy.check(role, account, &subject).is_ok(), allowed, "{role} {account} {subject}");
        }
    }

    #[test]
    fn a_line_more_allows_no_secret() {
        let rule = |account: &str, subject: &str| Rule {
            from: Role::Viewer,
            account: account.to_owned(),
            subjects: subject.parse().expect("a subject"),
        };
        let policy = Policy::standard().and(rule(LEAFBOX, ">")).and(rule("SHOP", "orders.>"));
        let check = |account, subject: &str| {
            policy.check(Role::Viewer, account, &subject.parse().expect("a subject"))
        };
        assert!(check(LEAFBOX, "orders.new").is_ok());
        assert!(check(LEAFBOX, "$KV.leafbox_users.user.a").is_err());
        assert!(check("SHOP", "orders.new").is_ok());
        assert!(check("SHOP", "pay.new").is_err());
    }
}
