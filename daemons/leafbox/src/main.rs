//! The `leafbox` command: flags, logging, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;
use leafbox::{cli::Cli, problems};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Prints to a terminal that is gone are nobody's loss.
            let _ = error.print();
            let plans = std::env::args().nth(1).is_some_and(|command| command == "plan");
            return ExitCode::from(match error.exit_code() {
                0 => runtime::exit::SUCCESS,
                _ if plans => runtime::exit::FAILURE,
                _ => runtime::exit::BAD_CONFIG,
            });
        }
    };
    let differs_is_two = matches!(cli.command, leafbox::cli::Command::Plan(_));
    match leafbox::run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("leafbox: {}", leafbox::explain(&error));
            // `plan` says with 2 that something differs, so its own failures are all 1.
            let code = if differs_is_two { runtime::exit::FAILURE } else { problems::exit_code(&error) };
            ExitCode::from(code)
        }
    }
}
