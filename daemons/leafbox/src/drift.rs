//! Whether the running nats-server was started from what the files say now.
//!
//! Apply changes accounts and stores on a running server. What stands in its configuration,
//! listeners, limits, the uplink and its deny lists, takes effect at the next start; without that a
//! new stream's subjects would still cross the link, and be stored twice.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use settings::Settings;

use crate::{
    data::{DataDir, write_whole},
    reloading,
    session::Session,
    setup::Setup,
};

/// Before the folder that nats-server has its credentials from.
const KEYS: &str = "# credentials: ";

/// Notes, at a start, what the files say, before `dev` adds ports and hub of its own.
pub fn record(settings: Settings, data: &DataDir, keys: &Path) -> Result<()> {
    let text = format!("{KEYS}{}\n{}", keys.display(), Setup::rendering(settings, keys)?);
    write_whole(&file(data), text.as_bytes(), 0o600)
}

/// The lines of the configuration that a restart would change, `-` before those that run and `+`
/// before those declared; nothing where no start was recorded here.
pub fn of(session: &Session) -> Result<Vec<String>> {
    let Ok(running) = fs::read_to_string(file(&session.data)) else { return Ok(Vec::new()) };
    // Without its JWTs a node cannot be rendered, and the plan tells that already.
    if !identity::layout::operator_jwt(&session.settings.jwts_dir()).exists() {
        return Ok(Vec::new());
    }
    // Which links there are depends on the creds that are there, and each unit has its own.
    let keys = running.lines().find_map(|line| line.strip_prefix(KEYS)).map(PathBuf::from);
    let keys = keys.filter(|keys| keys.is_dir()).unwrap_or_else(|| session.keys.clone());
    let declared = Setup::rendering(session.settings.clone(), &keys)?;
    Ok(reloading::at_next_start(&running, &declared))
}

fn file(data: &DataDir) -> PathBuf {
    data.run().join("declared.conf")
}
