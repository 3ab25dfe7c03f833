//! The registries that are measured: leafbox's own in processes of their own, and peers.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// A registry that answers.
pub(crate) struct Registry {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    child: Option<Child>,
}

impl Registry {
    /// One that somebody else runs.
    pub(crate) fn running(name: &str, address: SocketAddr) -> Self {
        Self { name: name.to_owned(), address, child: None }
    }

    /// The process, where it was started here.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// leafbox's registry: this program again, with what it needs to know.
    pub(crate) fn leafbox(name: &str, nats: &str, folder: &Path, cache: &str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", nats, cache]).arg(folder);
        Self::start(name, command, |line| line.strip_prefix("listening on ").map(str::to_owned))
    }

    /// Docker's registry (the package `docker-registry`), which flushes a blob when it is committed.
    pub(crate) fn distribution(folder: &Path) -> Result<Self> {
        let config = folder.join("config.yml");
        let root = folder.join("blobs");
        fs::write(
            &config,
            format!(
                "version: 0.1\nlog:\n  level: info\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    \
                 rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:0\n",
                root.display()
            ),
        )?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).env("OTEL_TRACES_EXPORTER", "none");
        Self::start("distribution", command, |line| {
            let after = line.split_once("listening on ")?.1;
            Some(after.split(['"', ',']).next().unwrap_or(after).to_owned())
        })
    }

    fn start(name: &str, mut command: Command, address: fn(&str) -> Option<String>) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("`{program}` could not be started: is it installed?"))?;
        let (sender, lines) = mpsc::channel();
        let outputs: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(child.stdout.take().context("piped above")?),
            Box::new(child.stderr.take().context("piped above")?),
        ];
        for output in outputs {
            let sender = sender.clone();
            // Read to the end, so that a talkative peer never waits for a full pipe.
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut heard = Vec::new();
        while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            if let Some(address) = address(&line).and_then(|text| text.parse().ok()) {
                return Ok(Self { name: name.to_owned(), address, child: Some(child) });
            }
            heard.push(line);
        }
        let _ = child.kill();
        let _ = child.wait();
        bail!("{name} did not say where it listens:\n{}", heard.join("\n"));
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a process used up to now.
pub(crate) struct Used {
    /// Seconds of processor time, user and system.
    pub(crate) cpu: f64,
    /// Bytes resident now.
    pub(crate) resident: u64,
    /// The most bytes that were resident at once.
    pub(crate) most_resident: u64,
}

/// Reads what a process used from `/proc`; `None` where there is none.
pub(crate) fn used(pid: u32) -> Option<Used> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = |key: &str| -> Option<u64> {
        let line = status.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after = stat.rsplit_once(") ")?.1;
    let ticks: Vec<u64> = after.split(' ').skip(11).take(2).filter_map(|text| text.parse().ok()).collect();
    // USER_HZ is 100 wherever Linux runs leafbox.
    let cpu = ticks.iter().sum::<u64>() as f64 / 100.0;
    Some(Used { cpu, resident: kib("VmRSS:")? * 1024, most_resident: kib("VmHWM:")? * 1024 })
}
