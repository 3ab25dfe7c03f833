//! What is wrong with two files that read well: names that clash, subjects that overlap, limits
//! that cannot hold.
//!
//! Everything here is pure: what the machine is like comes in as [`Facts`]. Where nats-server would
//! refuse the same thing later, its rule is the one followed (`checkStreamCfg`, `checkConsumerCfg`,
//! and the validation of its JWT library).

use std::collections::BTreeSet;

use crate::{
    fleet::{Account, Fleet},
    names::Name,
    node::Node,
    path::KeyPath,
    problem::{Problem, Severity},
    schema::File,
    units::ByteSize,
};

mod borrowed;
mod buckets;
mod capacity;
mod console;
mod consumers;
mod exchange;
mod links;
mod listeners;
mod machine;
mod naming;
mod origins;
mod overlap;
mod permissions;
mod registry;
mod streams;
mod together;
mod transforms;
mod travel;

/// What the checks cannot read in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The size of the disk that the data folder is on; limits are not compared with it when
    /// unknown.
    pub disk: Option<ByteSize>,
}

/// Everything wrong with two files that are already typed; problems have no line.
pub fn validate(fleet: &Fleet, node: &Node, facts: Facts) -> Vec<Problem> {
    let mut findings = of_fleet(fleet, &BTreeSet::new());
    findings.extend(of_node(node, facts));
    findings.extend(of_both(fleet, node, facts));
    findings
        .into_iter()
        .map(|finding| Problem {
            file: finding.file.name().to_owned(),
            line: None,
            path: finding.path.to_string(),
            found: None,
            message: finding.message,
            remedy: finding.remedy,
            severity: finding.severity,
        })
        .collect()
}

/// A problem before it has a line.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) file: File,
    pub(crate) path: KeyPath,
    pub(crate) severity: Severity,
    pub(crate) message: String,
    pub(crate) remedy: String,
}

/// Collects what is found in one file.
struct Findings {
    file: File,
    list: Vec<Finding>,
}

impl Findings {
    fn new(file: File) -> Self {
        Self { file, list: Vec::new() }
    }

    fn error(&mut self, path: KeyPath, message: impl Into<String>, remedy: impl Into<String>) {
        self.add(path, Severity::Error, message.into(), remedy.into());
    }

    fn warn(&mut self, path: KeyPath, message: impl Into<String>, remedy: impl Into<String>) {
        self.add(path, Severity::Warning, message.into(), remedy.into());
    }

    fn add(&mut self, path: KeyPath, severity: Severity, message: String, remedy: String) {
        self.list.push(Finding { file: self.file, path, severity, message, remedy });
    }
}

/// One account of a fleet under check.
struct Tenant<'f> {
    fleet: &'f Fleet,
    name: &'f Name,
    account: &'f Account,
    path: KeyPath,
}

/// What is wrong within `fleet.toml`. What the `broken` accounts lack is not held against others.
pub(crate) fn of_fleet(fleet: &Fleet, broken: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Findings::new(File::Fleet);
    naming::fleet(fleet, &mut findings);
    travel::hub_and_leaves(fleet, &mut findings);
    let exports = exchange::OpenExports::of(fleet);
    for (name, account) in &fleet.accounts {
        let tenant = Tenant { fleet, name, account, path: KeyPath::of(["accounts", name.as_str()]) };
        naming::account(&tenant, &mut findings);
        permissions::check(&tenant, &mut findings);
        exchange::check(&tenant, broken, &mut findings);
        borrowed::check(&tenant, &exports, &mut findings);
        streams::check(&tenant, &mut findings);
        buckets::check(&tenant, &mut findings);
        overlap::check(&tenant, &mut findings);
        capacity::account(&tenant, &mut findings);
    }
    exchange::cycles(fleet, &mut findings);
    registry::check(&fleet.registry, &mut findings);
    findings.list
}

/// What is wrong within `node.toml`.
pub(crate) fn of_node(node: &Node, facts: Facts) -> Vec<Finding> {
    let mut findings = Findings::new(File::Node);
    machine::check(node, facts, &mut findings);
    listeners::check(node, &mut findings);
    links::check(node, &mut findings);
    findings.list
}

/// What is wrong with this node in this fleet.
pub(crate) fn of_both(fleet: &Fleet, node: &Node, facts: Facts) -> Vec<Finding> {
    let mut findings = together::check(fleet, node);
    findings.extend(capacity::node(fleet, node, facts));
    findings
}
