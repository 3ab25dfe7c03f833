//! `leafbox console revoke`: who is out, at once.

use anyhow::{Context, Result, bail};
use sse_bridge::{
    SessionId,
    audit::{Event, What},
};

use super::{audited, event};
use crate::{cli, say, session::Session};

pub(super) async fn run(session: &Session, arguments: &cli::RevokeUser) -> Result<()> {
    let said = audited(session, async |users, audit| {
        if let Some(id) = &arguments.session {
            let id = SessionId(id.as_str().into());
            let user = users.session(&id).map(|known| known.record.user);
            if !users.end_session(&id).await? {
                bail!("there is no session {}: `leafbox console users --json` lists them", id.0);
            }
            let user = user.map(|user| user.to_string()).unwrap_or_default();
            let mut event = event(What::SessionRevoked, user);
            event.about.session = Some(id.0.as_ref().to_owned());
            audit.record(event);
            return Ok(format!("the session {} has ended", id.0));
        }
        let name = arguments.user.as_ref().context("name a user, or --session")?;
        if arguments.sessions {
            let ended = users.end_sessions(name, None).await?;
            let ended = if ended == 1 { "1 session".to_owned() } else { format!("{ended} sessions") };
            let detail = Some(ended.clone());
            audit.record(Event { detail, ..event(What::SessionRevoked, name) });
            return Ok(format!("ended {ended} of {name}; the passkeys are good still"));
        }
        users.remove(name).await?;
        audit.record(event(What::UserRemoved, name));
        let mut said = format!("{name} is out, with all passkeys and sessions");
        if !users.has_admin() {
            said.push_str("; no admin is left: `leafbox console enroll` makes a link for one");
        }
        Ok(said)
    })
    .await?;
    say!("{said}");
    Ok(())
}
