//! Becomes nats-server, for systemd, which then watches over nats-server itself.
//!
//! The locks go over into nats-server, so that nobody else starts a second one on the same store:
//! the kernel frees them when it ends, however it ends.

use std::{
    fs::File,
    io,
    os::{fd::AsFd, unix::process::CommandExt},
    process::Command,
};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::{Launch, StartError, program};
use crate::rundir::RunDir;

/// A nats-server that takes the place of this process.
#[derive(Debug)]
pub struct Replacement {
    command: Command,
    binary: std::path::PathBuf,
    run_dir: RunDir,
}

impl Replacement {
    /// Takes the run directory, and ends first what a dead supervisor left running in it. Of
    /// `launch`, the log and the deadline do not matter: nats-server logs to this process's stderr.
    pub async fn prepare(launch: &Launch) -> Result<Self, StartError> {
        let run_dir = RunDir::take(&launch.run_dir).await?;
        let mut command = program(launch, &run_dir)?;
        // journald knows the time of each line.
        command.arg("--logtime=false");
        Ok(Self { command, binary: launch.binary.clone(), run_dir })
    }

    /// Becomes nats-server, holding `lock` and the run directory's for as long as it lives. Returns
    /// only when that failed.
    ///
    /// Call it where no child process can be started at the same time: the locks would go over into
    /// that child too.
    pub fn exec(mut self, lock: &File) -> StartError {
        let failed = |source| StartError::Spawn { binary: self.binary.clone(), source };
        for held in [lock, self.run_dir.lock()] {
            if let Err(error) = keep(held) {
                return failed(error);
            }
        }
        StartError::Spawn { binary: self.binary.clone(), source: self.command.exec() }
    }
}

/// Lets an open file go over into the next program.
fn keep(file: &File) -> io::Result<()> {
    fcntl(file.as_fd(), FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}
