//! The conformance suite of the distribution specification, where `OCI_CONFORMANCE` names its program.
//!
//! It is no part of this repository: `go build` it in `conformance/` of
//! github.com/opencontainers/distribution-spec.

use std::{env, path::Path, process::Stdio};

use runtime::testing::skipped;
use tokio::process::Command;

use crate::site::Site;

/// Skips at most: what olareg, the most conformant peer, has.
const MOST_SKIPS: u64 = 2;

#[derive(Debug)]
struct Counts {
    passed: u64,
    failed: u64,
    errors: u64,
    skipped: u64,
}

async fn suite(program: &str, site: &Site, version: &str, results: &Path) -> (Counts, String) {
    let output = Command::new(program)
        .current_dir(results)
        .env("OCI_REGISTRY", site.address.to_string())
        .env("OCI_TLS", "disabled")
        .env("OCI_REPO1", format!("conformance/{version}/one"))
        .env("OCI_REPO2", format!("conformance/{version}/two"))
        .env("OCI_USERNAME", "test")
        .env("OCI_PASSWORD", &site.secret)
        .env("OCI_VERSION", version)
        .env("OCI_RESULTS_DIR", results)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap_or_else(|error| panic!("{program}, which OCI_CONFORMANCE names, cannot be run: {error}"));
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let count = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(name)?.trim_start_matches('.').strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).trim().parse().unwrap()
    };
    let counts = Counts {
        passed: count("Pass"),
        failed: count("FAIL"),
        errors: count("Error"),
        skipped: count("Skip"),
    };
    (counts, text.into_owned())
}

#[tokio::test]
async fn the_suite_of_the_specification_fails_nothing() {
    let Ok(program) = env::var("OCI_CONFORMANCE") else {
        skipped("OCI_CONFORMANCE names no program of the distribution specification's suite");
        return;
    };
    let site = Site::start().await;
    for version in ["1.1", "dev"] {
        let results = tempfile::tempdir().unwrap();
        let (counts, text) = suite(&program, &site, version, results.path()).await;
        eprintln!("conformance {version}: {counts:?}");
        assert!(counts.failed == 0 && counts.errors == 0 && counts.skipped <= MOST_SKIPS, "{text}");
        assert!(counts.passed > 500, "{text}");
    }
    site.stop().await;
}
