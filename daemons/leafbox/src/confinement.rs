//! What each of leafbox's processes gives up before it does anything: see [`runtime::confine`].

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::Result;
use identity::KeyStore;
use nix::unistd::geteuid;
use runtime::confine::{Capability, Reach, drop_privileges};
use settings::Settings;

use crate::{addresses::Addresses, cli::Global, ports, session, session::Session, setup::Setup};

/// A whole node in one process, nats-server under it. Not limited by Landlock, which would hold for
/// nats-server too.
///
/// # Errors
/// Who holds a port that is declared, which could not be found out later; `ports` says whether the
/// declared ones will be used.
pub fn of_node(global: &Global, ports: bool) -> Result<()> {
    // Mistakes in the files are told later, by who reads them for good.
    let Ok(settings) = session::load(global) else {
        keep_what_it_takes(Vec::new(), [&session::data_folder(global), &global.config]);
        return Ok(());
    };
    let data = session::data_dir_of(&settings)?;
    // A node that runs there already is told as that.
    if ports && !data.is_running() {
        ports::refuse_taken(&data, &Setup::keys_of(&Addresses::used(&settings)))?;
    }
    keep_what_it_takes(low_ports(&settings), [&settings.data_dir(), &settings.node_file]);
    Ok(())
}

/// nats-server alone, which takes the place of the process.
pub fn of_nats(settings: &Settings) {
    keep_what_it_takes(low_ports(settings), [&settings.data_dir(), &settings.node_file]);
}

/// Root in a folder of another user's, as in a container with the folder of who built it, could
/// otherwise make nothing there.
fn keep_what_it_takes(mut keep: Vec<Capability>, paths: [&PathBuf; 2]) {
    if geteuid().is_root() && !paths.into_iter().all(|path| is_ours(path)) {
        keep.push(Capability::OthersFiles);
    }
    drop_privileges(&keep);
}

/// What applies the stores: reads the files, writes how it ended, and speaks with nats-server.
pub fn of_apply(session: &Session) {
    drop_privileges(&[]);
    let mut reach = reach(session).read(session.data.root()).write(session.data.run());
    // Where the operator's keys are, apply signs with them.
    if KeyStore::open(&session.keys).is_ok_and(|keys| keys.has_operator()) {
        reach = reach.write(&session.keys).write(session.data.root()).write(session.settings.jwts_dir());
    }
    reach.confine();
}

/// What signs for the console: the same as apply where the operator's keys are.
pub fn of_signer(session: &Session) {
    drop_privileges(&[]);
    reach(session)
        .write(&session.keys)
        .write(session.data.root())
        .write(session.settings.jwts_dir())
        .confine();
}

/// What watches the uplink: reads the files, and speaks with nats-server.
pub fn of_uplink(session: &Session) {
    drop_privileges(&[]);
    reach(session).confine();
}

/// What tells systemd of nats-server: asks its monitoring.
pub fn of_pulse(monitoring: std::net::SocketAddr) {
    drop_privileges(&[]);
    Reach::nothing().connect(monitoring.port()).confine();
}

/// The two files as they are at any time, the credentials, what TLS to nats-server takes, and its
/// ports.
fn reach(session: &Session) -> Reach {
    let Session { settings, keys, addresses, .. } = session;
    let ports = [addresses.client, addresses.monitoring].into_iter().flatten().map(|address| address.port());
    let files = Reach::nothing()
        .read_replaced(&settings.node_file)
        .read_replaced(&settings.fleet_file)
        .read(keys)
        .read(settings.jwts_dir());
    let files = session.client_tls().iter().fold(files, |reach, tls| tls.within(reach));
    let reach = ports.fold(files, Reach::connect);
    if addresses.client.and_then(runtime::from_loopback).is_some() { reach.connect_from() } else { reach }
}

fn low_ports(settings: &Settings) -> Vec<Capability> {
    let declared = Setup::keys_of(&Addresses::used(settings));
    Capability::to_listen(declared.iter().map(|(address, _)| *address))
}

/// Whether a path, or the folder that it would be made in, is this user's.
fn is_ours(path: &Path) -> bool {
    let path = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from("/"));
    let found = path.ancestors().find_map(|path| fs::metadata(path).ok());
    found.is_some_and(|found| found.uid() == geteuid().as_raw())
}
