//! `leafbox console ca`: a certificate of this node's own.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Result, bail};
use settings::Listen;
use sse_bridge::login::{CaFiles, LocalCa, Origin, Outcome, how_to_install};

use super::origin;
use crate::{say, session::Session};

pub(super) fn run(session: &Session, keys: Option<&Path>, replace: bool) -> Result<()> {
    let origin = origin(session)?;
    let ca = LocalCa::new(&folder(session, keys)?, &origin)?;
    let outcome = ca.ensure(SystemTime::now(), replace)?;
    let files = ca.files();
    let (authority, certificate) = (files.ca.display(), files.cert.display());
    match outcome {
        Outcome::Made => {
            say!("Made the authority {authority}");
            say!("and, by it, the certificate {certificate}.");
        }
        Outcome::Renewed => say!("Made the certificate {certificate} anew; devices trust it already."),
        Outcome::Kept => say!("The certificate {certificate} is good still; nothing was changed."),
    }
    if session.settings.node.console.tls.is_none() {
        say!("");
        say!("Write this into node.toml, and restart the node:");
        say!("");
        for line in settings(session, &origin, files, keys.is_some()) {
            say!("  {line}");
        }
    }
    say!("");
    say!("{}", how_to_install(&files.ca, origin.host()));
    Ok(())
}

/// Where the files go: as said, else where leafbox itself keeps the node's keys.
fn folder(session: &Session, keys: Option<&Path>) -> Result<PathBuf> {
    if let Some(keys) = keys {
        if !keys.is_dir() {
            bail!("{} is no folder: make it first, mode 0700", keys.display());
        }
        return Ok(std::path::absolute(keys)?);
    }
    let own = session.data.root().join("keys");
    if !own.is_dir() {
        bail!(
            "there is no folder {}, since systemd brings this node its keys: say `--keys DIR`, and give the \
             console's unit the files that are made there",
            own.display()
        );
    }
    Ok(own)
}

/// What node.toml lacks for the certificate to be shown.
fn settings(session: &Session, origin: &Origin, files: &CaFiles, is_elsewhere: bool) -> Vec<String> {
    let mut lines = vec!["[console]".to_owned()];
    let listen = session.settings.node.console.listen;
    if listen == Listen::Off || listen.address().is_some_and(|address| address.ip().is_loopback()) {
        let port = origin.url().port_or_known_default().unwrap_or(443);
        lines.push(format!("listen = \"0.0.0.0:{port}\"     # or an address of the network that may come"));
    }
    lines.push(format!("origin = \"{}\"", origin.as_str()));
    let name = |path: &Path| match path.file_name() {
        // The name of a credential.
        Some(name) if !is_elsewhere => PathBuf::from(name),
        _ => path.to_owned(),
    };
    let (cert, key) = (name(&files.cert), name(&files.key));
    lines.push(format!("tls = {{ cert = \"{}\", key = \"{}\" }}", cert.display(), key.display()));
    lines
}
