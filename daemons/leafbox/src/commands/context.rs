//! `leafbox context`: contexts for the standard `nats` command line.
//!
//! The file format is the one that `nats context save` writes
//! (github.com/nats-io/jsm.go/natscontext); unknown keys are left out, not set empty.
//!
//! Where the client listener speaks TLS, `ca` is the listener's own certificate: Go trusts one that
//! is given as a root as it stands, and node.toml knows no authority of it (`ca` there is the
//! clients'). Where the listener asks for a certificate, `cert` and `key` are leafbox's own: they
//! let a connection in and say nothing of who it is, which is the creds file's part. They are this
//! machine's; another one needs a certificate made for it.

use std::{env, fs, os::unix::fs::DirBuilderExt, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::{cli, data::write_whole, say, session::Session};

/// Writes a context for each service whose creds file this machine has.
pub(crate) fn run(session: &Session, arguments: &cli::Context) -> Result<()> {
    let folder = folder()?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    let url = session.client_url()?;
    let tls = tls_files(session)?;
    let mut written = Vec::new();
    for (account, declared) in &session.settings.fleet.accounts {
        if arguments.account.as_deref().is_some_and(|only| only != account.as_str()) {
            continue;
        }
        for service in declared.services.keys() {
            if arguments.service.as_deref().is_some_and(|only| only != service.as_str()) {
                continue;
            }
            let creds = identity::layout::service_creds(&session.keys, account, service);
            if !creds.exists() {
                continue;
            }
            let creds = std::path::absolute(&creds)?;
            let name = format!("{}-{account}-{service}", session.settings.node.name);
            let mut context = json!({
                "description": format!("{service} of {account} on {}, by leafbox", session.settings.node.name),
                "url": url,
                "creds": creds,
            });
            for (key, file) in &tls {
                context[key] = json!(file);
            }
            write_whole(&folder.join(format!("{name}.json")), &serde_json::to_vec_pretty(&context)?, 0o600)?;
            written.push(name);
        }
    }
    let Some(first) = written.first() else {
        bail!(
            "no creds file here matches: `leafbox service list` shows the services, `leafbox service creds` makes one"
        );
    };
    for name in &written {
        say!("wrote the context {name}");
    }
    if arguments.select {
        let selected = folder.with_file_name("context.txt");
        write_whole(&selected, first.as_bytes(), 0o600)?;
        say!("selected {first}: `nats rtt` uses it");
    } else {
        say!("try: nats --context {first} rtt");
    }
    Ok(())
}

/// The files that `nats` speaks TLS with, by their names in a context.
fn tls_files(session: &Session) -> Result<Vec<(&'static str, PathBuf)>> {
    let Some(tls) = &session.settings.node.nats.tls.client else { return Ok(Vec::new()) };
    let own = tls.own().map(|(cert, key)| [("cert", cert), ("key", key)]);
    let files = std::iter::once(("ca", tls.cert.as_path())).chain(own.into_iter().flatten());
    files.map(|(name, file)| Ok((name, std::path::absolute(session.keys.join(file))?))).collect()
}

/// Where `nats` looks: `$XDG_CONFIG_HOME/nats/context`, else `~/.config/nats/context`.
fn folder() -> Result<PathBuf> {
    let configured = env::var_os("XDG_CONFIG_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = match configured {
        Some(base) => base,
        None => {
            PathBuf::from(env::var_os("HOME").context("neither XDG_CONFIG_HOME nor HOME is set: set one")?)
                .join(".config")
        }
    };
    Ok(base.join("nats").join("context"))
}
