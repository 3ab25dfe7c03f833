//! A leaf's links to the hub, as nats-server's monitoring shows them.

use serde::{Deserialize, Serialize};

/// How the links to the hub are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UplinkState {
    /// There is none to have: a hub node, or a leaf that stands alone.
    None,
    /// Every account is linked.
    Up,
    /// Some accounts are linked.
    Partial,
    /// No account is linked; the leaf goes on alone and tries for ever.
    Down,
    /// nats-server does not answer.
    Unknown,
}

/// A leaf's links to the hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uplink {
    /// How they are.
    pub state: UplinkState,
    /// Accounts that are linked.
    pub linked: usize,
    /// Accounts that should be.
    pub of: usize,
    /// Since when it is so, RFC 3339, as far as this daemon has watched.
    pub since: String,
    /// The round trip to the hub, as nats-server prints it.
    pub rtt: Option<String>,
}

impl Uplink {
    /// In words, for people.
    pub fn describe(&self) -> String {
        let Self { linked, of, since, .. } = self;
        match self.state {
            UplinkState::None => "none declared".to_owned(),
            UplinkState::Up => {
                let rtt = self.rtt.as_deref().unwrap_or("unknown");
                format!("up since {since}, {linked} of {of} accounts, round trip {rtt}")
            }
            UplinkState::Partial => {
                format!(
                    "only {linked} of {of} accounts are linked since {since}: look for refused credentials in nats-server's log"
                )
            }
            UplinkState::Down => {
                format!("down since {since}: everything local goes on, and it is tried for ever")
            }
            UplinkState::Unknown => format!("unknown since {since}: nats-server does not answer"),
        }
    }
}

/// `/leafz`, as far as it is needed.
#[derive(Debug, Deserialize)]
pub(crate) struct Leafz {
    #[serde(default)]
    leafs: Vec<Leaf>,
}

#[derive(Debug, Deserialize)]
struct Leaf {
    /// Whether the connection was made from here, which is how a leaf's own links are told from
    /// those of leaves that join this node.
    #[serde(default)]
    is_spoke: bool,
    #[serde(default)]
    rtt: Option<String>,
}

/// Remembers since when the uplink is as it is.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    last: Option<(UplinkState, String)>,
}

impl Watch {
    /// The uplink from what nats-server answered just now: its links, and how many it should have.
    pub(crate) fn see(&mut self, seen: Option<(&Leafz, usize)>, now: &str) -> Uplink {
        let spokes: Vec<&Leaf> = seen
            .map(|(leafz, _)| leafz.leafs.iter().filter(|leaf| leaf.is_spoke).collect())
            .unwrap_or_default();
        let linked = spokes.len();
        let of = seen.map_or(0, |(_, of)| of);
        let state = match (seen, linked) {
            (None, _) => UplinkState::Unknown,
            (Some(_), _) if of == 0 => UplinkState::None,
            (Some(_), 0) => UplinkState::Down,
            (Some(_), linked) if linked < of => UplinkState::Partial,
            (Some(_), _) => UplinkState::Up,
        };
        if self.last.as_ref().is_none_or(|(last, _)| *last != state) {
            self.last = Some((state, now.to_owned()));
        }
        let since = self.last.as_ref().map_or_else(String::new, |(_, since)| since.clone());
        let rtt = spokes.first().and_then(|leaf| leaf.rtt.clone());
        Uplink { state, linked, of, since, rtt }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_change_is_dated_and_the_same_state_keeps_its_date() {
        let none: Leafz = serde_json::from_str(r#"{"leafs": []}"#).unwrap();
        let one: Leafz = serde_json::from_str(r#"{"leafs": [{"is_spoke": true, "rtt": "5ms"}]}"#).unwrap();
        let other: Leafz = serde_json::from_str(r#"{"leafs": [{"name": "a leaf that joins us"}]}"#).unwrap();
        let mut watch = Watch::default();
        let seen = |uplink: Uplink| (uplink.state, uplink.since);
        assert_eq!(seen(watch.see(Some((&none, 2)), "1")), (UplinkState::Down, "1".to_owned()));
        assert_eq!(seen(watch.see(Some((&none, 2)), "2")), (UplinkState::Down, "1".to_owned()));
        assert_eq!(seen(watch.see(Some((&one, 2)), "3")), (UplinkState::Partial, "3".to_owned()));
        assert_eq!(seen(watch.see(Some((&one, 1)), "4")), (UplinkState::Up, "4".to_owned()));
        assert_eq!(seen(watch.see(None, "5")), (UplinkState::Unknown, "5".to_owned()));
        assert_eq!(seen(watch.see(Some((&other, 0)), "6")), (UplinkState::None, "6".to_owned()));
    }
}
