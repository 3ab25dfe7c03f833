//! Imports, and the leave that a private export gives each of its importers.
//!
//! An activation is taken over from the previous set while it holds, so that signing twice gives
//! the same bytes. An account that loses its leave also loses what it was given: the activation
//! that it may still carry is revoked.

use std::collections::BTreeMap;

use settings::{
    Account, Name,
    fleet::{Export, ExportKind, Import},
};

use crate::{
    claims::{AccountBody, ActivationBody, Claims, ExportClaim, ImportClaim, Other},
    declared,
    jwt_set::JwtSet,
    nkey::SecretKey,
};

/// Why an import cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum ActivationError {
    /// Nothing of the sort is exported.
    #[error("the account {importer} imports the {} {subject} from {exporter}, which does not export it: add it to `accounts.{exporter}.exports`, or take the import out", word(*kind))]
    NotExported {
        /// Who imports.
        importer: Name,
        /// From whom.
        exporter: Name,
        /// What.
        subject: String,
        /// How.
        kind: ExportKind,
    },
    /// It is exported, but not to this account.
    #[error("the account {importer} imports the {} {subject} from {exporter}, which exports it to others only: add \"{importer}\" to the export's `to`, or take the import out", word(*kind))]
    NotFor {
        /// Who imports.
        importer: Name,
        /// From whom.
        exporter: Name,
        /// What.
        subject: String,
        /// How.
        kind: ExportKind,
    },
}

pub(crate) fn word(kind: ExportKind) -> &'static str {
    match kind {
        ExportKind::Stream => "stream",
        ExportKind::Service => "service",
    }
}

/// What imports are made from.
pub(crate) struct Context<'a> {
    /// Every account that is declared.
    pub(crate) declared: &'a BTreeMap<Name, Account>,
    /// Its key.
    pub(crate) keys: &'a BTreeMap<Name, SecretKey>,
    /// The signed set before.
    pub(crate) previous: Option<&'a JwtSet>,
    /// The date of new activations, in seconds since 1970.
    pub(crate) now: i64,
}

impl Context<'_> {
    /// Puts the imports into `bodies`, and the revocations into the exports.
    pub(crate) fn activate(&self, bodies: &mut BTreeMap<Name, AccountBody>) -> Result<(), ActivationError> {
        for (name, account) in self.declared {
            let body = bodies.get_mut(name).expect("every declared account has a body");
            for claim in &mut body.exports {
                let export = account.exports.iter().find(|export| same(claim, export));
                self.withdraw(claim, export.expect("the claim was made from an export"), name);
            }
        }
        for (name, account) in self.declared {
            let imports = account.imports.iter().map(|import| self.import(name, import, bodies));
            let mut imports = imports.collect::<Result<Vec<_>, _>>()?;
            imports.sort_by(|one, two| order(one).cmp(&order(two)));
            bodies.get_mut(name).expect("every declared account has a body").imports = imports;
        }
        Ok(())
    }

    /// Carries the revocations of an export on, and adds those of accounts that lost their leave.
    fn withdraw(&self, claim: &mut ExportClaim, export: &Export, exporter: &Name) {
        let Some(previous) = self.previous else { return };
        let exporter_key = self.keys[exporter].public_key();
        if let Some(before) = previous.accounts.get(exporter) {
            let same = |old: &&ExportClaim| old.kind == claim.kind && old.subject == claim.subject;
            if let Some(old) = before.claims().nats.exports.iter().find(same) {
                claim.revocations = old.revocations.clone();
            }
        }
        if export.to.is_empty() {
            return;
        }
        for account in
            previous.accounts.iter().filter(|(name, _)| !export.to.contains(name)).map(|(_, jwt)| jwt)
        {
            let given = account.claims().nats.imports.iter().filter(|import| import.account == exporter_key);
            for activation in given.filter_map(|import| Claims::<ActivationBody>::decode(&import.token).ok())
            {
                let body = &activation.nats;
                let about = body.export == export.kind && body.subject == export.subject.as_str();
                if about && !is_revoked(claim, &activation) {
                    claim.revocations.insert(account.public_key.clone(), self.now.max(activation.issued_at));
                }
            }
        }
    }

    fn import(
        &self,
        name: &Name,
        import: &Import,
        bodies: &BTreeMap<Name, AccountBody>,
    ) -> Result<ImportClaim, ActivationError> {
        let (importer, exporter) = (name.clone(), import.from.clone());
        let (subject, kind) = (import.subject.to_string(), import.kind);
        let offered =
            self.declared.get(&import.from).map(|account| account.exports.as_slice()).unwrap_or_default();
        let Some(export) = offered.iter().find(|export| declared::covers(export, import)) else {
            return Err(ActivationError::NotExported { importer, exporter, subject, kind });
        };
        let token = if export.to.is_empty() {
            String::new()
        } else if export.to.contains(name) {
            let offer = bodies[&import.from].exports.iter().find(|claim| same(claim, export));
            self.activation(offer.expect("every export has a claim"), name, &import.from)
        } else {
            return Err(ActivationError::NotFor { importer, exporter, subject, kind });
        };
        Ok(ImportClaim {
            name: String::new(),
            subject,
            account: self.keys[&import.from].public_key(),
            token,
            local_subject: import.local.as_ref().map(ToString::to_string).unwrap_or_default(),
            kind,
            // The server refuses a whole account over a stream import that shares.
            share: import.share && kind == ExportKind::Service,
            other: Other::new(),
        })
    }

    /// The activation that the importer has already, or a new one.
    fn activation(&self, export: &ExportClaim, importer: &Name, exporter: &Name) -> String {
        let (importer_key, exporter_key) =
            (self.keys[importer].public_key(), self.keys[exporter].public_key());
        let body = ActivationBody::new(&export.subject, export.kind);
        let mut wanted = Claims::new(importer_key.clone(), "", body);
        let before = self.previous.and_then(|set| set.accounts.get(importer));
        let imports = before.iter().flat_map(|account| &account.claims().nats.imports);
        for import in imports.filter(|import| import.account == exporter_key) {
            if let Ok(held) = Claims::<ActivationBody>::decode(&import.token)
                && held.issuer == exporter_key
                && held.says_the_same_as(&wanted)
                && !is_revoked(export, &held)
            {
                return import.token.clone();
            }
        }
        // A revocation covers its own second, so leave given again is dated after it.
        let revoked_until = revoked_until(export, &importer_key);
        let issued_at = revoked_until.map_or(self.now, |until| self.now.max(until + 1));
        wanted.sign(&self.keys[exporter], issued_at)
    }
}

fn order(import: &ImportClaim) -> (&str, &str, &str) {
    (&import.subject, &import.account, &import.local_subject)
}

fn same(claim: &ExportClaim, export: &Export) -> bool {
    claim.kind == export.kind && claim.subject == export.subject.as_str()
}

fn is_revoked(export: &ExportClaim, activation: &Claims<ActivationBody>) -> bool {
    revoked_until(export, &activation.subject).is_some_and(|at| at >= activation.issued_at)
}

fn revoked_until(export: &ExportClaim, importer_key: &str) -> Option<i64> {
    export.revocations.get(importer_key).max(export.revocations.get("*")).copied()
}
