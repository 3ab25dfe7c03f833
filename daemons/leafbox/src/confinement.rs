//! What each of leafbox's processes gives up before it does anything: see [`runtime::confine`].

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use identity::KeyStore;
use nix::unistd::geteuid;
use runtime::confine::{Capability, Reach, drop_privileges};
use settings::Settings;

use crate::{addresses::Addresses, cli::Global, session, session::Session, setup::Setup};

/// A whole node in one process, nats-server under it. Not limited by Landlock, which would hold for
/// nats-server too.
pub fn of_node(global: &Global) {
    // Mistakes in the files are told later, by who reads them for good.
    let settings = session::load(global).ok();
    let mut keep = settings.as_ref().map(low_ports).unwrap_or_default();
    let data = settings.as_ref().map_or_else(|| session::data_folder(global), Settings::data_dir);
    // Root in a folder of another user's, as in a container with the folder of who built it, could
    // otherwise make nothing there.
    let is_root = geteuid().is_root();
    if is_root && [&data, &global.config].into_iter().any(|path| !is_ours(path)) {
        keep.push(Capability::OthersFiles);
    }
    drop_privileges(&keep);
}

/// nats-server alone, which takes the place of the process.
pub fn of_nats(settings: &Settings) {
    drop_privileges(&low_ports(settings));
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

/// The two files as they are at any time, the credentials, and nats-server's own ports.
fn reach(session: &Session) -> Reach {
    let Session { settings, keys, addresses, .. } = session;
    let ports = [addresses.client, addresses.monitoring].into_iter().flatten().map(|address| address.port());
    let files = Reach::nothing()
        .read_replaced(&settings.node_file)
        .read_replaced(&settings.fleet_file)
        .read(keys)
        .read(settings.jwts_dir());
    ports.fold(files, Reach::connect)
}

fn low_ports(settings: &Settings) -> Vec<Capability> {
    let declared = Setup::keys_of(&Addresses::declared(&settings.node));
    let is_low = |address: &std::net::SocketAddr| (1..1024).contains(&address.port());
    if declared.iter().any(|(address, _)| is_low(address)) {
        vec![Capability::BindLowPorts]
    } else {
        Vec::new()
    }
}

/// Whether a path, or the folder that it would be made in, is this user's.
fn is_ours(path: &Path) -> bool {
    let path = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from("/"));
    let found = path.ancestors().find_map(|path| fs::metadata(path).ok());
    found.is_some_and(|found| found.uid() == geteuid().as_raw())
}
