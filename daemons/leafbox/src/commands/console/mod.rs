//! `leafbox console`: the users of the web console, on JetStream itself.

mod ca;
mod enroll;
mod revoke;
mod users;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use async_nats::Client;
use settings::LEAFBOX_ACCOUNT;
use sse_bridge::{
    audit::{self, About, Audit, Event, What},
    login::{Origin, Users},
};
use tokio_util::sync::CancellationToken;

use crate::{cli, session::Session};

/// Who did something, in its events, when it was this command.
const BY: &str = "command";
/// What the console's unit was given, as long as it runs.
const CREDENTIALS_OF_UNIT: &str = "/run/credentials/leafbox-sse-bridge.service";

/// Carries out one of the subcommands.
pub(crate) async fn run(session: &Session, command: &cli::Console) -> Result<()> {
    match command {
        cli::Console::Enroll(arguments) => enroll::run(session, arguments).await,
        cli::Console::Users { json } => users::list(session, *json).await,
        cli::Console::Role { user, role } => users::set_role(session, user, *role).await,
        cli::Console::Revoke(arguments) => revoke::run(session, arguments).await,
        cli::Console::Ca { keys, replace } => ca::run(session, keys.as_deref(), *replace),
    }
}

/// Where browsers find the console of this node.
fn origin(session: &Session) -> Result<Origin> {
    let address = session.addresses.console.context(
        "this node has no console: give `console.listen` in node.toml an address, and restart the node",
    )?;
    Origin::of(&session.settings.node.console, address.port()).context("`console.origin` in node.toml")
}

/// The creds of the console's user: beside the other keys of the node, or what its unit was given.
fn creds(session: &Session) -> Result<PathBuf> {
    let account = LEAFBOX_ACCOUNT.parse().expect("the name of leafbox's own account is valid");
    let own = identity::layout::console_creds(&session.keys, &account);
    let of_unit = identity::layout::console_creds(Path::new(CREDENTIALS_OF_UNIT), &account);
    let found = [&own, &of_unit].into_iter().find(|creds| creds.exists());
    found.cloned().with_context(|| {
        format!(
            "there is no {}: `leafbox apply` makes it where the fleet's keys are; on a box that systemd runs, type \
             this as root while leafbox-sse-bridge.service runs",
            own.display()
        )
    })
}

/// The users as they are now.
async fn open(client: &Client) -> Result<(Users, tokio::task::JoinSet<()>)> {
    let (users, tasks) = Users::follow(client);
    users.caught_up().await.context("the users of the console cannot be read")?;
    Ok((users, tasks))
}

async fn connect(session: &Session) -> Result<Client> {
    session.require_running()?;
    session.connect(&creds(session)?, "leafbox console").await
}

/// Does something that leaves an event in LEAFBOX_AUDIT, and waits until it is there.
async fn audited<T>(session: &Session, act: impl AsyncFnOnce(&Users, &Audit) -> Result<T>) -> Result<T> {
    let client = connect(session).await?;
    let (users, _tasks) = open(&client).await?;
    let (audit, publisher) = audit::channel(&client, session.settings.node.name.as_str());
    let done = act(&users, &audit).await;
    // There are no more requests: what waits is published, and what cannot be is told in the log.
    let finish = CancellationToken::new();
    finish.cancel();
    publisher.run(finish).await;
    done
}

/// An event of this command about a user.
fn event(what: What, user: impl ToString) -> Event {
    Event { about: About { user: Some(user.to_string()), ..About::default() }, ..Event::new(what, BY) }
}
