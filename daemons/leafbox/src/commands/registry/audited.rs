//! What the command leaves in the audit stream, as the daemon does for its clients.

use anyhow::{Context, Result};
use registry::{
    Reference, Repository, Storage,
    audit::{self, About, Audit, Event, What},
};
use settings::LEAFBOX_ACCOUNT;
use tokio_util::sync::CancellationToken;

use super::{BY, storage};
use crate::session::Session;

/// Does something that leaves events in LEAFBOX_AUDIT, and waits until they are there.
pub(super) async fn audited<T>(
    session: &Session,
    act: impl AsyncFnOnce(&Storage, &Audit) -> Result<T>,
) -> Result<T> {
    let client = storage::connect(session).await?;
    let storage = storage::open_on(session, client.clone()).await?;
    let (audit, publisher) = audit::channel(&client, session.settings.node.name.as_str());
    let finish = CancellationToken::new();
    let work = async {
        let done = act(&storage, &audit).await;
        finish.cancel();
        done
    };
    // Beside the work: a pass may delete more tags than events can wait.
    let (done, ()) = tokio::join!(work, publisher.run(finish.clone()));
    client
        .flush()
        .await
        .with_context(|| format!("nats-server did not take an event of {LEAFBOX_ACCOUNT}"))?;
    done
}

/// An event about a manifest or tag, which this command changed.
pub(super) fn event(what: What, repository: &Repository, reference: &Reference) -> Event {
    Event { about: About::named(repository, reference), ..Event::new(what, BY) }
}
