//! Refuses to start on ports that others hold, while it can still be found out who they are.
//!
//! A process that has given up its privileges cannot look at those of others, and once
//! `leafbox unit nats` is nats-server there is nobody left to ask.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
};

use anyhow::Result;
use runtime::{PortTaken, http::BindError};

use crate::data::DataDir;

/// Listens on each address for a moment; an address comes with the key in node.toml that moves it.
///
/// # Errors
/// Who holds the first that is taken. What a dead leafbox left running on the same data is passed
/// over: it is ended at the start.
pub fn refuse_taken(data: &DataDir, listeners: &[(SocketAddr, String)]) -> Result<()> {
    let mut free = Vec::new();
    for (address, key) in listeners.iter().filter(|(address, _)| address.port() != 0) {
        match TcpListener::bind(address) {
            Ok(listener) => free.push(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let taken = PortTaken::look_up(*address, Some(key.clone()));
                if taken.holder.pid.is_some() && taken.holder.pid == left_behind(data) {
                    return Ok(());
                }
                return Err(taken.into());
            }
            Err(source) => {
                return Err(BindError::Refused { address: *address, key: key.clone(), source }.into());
            }
        }
    }
    Ok(())
}

/// The nats-server that ran last on the data.
fn left_behind(data: &DataDir) -> Option<u32> {
    fs::read_to_string(data.run().join("nats-server.pid")).ok()?.trim().parse().ok()
}
