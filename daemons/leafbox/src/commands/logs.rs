//! `leafbox logs`: what the node logged, from its file, or from journald where systemd runs it.

use std::{
    io::{Read, Seek, SeekFrom},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{cli, say, session::Session};

const POLL: Duration = Duration::from_millis(200);

/// Prints the last lines, and with `--follow` what comes.
pub(crate) async fn run(session: &Session, arguments: &cli::Logs) -> Result<()> {
    let path = session.data.log_file();
    if !path.exists() {
        return journal(session, arguments);
    }
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(arguments.lines)..] {
        say!("{line}");
    }
    if !arguments.follow {
        return Ok(());
    }
    let mut read = text.len() as u64;
    let mut unfinished = String::new();
    loop {
        tokio::time::sleep(POLL).await;
        let mut file =
            std::fs::File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        // A shorter file is a new one: the node was started again.
        if file.metadata()?.len() < read {
            read = 0;
        }
        file.seek(SeekFrom::Start(read))?;
        let mut new = Vec::new();
        read += file.read_to_end(&mut new)? as u64;
        unfinished.push_str(&String::from_utf8_lossy(&new));
        while let Some(end) = unfinished.find('\n') {
            say!("{}", &unfinished[..end]);
            unfinished.drain(..=end);
        }
    }
}

fn journal(session: &Session, arguments: &cli::Logs) -> Result<()> {
    let lines = arguments.lines.to_string();
    let mut command = Command::new("journalctl");
    command.args(["--unit=leafbox*", "--no-pager", "--lines", &lines]);
    if arguments.follow {
        command.arg("--follow");
    }
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("journalctl ended with {status}"),
        Err(_) => bail!(
            "there are no logs: no node ever ran on {}, and this machine has no journalctl",
            session.data.root().display()
        ),
    }
}
