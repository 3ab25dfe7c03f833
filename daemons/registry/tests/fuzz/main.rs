//! Reads changed copies of real requests and records for `LEAFBOX_FUZZ_SECONDS` (2 when it is not
//! set), and all that once failed. `LEAFBOX_FUZZ_SEED` repeats a run.
//!
//! The same checks run under libFuzzer, which sees the code that it reaches: see
//! `daemons/registry/fuzz/README.md`.

mod checks;
mod mutate;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Real ones: what docker, containerd, skopeo, oras and the conformance suite send, and what is stored.
const SAMPLES: &str = include_str!("samples.txt");

/// The samples as inputs: a line is the name of a reader, a space, and what it reads.
fn samples() -> Vec<Vec<u8>> {
    let input = |line: &str| {
        let (name, text) = line.split_once(' ').expect("a sample is a reader's name and a text");
        let reader = checks::CHECKS.iter().position(|(known, _)| *known == name);
        let reader = u8::try_from(reader.expect("a sample names a reader")).expect("readers are few");
        let text = text.replace("{255}", &"a".repeat(255)).replace("{128}", &"0f".repeat(64));
        [&[reader], text.as_bytes()].concat()
    };
    SAMPLES.lines().filter(|line| !line.is_empty()).map(input).collect()
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a whole number and not `{text}`")))
}

/// Runs the check, and on a failure tells the input, so that it can become a sample.
fn read(input: &[u8], seed: u64) {
    if let Err(failure) = catch_unwind(AssertUnwindSafe(|| checks::check(input))) {
        let (name, _) = checks::CHECKS[usize::from(input[0]) % checks::CHECKS.len()];
        let text = String::from_utf8_lossy(&input[1..]).into_owned();
        eprintln!("the reader `{name}` failed with LEAFBOX_FUZZ_SEED={seed} on {text:?}");
        std::panic::resume_unwind(failure);
    }
}

#[test]
fn every_reader_has_samples_and_reads_them() {
    let samples = samples();
    for (index, (name, _)) in checks::CHECKS.iter().enumerate() {
        assert!(samples.iter().any(|sample| usize::from(sample[0]) == index), "{name} has no sample");
    }
    samples.iter().for_each(|sample| read(sample, 0));
    // libFuzzer begins with them.
    if let Some(folder) = std::env::var_os("LEAFBOX_FUZZ_CORPUS") {
        for (number, sample) in samples.iter().enumerate() {
            std::fs::write(Path::new(&folder).join(format!("sample-{number}")), sample)
                .unwrap_or_else(|error| panic!("no sample can be written to {}: {error}", folder.display()));
        }
    }
}

#[test]
fn changed_requests_and_records_are_read_or_refused_and_never_more() {
    let seconds = variable("LEAFBOX_FUZZ_SECONDS").unwrap_or(2);
    let seed = variable("LEAFBOX_FUZZ_SEED").unwrap_or_else(rand::random);
    let mut random = StdRng::seed_from_u64(seed);
    let mut inputs = samples();
    let known = inputs.len();
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut count = 0_u64;
    while Instant::now() < until {
        for _ in 0..256 {
            let one = random.random_range(0..inputs.len());
            let other = random.random_range(0..inputs.len());
            let input = mutate::mutated(&mut random, &inputs[one], &inputs[other]);
            if input.is_empty() {
                continue;
            }
            read(&input, seed);
            count += 1;
            // Changes add up; the samples stay, and the others take turns.
            if random.random_ratio(1, 8) {
                if inputs.len() < known + 4096 {
                    inputs.push(input);
                } else {
                    let place = random.random_range(known..inputs.len());
                    inputs[place] = input;
                }
            }
        }
    }
    eprintln!("{count} inputs in {seconds} s, LEAFBOX_FUZZ_SEED={seed}");
    assert!(count > 0 || seconds == 0, "nothing was read");
}
