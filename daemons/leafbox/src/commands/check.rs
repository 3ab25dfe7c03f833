//! `leafbox check`: both files, without starting anything.

use anyhow::Result;
use serde_json::json;
use settings::{File, Severity, schema};

use crate::{
    cli::{self, Global},
    say, session,
};

/// Prints every problem and gives the exit code: 0 also with warnings, 2 with errors.
pub(crate) fn run(global: &Global, arguments: &cli::Check) -> Result<u8> {
    if arguments.schema {
        let both = json!({ "fleet.toml": schema(File::Fleet), "node.toml": schema(File::Node) });
        say!("{}", serde_json::to_string_pretty(&both)?);
        return Ok(runtime::exit::SUCCESS);
    }
    let (loaded, problems) = match settings::load(&session::sources(global)) {
        Ok(loaded) => (Some(loaded.settings), loaded.warnings),
        Err(problems) => (None, problems.0),
    };
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    if arguments.json {
        say!("{}", serde_json::to_string_pretty(&json!({ "ok": errors == 0, "problems": problems }))?);
    } else {
        for problem in &problems {
            say!("{problem}\n");
        }
        if let Some(settings) = loaded {
            let fleet = &settings.fleet;
            let services: usize = fleet.accounts.values().map(|account| account.services.len()).sum();
            let stores: usize = fleet
                .accounts
                .values()
                .map(|account| account.streams.len() + account.kv.len() + account.objects.len())
                .sum();
            say!(
                "{} and {} are right: {}, {}, {}{}",
                settings.node_file.display(),
                settings.fleet_file.display(),
                counted(fleet.accounts.len(), "account"),
                counted(services, "service"),
                counted(stores, "store"),
                if problems.is_empty() {
                    String::new()
                } else {
                    format!(", {}", counted(problems.len(), "warning"))
                },
            );
        } else {
            say!("{}: nothing was changed", counted(errors, "error"));
        }
    }
    Ok(if errors == 0 { runtime::exit::SUCCESS } else { runtime::exit::BAD_CONFIG })
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
