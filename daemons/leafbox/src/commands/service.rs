//! `leafbox service`: list, add, creds.

use std::{fs, time::SystemTime};

use anyhow::{Context, Result, bail};
use identity::{KeyStore, Ledger, layout};
use serde_json::json;
use settings::{Name, Subject, fleet::Service};

use crate::{
    cli::{self, Global},
    converge,
    data::write_whole,
    say,
    session::Session,
    table::Table,
};

/// Carries out one of the subcommands.
pub(crate) async fn run(session: &Session, global: &Global, command: &cli::Service) -> Result<()> {
    match command {
        cli::Service::List { json } => list(session, *json),
        cli::Service::Creds { account, name } => creds(session, account, name),
        cli::Service::Add { account, name, role, publish, subscribe, description } => {
            let declared = Service {
                description: description.clone(),
                role: role.as_deref().map(parse_name).transpose()?,
                publish: subjects(publish)?,
                subscribe: subjects(subscribe)?,
                ..Service::default()
            };
            add(session, global, account, name, &declared).await
        }
    }
}

fn list(session: &Session, as_json: bool) -> Result<()> {
    let mut table = Table::new(&["ACCOUNT", "SERVICE", "ROLE", "PUBLISH", "SUBSCRIBE", "CREDS"]);
    let mut listed = Vec::new();
    for (account, declared) in &session.settings.fleet.accounts {
        let roles = declared.all_roles();
        for service in declared.services.keys() {
            let Some((role_name, role)) =
                declared.role_of(service).and_then(|name| Some((name, roles.get(name)?)))
            else {
                continue;
            };
            let creds = layout::service_creds(&session.keys, account, service);
            let has_creds = creds.exists();
            table.row([
                account.to_string(),
                service.to_string(),
                role_name.to_string(),
                joined(&role.publish, &role.publish_deny),
                joined(&role.subscribe, &role.subscribe_deny),
                if has_creds { "here".to_owned() } else { "none".to_owned() },
            ]);
            listed.push(json!({
                "account": account,
                "service": service,
                "role": role_name,
                "permissions": role,
                "creds": has_creds.then_some(creds),
            }));
        }
    }
    if as_json {
        say!("{}", serde_json::to_string_pretty(&listed)?);
    } else if table.is_empty() {
        say!("no service is declared: `leafbox service add ACCOUNT NAME --publish SUBJECT` adds one");
    } else {
        say!("{}", table.to_string().trim_end());
    }
    Ok(())
}

/// Subjects, those taken out marked with `!`.
fn joined(allow: &[Subject], deny: &[Subject]) -> String {
    if allow.is_empty() {
        return "nothing".to_owned();
    }
    let denied = deny.iter().map(|subject| format!("!{subject}"));
    allow.iter().map(ToString::to_string).chain(denied).collect::<Vec<_>>().join(" ")
}

fn creds(session: &Session, account: &str, name: &str) -> Result<()> {
    let (account, name) = (parse_name(account)?, parse_name(name)?);
    let declared =
        session.settings.fleet.accounts.get(&account).and_then(|declared| declared.services.get(&name));
    if declared.is_none() {
        bail!(
            "fleet.toml declares no service {name} in {account}: `leafbox service list` shows all, `leafbox service add` adds one"
        );
    }
    let path = layout::service_creds(&session.keys, &account, &name);
    if !path.exists() {
        let keys = KeyStore::open(&session.keys)?;
        if !keys.has_operator() {
            bail!(
                "{} is not there, and this machine has no operator keys to make it: get it from the operator",
                path.display()
            );
        }
        make_keys(session, &keys)?;
    }
    identity::Creds::read(&path)?;
    say!("{}", path.display());
    Ok(())
}

/// Makes the keys and creds that the fleet needs and that are missing, and signs what that changes.
fn make_keys(session: &Session, keys: &KeyStore) -> Result<()> {
    let fleet = &session.settings.fleet;
    let (folder, now) = (session.settings.jwts_dir(), SystemTime::now());
    identity::ensure_fleet_keys(keys, fleet, now)?;
    Ledger::new(keys, &folder).sign(now, |previous| identity::sign(keys, fleet, previous, now))?;
    Ok(())
}

async fn add(
    session: &Session,
    global: &Global,
    account: &str,
    name: &str,
    declared: &Service,
) -> Result<()> {
    let (account, name) = (parse_name(account)?, parse_name(name)?);
    let file = session.settings.base.join(&session.settings.node.fleet);
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let edited = settings::edit::add_service(&text, &account, &name, declared)?;
    write_whole(&file, edited.as_bytes(), 0o644)?;
    say!("added {name} to {account} in {}", file.display());
    // The file as it is now, with everything that only both files together show.
    let session =
        Session::open(global).context("the service is in the file, which is not right as a whole")?;
    if session.require_running().is_err() {
        say!("no node runs: the next `leafbox dev` applies it");
        return Ok(());
    }
    let plan = converge::plan(&session).await?;
    super::plan::print(&plan);
    if !plan.is_empty() {
        say!("`leafbox apply` makes it so, `leafbox service creds {account} {name}` prints its creds file");
    }
    Ok(())
}

fn parse_name(text: &str) -> Result<Name> {
    text.parse().map_err(anyhow::Error::msg)
}

fn subjects(texts: &[String]) -> Result<Vec<Subject>> {
    texts.iter().map(|text| text.parse().map_err(anyhow::Error::msg)).collect()
}
