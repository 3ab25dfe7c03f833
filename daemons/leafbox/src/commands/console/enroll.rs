//! `leafbox console enroll`: a link with which somebody gets a passkey.

use anyhow::Result;
use sse_bridge::{
    audit::What,
    login::{ENROLMENT_LIFE, Invite, Purpose},
};

use super::{audited, event, origin};
use crate::{cli, say, session::Session};

/// Prints the link and nothing else to stdout, so that a script can take it.
pub(super) async fn run(session: &Session, arguments: &cli::EnrollUser) -> Result<()> {
    let origin = origin(session)?;
    // Before a token is made that nobody could use.
    origin.passkeys()?;
    let invite = Invite { user: arguments.user.clone(), role: arguments.role, recover: arguments.recover };
    let (secret, record) = audited(session, async |users, audit| {
        let made = users.invite(&invite, ENROLMENT_LIFE).await?;
        let detail = match made.1.purpose {
            Purpose::FirstAdmin => "for the first admin",
            Purpose::Invitation => "to invite somebody",
            Purpose::Recovery => "to recover",
        };
        let mut event = event(What::EnrolmentMade, &made.1.user);
        (event.about.role, event.detail) = (Some(made.1.role), Some(detail.to_owned()));
        audit.record(event);
        Ok(made)
    })
    .await?;
    // After the #, which browsers keep to themselves: no proxy and no log sees it.
    say!("{}/login/#enroll={}", origin.as_str(), secret.reveal());
    eprintln!();
    eprintln!(
        "Who opens this link within {} minutes makes a passkey, and comes in as `{}` with the role {} from then \
         on. It is good once, and until the same command makes another.",
        ENROLMENT_LIFE.as_secs() / 60,
        record.user,
        record.role
    );
    if origin.is_localhost() {
        let port = origin.url().port_or_known_default().unwrap_or(80);
        eprintln!("The browser has to be on this machine. From another one, type this there first:");
        eprintln!();
        eprintln!("  ssh -L {port}:127.0.0.1:{port} {}", session.settings.node.name);
        eprintln!();
        eprintln!("For a console that others reach by name, set `console.origin` in node.toml.");
    }
    Ok(())
}
