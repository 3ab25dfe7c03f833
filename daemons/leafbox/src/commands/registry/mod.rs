//! `leafbox registry`: the images of this node, on JetStream itself.
//!
//! Everything but `status` works without the daemon: it opens the same storage, with the creds of the
//! registry's user.

mod audited;
mod copy;
mod gc;
mod image;
mod inspect;
mod list;
mod pull;
mod rm;
mod space;
mod status;
mod storage;
mod token;

use anyhow::Result;

pub(crate) use list::when;

use crate::{cli, session::Session};

/// Who changed a tag, in its events, when it was this command.
const BY: &str = "command";

/// Carries out one of the subcommands.
pub(crate) async fn run(session: &Session, command: &cli::Registry) -> Result<()> {
    match command {
        cli::Registry::Ls { repositories, json } => {
            list::repositories(session, repositories.as_ref(), *json).await
        }
        cli::Registry::Tags { repository, json } => list::tags(session, repository, *json).await,
        cli::Registry::Inspect { image, json } => inspect::run(session, image, *json).await,
        cli::Registry::Rm { image, yes } => rm::run(session, image, *yes).await,
        cli::Registry::Gc { dry_run, now, json } => gc::run(session, *dry_run, *now, *json).await,
        cli::Registry::Du { json } => space::run(session, *json).await,
        cli::Registry::Token(command) => token::run(session, command).await,
        cli::Registry::Status { json } => status::run(session, *json).await,
        cli::Registry::Copy(arguments) => copy::run(session, arguments).await,
    }
}
