//! `leafbox health`: what the health daemon says.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use health::Report;
use runtime::{Monitoring, reachable};

use crate::{cli, say, session::Session};

/// Prints the checks; an error, and so exit code 1, when the node is not ready.
pub(crate) async fn run(session: &Session, output: cli::Output) -> Result<()> {
    let report = ask(session).await?;
    if output.json {
        say!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        for check in &report.checks {
            let mark = if check.ok { "ok" } else { "FAIL" };
            say!("{mark:<5} {:<12} {}", check.name, check.detail);
        }
        say!("{:<5} {:<12} {}", "info", "uplink", report.uplink.describe());
    }
    if !report.ready {
        bail!("not ready: {}", failing(&report).join("; "));
    }
    Ok(())
}

/// As [`run`], printing nothing.
pub(crate) async fn run_quietly(session: &Session) -> Result<()> {
    let report = ask(session).await?;
    if !report.ready {
        bail!("{}", failing(&report).join("; "));
    }
    Ok(())
}

/// What the health daemon found just now.
pub(crate) async fn ask(session: &Session) -> Result<Report> {
    let address = session.addresses.health.context("node.toml turns the health daemon off")?;
    let address = reachable(address);
    let answer = Monitoring::new(address).within(Duration::from_secs(5)).get("/readyz?format=json").await;
    let (_, body) = answer.map_err(|_| {
        anyhow::anyhow!("the health daemon does not answer on {address}: start the node with `leafbox dev` or `leafbox run`")
    })?;
    serde_json::from_slice(&body)
        .with_context(|| format!("what answers on {address} is not the health daemon"))
}

/// What is wrong, in words.
pub(crate) fn failing(report: &Report) -> Vec<String> {
    let failed = report.checks.iter().filter(|check| !check.ok);
    failed.map(|check| format!("{}: {}", check.name, check.detail)).collect()
}
