//! The command `leafbox`, as a library so that its parts are tested.
//!
//! [`cli`] is the whole command line, `commands` has a file for each command, [`session`] is what
//! every command begins with, [`instance`] the life of a running node.

use std::io::Write;

use anyhow::Result;
use clap::CommandFactory;

pub mod addresses;
pub mod applying;
pub mod auth_probe;
pub mod cli;
mod commands;
pub mod confinement;
pub mod converge;
pub mod creds_guard;
pub mod data;
pub mod drift;
pub mod example;
pub mod figures;
pub mod instance;
pub mod key_guard;
pub mod listeners;
pub mod outboxes;
pub mod ports;
pub mod problems;
pub mod reloading;
pub mod session;
pub mod setup;
pub mod signer;
pub mod table;
pub mod tls_guard;
pub mod uplink;

use cli::{Cli, Command};
use session::Session;

/// Carries out a command and gives its exit code.
///
/// # Errors
/// What went wrong; [`problems::BadConfig`] for mistakes in the two files.
pub fn run(cli: Cli) -> Result<u8> {
    let global = &cli.global;
    // Commands that start nothing.
    match &cli.command {
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "leafbox", &mut std::io::stdout());
            return Ok(runtime::exit::SUCCESS);
        }
        Command::Init(arguments) => return commands::init::run(arguments).map(|()| runtime::exit::SUCCESS),
        Command::Check(arguments) => return commands::check::run(global, arguments),
        Command::Schema(command) => return commands::schema::run(command),
        Command::Unit(unit) => return commands::unit::run(global, unit),
        Command::Clean(arguments) => {
            commands::clean::run(&session::data_dir(global)?, arguments)?;
            return Ok(runtime::exit::SUCCESS);
        }
        _ => {}
    }
    if matches!(cli.command, Command::Dev(_) | Command::Run(_)) {
        runtime::keep_freed_memory();
    }
    // Before there are other threads, which would keep what this one gives up.
    match &cli.command {
        Command::Dev(dev) => confinement::of_node(global, !dev.any_port)?,
        Command::Run(_) => confinement::of_node(global, true)?,
        _ => {}
    }
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    threads.block_on(run_async(cli))
}

async fn run_async(cli: Cli) -> Result<u8> {
    let global = &cli.global;
    let open = || Session::open(global);
    match &cli.command {
        Command::Dev(arguments) => commands::dev::run(global, arguments).await?,
        Command::Run(arguments) => commands::run::run(global, arguments).await?,
        Command::Render => commands::render::run(&open()?)?,
        Command::Plan(arguments) => return commands::plan::run(&open()?, arguments).await,
        Command::Apply(arguments) => commands::apply::run(&open()?, arguments).await?,
        Command::Status(output) => commands::status::run(&open()?, *output).await?,
        Command::Health(output) => commands::health::run(&open()?, *output).await?,
        Command::Service(command) => commands::service::run(&open()?, global, command).await?,
        Command::User(command) => commands::user::run(&open()?, command).await?,
        Command::Auth(cli::Auth::Test { account, json }) => {
            commands::auth::run(&open()?, account.as_deref(), *json).await?;
        }
        Command::Registry(command) => commands::registry::run(&open()?, command).await?,
        Command::Console(command) => commands::console::run(&open()?, command).await?,
        Command::Enroll(command) => return commands::enroll::run(global, command).await,
        Command::Context(arguments) => commands::context::run(&open()?, arguments)?,
        Command::Logs(arguments) => commands::logs::run(&open()?, arguments).await?,
        Command::Completions { .. }
        | Command::Init(_)
        | Command::Check(_)
        | Command::Clean(_)
        | Command::Schema(_)
        | Command::Unit(_) => {
            unreachable!("run() has answered these")
        }
    }
    Ok(runtime::exit::SUCCESS)
}

/// An error and what led to it, without saying the same words twice.
pub fn explain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

/// Prints a line on stdout; a reader that went away (`leafbox status | head -1`) is no error.
pub fn print_line(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints a line on stdout, as `println!`, but ends quietly when nobody reads.
#[macro_export]
macro_rules! say {
    ($($argument:tt)*) => { $crate::print_line(format_args!($($argument)*)) };
}
