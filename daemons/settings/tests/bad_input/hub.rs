//! A hub node in its fleet: routes to the other hub nodes, and a listener for the leaves.

use settings::{Facts, Fleet, Node, Severity, validate};

const ROUTES: &str = "[cluster]\nroutes = [\"nats-route://127.0.0.1:6223\"]\n";

/// Where each problem is, and whether it is an error.
fn problems(hub: &[&str], nats: &str) -> Vec<(String, bool)> {
    let mut fleet: Fleet = toml::from_str("name = \"f\"").unwrap();
    fleet.nodes.hub = hub.iter().map(|name| name.parse().unwrap()).collect();
    let node: Node = toml::from_str(&format!("name = \"h-1\"\nrole = \"hub\"\n{nats}\n")).unwrap();
    let problems = validate(&fleet, &node, Facts::default());
    problems.into_iter().map(|problem| (problem.path, problem.severity == Severity::Error)).collect()
}

/// Three hub nodes without routes were three servers alone that shared one JetStream domain.
#[test]
fn hub_nodes_without_routes_are_refused() {
    let three = ["h-1", "h-2", "h-3"];
    let off = format!("nats.route = \"off\"\n{ROUTES}");
    assert_eq!(problems(&three, &off), [("nats.route".to_owned(), true)]);
    assert_eq!(problems(&three, "nats.route = \"off\""), [("nats.route".to_owned(), true)]);
    assert_eq!(problems(&["h-1"], &off), [("nats.route".to_owned(), true)], "routes to nowhere");
    assert_eq!(problems(&three, ROUTES), []);
    assert_eq!(problems(&["h-1"], "nats.route = \"off\""), [], "a hub of one needs none");
}

#[test]
fn hub_nodes_that_know_no_other_or_take_no_leaf_are_warned_of() {
    assert_eq!(problems(&["h-1", "h-2", "h-3"], ""), [("cluster.routes".to_owned(), false)]);
    assert_eq!(problems(&["h-1"], "nats.leaf = \"off\""), [("nats.leaf".to_owned(), false)]);
    assert_eq!(problems(&["h-1"], ""), []);
}
