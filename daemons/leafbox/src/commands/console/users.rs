//! `leafbox console users` and `role`: who there is, and what they may do.

use anyhow::Result;
use serde_json::json;
use sse_bridge::{Role, audit::What, login::UserName};

use super::{audited, connect, event, open};
use crate::{commands::registry::when, say, session::Session, table::Table};

pub(super) async fn list(session: &Session, as_json: bool) -> Result<()> {
    let client = connect(session).await?;
    let (users, _tasks) = open(&client).await?;
    let all = users.all();
    if as_json {
        let shown = all.iter().map(|user| {
            let passkeys = users.passkeys(&user.name);
            let passkeys = passkeys.iter().map(|(id, passkey)| {
                json!({ "id": id, "label": passkey.label, "created": passkey.created, "used": passkey.used })
            });
            let sessions = users.sessions(Some(&user.name));
            let sessions = sessions.iter().map(|(id, session)| {
                json!({
                    "id": id.0.as_ref(), "created": session.created, "seen": session.seen,
                    "ends": session.ends, "browser": session.browser,
                })
            });
            json!({
                "name": user.name,
                "role": user.record.role,
                "created": user.record.created,
                "passkeys": passkeys.collect::<Vec<_>>(),
                "sessions": sessions.collect::<Vec<_>>(),
            })
        });
        say!("{}", serde_json::to_string_pretty(&shown.collect::<Vec<_>>())?);
        return Ok(());
    }
    if all.is_empty() {
        say!("there is no user yet: `leafbox console enroll` makes a link for the first admin");
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "ROLE", "PASSKEYS", "SESSIONS", "LAST SEEN"]);
    for user in all {
        let sessions = users.sessions(Some(&user.name));
        table.row([
            user.name.to_string(),
            user.record.role.to_string(),
            users
                .passkeys(&user.name)
                .iter()
                .map(|(_, passkey)| passkey.label.as_str())
                .collect::<Vec<_>>()
                .join(", "),
            sessions.len().to_string(),
            sessions.first().map_or_else(|| "-".to_owned(), |(_, session)| when(session.seen)),
        ]);
    }
    say!("{}", table.to_string().trim_end());
    Ok(())
}

pub(super) async fn set_role(session: &Session, name: &UserName, role: Role) -> Result<()> {
    audited(session, async |users, audit| {
        users.set_role(name, role).await?;
        let mut event = event(What::RoleChanged, name);
        event.about.role = Some(role);
        audit.record(event);
        Ok(())
    })
    .await?;
    say!("{name} is {role} now");
    Ok(())
}
