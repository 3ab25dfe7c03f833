//! Permissions for a subject that belongs to another account: without an import the subject of
//! the same name in one's own account is silent, and nothing says why.

use super::{
    Findings, Tenant,
    exchange::{OpenExports, is_open_to, local, word},
};
use crate::{
    fleet::{ExportKind, Role},
    names::Subject,
    path::KeyPath,
};

/// A role or service, and where it stands.
struct Holder<'a> {
    publish: &'a [Subject],
    subscribe: &'a [Subject],
    path: KeyPath,
}

pub(super) fn check(tenant: &Tenant<'_>, exports: &OpenExports<'_>, findings: &mut Findings) {
    let account = tenant.account;
    let roles = account.roles.iter().map(|(name, Role { publish, subscribe, .. })| Holder {
        publish,
        subscribe,
        path: tenant.path.key("roles").key(name),
    });
    let services = account.services.iter().map(|(name, service)| Holder {
        publish: &service.publish,
        subscribe: &service.subscribe,
        path: tenant.path.key("services").key(name),
    });
    let holders: Vec<Holder<'_>> = roles.chain(services).collect();
    for holder in &holders {
        for (index, subject) in holder.publish.iter().enumerate() {
            let answered = || holders.iter().any(|other| any_overlap(other.subscribe, subject));
            check_one(
                tenant,
                exports,
                ExportKind::Service,
                subject,
                answered,
                || holder.path.key("publish").index(index),
                findings,
            );
        }
        for (index, subject) in holder.subscribe.iter().enumerate() {
            let fed = || holders.iter().any(|other| any_overlap(other.publish, subject));
            check_one(
                tenant,
                exports,
                ExportKind::Stream,
                subject,
                fed,
                || holder.path.key("subscribe").index(index),
                findings,
            );
        }
    }
}

fn any_overlap(subjects: &[Subject], subject: &Subject) -> bool {
    subjects.iter().any(|other| other.overlaps(subject))
}

fn check_one(
    tenant: &Tenant<'_>,
    exports: &OpenExports<'_>,
    kind: ExportKind,
    subject: &Subject,
    is_used_here: impl Fn() -> bool,
    path: impl Fn() -> KeyPath,
    findings: &mut Findings,
) {
    let owner = exports.covering(subject).find(|(owner, export)| {
        *owner != tenant.name && export.kind == kind && is_open_to(export, tenant.name)
    });
    let Some((owner, _)) = owner else { return };
    if is_used_here() || is_own(tenant, subject) {
        return;
    }
    findings.error(
        path(),
        format!(
            "`{subject}` is a {} of the account `{owner}`, which this account does not import",
            word(kind)
        ),
        format!(
            "add [[{}.imports]] with from = \"{owner}\", subject = \"{subject}\" and kind = \"{}\"",
            tenant.path,
            word(kind)
        ),
    );
}

/// Whether the account imports, exports or stores the subject.
fn is_own(tenant: &Tenant<'_>, subject: &Subject) -> bool {
    let account = tenant.account;
    account.imports.iter().any(|import| local(import).overlaps(subject))
        || account.exports.iter().any(|export| export.subject.overlaps(subject))
        || account
            .streams
            .values()
            .flat_map(|stream| &stream.subjects)
            .any(|captured| subject.overlaps(&captured.replace("{node}", "*")))
}
