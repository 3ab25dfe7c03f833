//! Streams of one account that capture the same subject on the same node: nats-server refuses the
//! second, on whichever node it meets it.

use std::collections::BTreeSet;

use super::{Findings, Tenant};
use crate::{
    fleet::HUB_DOMAIN,
    names::{Name, Subject},
    node::NodeRole,
    travel::stream_subjects,
};

/// A subject that a stream captures on the nodes of one role.
struct Capture<'a> {
    stream: &'a Name,
    subject: Subject,
}

pub(super) fn check(tenant: &Tenant<'_>, findings: &mut Findings) {
    let mut told: BTreeSet<(&Name, &Name)> = BTreeSet::new();
    for (role, writer) in [(NodeRole::Leaf, "*"), (NodeRole::Hub, HUB_DOMAIN)] {
        let captures = captures(tenant, role, writer);
        for (place, capture) in captures.iter().enumerate() {
            let other = captures[..place].iter().find(|earlier| {
                earlier.stream != capture.stream && earlier.subject.overlaps(&capture.subject)
            });
            let Some(other) = other else { continue };
            if told.insert((other.stream, capture.stream)) {
                let stream = &tenant.account.streams[capture.stream];
                let path = tenant.path.key("streams").key(capture.stream).key("subjects");
                let declared = stream
                    .subjects
                    .iter()
                    .position(|text| capture.subject.overlaps(&crate::travel::for_writer(text, writer)));
                findings.error(
                    declared.map_or(path.clone(), |index| path.index(index)),
                    format!(
                        "`{}` overlaps `{}` of the stream `{}`: a message belongs to one stream of a node",
                        capture.subject, other.subject, other.stream
                    ),
                    "narrow one of the two, or gather from the other stream with `sources`",
                );
            }
        }
    }
}

fn captures<'a>(tenant: &'a Tenant<'_>, role: NodeRole, writer: &str) -> Vec<Capture<'a>> {
    let streams = tenant.account.streams.iter();
    streams
        .flat_map(|(name, stream)| {
            stream_subjects(name, stream, role, writer)
                .into_iter()
                .filter_map(|subject| Some(Capture { stream: name, subject: subject.parse().ok()? }))
        })
        .collect()
}
