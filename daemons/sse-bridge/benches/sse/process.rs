//! A process that is measured, and what it uses.

use std::{fs, net::SocketAddr, process::Stdio};

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

pub(crate) struct Process {
    pid: u32,
    /// The bridge ends with this value; another process is somebody else's.
    _child: Option<Child>,
}

impl Process {
    /// Starts the bridge, and waits until it listens.
    pub(crate) async fn start(nats: &str) -> Result<(Self, SocketAddr)> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", nats])
            .stdout(Stdio::piped())
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("the bridge's output")?;
        let line = BufReader::new(stdout).lines().next_line().await?.context("the bridge ended")?;
        let pid = child.id().context("the bridge ended")?;
        Ok((Self { pid, _child: Some(child) }, line.parse()?))
    }

    /// One that runs already.
    pub(crate) fn of(pid: u32) -> Self {
        Self { pid, _child: None }
    }

    fn read(&self, file: &str) -> Result<String> {
        Ok(fs::read_to_string(format!("/proc/{}/{file}", self.pid))?)
    }

    /// Resident bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// CPU seconds, in the system too.
    pub(crate) fn cpu(&self) -> Result<f64> {
        let stat = self.read("stat")?;
        let fields: Vec<_> = stat.rsplit(") ").next().context("stat")?.split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        let a_second = sysconf(SysconfVar::CLK_TCK)?.context("CLK_TCK")?;
        Ok(ticks as f64 / a_second as f64)
    }
}
