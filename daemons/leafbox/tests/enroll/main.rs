//! A new box comes into a fleet, and goes: on real nats-servers, with the commands that people type.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../harness/mod.rs"]
mod harness;

mod boxes;
mod joining;
mod keeping;
mod refusals;
mod revoking;
mod watching;
