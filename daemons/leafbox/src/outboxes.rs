//! Keeps somebody who answers the hub about the outboxes of each account; see `stores::resets`.

use std::collections::BTreeMap;

use settings::Name;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use crate::session::Session;

/// Who answers, by account.
#[derive(Default)]
pub struct Outboxes {
    answering: BTreeMap<Name, AbortOnDropHandle<()>>,
}

impl Outboxes {
    /// Starts whoever is missing: an account is new, or a connection was given up.
    pub async fn keep(&mut self, session: &Session) {
        let settings = &session.settings;
        for account in stores::accounts_with_outboxes(&settings.fleet, &settings.node) {
            if self.answering.get(&account).is_some_and(|one| !one.is_finished()) {
                continue;
            }
            let client = match session.connect_apply(&account).await {
                Ok(client) => client,
                Err(error) => {
                    debug!(account.name = %account, "cannot answer for the outboxes of {account} yet: {error:#}");
                    continue;
                }
            };
            let (node, name) = (settings.node.clone(), account.clone());
            let answering = tokio::spawn(async move {
                if let Err(error) = stores::answer_resets(&node, &name, &client).await {
                    debug!(account.name = %name, "no longer answers for the outboxes of {name}: {error}");
                }
            });
            self.answering.insert(account, AbortOnDropHandle::new(answering));
        }
    }
}
