//! The two files as one node sees them, with its paths made absolute.

use std::path::PathBuf;

use crate::{
    fleet::Fleet,
    node::{Node, NodeRole},
    travel,
};

/// Both files, read and found right.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// This machine.
    pub node: Node,
    /// What exists everywhere.
    pub fleet: Fleet,
    /// The folder that holds `node.toml`, absolute: paths in it are relative to this.
    pub base: PathBuf,
    /// The path of `node.toml`, as it was given.
    pub node_file: PathBuf,
    /// The path of `fleet.toml`, as it was found.
    pub fleet_file: PathBuf,
}

impl Settings {
    /// The JetStream domain of this node: `hub` on the hub, the node's name on a leaf.
    pub fn domain(&self) -> &str {
        travel::domain(&self.node)
    }

    /// The folder that holds all state, absolute.
    pub fn data_dir(&self) -> PathBuf {
        self.base.join(&self.node.data)
    }

    /// The folder of signed account JWTs, absolute.
    pub fn jwts_dir(&self) -> PathBuf {
        match &self.node.jwts {
            Some(folder) => self.base.join(folder),
            None => self.data_dir().join("jwts"),
        }
    }

    /// The nats-server program, when `node.toml` names one: a bare name is for PATH, anything else
    /// is absolute.
    pub fn nats_server(&self) -> Option<PathBuf> {
        let program = self.node.nats_server.as_ref()?;
        Some(if program.components().count() > 1 { self.base.join(program) } else { program.clone() })
    }

    /// Whether this node's JetStream is that of a cluster.
    pub fn is_clustered(&self) -> bool {
        self.fleet.is_clustered(&self.node)
    }
}

impl Fleet {
    /// Whether a node is one of several hub nodes: only then does nats-server run clustered.
    pub fn is_clustered(&self, node: &Node) -> bool {
        node.role == NodeRole::Hub && (self.nodes.hub.len() > 1 || !node.cluster.routes.is_empty())
    }

    /// The copies that a store has on a node: one on a leaf; on the hub as many as declared, else
    /// three or as many as the hub has, made odd; never more than the hub has.
    pub fn replicas(&self, declared: Option<u8>, node: &Node) -> u8 {
        match node.role {
            NodeRole::Leaf => 1,
            NodeRole::Hub => self.hub_replicas(declared),
        }
    }

    pub(crate) fn hub_replicas(&self, declared: Option<u8>) -> u8 {
        let nodes = u8::try_from(self.nodes.hub.len()).unwrap_or(u8::MAX).max(1);
        let odd = |count: u8| if count.is_multiple_of(2) { count - 1 } else { count };
        declared.unwrap_or_else(|| odd(nodes.min(3))).clamp(1, nodes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn settings(node: &str, hub: &[&str]) -> Settings {
        let mut fleet: Fleet = toml::from_str("name = \"f\"").unwrap();
        fleet.nodes.hub = hub.iter().map(|name| name.parse().unwrap()).collect();
        Settings {
            node: toml::from_str(node).unwrap(),
            fleet,
            base: "/etc/leafbox".into(),
            node_file: "node.toml".into(),
            fleet_file: "fleet.toml".into(),
        }
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let near = settings("name = \"a\"\nnats_server = \"bin/nats-server\"", &[]);
        assert_eq!(near.data_dir(), PathBuf::from("/etc/leafbox/.data"));
        assert_eq!(near.jwts_dir(), PathBuf::from("/etc/leafbox/.data/jwts"));
        assert_eq!(near.nats_server(), Some("/etc/leafbox/bin/nats-server".into()));
        let far = settings(
            "name = \"a\"\ndata = \"/var/lib/x\"\njwts = \"jwts\"\nnats_server = \"nats-server\"",
            &[],
        );
        assert_eq!(far.data_dir(), PathBuf::from("/var/lib/x"));
        assert_eq!(far.jwts_dir(), PathBuf::from("/etc/leafbox/jwts"));
        assert_eq!(far.nats_server(), Some("nats-server".into()), "left to PATH");
    }

    #[test]
    fn a_hub_replicates_and_a_leaf_does_not() {
        let leaf = settings("name = \"shop-1\"", &["a", "b", "c"]);
        assert_eq!((leaf.domain(), leaf.is_clustered()), ("shop-1", false));
        assert_eq!(leaf.fleet.replicas(Some(3), &leaf.node), 1);
        for (hub, declared, expected) in
            [(1, None, 1), (2, None, 1), (3, None, 3), (5, None, 3), (5, Some(5), 5), (1, Some(3), 1)]
        {
            let names = &["a", "b", "c", "d", "e"][..hub];
            let node = settings("name = \"a\"\nrole = \"hub\"", names);
            assert_eq!(node.fleet.replicas(declared, &node.node), expected, "{hub} {declared:?}");
            assert_eq!((node.domain(), node.is_clustered()), ("hub", hub > 1));
        }
    }
}
