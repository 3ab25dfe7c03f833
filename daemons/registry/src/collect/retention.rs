//! Which tags and manifests a repository keeps.
//!
//! Nothing here deletes: it is arithmetic on what the index has.

use std::collections::{BTreeMap, BTreeSet};

use settings::fleet::Retain;

use crate::{Digest, Repository, Tag, index::Tagged};

/// What a manifest leads to, and what it refers to.
#[derive(Clone, Debug, Default)]
pub(super) struct Leads {
    /// The manifests of an index.
    pub(super) manifests: Vec<Digest>,
    pub(super) subject: Option<Digest>,
}

/// The tags that go: a rule speaks of them, and none of those that do keeps them.
pub(super) fn surplus<'t>(
    rules: &[Retain],
    repository: &Repository,
    tags: &'t [(Tag, Tagged)],
) -> Vec<&'t (Tag, Tagged)> {
    let mut spoken_of: BTreeSet<&Tag> = BTreeSet::new();
    let mut kept: BTreeSet<&Tag> = BTreeSet::new();
    for rule in rules.iter().filter(|rule| rule.repositories.matches(repository.as_str())) {
        let mut matching: Vec<&(Tag, Tagged)> =
            tags.iter().filter(|(tag, _)| rule.tags.matches(tag.as_str())).collect();
        matching.sort_by(|(one, first), (two, second)| (second.at, two).cmp(&(first.at, one)));
        spoken_of.extend(matching.iter().map(|(tag, _)| tag));
        kept.extend(matching.iter().take(rule.newest as usize).map(|(tag, _)| tag));
    }
    tags.iter().filter(|(tag, _)| spoken_of.contains(tag) && !kept.contains(tag)).collect()
}

/// Whether a rule speaks of the repository, so that manifests go to which no tag leads.
pub(super) fn is_governed(rules: &[Retain], repository: &Repository) -> bool {
    rules.iter().any(|rule| rule.repositories.matches(repository.as_str()))
}

/// The manifests to which a tag leads: those tagged, the manifests of an index among them, and whatever
/// refers to one of these as its subject, over any number of steps.
pub(super) fn reached(
    tagged: impl IntoIterator<Item = Digest>,
    manifests: &BTreeMap<Digest, Leads>,
) -> BTreeSet<Digest> {
    let mut referrers: BTreeMap<&Digest, Vec<&Digest>> = BTreeMap::new();
    for (digest, leads) in manifests {
        if let Some(subject) = &leads.subject {
            referrers.entry(subject).or_default().push(digest);
        }
    }
    let mut reached = BTreeSet::new();
    let mut open: Vec<Digest> = tagged.into_iter().collect();
    while let Some(digest) = open.pop() {
        if let Some(leads) = manifests.get(&digest) {
            open.extend(leads.manifests.iter().filter(|child| !reached.contains(*child)).cloned());
        }
        let referring = referrers.get(&digest).into_iter().flatten();
        open.extend(referring.filter(|one| !reached.contains(**one)).map(|one| (*one).clone()));
        reached.insert(digest);
    }
    reached
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        Algorithm,
        records::{Origin, Seconds},
    };

    fn digest(number: u8) -> Digest {
        Digest::new(Algorithm::Sha256, &[number; 32]).unwrap()
    }

    fn tagged(tags: &[(&str, Seconds)]) -> Vec<(Tag, Tagged)> {
        let entry = |at| Tagged {
            revision: 1,
            digest: digest(0),
            media_type: "".into(),
            size: 1,
            at,
            by: "ci".into(),
            origin: Origin::Pushed.into(),
        };
        tags.iter().map(|(tag, at)| (tag.parse().unwrap(), entry(*at))).collect()
    }

    fn rule(repositories: &str, tags: &str, newest: u32) -> Retain {
        Retain { repositories: repositories.parse().unwrap(), tags: tags.parse().unwrap(), newest }
    }

    fn gone(rules: &[Retain], repository: &str, tags: &[(&str, Seconds)]) -> Vec<String> {
        let tags = tagged(tags);
        surplus(rules, &repository.parse().unwrap(), &tags).iter().map(|(tag, _)| tag.to_string()).collect()
    }

    #[test]
    fn the_newest_are_kept_and_what_no_rule_speaks_of() {
        let tags = [("v1", 10), ("v2", 40), ("v3", 30), ("latest", 1), ("v4", 20)];
        let rules = [rule("team/*", "v*", 2)];
        assert_eq!(gone(&rules, "team/app", &tags), ["v1", "v4"]);
        assert_eq!(gone(&rules, "other/app", &tags), [""; 0]);
        assert_eq!(gone(&rules, "team/app/base", &tags), [""; 0]);
        assert_eq!(gone(&[rule("**", "**", 0)], "a", &[("v1", 1)]), ["v1"]);
    }

    #[test]
    fn of_tags_of_one_second_those_with_later_names_are_newer() {
        let tags = [("b", 5), ("c", 5), ("a", 5)];
        assert_eq!(gone(&[rule("**", "**", 1)], "a", &tags), ["b", "a"]);
    }

    #[test]
    fn one_rule_that_keeps_a_tag_is_enough() {
        let tags = [("v1", 1), ("v2", 2), ("v2-rc", 3), ("v1-rc", 0)];
        let rules = [rule("**", "v*", 1), rule("**", "*-rc", 2), rule("**", "v1", 5)];
        assert_eq!(gone(&rules, "a", &tags), ["v2"]);
    }

    #[test]
    fn an_index_keeps_its_manifests_and_all_keep_what_refers_to_them() {
        let leads = |children: &[u8], subject: Option<u8>| Leads {
            manifests: children.iter().map(|one| digest(*one)).collect(),
            subject: subject.map(digest),
        };
        let manifests: BTreeMap<Digest, Leads> = [
            (digest(1), leads(&[2, 3, 99], None)),
            (digest(2), leads(&[], None)),
            (digest(3), leads(&[1], None)),
            (digest(4), leads(&[], Some(2))),
            (digest(5), leads(&[], Some(4))),
            (digest(6), leads(&[7], Some(60))),
            (digest(7), leads(&[], None)),
            (digest(8), leads(&[], Some(7))),
        ]
        .into();
        let kept = reached([digest(1)], &manifests);
        let here: Vec<u8> =
            manifests.keys().filter(|one| kept.contains(*one)).map(|one| one.bytes()[0]).collect();
        assert_eq!(here, [1, 2, 3, 4, 5]);
        assert_eq!(reached([], &manifests).len(), 0);
    }
}
