//! `leafbox enroll`: a box makes its own keys, and only public ones travel.
//!
//! `request`, `accept` and `status` run on the box, the others where the operator's keys are.

mod accept;
mod approve;
mod device;
pub(crate) mod nodes;
pub(crate) mod offer;
pub(crate) mod paste;
mod qr;
mod request;
mod status;
mod trust;
mod vault;

use anyhow::Result;
use identity::nkey::SecretKey;
use settings::{Name, NodeRole, Settings};

use crate::{
    cli::{Enroll, Global},
    session::{self, Session},
};

/// Carries out one of the subcommands and gives its exit code.
pub(crate) async fn run(global: &Global, command: &Enroll) -> Result<u8> {
    match command {
        Enroll::Request(arguments) => request::run(session::load(global)?, arguments)?,
        Enroll::Accept(arguments) => accept::run(session::load(global)?, arguments)?,
        Enroll::Status { keys } => return status::run(session::load(global)?, keys),
        Enroll::Approve(arguments) => return approve::run(&Session::open(global)?, arguments).await,
        Enroll::List { json } => nodes::list(&Session::open(global)?, *json)?,
        Enroll::Revoke(arguments) => return nodes::revoke(&Session::open(global)?, arguments).await,
    }
    Ok(runtime::exit::SUCCESS)
}

/// The signing key that this box made for a role; nothing where it made none.
pub(crate) fn own_signing_key(settings: &Settings, account: &Name, role: &Name) -> Result<Option<SecretKey>> {
    let device = device::Device::find(settings.clone(), None)?;
    match device.vault()? {
        Some(vault) if device.places.signing_key(account, role).exists() => {
            device.signing_key(vault, account, role).map(Some)
        }
        _ => Ok(None),
    }
}

/// Whether this box made keys of its own with which it signs users.
pub(crate) fn has_own_keys(settings: &Settings) -> bool {
    device::Device::find(settings.clone(), None).is_ok_and(|device| {
        device.wanted().iter().any(|(account, role)| device.places.signing_key(account, role).exists())
    })
}

/// What a node is, in a sentence.
fn kind(role: NodeRole) -> &'static str {
    match role {
        NodeRole::Leaf => "a leaf",
        NodeRole::Hub => "a hub node",
    }
}
