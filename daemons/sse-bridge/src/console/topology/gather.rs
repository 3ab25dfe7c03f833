//! What all servers say of their links and copies, put together: a link is told by both of its ends,
//! and is one here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::console::{
    figures,
    guard::StreamName,
    servers::{
        AskError, Count, Endpoint, Gatewayz, Jsz, JszStream, Leafz, Link, Routez, Said, Servers,
        StreamSource, millis,
    },
};

/// The servers and what is between them.
#[derive(Debug, Default)]
pub(super) struct Topology {
    /// When it was so.
    pub(super) at: String,
    /// Why something is missing.
    pub(super) failed: Vec<String>,
    /// By name.
    pub(super) servers: BTreeMap<String, Server>,
    pub(super) edges: Vec<Edge>,
    pub(super) copies: Vec<Copies>,
}

/// A server, or a cluster behind a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Server {
    /// Its id, if it was heard.
    pub(super) id: Option<String>,
    /// Whether it answers.
    pub(super) answers: bool,
}

/// What a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Route,
    Leaf,
    Gateway,
}

/// A link between two servers: for a leaf, from the leaf to its hub.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Edge {
    pub(super) kind: Kind,
    pub(super) from: String,
    pub(super) to: String,
    /// The accounts that it is for, where it is for some alone.
    pub(super) accounts: BTreeSet<String>,
    /// Connections that it is made of.
    pub(super) connections: usize,
    /// The shortest round trip, ms.
    pub(super) rtt: Option<f64>,
    /// Bytes that wait to be sent.
    pub(super) pending: Count,
    /// Messages both ways, as one end counts them.
    pub(super) messages: Count,
}

/// A stream that is a copy of another, or that has copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Copies {
    pub(super) account: String,
    pub(super) stream: String,
    pub(super) server: String,
    /// What it is to the stream.
    pub(super) of: String,
    pub(super) lag: Count,
    /// Nanoseconds since something was heard; negative for never.
    pub(super) active: i64,
    /// What is wrong.
    pub(super) wrong: Option<String>,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Leaf => "leaf",
            Self::Gateway => "gateway",
        }
    }
}

impl Topology {
    pub(super) async fn gather(servers: &Servers) -> Self {
        let mut topology = Self { at: figures::now(), ..Self::default() };
        if let Err(error) = topology.ask(servers).await {
            topology.failed.push(error.to_string());
        }
        topology
    }

    async fn ask(&mut self, servers: &Servers) -> Result<(), AskError> {
        let none = json!({});
        let streams = json!({ "accounts": true, "streams": true });
        let (routes, leafs, gateways, streams) = tokio::join!(
            servers.read_all::<Routez>(Endpoint::Routez, &none),
            servers.read_all::<Leafz>(Endpoint::Leafz, &none),
            servers.read_all::<Gatewayz>(Endpoint::Gatewayz, &none),
            servers.read_all::<Jsz>(Endpoint::Jsz, &streams),
        );
        for Said { server, said } in routes? {
            let known = self.servers.entry(server.name.clone()).or_default();
            known.id = Some(server.id);
            known.answers |= said.is_ok();
            match said {
                Ok(routez) => routez.routes.into_iter().for_each(|link| self.route(&server.name, link)),
                Err(error) => self.failed.push(error.to_string()),
            }
        }
        for Said { server, said } in leafs? {
            for mut link in said.map(|leafz| leafz.leafs).unwrap_or_default() {
                link.account = servers.account_name(&link.account).await;
                self.leaf(&server.name, link);
            }
        }
        for Said { server, said } in gateways? {
            for (name, remote) in said.map(|gatewayz| gatewayz.outbound_gateways).unwrap_or_default() {
                let info = remote.connection.unwrap_or_default();
                let link = Link { rtt: info.rtt, pending: info.pending_bytes, ..Link::default() };
                self.edge(Kind::Gateway, &server.name, &format!("cluster {name}"), link);
            }
        }
        for Said { server, said } in streams? {
            for account in said.map(|jsz| jsz.account_details).unwrap_or_default() {
                let name = servers.account_name(&account.name).await;
                account.stream_detail.iter().for_each(|stream| self.copies_of(&name, &server.name, stream));
            }
        }
        self.copies.sort_by(|a, b| {
            (a.wrong.is_none(), b.lag, &a.account, &a.stream).cmp(&(
                b.wrong.is_none(),
                a.lag,
                &b.account,
                &b.stream,
            ))
        });
        Ok(())
    }

    fn route(&mut self, server: &str, link: Link) {
        // Both ends tell of it.
        let remote = link.name.clone();
        let (from, to) = if server < remote.as_str() { (server, &*remote) } else { (&*remote, server) };
        self.edge(Kind::Route, from, to, Link { account: String::new(), ..link });
    }

    fn leaf(&mut self, server: &str, link: Link) {
        let remote = link.name.clone();
        let (from, to) = if link.is_spoke { (server, &*remote) } else { (&*remote, server) };
        self.edge(Kind::Leaf, from, to, link);
    }

