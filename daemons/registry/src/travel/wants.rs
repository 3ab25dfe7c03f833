//! The repositories that are to have a blob, and where it comes from for each.

use std::collections::HashSet;

use super::{error::TravelError, peer::Side, source::Source};
use crate::Repository;

/// One repository that is to have a blob, and where it comes from for it.
#[derive(Clone, Debug)]
pub(crate) struct Want {
    pub(crate) repository: Repository,
    pub(crate) source: Source,
    /// The source said that it has the blob in that repository: a blob of one repository is nothing that
    /// another may give to its clients.
    pub(crate) is_known: bool,
}

impl Want {
    /// One of a source that was not asked yet.
    pub(crate) fn new(repository: &Repository, source: &Source) -> Self {
        Self { repository: repository.clone(), source: source.clone(), is_known: false }
    }

    fn is_like(&self, repository: &Repository, side: &Side) -> bool {
        self.repository == *repository && self.source.side() == *side
    }
}

/// All who want a blob.
#[derive(Debug, Default)]
pub(crate) struct Wants {
    all: Vec<Want>,
    /// Which of them the last attempt was made for.
    turn: usize,
    /// Who could not give it in the last attempt.
    failed: Option<Side>,
    /// The repositories that nobody gives it to, and why.
    refused: Vec<(Repository, TravelError)>,
}

impl Wants {
    /// Adds one; whether there is somebody else to ask now.
    pub(crate) fn add(&mut self, want: Want) -> bool {
        let side = want.source.side();
        if let Some(known) = self.all.iter_mut().find(|known| known.is_like(&want.repository, &side)) {
            known.is_known |= want.is_known;
            return false;
        }
        let is_other = self.all.iter().all(|known| known.source.side() != side) && !self.all.is_empty();
        self.refused.retain(|(repository, _)| *repository != want.repository);
        self.all.push(want);
        is_other
    }

    /// Whom to fetch it for in the next attempt: by turns from each who may have it.
    pub(crate) fn next(&mut self) -> Option<Want> {
        let count = self.all.len();
        let mut by_turns = (0..count).map(|step| (self.turn + step) % count);
        let other = by_turns.find(|at| Some(self.all[*at].source.side()) != self.failed);
        self.turn = other.unwrap_or(self.turn);
        if self.turn >= count {
            self.turn = 0;
        }
        self.all.get(self.turn).cloned()
    }

    /// An attempt failed, and may succeed later.
    pub(crate) fn failed(&mut self, want: &Want) {
        self.failed = Some(want.source.side());
    }

    /// An attempt failed for good: it does not come from there. Who gave something else as the blob is
    /// asked for no repository any more.
    pub(crate) fn refuse(&mut self, want: &Want, error: &TravelError) {
        let side = want.source.side();
        let is_liar = matches!(error, TravelError::Tampered { .. });
        let refused =
            |known: &Want| known.source.side() == side && is_liar || known.is_like(&want.repository, &side);
        let gone: Vec<Want> = self.all.extract_if(.., |known| refused(known)).collect();
        for want in gone {
            if !self.has_repository(&want.repository) {
                self.refused.push((want.repository, error.clone()));
            }
        }
    }

    /// The source of this repository has it.
    pub(crate) fn know(&mut self, want: &Want) {
        let side = want.source.side();
        let same = self.all.iter_mut().filter(|known| known.is_like(&want.repository, &side));
        same.for_each(|known| known.is_known = true);
    }

    /// Whether a source said that it has it in a repository.
    pub(crate) fn is_known(&self, repository: &Repository) -> bool {
        self.all.iter().any(|want| want.is_known && want.repository == *repository)
    }

    /// Why a repository does not get it, when that is certain.
    pub(crate) fn refusal(&self, repository: &Repository) -> Option<TravelError> {
        self.refused.iter().find(|(refused, _)| refused == repository).map(|(_, error)| error.clone())
    }

    pub(crate) fn has(&self, repository: &Repository, source: &Source) -> bool {
        self.all.iter().any(|want| want.is_like(repository, &source.side()))
    }

    pub(crate) fn has_repository(&self, repository: &Repository) -> bool {
        self.all.iter().any(|want| want.repository == *repository)
    }

    /// From how many sides it may come.
    pub(crate) fn sides(&self) -> usize {
        self.all.iter().map(|want| want.source.side()).collect::<HashSet<_>>().len()
    }

    /// Who is asked for it, or was last.
    pub(crate) fn side(&self) -> Option<Side> {
        self.all.get(self.turn).map(|want| want.source.side())
    }

    pub(crate) fn all(&self) -> &[Want] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::travel::source;

    fn want(repository: &str, prefix: &str) -> Want {
        let source = source::testing::upstream(prefix);
        Want { repository: repository.parse().unwrap(), source, is_known: false }
    }

    fn wants(all: &[(&str, &str)]) -> Wants {
        let mut wants = Wants::default();
        for (repository, prefix) in all {
            wants.add(want(repository, prefix));
        }
        wants
    }

    fn side(prefix: &str) -> Side {
        Side::Upstream(prefix.to_owned())
    }

    fn unknown(prefix: &str) -> TravelError {
        TravelError::Unknown { side: side(prefix) }
    }

    #[test]
    fn each_side_has_its_turn_after_a_failure() {
        let mut wants = wants(&[("r/1", "a"), ("r/2", "a"), ("r/3", "b"), ("r/4", "c")]);
        assert_eq!(wants.sides(), 3);
        let mut asked = Vec::new();
        for _ in 0..4 {
            let next = wants.next().unwrap();
            asked.push(next.repository.to_string());
            wants.failed(&next);
        }
        assert_eq!(asked, ["r/1", "r/3", "r/4", "r/1"]);
        let mut alone = super::Wants::default();
        alone.add(want("r/1", "a"));
        let next = alone.next().unwrap();
        alone.failed(&next);
        assert_eq!(alone.next().unwrap().repository, next.repository, "there is nobody else");
    }

    #[test]
    fn what_one_side_refuses_may_come_from_another_and_a_liar_is_asked_for_nothing_more() {
        let mut wants = wants(&[("r/1", "a"), ("r/2", "a"), ("r/1", "b")]);
        wants.refuse(&want("r/1", "a"), &unknown("a"));
        assert_eq!((wants.all().len(), wants.refusal(&"r/1".parse().unwrap()).is_none()), (2, true));
        let digest: crate::Digest = format!("sha256:{}", "0a".repeat(32)).parse().unwrap();
        wants.refuse(&want("r/9", "a"), &TravelError::Tampered { side: side("a"), digest });
        assert!(wants.refusal(&"r/2".parse().unwrap()).is_some() && wants.all().len() == 1);
        wants.refuse(&want("r/1", "b"), &unknown("b"));
        assert!(wants.next().is_none() && wants.refusal(&"r/1".parse().unwrap()).is_some());
        assert!(!wants.add(want("r/1", "c")) && wants.refusal(&"r/1".parse().unwrap()).is_none());
        assert!(wants.add(want("r/1", "d")) && !wants.add(want("r/2", "d")));
    }
}
