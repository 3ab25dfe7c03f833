//! The connections by which the console looks and acts: one for each account.

use std::{collections::BTreeMap, path::PathBuf};

use async_nats::Client;
use runtime::{ConnectError, ConnectOptions, CredentialError, connect};
use settings::{LEAFBOX_ACCOUNT, SYSTEM_ACCOUNT};

use crate::Config;

/// The connections of one console, which need not be there yet.
#[derive(Clone, Debug)]
pub struct Connections {
    /// Of `LEAFBOX`.
    pub leafbox: Client,
    /// Of `SYS`; without one, nothing of the servers themselves is shown.
    pub sys: Option<Client>,
    /// Of the accounts that fleet.toml declares, by their names; one that is not here is not shown.
    pub declared: BTreeMap<String, Client>,
}

/// How the connections of one console are made.
#[derive(Clone, Debug)]
pub struct ConnectPlan {
    leafbox: ConnectOptions,
    sys: Option<ConnectOptions>,
    declared: BTreeMap<String, ConnectOptions>,
}

impl ConnectPlan {
    /// A connection for each account whose `console-<ACCOUNT>.creds` are there, which `by` makes from
    /// their path. An account without them is not shown, which the log tells.
    ///
    /// # Errors
    /// When those of `LEAFBOX` are missing, or others can read any of them.
    pub fn of(config: &Config, by: impl Fn(PathBuf) -> ConnectOptions) -> Result<Self, CredentialError> {
        let creds = |account: &str| config.credentials.path(&format!("console-{account}.creds"));
        // By their names, those of the accounts can be told apart in the log and in CONNZ.
        let by = |account: &str, creds| {
            let options = by(creds);
            ConnectOptions { name: format!("{} {account}", options.name), ..options }
        };
        let where_there = |account: &str, what: &str| match creds(account) {
            Ok(creds) => Ok(Some(by(account, creds))),
            Err(error @ CredentialError::Missing { .. }) => {
                tracing::warn!("the console shows nothing of {what}: {error}");
                Ok(None)
            }
            Err(error) => Err(error),
        };
        let mut declared = BTreeMap::new();
        for account in config.declared_accounts() {
            if let Some(options) = where_there(account, &format!("the account {account}"))? {
                declared.insert(account.to_owned(), options);
            }
        }
        let leafbox = by(LEAFBOX_ACCOUNT, creds(LEAFBOX_ACCOUNT)?);
        Ok(Self { leafbox, sys: where_there(SYSTEM_ACCOUNT, "the servers")?, declared })
    }

    /// Makes the connections; nats-server need not be there yet.
    ///
    /// # Errors
    /// When creds or certificates are not what they should be.
    pub async fn open(&self) -> Result<Connections, ConnectError> {
        let sys = match &self.sys {
            Some(options) => Some(connect(options).await?),
            None => None,
        };
        let mut declared = BTreeMap::new();
        for (account, options) in &self.declared {
            declared.insert(account.clone(), connect(options).await?);
        }
        Ok(Connections { leafbox: connect(&self.leafbox).await?, sys, declared })
    }
}
