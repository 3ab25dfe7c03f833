//! What tests of several crates share.

use std::{env, fs::OpenOptions, io::Write};

/// Where skipped tests are written down, a line each; nowhere when it is not set. What a test prints
/// that passes is not shown. Not `LEAFBOX_…`: leafbox refuses what it does not know of those.
const SKIPPED: &str = "SKIPPED_TESTS";

/// Tells that the test of this thread, or a part of it, is skipped on this machine, and why.
///
/// # Panics
/// When the file that `SKIPPED_TESTS` names cannot be written.
pub fn skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    eprintln!("skipped {test}: {why}");
    let Some(path) = env::var_os(SKIPPED) else { return };
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let written = file.and_then(|mut file| file.write_all(format!("{test}: {why}\n").as_bytes()));
    written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
