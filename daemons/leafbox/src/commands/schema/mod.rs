//! `leafbox schema`: NATS's JSON schemas, as `nats schema` has them, without a server.

mod fields;
mod validate;

use anyhow::Result;
use schemas::{COMMIT, DATE, Schema};
use serde_json::json;

use crate::{cli, contradiction, say};

/// Carries out one of the subcommands, and gives the exit code.
pub(crate) fn run(command: &cli::Schema) -> Result<u8> {
    match command {
        cli::Schema::List { filter, json } => list(filter.as_deref(), *json)?,
        cli::Schema::Show { name, fields: false, .. } => say!("{}", named(name)?.text().trim_end()),
        cli::Schema::Show { name, json, .. } => fields::run(named(name)?, *json)?,
        cli::Schema::Validate { name, file, tolerant, json } => {
            return validate::run(name.as_deref(), file, *tolerant, *json);
        }
    }
    Ok(runtime::exit::SUCCESS)
}

/// The schema that a name on the command line means.
fn named(name: &str) -> Result<Schema> {
    match Schema::named(name) {
        Ok(schema) => Ok(schema),
        Err(error) => contradiction!("{error}; `leafbox schema list` lists them"),
    }
}

fn list(filter: Option<&str>, as_json: bool) -> Result<()> {
    let found = match Schema::search(filter.unwrap_or_default()) {
        Ok(found) => found,
        Err(error) => contradiction!("{error}: write one, such as `stream_.*_request`"),
    };
    let titles: Vec<&str> = found.iter().map(|schema| schema.title()).collect();
    if as_json {
        say!(
            "{}",
            serde_json::to_string_pretty(&json!({ "commit": COMMIT, "date": DATE, "schemas": titles }))?
        );
        return Ok(());
    }
    match filter.filter(|_| titles.is_empty()) {
        Some(filter) => say!("no schema matches `{filter}`: `leafbox schema list` lists all"),
        None => say!("{}", titles.join("\n")),
    }
    Ok(())
}
