//! `leafbox schema validate`: is a document right.

use std::{fs, io::Read, path::Path};

use anyhow::{Context, Result};
use schemas::{Mode, Schema, Violation};
use serde_json::{Value, json};

use super::named;
use crate::{contradiction, say};

/// What is wrong with the document is said on stdout, as what was asked for.
pub(super) fn run(name: Option<&str>, file: &Path, tolerant: bool, as_json: bool) -> Result<u8> {
    // A misspelt name is told before stdin is waited for.
    let schema = name.map(named).transpose()?;
    let (text, document_name) = read(file)?;
    let document: Value = serde_json::from_str(&text)
        .with_context(|| format!("{document_name} is not JSON: correct it at the place that is named"))?;
    let schema = match schema {
        Some(schema) => schema,
        None => typed(&document, &document_name)?,
    };
    let mode = if tolerant { Mode::Tolerant } else { Mode::Strict };
    let violations = schema.rules()?.check(&document, mode).err().unwrap_or_default();
    if as_json {
        let answer =
            json!({ "ok": violations.is_empty(), "schema": schema.title(), "violations": violations });
        say!("{}", serde_json::to_string_pretty(&answer)?);
    } else if violations.is_empty() {
        say!("{document_name} keeps to {}", schema.title());
    } else {
        say!("{document_name} does not keep to {}:", schema.title());
        violations.iter().for_each(|violation| say!("  {violation}"));
        if !tolerant && unknown_only(&violations) {
            say!("--tolerant allows what the schema does not know");
        }
    }
    Ok(if violations.is_empty() { runtime::exit::SUCCESS } else { runtime::exit::FAILURE })
}

fn unknown_only(violations: &[Violation]) -> bool {
    violations.iter().all(|violation| violation.problem == schemas::Problem::Unknown)
}

fn read(file: &Path) -> Result<(String, String)> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read the document from stdin")?;
        return Ok((text, "stdin".to_owned()));
    }
    let name = file.display().to_string();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read the document {name}"))?;
    Ok((text, name))
}

/// The schema that a document's `type` names.
fn typed(document: &Value, name: &str) -> Result<Schema> {
    // No subject: only the type is looked at.
    if let Some(found) = schemas::of_message("", document) {
        return Ok(found.schema);
    }
    match document.get("type") {
        Some(of) => {
            contradiction!("{name} says that its type is {of}, which no schema of NATS has: name one")
        }
        None => contradiction!(
            "{name} has no `type` that tells its schema: name one, as in `leafbox schema validate NAME FILE`"
        ),
    }
}
