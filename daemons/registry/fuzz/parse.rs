//! libFuzzer on every reader of what clients, other registries and records hold.
#![no_main]

#[path = "../tests/fuzz/checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::check(input));
