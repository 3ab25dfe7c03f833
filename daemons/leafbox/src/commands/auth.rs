//! `leafbox auth test`: the declared permissions, tried out on the running server.

use anyhow::{Result, bail};
use identity::{Creds, layout};
use serde::Serialize;
use serde_json::json;
use settings::Name;

use crate::{
    auth_probe::{self, Direction, Probe},
    say,
    session::Session,
    table::Table,
};

#[derive(Debug, Serialize)]
struct Tested {
    account: Name,
    service: Name,
    probes: Vec<Probe>,
    /// Why it could not be tried at all.
    refused: Option<String>,
}

/// Connects as each service, tries each permission both ways, and prints a table.
///
/// # Errors
/// When the server does not do what fleet.toml says.
pub(crate) async fn run(session: &Session, only: Option<&str>, as_json: bool) -> Result<()> {
    session.require_running()?;
    let mut tested = Vec::new();
    let mut without_creds = Vec::new();
    for (account, declared) in &session.settings.fleet.accounts {
        if only.is_some_and(|only| only != account.as_str()) {
            continue;
        }
        let samples = auth_probe::samples(declared);
        let roles = declared.all_roles();
        for service in declared.services.keys() {
            let role = declared.role_of(service).and_then(|name| roles.get(name));
            let path = layout::service_creds(&session.keys, account, service);
            let Some(role) = role.filter(|_| path.exists()) else {
                without_creds.push(format!("{account}/{service}"));
                continue;
            };
            let creds = Creds::read(&path)?.text();
            let target = auth_probe::Target { url: session.client_url()?, tls: session.client_tls() };
            let (probes, refused) = match auth_probe::run(&target, &creds, service, role, &samples).await {
                Ok(probes) => (probes, None),
                Err(error) => (Vec::new(), Some(crate::explain(&error))),
            };
            tested.push(Tested { account: account.clone(), service: service.clone(), probes, refused });
        }
    }
    if tested.is_empty() {
        bail!(
            "there is no service to test: declare one in fleet.toml, or make its creds with `leafbox service creds`"
        );
    }
    let wrong = tested.iter().flat_map(|one| &one.probes).filter(|probe| !probe.holds()).count()
        + tested.iter().filter(|one| one.refused.is_some()).count();
    let tried: usize = tested.iter().map(|one| one.probes.len()).sum();
    if as_json {
        say!(
            "{}",
            serde_json::to_string_pretty(
                &json!({ "ok": wrong == 0, "tried": tried, "services": tested, "without_creds": without_creds })
            )?
        );
    } else {
        print(&tested);
        for name in &without_creds {
            say!("not tested: {name} has no creds file here");
        }
        say!("{tried} permissions tried, {wrong} not as declared");
    }
    if wrong > 0 {
        bail!("the server does not do what fleet.toml says: run `leafbox apply`, then this again");
    }
    Ok(())
}

fn print(tested: &[Tested]) {
    for one in tested {
        if let Some(why) = &one.refused {
            say!("{} {}\n  WRONG: {why}\n", one.account, one.service);
            continue;
        }
        let mut table = Table::new(&["SUBJECT", "PUBLISH", "SUBSCRIBE"]);
        let mut subjects: Vec<&str> = one.probes.iter().map(|probe| probe.subject.as_str()).collect();
        subjects.sort_unstable();
        subjects.dedup();
        for subject in subjects {
            let found = |direction: Direction| {
                one.probes.iter().find(|probe| probe.subject == subject && probe.direction == direction)
            };
            table.row([
                subject.to_owned(),
                word(found(Direction::Publish)),
                word(found(Direction::Subscribe)),
            ]);
        }
        say!("{} {}\n{table}", one.account, one.service);
    }
}

fn word(probe: Option<&Probe>) -> String {
    match probe {
        None => "not tried".to_owned(),
        Some(probe) => {
            let does = if probe.allowed { "allowed" } else { "refused" };
            let mark = if probe.holds() { "" } else { "  WRONG: not as declared" };
            format!("{does}{mark}")
        }
    }
}
