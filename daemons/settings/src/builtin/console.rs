//! The store of the web console's users, and what its daemon may do.
//!
//! The console acts for its users in every account, and looks itself at what each of them may do. So
//! its keys are good from this machine alone, and what they must never do for anybody is denied here.

use super::{name, reads, registry, subjects, written_through_api};
use crate::{
    fleet::{Account, LEAFBOX_ACCOUNT, Role, SYSTEM_ACCOUNT},
    names::Subject,
    store::{KeyValue, On},
};

/// The role, in every account, by which the web console looks and acts.
pub const CONSOLE_ROLE: &str = "leafbox-console";
/// The KV bucket of the console's users, passkeys and sessions.
pub const CONSOLE_USERS: &str = "leafbox_users";
/// Where in LEAFBOX the console asks for signatures, with a token for what it asks after it. Only its
/// own role may send there, and no leaf's link carries it to the hub: a stolen box must not have users
/// or boxes signed there.
pub const SIGNING: &str = "leafbox.sign";

/// Where the consoles of the hub ask those of leaves for their servers, and are answered: the first token.
/// A link hears and says its own leaf's alone.
pub const CONSOLE_SERVERS: &str = "_SERVERS";

/// Adds the console's store to LEAFBOX.
pub(super) fn add_to(account: &mut Account) {
    account.kv.insert(
        name(CONSOLE_USERS),
        KeyValue {
            description: Some("users, passkeys and sessions of the web console".into()),
            on: On::Everywhere,
            history: Some(8),
            ..KeyValue::default()
        },
    );
}

/// What the console may do in an account: what its users may do in all.
pub(super) fn role(account: &str) -> Role {
    let (publish, publish_deny) = match account {
        // Questions, and the end of a connection. Claims are the operator's to push.
        SYSTEM_ACCOUNT => (
            subjects(&[
                "$SYS.REQ.SERVER.*.*",
                "$SYS.REQ.SERVER.PING",
                "$SYS.REQ.ACCOUNT.*.*",
                "$SYS.REQ.USER.INFO",
            ]),
            subjects(&["$SYS.REQ.SERVER.*.RELOAD", "$SYS.REQ.SERVER.*.LDM"]),
        ),
        LEAFBOX_ACCOUNT => (subjects(&[">"]), registry::secrets()),
        _ => (subjects(&[">"]), Vec::new()),
    };
    Role {
        description: Some("the web console".into()),
        publish,
        publish_deny,
        subscribe: subjects(&[">"]),
        subscribe_deny: if account == LEAFBOX_ACCOUNT { registry::unheard() } else { Vec::new() },
        ..Role::default()
    }
}

/// What the link of `leaf` says to the consoles of the hub: a stolen box must not answer for others.
pub(super) fn said_on_link(leaf: &str) -> Vec<Subject> {
    subjects(&[format!("{CONSOLE_SERVERS}.here.{leaf}"), format!("{CONSOLE_SERVERS}.hub.{leaf}.>")])
}

/// What it hears of them: whether it is there, and the questions to it. Answers hold what only an admin
/// may see.
pub(super) fn heard_on_link(leaf: &str) -> Vec<Subject> {
    subjects(&[format!("{CONSOLE_SERVERS}.ask"), format!("{CONSOLE_SERVERS}.leaf.{leaf}")])
}

/// What of JetStream's API a leaf's link must not carry to the store of the hub's console.
pub(super) fn denied_to_links() -> Vec<Subject> {
    let mut denied = reads(&format!("KV_{CONSOLE_USERS}"));
    denied.extend(written_through_api(&format!("$KV.{CONSOLE_USERS}.>")));
    subjects(&denied)
}

/// What nobody asks over a leaf's link.
pub(super) fn signing_denied_to_links() -> Vec<Subject> {
    subjects(&[format!("{SIGNING}.>")])
}
