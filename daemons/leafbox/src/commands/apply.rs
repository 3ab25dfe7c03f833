//! `leafbox apply`: makes what runs equal to what is declared.

use std::path::Path;

use anyhow::{Result, bail};
use serde_json::json;

use crate::{cli, converge, say, session::Session};

/// Applies, exports, or applies and prunes.
///
/// # Errors
/// When something failed or is refused, after everything else was done.
pub(crate) async fn run(session: &Session, arguments: &cli::Apply) -> Result<()> {
    if let Some(folder) = &arguments.export {
        return export(session, folder).await;
    }
    session.require_running()?;
    let converged = converge::converge(session).await?;
    let pruned = if arguments.prune {
        let (clients, _) = converge::connect_stores(session).await;
        let healthy = converge::ask_healthy(session).await?;
        let delete = arguments.delete.iter().cloned().collect();
        Some(stores::prune(&converged.stores, &clients, &delete, healthy).await?)
    } else {
        None
    };
    let refused = converged.refused();
    let restart = crate::drift::of(session)?;
    // Claims that a server did not take are a failure too.
    let failed = converged.problems().len() + pruned.as_ref().map_or(0, |pruned| pruned.failed.len());
    if arguments.json {
        let failures: Vec<_> = converged
            .applied
            .failed
            .iter()
            .map(|(item, error)| json!({ "item": item, "error": error.to_string() }))
            .collect();
        say!(
            "{}",
            serde_json::to_string_pretty(&json!({
                "accounts": converged.accounts,
                "pushed": converged.push,
                "stores": converged.stores,
                "applied": converged.applied.done,
                "failed": failures,
                "restart": restart,
                "removed": pruned.as_ref().map(|pruned| &pruned.removed),
                "kept": pruned.as_ref().map(|pruned| &pruned.kept),
            }))?
        );
    } else {
        super::plan::print_accounts(&converged.accounts);
        say!("{}", converged.stores);
        if let Some(push) = &converged.push {
            say!("{push}");
        }
        say!("{}", converged.applied);
        if let Some(pruned) = &pruned {
            say!("{pruned}");
        }
        super::plan::print_restart(&restart);
    }
    if failed > 0 {
        bail!("not all could be applied: the lines above with ! say why");
    }
    if refused > 0 {
        bail!(
            "{refused} changes are refused, since data would be lost: the lines above say why and how to make them by hand"
        );
    }
    Ok(())
}

async fn export(session: &Session, folder: &Path) -> Result<()> {
    let (accounts, waiting) = converge::export(session, folder).await?;
    say!(
        "wrote operator.jwt and {accounts} account JWTs to {}: public, for git and for `jwts` in node.toml",
        folder.display()
    );
    if !waiting.is_empty() {
        bail!(
            "{} changes in fleet.toml wait for the operator: run this where the operator's keys are",
            waiting.len()
        );
    }
    Ok(())
}