    fn edge(&mut self, kind: Kind, from: &str, to: &str, link: Link) {
        for end in [from, to] {
            self.servers.entry(end.to_owned()).or_default();
        }
        let rtt = millis(&link.rtt);
        let known =
            self.edges.iter_mut().find(|edge| (edge.kind, &*edge.from, &*edge.to) == (kind, from, to));
        let Some(edge) = known else {
            self.edges.push(Edge {
                kind,
                from: from.to_owned(),
                to: to.to_owned(),
                accounts: Some(link.account).filter(|account| !account.is_empty()).into_iter().collect(),
                connections: 1,
                rtt,
                pending: link.pending,
                messages: link.in_msgs + link.out_msgs,
            });
            return;
        };
        edge.rtt = match (edge.rtt, rtt) {
            (Some(known), Some(rtt)) => Some(known.min(rtt)),
            (known, rtt) => known.or(rtt),
        };
        edge.pending = edge.pending.max(link.pending);
        let is_new = link.account.is_empty() || edge.accounts.insert(link.account);
        if is_new {
            edge.connections += 1;
            edge.messages += link.in_msgs + link.out_msgs;
        }
    }

    fn copies_of(&mut self, account: &str, server: &str, stream: &JszStream) {
        // What nobody reads is not listed either.
        if StreamName::read(account, &stream.name).is_err() {
            return;
        }
        let leads = stream.cluster.as_ref().is_none_or(|it| it.leader.is_empty() || it.leader == server);
        if !leads {
            return;
        }
        let copies = |of: String, lag, active, wrong| Copies {
            account: account.to_owned(),
            stream: stream.name.clone(),
            server: server.to_owned(),
            of,
            lag,
            active,
            wrong,
        };
        let from = |what: &str, source: &StreamSource| {
            let api = source.external.as_ref().map(|external| external.api.as_str()).unwrap_or_default();
            let domain = api.strip_prefix("$JS.").and_then(|rest| rest.strip_suffix(".API"));
            let at = domain.map(|domain| format!(" of {domain}")).unwrap_or_default();
            let wrong = source.error().map(str::to_owned);
            let wrong = wrong.or_else(|| (source.active < 0).then(|| "it was never heard".to_owned()));
            copies(format!("{what} {}{at}", source.name), source.lag, source.active, wrong)
        };
        self.copies.extend(stream.mirror.iter().map(|mirror| from("mirror of", mirror)));
        self.copies.extend(stream.sources.iter().map(|source| from("gathers", source)));
        for replica in stream.cluster.iter().flat_map(|cluster| &cluster.replicas) {
            let wrong = match (replica.offline, replica.current) {
                (true, _) => Some("the server of this copy is away".to_owned()),
                (false, false) => Some("it is behind".to_owned()),
                (false, true) => None,
            };
            self.copies.push(copies(
                format!("copied to {}", replica.name),
                replica.lag,
                replica.active,
                wrong,
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, rtt: &str, account: &str, is_spoke: bool) -> Link {
        Link {
            name: name.to_owned(),
            rtt: rtt.to_owned(),
            account: account.to_owned(),
            is_spoke,
            in_msgs: 1,
            ..Link::default()
        }
    }

    #[test]
    fn a_link_that_both_ends_tell_of_is_one() {
        let mut topology = Topology::default();
        topology.leaf("hub-1", link("shop-1", "2ms", "SHOP", false));
        topology.leaf("hub-1", link("shop-1", "3ms", "SYS", false));
        topology.leaf("shop-1", link("hub-1", "1ms", "SHOP", true));
        topology.route("hub-2", link("hub-1", "1ms", "", false));
        topology.route("hub-1", link("hub-2", "2ms", "", false));
        let edges: Vec<_> =
            topology.edges.iter().map(|edge| (edge.kind, &*edge.from, &*edge.to, edge.rtt)).collect();
        assert_eq!(
            edges,
            [(Kind::Leaf, "shop-1", "hub-1", Some(1.0)), (Kind::Route, "hub-1", "hub-2", Some(1.0))]
        );
        let leaf = &topology.edges[0];
        assert_eq!((leaf.connections, leaf.messages, leaf.accounts.len()), (2, 2, 2));
        assert_eq!(topology.servers.keys().collect::<Vec<_>>(), ["hub-1", "hub-2", "shop-1"]);
    }

    #[test]
    fn copies_are_told_by_the_leader_and_never_of_secrets() {
        let stream = |name: &str| -> JszStream {
            serde_json::from_value(json!({
                "name": name, "cluster": { "leader": "hub-1", "replicas": [{ "name": "hub-2", "offline": true, "lag": 7 }] },
                "sources": [{ "name": "ORDERS", "external": { "api": "$JS.shop-1.API" }, "lag": 3, "active": -1 }],
            }))
            .unwrap_or_default()
        };
        let mut topology = Topology::default();
        topology.copies_of("SHOP", "hub-2", &stream("ORDERS"));
        topology.copies_of("LEAFBOX", "hub-1", &stream("KV_leafbox_users"));
        assert_eq!(topology.copies, []);
        topology.copies_of("SHOP", "hub-1", &stream("ORDERS"));
        let told: Vec<_> = topology.copies.iter().map(|it| (&*it.of, it.lag, it.wrong.as_deref())).collect();
        assert_eq!(
            told,
            [
                ("gathers ORDERS of shop-1", 3, Some("it was never heard")),
                ("copied to hub-2", 7, Some("the server of this copy is away")),
            ]
        );
    }
}
