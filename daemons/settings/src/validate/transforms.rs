//! Subject transforms and republishing, after `NewSubjectTransform` of nats-server.

use super::Findings;
use crate::{
    names::Subject,
    path::KeyPath,
    store::{Republish, Stream, SubjectTransform},
    travel::{WRITER_TOKEN, for_writer},
};

pub(super) fn of_stream(stream: &Stream, path: &KeyPath, findings: &mut Findings) {
    if let Some(transform) = &stream.subject_transform {
        let path = path.key("subject_transform");
        one(transform, &path, findings);
        if stream.mirror.is_some() {
            findings.error(
                path,
                "a mirror stores what its origin stores",
                "put the transform under `mirror.transforms`",
            );
        }
    }
    if let Some(republish) = &stream.republish {
        let path = path.key("republish");
        of_republish(republish, &path, findings);
        let target = wildcards(&republish.destination);
        for captured in &stream.subjects {
            let captured = for_writer(captured, "*");
            if target.parse::<Subject>().is_ok_and(|target| target.overlaps(&captured)) {
                findings.error(
                    path.key("destination"),
                    format!("the stream captures `{captured}`, so it would store what it publishes for ever"),
                    "publish under a subject that the stream does not capture",
                );
                break;
            }
        }
    }
}

pub(super) fn of_republish(republish: &Republish, path: &KeyPath, findings: &mut Findings) {
    destination(&republish.source, &republish.destination, path, findings);
}

pub(super) fn one(transform: &SubjectTransform, path: &KeyPath, findings: &mut Findings) {
    destination(&transform.source, &transform.destination, path, findings);
}

fn wildcards(destination: &str) -> String {
    let tokens: Vec<&str> =
        destination.split('.').map(|token| if token.contains("{{") { "*" } else { token }).collect();
    tokens.join(".")
}

fn destination(source: &Subject, destination: &str, path: &KeyPath, findings: &mut Findings) {
    let path = path.key("destination");
    if destination.contains(WRITER_TOKEN) && !destination.contains("{{") {
        findings.error(
            path,
            format!("`{WRITER_TOKEN}` stands in the `subjects` of a stream only"),
            "take a token over with {{wildcard(1)}}",
        );
        return;
    }
    let parsed = wildcards(&destination.replace(", ", ",")).parse::<Subject>();
    if let Err(refusal) = parsed {
        let (message, remedy) = refusal.rsplit_once(": ").unwrap_or((&refusal, "write a NATS subject"));
        findings.error(path, message, remedy);
        return;
    }
    if destination.split('.').any(|token| token == "*") {
        findings.error(
            path,
            "a destination has no `*`: it says which wildcard of the source it takes over",
            "write {{wildcard(1)}} for the first `*` of the source",
        );
        return;
    }
    let ends_open = |subject: &str| subject == ">" || subject.ends_with(".>");
    if ends_open(source) != ends_open(destination) {
        findings.error(
            path,
            format!("`{source}` and the destination must both end with `>`, or neither"),
            "end both alike",
        );
        return;
    }
    let count = source.split('.').filter(|token| *token == "*").count();
    if let Some(number) = references(destination).into_iter().find(|number| *number == 0 || *number > count) {
        findings.error(
            path,
            format!("it takes over wildcard {number}, and `{source}` has {count} `*`"),
            "count the `*` of the source from 1",
        );
    }
}

/// The wildcards that a destination names with `wildcard(…)`.
fn references(destination: &str) -> Vec<usize> {
    let lower = destination.to_lowercase();
    lower.split("wildcard(").skip(1).filter_map(|rest| rest.split(')').next()?.trim().parse().ok()).collect()
}
