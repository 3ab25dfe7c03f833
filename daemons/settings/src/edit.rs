//! Changes to a fleet file that keep its comments and layout.

use std::path::Path;

use thiserror::Error;
use toml_edit::{Array, DocumentMut, Item, Table, Value};

use crate::{
    fleet::{Fleet, Service},
    load::fleet_of_text,
    names::{Name, Subject},
    problem::Problems,
    suggest::meant_or_list,
};

/// Why a fleet file was not changed.
#[derive(Debug, Error)]
pub enum EditError {
    /// It has mistakes already.
    #[error("the fleet file has mistakes: repair them first\n\n{0}")]
    Before(#[source] Problems),
    /// It would have mistakes afterwards.
    #[error("with this change the fleet file would have mistakes\n\n{0}")]
    After(#[source] Problems),
    /// There is no such account.
    #[error("the fleet has no account `{account}`: {remedy}")]
    NoAccount {
        /// The account that was asked for.
        account: Name,
        /// What to do.
        remedy: String,
    },
    /// The service is declared already.
    #[error(
        "the account `{account}` already has a service `{service}`: change it in the fleet file, or use another name"
    )]
    Duplicate {
        /// The account.
        account: Name,
        /// The service.
        service: Name,
    },
    /// The file is written in a way that this cannot add to.
    #[error("`{path}` is written in a way that cannot be added to: add the table [{path}] by hand")]
    Layout {
        /// The table that was to be added.
        path: String,
    },
}

/// Adds a service to an account, and gives the new text of the fleet file.
///
/// # Errors
/// When the file has mistakes before or after the change, when there is no such account, or when
/// the service exists already. Nothing is written either way.
pub fn add_service(
    fleet_text: &str,
    account: &Name,
    service: &Name,
    declared: &Service,
) -> Result<String, EditError> {
    let file = Path::new("fleet.toml");
    let mut expected = fleet_of_text(file, fleet_text).map_err(EditError::Before)?;
    let layout = || EditError::Layout { path: format!("accounts.{account}.services.{service}") };
    let Some(existing) = expected.accounts.get_mut(account) else {
        return Err(no_account(&expected, account));
    };
    if existing.services.insert(service.clone(), declared.clone()).is_some() {
        return Err(EditError::Duplicate { account: account.clone(), service: service.clone() });
    }
    let mut document: DocumentMut = fleet_text.parse().map_err(|_| layout())?;
    insert(&mut document, account, service, declared).ok_or_else(layout)?;
    let text = document.to_string();
    let result = fleet_of_text(file, &text).map_err(EditError::After)?;
    // The text must mean what was meant, whatever way the file is written in.
    if result == expected { Ok(text) } else { Err(layout()) }
}

fn no_account(fleet: &Fleet, account: &Name) -> EditError {
    let accounts: Vec<&str> = fleet.accounts.keys().map(|name| name.as_str()).collect();
    let remedy = if accounts.is_empty() {
        format!("add the table [accounts.{account}] first")
    } else {
        meant_or_list(account, &accounts, "the accounts are")
    };
    EditError::NoAccount { account: account.clone(), remedy }
}

fn insert(document: &mut DocumentMut, account: &Name, service: &Name, declared: &Service) -> Option<()> {
    let account = document.get_mut("accounts")?.as_table_like_mut()?.get_mut(account)?;
    let is_inline = account.is_inline_table();
    let account = account.as_table_like_mut()?;
    if !account.contains_key("services") {
        let item = if is_inline {
            Item::Value(Value::InlineTable(Default::default()))
        } else {
            let mut services = Table::new();
            services.set_implicit(true);
            Item::Table(services)
        };
        account.insert("services", item);
    }
    let services = account.get_mut("services")?;
    let table = table(declared);
    match services {
        Item::Table(services) if !services.is_dotted() => services.insert(service, Item::Table(table)),
        other => other
            .as_table_like_mut()?
            .insert(service, Item::Value(Value::InlineTable(table.into_inline_table()))),
    };
    Some(())
}

/// The service as a table of the keys that it sets.
fn table(service: &Service) -> Table {
    let mut table = Table::new();
    if let Some(description) = &service.description {
        table.insert("description", toml_edit::value(description));
    }
    if let Some(role) = &service.role {
        table.insert("role", toml_edit::value(role.as_str()));
    }
    for (key, subjects) in [
        ("publish", &service.publish),
        ("publish_deny", &service.publish_deny),
        ("subscribe", &service.subscribe),
        ("subscribe_deny", &service.subscribe_deny),
    ] {
        if !subjects.is_empty() {
            table.insert(key, toml_edit::value(Array::from_iter(subjects.iter().map(Subject::as_str))));
        }
    }
    if let Some(responses) = &service.responses {
        let mut inline = toml_edit::InlineTable::new();
        inline.insert("max", i64::from(responses.max).into());
        inline.insert("expires", responses.expires.to_string().into());
        table.insert("responses", toml_edit::value(inline));
    }
    table
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const FLEET: &str = "# The school.\nname = \"school\"\n\n[accounts.SCHOOL.services.teacher] # first\npublish = [\"teacher.*\"]\n\n[accounts.SCHOOL.streams.EVENTS]\nsubjects = [\"events.>\"] # all of them\n";

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn service(publish: &str) -> Service {
        Service { publish: vec![publish.parse().unwrap()], ..Service::default() }
    }

    #[test]
    fn a_service_is_added_beside_the_others_and_nothing_else_changes() {
        let text = add_service(FLEET, &name("SCHOOL"), &name("user"), &service("user.*")).unwrap();
        let expected = FLEET.replace(
            "\n[accounts.SCHOOL.streams.EVENTS]",
            "\n[accounts.SCHOOL.services.user]\npublish = [\"user.*\"]\n\n[accounts.SCHOOL.streams.EVENTS]",
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn an_account_without_services_gets_its_first() {
        for fleet in [
            "name = \"f\"\n\n[accounts.A]\ndescription = \"a\" # why\n",
            "name = \"f\"\naccounts.A = { description = \"a\" }\n",
            "name = \"f\"\naccounts = { A = {} }\n",
            "name = \"f\"\n[accounts]\nA.description = \"a\"\n",
            "name = \"f\"\n[accounts.A]\nservices.b.publish = [\"b\"]\n",
        ] {
            let text = add_service(fleet, &name("A"), &name("s"), &service("x")).unwrap();
            assert!(text.contains("\"x\"") && text.contains("name = \"f\""), "{text}");
        }
    }

    #[test]
    fn what_exists_or_would_be_wrong_is_refused() {
        let again = add_service(FLEET, &name("SCHOOL"), &name("teacher"), &service("x"));
        assert!(matches!(again, Err(EditError::Duplicate { .. })));
        let nowhere = add_service(FLEET, &name("SCHOOl"), &name("x"), &service("x")).unwrap_err();
        assert!(nowhere.to_string().contains("did you mean `SCHOOL`?"), "{nowhere}");
        let empty = add_service(FLEET, &name("SCHOOL"), &name("x"), &Service::default()).unwrap_err();
        assert!(matches!(empty, EditError::After(_)) && empty.to_string().contains("services.x"), "{empty}");
        let broken = add_service("nam = \"f\"", &name("A"), &name("x"), &service("x")).unwrap_err();
        assert!(matches!(broken, EditError::Before(_)) && broken.to_string().contains("`name`"), "{broken}");
    }
}
