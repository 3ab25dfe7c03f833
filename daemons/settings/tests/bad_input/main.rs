//! Bad files, and what is said of each: where, what, and what to do.
//!
//! Each case has one mistake and must be told once, so that nothing else is blamed for it.
#![allow(clippy::unwrap_used)]

mod accounts;
mod capacity;
mod console;
mod hub;
mod loading;
mod machines;
mod registry;
mod stores;
mod syntax;
mod values;

use std::path::Path;

use settings::{File, Problems, check_text};

/// The first two lines of every fleet file here; the text of a case starts on line 3.
const FLEET: &str = "name = \"f\"\nnodes = { hub = [\"h-1\"], leaves = [\"l-1\"] }\n";
/// The first line of every node file here; the text of a case starts on line 2.
const NODE: &str = "name = \"l-1\"\n";

/// A text, where its one mistake is, what is said of it, and what to do.
type Case = (&'static str, &'static str, &'static str, &'static str);

fn check(file: File, text: &str) -> Problems {
    check_text(file, Path::new(file.name()), text)
}

fn fleet(cases: &[Case]) {
    told_once(File::Fleet, FLEET, cases);
}

fn node(cases: &[Case]) {
    told_once(File::Node, NODE, cases);
}

fn told_once(file: File, head: &str, cases: &[Case]) {
    for (text, place, what, remedy) in cases {
        let problems = check(file, &format!("{head}{text}"));
        assert_eq!(problems.0.len(), 1, "told once:\n{text}\n\n{problems}");
        let block = problems.to_string();
        let lines: Vec<&str> = block.lines().collect();
        let [where_, message, action] = lines.as_slice() else { panic!("three lines: {block}") };
        assert!(where_.starts_with(&format!("{}:{place}", file.name())), "`{place}` in:\n{block}");
        assert!(message.contains(what), "`{what}` in:\n{block}");
        assert!(action.contains(remedy), "`{remedy}` in:\n{block}");
    }
}

fn right(file: File, head: &str, texts: &[&str]) {
    for text in texts {
        let problems = check(file, &format!("{head}{text}"));
        assert!(problems.0.is_empty(), "{text}\n\n{problems}");
    }
}
