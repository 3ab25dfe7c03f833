//! `leafbox render`: the nats-server configuration, secrets left as references.

use anyhow::Result;

use crate::{say, session::Session, setup::Setup};

/// Prints the configuration.
pub(crate) fn run(session: &Session) -> Result<()> {
    let text = Setup::rendering(session.settings.clone(), &session.keys)?;
    say!("{}", text.trim_end());
    Ok(())
}
