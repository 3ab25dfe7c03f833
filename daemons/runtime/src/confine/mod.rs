//! What a process gives up by itself, so that it is safe where no systemd confines it.
//!
//! [`drop_privileges`] is for every daemon: no new privileges, no capabilities, private files, no
//! memory on the disk. [`Reach`] limits one to the files and ports that it needs, for as long as it
//! lives, with Landlock.
//!
//! All of it holds for the calling thread and for what it starts from then on, so it is called
//! before there are other threads. None of it ever fails a start: a kernel, container or unit that
//! refuses a step has done it already or cannot do it, which the log tells.

#[cfg(target_os = "linux")]
mod capabilities;
mod reach;

use std::net::SocketAddr;

use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    stat::{Mode, umask},
};

pub(crate) use reach::NIX_STORE;
pub use reach::Reach;

/// A capability that a process may have to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// To listen on a port below 1024.
    BindLowPorts,
    /// To use the files of others, as root.
    OthersFiles,
}

impl Capability {
    /// What it takes to listen on these addresses.
    pub fn to_listen(on: impl IntoIterator<Item = SocketAddr>) -> Vec<Self> {
        let any_is_low = on.into_iter().any(|address| (1..1024).contains(&address.port()));
        if any_is_low { vec![Self::BindLowPorts] } else { Vec::new() }
    }
}

/// Gives up what no daemon needs: new privileges by exec, all capabilities but those in `keep`,
/// files that others can read, core dumps, and that others of the same user look into its memory.
pub fn drop_privileges(keep: &[Capability]) {
    umask(Mode::from_bits_truncate(0o077));
    // Memory holds keys.
    let unlimited_or_some = getrlimit(Resource::RLIMIT_CORE).is_ok_and(|limits| limits != (0, 0));
    if unlimited_or_some && let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        tracing::warn!("core dumps could not be turned off: {error}");
    }
    #[cfg(target_os = "linux")]
    {
        if let Err(error) = nix::sys::prctl::set_dumpable(false) {
            tracing::warn!("the memory of this process could not be hidden: {error}");
        }
        if let Err(error) = nix::sys::prctl::set_no_new_privs() {
            tracing::warn!("new privileges could not be given up: {error}");
        }
        capabilities::keep_only(keep);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = keep;
}
