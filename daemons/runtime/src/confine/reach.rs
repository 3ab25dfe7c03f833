//! The files and ports that a daemon may use, enforced by the kernel with Landlock.

use std::path::{Path, PathBuf};

/// Everything that NixOS keeps public and unchangeable; files in `/etc` are links into it, to
/// another place after each update.
pub(crate) const NIX_STORE: &str = "/nix/store";

/// The files and ports that a process may use from now on. Everything else is refused to it, as
/// far as the kernel can: files since Linux 5.13, TCP ports since 6.7, signals to others since 6.12.
///
/// What is open already stays open, and UNIX sockets are not covered: journald and systemd are told
/// as before.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
    connect: Vec<u16>,
    connect_from: bool,
}

impl Reach {
    /// Nothing at all.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// A file, or a folder with all that is in it, may be read. A path that is not there is left
    /// out: a file that may come later is reached by its folder.
    #[must_use]
    pub fn read(mut self, path: impl Into<PathBuf>) -> Self {
        self.read.push(path.into());
        self
    }

    /// A configuration file may be read, and what will stand in its place: editors and NixOS put a
    /// new file there.
    #[must_use]
    pub fn read_replaced(self, file: &Path) -> Self {
        let target = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        let folder = |path: &Path| match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let of_target = if target.starts_with(NIX_STORE) { NIX_STORE.into() } else { folder(&target) };
        self.read(folder(file)).read(of_target)
    }

    /// Files and folders in a folder may be read, made, changed, moved within it and removed.
    #[must_use]
    pub fn write(mut self, folder: impl Into<PathBuf>) -> Self {
        self.write.push(folder.into());
        self
    }

    /// A TCP port may be connected to, on any address.
    #[must_use]
    pub fn connect(mut self, port: u16) -> Self {
        self.connect.push(port);
        self
    }

    /// The address that a connection comes from may be chosen; its port is the system's.
    #[must_use]
    pub fn connect_from(mut self) -> Self {
        self.connect_from = true;
        self
    }

    /// Limits the calling thread, and what it starts from now on, for good. The log tells how far.
    pub fn confine(self) {
        platform::confine(&self);
    }
}

#[cfg(target_os = "linux")]
mod platform {
    use std::path::Path;

    use landlock::{
        ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, PathFd,
        RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
        make_bitflags,
    };

    use super::Reach;

    /// The newest that these rules were written for; an older kernel enforces what it can.
    const ABI: ABI = ABI::V6;

    pub(super) fn confine(reach: &Reach) {
        match restrict(reach) {
            Ok(status) => tell(&status),
            // A unit that filters these system calls, or too many layers of Landlock: the process is
            // confined from outside.
            Err(error) => tracing::info!("not confined by Landlock: {error}"),
        }
    }

    fn restrict(reach: &Reach) -> Result<RestrictionStatus, RulesetError> {
        let mut rules = Ruleset::default()
            .handle_access(AccessFs::from_all(ABI))?
            .handle_access(AccessNet::from_all(ABI))?
            .scope(Scope::Signal)?
            .create()?;
        for path in &reach.read {
            let access = make_bitflags!(AccessFs::{ReadFile | ReadDir});
            if let Some(rule) = beneath(path, access) {
                rules = rules.add_rule(rule)?;
            }
        }
        for path in &reach.write {
            let access = make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir | Refer});
            if let Some(rule) = beneath(path, access) {
                rules = rules.add_rule(rule)?;
            }
        }
        for port in &reach.connect {
            rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
        if reach.connect_from {
            rules = rules.add_rule(NetPort::new(0, AccessNet::BindTcp))?;
        }
        rules.restrict_self()
    }

    fn beneath(path: &Path, access: BitFlags<AccessFs>) -> Option<PathBeneath<PathFd>> {
        let opened = PathFd::new(path).ok()?;
        // Rights of folders mean nothing for a file.
        let access = if path.is_dir() { access } else { access & AccessFs::from_file(ABI) };
        Some(PathBeneath::new(opened, access))
    }

    fn tell(status: &RestrictionStatus) {
        let abi = match status.landlock {
            LandlockStatus::Available { effective_abi, .. } => effective_abi as u8,
            LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => 0,
        };
        match status.ruleset {
            RulesetStatus::NotEnforced => {
                tracing::info!(
                    "this kernel has no Landlock, or the unit keeps it away: files and ports are not limited"
                );
            }
            RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => {
                tracing::debug!(landlock.abi = abi, "confined to its files and ports (Landlock ABI {abi})");
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    pub(super) fn confine(_: &super::Reach) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_file_and_where_it_leads_are_both_reached() {
        let reach = Reach::nothing().read_replaced(Path::new("node.toml"));
        assert_eq!(reach.read, [PathBuf::from("."), PathBuf::from(".")]);
        let reach = Reach::nothing().read_replaced(Path::new("/no-such-folder/node.toml"));
        assert_eq!(reach.read, [PathBuf::from("/no-such-folder"), PathBuf::from("/no-such-folder")]);
    }
}
