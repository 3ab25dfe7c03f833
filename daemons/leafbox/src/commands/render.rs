//! `leafbox render`: the nats-server configuration, secrets left as references.

use anyhow::Result;

use crate::{
    say,
    session::{self, Session},
    setup::Setup,
};

/// Prints the configuration.
pub(crate) fn run(session: &Session) -> Result<()> {
    let keys = session::keys_dir(&session.data);
    let text = Setup::rendering(session.settings.clone(), &keys)?;
    say!("{}", text.trim_end());
    Ok(())
}
