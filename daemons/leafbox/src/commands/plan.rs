//! `leafbox plan`: what apply would do.

use anyhow::Result;
use identity::AccountChange;

use crate::{cli, converge, say, session::Session};

/// The exit code when something differs, as in the help.
const DIFFERS: u8 = 2;

/// Prints what differs and gives the exit code.
pub(crate) async fn run(session: &Session, arguments: &cli::Plan) -> Result<u8> {
    session.require_running()?;
    let plan = converge::plan(session).await?;
    if arguments.json {
        say!("{}", serde_json::to_string_pretty(&plan)?);
    } else {
        print(&plan);
    }
    Ok(if plan.is_empty() { runtime::exit::SUCCESS } else { DIFFERS })
}

/// Prints a plan for people.
pub(crate) fn print(plan: &converge::Plan) {
    print_accounts(&plan.accounts);
    say!("{}", plan.stores);
    print_restart(&plan.restart);
}

/// Prints what only a restart changes.
pub(crate) fn print_restart(lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    say!("nats-server runs with another configuration than the files give; restart the node to change:");
    for line in lines {
        say!("  {line}");
    }
}

/// Prints what differs about accounts.
pub(crate) fn print_accounts(accounts: &converge::Accounts) {
    if accounts.is_empty() && accounts.unknown.is_none() {
        say!("accounts: nothing differs");
    }
    for change in &accounts.changes {
        say!("{}", line('~', change));
    }
    let is_told = |change: &AccountChange| accounts.changes.contains(change);
    let unpushed: Vec<_> = accounts.unpushed.iter().filter(|change| !is_told(change)).collect();
    for change in &unpushed {
        say!("{}", line('~', change));
    }
    if !unpushed.is_empty() {
        say!("  signed already, and not in force on every server: `leafbox apply` pushes it");
    }
    if !accounts.waiting.is_empty() {
        for change in &accounts.waiting {
            say!("{}", line('?', change));
        }
        say!("  the lines with ? wait for the operator: `leafbox apply` where the operator's keys are");
    }
    for name in &accounts.undeclared {
        say!(
            "- {name} account: no longer declared; it stays as it is until `leafbox apply --prune --delete {name}` removes it"
        );
    }
    if let Some(why) = &accounts.unknown {
        say!("! the accounts in force could not be read: {why}");
    }
}

fn line(mark: char, change: &AccountChange) -> String {
    let AccountChange { account, what, from, to } = change;
    match (from, to) {
        (None, Some(to)) => {
            format!("+ {account} {what}: {to}").replacen('+', if mark == '?' { "?" } else { "+" }, 1)
        }
        (Some(from), None) => format!("{mark} {account} {what}: {from} -> none"),
        (from, to) => format!(
            "{mark} {account} {what}: {} -> {}",
            from.as_deref().unwrap_or("none"),
            to.as_deref().unwrap_or("none")
        ),
    }
}
