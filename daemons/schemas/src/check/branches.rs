//! `oneOf`: where no branch holds, what is told is about the branch that was meant.

use serde_json::Value;

use super::Mode;
use crate::{
    rules::Rule,
    violation::{Problem, Violation, join},
};

impl Rule {
    pub(super) fn check_branches(
        &self,
        family: &[&Rule],
        value: &Value,
        path: &str,
        mode: Mode,
        violations: &mut Vec<Violation>,
    ) {
        let mut wrong = Vec::new();
        let mut right = 0_usize;
        for branch in &self.one_of {
            let mut found = Vec::new();
            branch.check_in(family, value, path, mode, &mut found);
            if found.is_empty() {
                right += 1;
            }
            wrong.push((branch, found));
        }
        match (right, mode) {
            (1, _) | (2.., Mode::Tolerant) => return,
            (2.., Mode::Strict) => {
                let what = format!("only one of the {} things that it may be", self.one_of.len());
                violations.push(Violation::wrong(path, value, what));
                return;
            }
            (0, _) => {}
        }
        let told = match self.discriminator() {
            Some(name) => self.by_discriminator(name, value, path, wrong),
            None => wrong
                .into_iter()
                .map(|(_, found)| found)
                .min_by_key(|found| (shapes(found, path), found.len()))
                .unwrap_or_default(),
        };
        // The rule beside `oneOf` may have said so already, and knows all choices.
        let new = told.into_iter().filter(|new| violations.iter().all(|old| old.path != new.path));
        let new: Vec<_> = new.collect();
        violations.extend(new);
    }

    fn by_discriminator(
        &self,
        name: &str,
        value: &Value,
        path: &str,
        wrong: Vec<(&Rule, Vec<Violation>)>,
    ) -> Vec<Violation> {
        let Some(given) = value.get(name) else {
            let expected = self.any_branch(name);
            return vec![Violation::missing(path, name, expected)];
        };
        wrong
            .into_iter()
            .find(|(branch, _)| branch.property(name).is_some_and(|rule| rule.choices.contains(given)))
            .map(|(_, found)| found)
            .unwrap_or_else(|| vec![Violation::wrong(&join(path, name), given, self.any_branch(name))])
    }

    /// What a discriminator may be, in words.
    fn any_branch(&self, name: &str) -> String {
        let choices = self.one_of.iter().filter_map(|branch| branch.property(name));
        let choices = choices.flat_map(|rule| rule.choices.clone()).collect();
        Rule { choices, ..Rule::default() }.expected()
    }
}

/// How many violations say that the value is another thing altogether: wrong itself, or without what
/// it must have.
fn shapes(violations: &[Violation], path: &str) -> usize {
    let directly = |violation: &&Violation| {
        let below = violation.path.strip_prefix(path).unwrap_or_default();
        match violation.problem {
            Problem::Missing => below.matches('/').count() == 1,
            Problem::Wrong => below.is_empty(),
            Problem::Unknown => false,
        }
    };
    violations.iter().filter(directly).count()
}
