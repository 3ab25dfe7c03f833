//! `leafbox health`: what the health daemon says.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use runtime::{Monitoring, reachable};
use serde_json::Value;

use crate::{cli, say, session::Session};

/// Prints the checks; an error, and so exit code 1, when the node is not ready.
pub(crate) async fn run(session: &Session, output: cli::Output) -> Result<()> {
    let (ready, answer) = ask(session).await?;
    if output.json {
        say!("{}", serde_json::to_string_pretty(&answer)?);
    } else {
        for check in checks(&answer) {
            let mark = if check["ok"].as_bool() == Some(true) { "ok  " } else { "FAIL" };
            say!("{mark}  {:<12} {}", word(&check["name"]), word(&check["detail"]));
        }
    }
    if !ready {
        bail!("not ready: {}", failing(&answer).join("; "));
    }
    Ok(())
}

/// As [`run`], printing nothing.
pub(crate) async fn run_quietly(session: &Session) -> Result<()> {
    match ask(session).await? {
        (true, _) => Ok(()),
        (false, answer) => bail!("{}", failing(&answer).join("; ")),
    }
}

/// Whether the node is ready, and the whole answer.
pub(crate) async fn ask(session: &Session) -> Result<(bool, Value)> {
    let address = session.addresses.health.context("node.toml turns the health daemon off")?;
    let address = reachable(address);
    let (status, answer) = Monitoring::new(address)
        .within(Duration::from_secs(5))
        .get("/readyz?format=json")
        .await
        .with_context(|| format!("the health daemon does not answer on {address}: is the node running?"))?;
    let answer = serde_json::from_slice(&answer).context("the health daemon gave no JSON")?;
    Ok((status == 200, answer))
}

/// What is wrong, in words.
pub(crate) fn failing(answer: &Value) -> Vec<String> {
    let failed = checks(answer).filter(|check| check["ok"].as_bool() == Some(false));
    failed.map(|check| format!("{}: {}", word(&check["name"]), word(&check["detail"]))).collect()
}

fn checks(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["checks"].as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
