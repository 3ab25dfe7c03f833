//! Leafbox's own stores, for the tests of the daemons that keep things in them.

use async_nats::Client;
use serde_json::Value;
use settings::{Fleet, LEAFBOX_ACCOUNT, Node};

use crate::{api::Api, desired::desired};

/// Makes some of the stores of the account `LEAFBOX`, by their names, as [`apply()`](crate::apply())
/// makes them on this node.
///
/// # Panics
/// When one is not declared there, or cannot be made.
pub async fn make(client: &Client, fleet: &Fleet, node: &Node, names: &[&str]) {
    let accounts = desired(fleet, node);
    let account = accounts.into_iter().find(|account| account.name.as_str() == LEAFBOX_ACCOUNT);
    let account = account.expect("the account LEAFBOX is built in");
    for name in names {
        let store = account.stores.iter().find(|store| store.name == *name);
        let Some(store) = store else { panic!("leafbox has no store {name}") };
        let subject = format!("STREAM.CREATE.{}", store.stream);
        let body = store.config.clone().into();
        let made = Api::local(&account.name, client).ask_patiently::<Value>(&subject, &body).await;
        if let Err(error) = made {
            panic!("{name} cannot be made: {error}");
        }
    }
}
