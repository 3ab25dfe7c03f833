//! Mistakes in the two files, as an error that `main` gives exit code 2.

use std::fmt;

use settings::Problems;

/// What is wrong with node.toml and fleet.toml, all of it.
#[derive(Debug)]
pub struct BadConfig(pub Problems);

impl fmt::Display for BadConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for BadConfig {}
