//! `leafbox unit nats-reload`: what `systemctl reload leafbox-nats` does.

use anyhow::Result;

use crate::cli::Global;

pub(super) fn run(_global: &Global) -> Result<()> {
    anyhow::bail!("not yet")
}
