//! What is wrong with the two files, said so that the reader knows what to do next.

use std::fmt;

use serde::Serialize;

/// Whether a problem stops everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is started or changed until it is repaired.
    Error,
    /// It works, but probably not as meant.
    Warning,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file as it was named to leafbox, `.env` with its folder, or `environment`.
    pub file: String,
    /// The line in the file, counted from 1, where one is known.
    pub line: Option<usize>,
    /// The key path in the file, or the name of the variable; empty for the file itself.
    pub path: String,
    /// What stands there, where it is short and no secret.
    pub found: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// Whether it stops everything.
    pub severity: Severity,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
        }
        if !self.path.is_empty() {
            write!(formatter, "  {}", self.path)?;
            if let Some(found) = &self.found {
                write!(formatter, " = {found}")?;
            }
        }
        let label = if self.severity == Severity::Warning { "warning: " } else { "" };
        write!(formatter, "\n  {label}{}\n  {}", self.message, self.remedy)
    }
}

/// Every mistake that was found, errors first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Puts errors first, then by file and line, as they are read.
    pub(crate) fn sorted(mut self) -> Self {
        self.0.sort_by(|left, right| {
            (left.severity, &left.file, left.line).cmp(&(right.severity, &right.file, right.line))
        });
        self.0.dedup();
        self
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.0.iter().enumerate() {
            if place > 0 {
                formatter.write_str("\n\n")?;
            }
            problem.fmt(formatter)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_a_block_of_where_what_and_remedy() {
        let problem = Problem {
            file: "fleet.toml".into(),
            line: Some(12),
            path: "accounts.SHOP.limits.conections".into(),
            found: Some("5".into()),
            message: "there is no such key".into(),
            remedy: "did you mean `connections`?".into(),
            severity: Severity::Error,
        };
        assert_eq!(
            problem.to_string(),
            "fleet.toml:12  accounts.SHOP.limits.conections = 5\n  there is no such key\n  did you mean `connections`?"
        );
        assert!(Problems(vec![problem]).has_errors());
    }
}
