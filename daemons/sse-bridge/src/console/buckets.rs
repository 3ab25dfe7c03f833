//! Streams that hold a bucket, of all accounts.

use std::sync::Arc;

use futures::future::join_all;
use maud::{Markup, html};
use serde_json::Value;

use super::{jetstream::config_name, streams::declared_badge, visit::Visit};
use crate::feed::SYS;

/// A bucket, as its stream is listed.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) account: Arc<str>,
    pub(super) bucket: String,
    pub(super) info: Value,
}

/// All buckets whose streams begin with `prefix`, sorted, and what kept some from being found.
pub(super) async fn find(visit: &Visit, prefix: &str) -> (Vec<Found>, Markup) {
    let names = visit.console.accounts.names().filter(|name| *name != SYS);
    let accounts: Vec<_> = names.filter_map(|name| visit.account(name).ok()).collect();
    let listed = join_all(accounts.iter().map(|account| account.streams())).await;
    let (mut found, mut troubles) = (Vec::new(), Vec::new());
    for (account, listed) in accounts.iter().zip(listed) {
        match listed {
            Ok(listed) => found.extend(listed.items.into_iter().filter_map(|info| {
                let bucket = config_name(&info).strip_prefix(prefix)?.to_owned();
                Some(Found { account: Arc::clone(&account.name), bucket, info })
            })),
            Err(error) => troubles.push((Arc::clone(&account.name), error)),
        }
    }
    found.sort_by(|one, other| (&one.account, &one.bucket).cmp(&(&other.account, &other.bucket)));
    let troubles = html! {
        @for (account, error) in &troubles {
            p.notice { strong { "The account " (account) " is not shown. " } (error.to_string()) }
        }
    };
    (found, troubles)
}

/// That fleet.toml declares a bucket, where it does.
pub(super) fn declared(info: &Value) -> Markup {
    declared_badge(&info["config"])
}
