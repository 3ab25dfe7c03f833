//! The servers as a picture: SVG that is made here. All that it says is in the tables as well.
//!
//! Hubs are in the first rows, and each leaf is below what it connects to; clusters behind gateways are
//! at the top.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::gather::{Edge, Kind, Topology};
use super::tables::rtt;

/// Servers that are drawn; the tables have all.
const MOST: usize = 60;
/// Links up to which their round trips are written beside them.
const MOST_LABELS: usize = 24;
const IN_A_ROW: usize = 6;
const WIDTH: usize = 960;
const BOX: (usize, usize) = (144, 44);
const ROW: usize = 104;
/// Characters of a name that fit.
const LETTERS: usize = 17;

/// Where the middle of a box is.
type Places<'a> = BTreeMap<&'a str, Point>;
type Point = (usize, usize);

pub(super) fn picture(topology: &Topology) -> Markup {
    let (places, height) = places(topology);
    if places.is_empty() {
        return html! {};
    }
    let drawn: Vec<(&Edge, Point, Point)> = topology
        .edges
        .iter()
        .filter_map(|edge| Some((edge, *places.get(&*edge.from)?, *places.get(&*edge.to)?)))
        .collect();
    html! {
        svg.topology viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-labelledby="topology-title topology-desc" {
            title #topology-title { "The servers and the links between them" }
            desc #topology-desc { (words(topology)) }
            @for (edge, (x1, y1), (x2, y2)) in &drawn {
                line class=(edge.kind.name()) x1=(x1) y1=(y1) x2=(x2) y2=(y2) {}
            }
            @if drawn.len() <= MOST_LABELS {
                @for (edge, (x1, y1), (x2, y2)) in &drawn {
                    text.soft x=((x1 + x2) / 2 + 6) y=((y1 + y2) / 2) { (edge.kind.name()) " " (rtt(edge.rtt)) }
                }
            }
            @for (name, (x, y)) in &places { (one(topology, name, *x, *y)) }
        }
        p.quiet {
            "Whole lines are routes, broken lines leaf nodes, dotted lines gateways. A broken frame is a server that does not answer here."
            @if topology.servers.len() > places.len() { " " (places.len()) " of " (topology.servers.len()) " servers are drawn: the tables have all." }
        }
    }
}

fn one(topology: &Topology, name: &str, x: usize, y: usize) -> Markup {
    let answers = topology.servers.get(name).is_some_and(|server| server.answers);
    let shown: String = match name.chars().count() {
        0..=LETTERS => name.to_owned(),
        _ => name.chars().take(LETTERS - 1).chain(['…']).collect(),
    };
    html! {
        g.missing[!answers] {
            rect x=(x - BOX.0 / 2) y=(y - BOX.1 / 2) width=(BOX.0) height=(BOX.1) rx="8" {}
            text x=(x) y=(y + 5) text-anchor="middle" { (shown) }
        }
    }
}

/// How far below the hubs each server is.
fn depths(topology: &Topology) -> BTreeMap<&str, usize> {
    let mut depths: BTreeMap<&str, usize> = topology.servers.keys().map(|name| (&**name, 1)).collect();
    for edge in &topology.edges {
        if edge.kind == Kind::Gateway {
            depths.insert(&edge.to, 0);
        }
    }
    // A leaf may have leaves: as often as there are servers, and links in a ring end there.
    for _ in 0..topology.servers.len().min(8) {
        for edge in topology.edges.iter().filter(|edge| edge.kind == Kind::Leaf) {
            let above = depths.get(&*edge.to).copied().unwrap_or(1);
            if depths.get(&*edge.from).is_some_and(|depth| *depth <= above) && above < 8 {
                depths.insert(&edge.from, above + 1);
            }
        }
    }
    depths
}

fn places(topology: &Topology) -> (Places<'_>, usize) {
    let mut rows: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (name, depth) in depths(topology) {
        rows.entry(depth).or_default().push(name);
    }
    let (mut places, mut y) = (Places::new(), ROW / 2);
    for row in rows.values().flat_map(|names| names.chunks(IN_A_ROW)) {
        if places.len() + row.len() > MOST {
            break;
        }
        let step = WIDTH / row.len();
        for (number, name) in row.iter().enumerate() {
            places.insert(*name, (step / 2 + number * step, y));
        }
        y += ROW;
    }
    (places, y - ROW / 2)
}

/// What the picture shows, for who does not see it.
fn words(topology: &Topology) -> String {
    let names: Vec<&str> = topology.servers.keys().take(MOST_LABELS).map(String::as_str).collect();
    let mut words = match topology.servers.len() - names.len() {
        0 => format!("Servers: {}. ", names.join(", ")),
        more => format!("Servers: {} and {more} more. ", names.join(", ")),
    };
    for edge in topology.edges.iter().take(MOST_LABELS) {
        let to = match edge.kind {
            Kind::Route => "has a route to",
            Kind::Leaf => "is a leaf of",
            Kind::Gateway => "has a gateway to",
        };
        words += &format!("{} {to} {}, {}. ", edge.from, edge.to, rtt(edge.rtt));
    }
    if topology.edges.len() > MOST_LABELS {
        words += "The table of links has all.";
    }
    words.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::topology::gather::Server;

    fn topology(links: &[(&str, &str)]) -> Topology {
        let mut topology = Topology::default();
        for (from, to) in links {
            for end in [from, to] {
                topology.servers.insert((*end).to_owned(), Server { id: None, answers: *end != "away" });
            }
            topology.edges.push(Edge {
                kind: Kind::Leaf,
                from: (*from).to_owned(),
                to: (*to).to_owned(),
                accounts: Default::default(),
                connections: 1,
                rtt: Some(0.5),
                pending: 0,
                messages: 0,
            });
        }
        topology
    }

    #[test]
    fn leaves_are_below_their_hubs_and_rings_end() {
        let topology = topology(&[("van", "shop"), ("shop", "hub")]);
        let (places, _) = places(&topology);
        assert!(places["hub"].1 < places["shop"].1 && places["shop"].1 < places["van"].1);
        let ring = self::topology(&[("a", "b"), ("b", "a")]);
        assert_eq!(super::places(&ring).0.len(), 2);
    }

    #[test]
    fn it_says_in_words_what_it_shows_and_names_are_no_markup() {
        let html = picture(&topology(&[("<b>", "hub"), ("away", "hub")])).into_string();
        assert!(html.contains("role=\"img\"") && html.contains("away is a leaf of hub, 0.50 ms."), "{html}");
        assert!(!html.contains("<b>") && html.contains("<g class=\"missing\">"), "{html}");
    }

    #[test]
    fn many_are_drawn_in_part_within_the_frame() {
        let names: Vec<String> = (0..500).map(|number| format!("leaf-{number:03}")).collect();
        let links: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "hub")).collect();
        let topology = topology(&links);
        let (places, height) = places(&topology);
        assert!(places.len() <= MOST && places.len() > MOST / 2, "{}", places.len());
        assert!(
            places
                .values()
                .all(|(x, y)| x + BOX.0 / 2 <= WIDTH && *x >= BOX.0 / 2 && y + BOX.1 / 2 <= height)
        );
    }
}
