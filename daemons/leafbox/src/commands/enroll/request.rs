//! `leafbox enroll request`: makes the keys of a box and prints what the operator has to approve.

use std::io::{IsTerminal, stdout};

use anyhow::{Context, Result};
use identity::{KeyStore, enrolment::Request, secret_file};
use settings::{NodeRole, Settings};

use super::{device::Device, kind, qr, vault::Vault};
use crate::{cli, contradiction, say};

/// Makes the keys that are missing, and prints the request. Run again, it prints the same.
pub(super) fn run(settings: Settings, arguments: &cli::EnrollRequest) -> Result<()> {
    let (node, nodes) = (&settings.node, &settings.fleet.nodes);
    let (listed, key) = match node.role {
        NodeRole::Leaf => (&nodes.leaves, "leaves"),
        NodeRole::Hub => (&nodes.hub, "hub"),
    };
    if !listed.contains(&node.name) {
        contradiction!(
            "{} does not list {} in `nodes.{key}`, and the operator lets in only what is listed: add it there, \
             and in the same file on the operator's machine",
            settings.fleet_file.display(),
            node.name
        );
    }
    let device = Device::of(settings, &arguments.keys)?;
    let root = device.places.root();
    KeyStore::create(root).with_context(|| format!("cannot use {}: are you root?", root.display()))?;
    let vault = vault(&device, arguments)?;
    let made = device.make_keys(vault)?;
    let request = device.request(vault)?;
    let block = request.armored();
    secret_file::replace(&device.places.request(), block.as_bytes(), 0o600)?;

    say!("{}, {} of the fleet {}, asks to be let in", request.node, kind(request.role), request.fleet);
    match made {
        0 => say!("  its keys were here already, in {}", root.display()),
        _ => say!("  made {made} keys in {}; they stay there", root.display()),
    }
    say!("  {}", device.protection()?);
    say!("");
    say!("{}", block.trim_end());
    say!("");
    if arguments.console || stdout().is_terminal() {
        print_code(&request);
    }
    say!("  fingerprint  {}", request.fingerprint());
    say!("");
    say!("On the operator's machine, with these lines in a file (or what a telephone reads from the code):");
    say!("  leafbox enroll approve FILE");
    say!("and compare the fingerprint there with the one here. Then here, with the answer:");
    say!("  leafbox enroll accept -        and paste it; or name its file instead of -");
    Ok(())
}

/// How secrets are kept: as those that are there, else as asked for, else sealed where systemd
/// opens them again.
fn vault(device: &Device, arguments: &cli::EnrollRequest) -> Result<Vault> {
    let asked = match (arguments.encrypt, arguments.no_encrypt) {
        (true, _) => Some(Vault::Sealed),
        (_, true) => Some(Vault::Plain),
        _ => None,
    };
    let root = device.places.root();
    let usual = if device.places.is_split() { Vault::Sealed } else { Vault::Plain };
    match (device.vault()?, asked) {
        (Some(Vault::Plain), Some(Vault::Sealed)) => contradiction!(
            "the keys in {} are plain files: leave --encrypt out, or move the folder's content away to begin anew",
            root.display()
        ),
        (Some(Vault::Sealed), Some(Vault::Plain)) => contradiction!(
            "the keys in {} are sealed: leave --no-encrypt out, or move the folder's content away to begin anew",
            root.display()
        ),
        (Some(is), _) => Ok(is),
        (None, Some(asked)) => Ok(asked),
        (None, None) => Ok(usual),
    }
}

/// The whole request as a code; where that does not fit, a code to compare the fingerprint by.
fn print_code(request: &Request) {
    let room = if stdout().is_terminal() { terminal_size::terminal_size() } else { None };
    let fits = |code: &qr::Drawn| {
        // A line stays free for the prompt.
        room.is_none_or(|(columns, rows)| {
            code.columns <= usize::from(columns.0) && code.rows() < usize::from(rows.0)
        })
    };
    let coloured = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let whole = qr::draw(&request.qr_text());
    if let Some(code) = whole.as_ref().filter(|code| fits(code)) {
        say!("The same as a code, to scan and mail:");
        say!("");
        say!("{}", code.text(coloured).trim_end_matches('\n'));
        say!("");
        return;
    }
    match whole {
        Some(code) => say!(
            "As a code the request takes {} columns and {} lines, more than there are here; this one is the \
             fingerprint alone, to compare:",
            code.columns,
            code.rows() + 1
        ),
        None => say!("The request is too long for a code; this one is the fingerprint alone, to compare:"),
    }
    let short = format!("LEAFBOX {} {} {}", request.fleet, request.node, request.fingerprint());
    if let Some(code) = qr::draw(&short) {
        say!("");
        say!("{}", code.text(coloured).trim_end_matches('\n'));
        say!("");
    }
}
