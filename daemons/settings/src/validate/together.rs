//! This node's place in the fleet.

use super::{Finding, Findings, travel::any_up};
use crate::{
    fleet::Fleet,
    node::{Node, NodeRole},
    path::KeyPath,
    schema::File,
    units::Listen,
};

pub(super) fn check(fleet: &Fleet, node: &Node) -> Vec<Finding> {
    let mut findings = Findings::new(File::Node);
    let in_hub = fleet.nodes.hub.contains(&node.name);
    let in_leaves = fleet.nodes.leaves.contains(&node.name);
    let name = &node.name;
    match node.role {
        NodeRole::Hub if !in_hub => findings.error(
            KeyPath::of(["name"]),
            format!("the fleet does not list `{name}` in `nodes.hub`"),
            format!("add \"{name}\" to `nodes.hub` in the fleet file, or write role = \"leaf\""),
        ),
        NodeRole::Leaf if in_hub => findings.error(
            KeyPath::of(["role"]),
            format!("the fleet lists `{name}` in `nodes.hub`, and here it is a leaf"),
            "write role = \"hub\", or move the name to `nodes.leaves`",
        ),
        NodeRole::Leaf if !in_leaves && any_up(fleet) => findings.warn(
            KeyPath::of(["name"]),
            format!(
                "the fleet does not list `{name}` in `nodes.leaves`, so the hub will not take its stores"
            ),
            format!("add \"{name}\" to `nodes.leaves` in the fleet file"),
        ),
        _ => {}
    }
    if node.role == NodeRole::Hub {
        hub(fleet, node, &mut findings);
    }
    payload(fleet, node, &mut findings);
    findings.list
}

/// A hub node meets the other hub nodes by routes, and its leaves by its leaf listener.
fn hub(fleet: &Fleet, node: &Node, findings: &mut Findings) {
    let count = fleet.nodes.hub.len();
    if fleet.is_clustered(node) && node.nats.route == Listen::Off {
        findings.error(
            KeyPath::of(["nats", "route"]),
            "without routes this hub node is a hub of its own, with stores of the same names",
            "write the address that the other hub nodes reach, such as \"[::]:6222\"",
        );
    } else if count > 1 && node.cluster.routes.is_empty() {
        findings.warn(
            KeyPath::of(["cluster", "routes"]),
            format!("the hub has {count} nodes, and this one knows no other"),
            "add cluster.routes = [\"nats-route://hub-2.example.net:6222\"], unless all others name this one",
        );
    }
    if node.nats.leaf == Listen::Off {
        findings.warn(
            KeyPath::of(["nats", "leaf"]),
            "no leaf can join the hub through this node",
            "write an address such as \"[::]:7422\", unless the leaves join other hub nodes",
        );
    }
}

fn payload(fleet: &Fleet, node: &Node, findings: &mut Findings) {
    let most = fleet.accounts.values().filter_map(|account| account.limits.payload).max();
    if let Some(most) = most.filter(|most| *most > node.nats.max_payload) {
        findings.warn(
            KeyPath::of(["nats", "max_payload"]),
            format!("an account of the fleet allows messages of {most}, and this node refuses them"),
            format!("write \"{most}\", or lower `limits.payload` of the account"),
        );
    }
}
