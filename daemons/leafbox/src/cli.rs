//! The command line: names, help and nothing that acts.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

mod console;
mod enroll;
mod registry;
mod schema;

pub use console::{Console, EnrollUser, RevokeUser};
pub use enroll::{DeviceKeys, Enroll, EnrollAccept, EnrollApprove, EnrollRequest, EnrollRevoke};
pub use registry::{CopyImage, Image, Place, Registry, Token};
pub use schema::Schema;

const AFTER_HELP: &str = "\
Exit codes:
  0    success; for `plan`, nothing differs
  1    something failed, and for `plan` also any mistake; the last line says what to do
  2    a mistake in node.toml, fleet.toml or the command line, or what is given contradicts the
       data, as another key than the store's: the same again until something is changed; for
       `plan`, something differs and nothing else
  78   for `unit nats`, what 2 is for others: nats-server, which it becomes, ends with 2 after a crash
  130  interrupted twice

Files:
  node.toml    this machine: name, role, addresses, limits
  fleet.toml   accounts, services and stores, the same on every node
  .env         single keys of node.toml, as LEAFBOX_NATS__CLIENT=127.0.0.1:4223; the environment
               overrides it

First steps:
  leafbox dev              a node on this machine, with keys and an example fleet
  leafbox init             write node.toml and fleet.toml here, to edit
  leafbox status           what runs, and what is wrong";

/// A NATS node that keeps working when the network does not.
#[derive(Debug, Parser)]
#[command(name = "leafbox", version, about, after_help = AFTER_HELP, max_term_width = 100, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// What every command understands.
    #[command(flatten)]
    pub global: Global,
}

/// What every command understands.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Every command")]
pub struct Global {
    /// The node file; what it names is relative to it
    #[arg(short, long, global = true, env = "LEAFBOX_CONFIG", value_name = "FILE", default_value = "node.toml", value_hint = ValueHint::FilePath)]
    pub config: PathBuf,
    /// The folder that holds all state, instead of the node file's `data`
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data: Option<PathBuf>,
    /// The nats-server program, instead of one on PATH or a downloaded one
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub nats_server: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a node on this machine for development: makes keys, applies the fleet, prints where
    /// everything is
    Dev(Dev),
    /// Run the node that node.toml describes: nats-server and all daemons in one process
    Run(Run),
    /// Write node.toml and fleet.toml, from an example, into this folder
    Init(Init),
    /// Check node.toml and fleet.toml without starting anything
    Check(Check),
    /// Print the nats-server configuration of this node, secrets left as references
    Render,
    /// Show what apply would do: exits 0 when nothing differs, 2 when something does
    Plan(Plan),
    /// Make accounts and stores equal to fleet.toml; never deletes data
    Apply(Apply),
    /// Show the node on one screen: uplink, accounts, stores with lag, connections
    Status(Output),
    /// Ask the health daemon whether the node is ready: exits 0 when it is, 1 when it is not
    Health(Output),
    /// The declared services: list them, add one, get a creds file
    #[command(subcommand)]
    Service(Service),
    /// NATS users that stand in no file
    #[command(subcommand)]
    User(User),
    /// Let a new box into the fleet: it makes its own keys, and only public ones travel
    #[command(subcommand)]
    Enroll(Enroll),
    /// The container registry of this node: its images, space, tokens and travel
    #[command(subcommand)]
    Registry(Registry),
    /// NATS's own JSON schemas: list them, show one, check a document
    #[command(subcommand)]
    Schema(Schema),
    /// The web console of this node: its users, and how they come in
    #[command(subcommand)]
    Console(Console),
    /// Permissions, tried out on the running server
    #[command(subcommand)]
    Auth(Auth),
    /// Write contexts for the `nats` command line into ~/.config/nats/context
    Context(Context),
    /// Print what the node logged
    Logs(Logs),
    /// Remove the data folder of a stopped node, after asking
    Clean(Clean),
    /// What the systemd units run, each in a unit of its own
    #[command(subcommand)]
    Unit(Unit),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// `leafbox dev`.
#[derive(Clone, Debug, Args)]
pub struct Dev {
    /// Also run a hub of this many nodes on loopback, and join it
    #[arg(long, value_name = "NODES", value_parser = hub_size)]
    pub hub: Option<u8>,
    /// Start, apply, check, print the table, stop
    #[arg(long)]
    pub once: bool,
    /// Let the system choose every port, so that several nodes fit on one machine
    #[arg(long)]
    pub any_port: bool,
    /// The example to run where there is no node.toml: `school` when left out
    #[arg(long, value_enum)]
    pub example: Option<Example>,
}

/// A cluster survives the loss of less than half of its nodes, so an even number buys nothing.
fn hub_size(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(size @ (1 | 3 | 5)) => Ok(size),
        _ => Err("a hub has 1, 3 or 5 nodes".to_owned()),
    }
}

/// An example fleet that leafbox carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Example {
    /// Three services with their permissions and an event stream
    School,
    /// Two shops and a hub: orders travel up, prices travel down
    Shop,
}

/// `leafbox run`.
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// How long daemons may drain and clients may leave at a stop, in seconds
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub stop_timeout: u64,
}

/// `leafbox init`.
#[derive(Clone, Debug, Args)]
pub struct Init {
    /// The example to start from
    #[arg(value_enum, default_value_t = Example::School)]
    pub example: Example,
    /// Where to write
    #[arg(long, default_value = ".", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub into: PathBuf,
}

/// `leafbox check`.
#[derive(Clone, Debug, Args)]
pub struct Check {
    /// Print the JSON Schema of both files instead, for editors
    #[arg(long)]
    pub schema: bool,
    /// Print problems as JSON
    #[arg(long)]
    pub json: bool,
}

/// How to print.
#[derive(Clone, Copy, Debug, Args)]
pub struct Output {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `leafbox plan`.
#[derive(Clone, Debug, Args)]
pub struct Plan {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `leafbox apply`.
#[derive(Clone, Debug, Args)]
pub struct Apply {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Remove stores that leafbox made, that are declared no more and that are empty
    #[arg(long)]
    pub prune: bool,
    /// With --prune: remove this store although it holds data, or this account that is declared no
    /// more; may be repeated
    #[arg(long, value_name = "NAME", requires = "prune")]
    pub delete: Vec<String>,
    /// Sign the accounts and write their JWTs (public) into a folder; changes no server
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with_all = ["prune", "delete"])]
    pub export: Option<PathBuf>,
}

/// `leafbox service`.
#[derive(Clone, Debug, Subcommand)]
pub enum Service {
    /// List the declared services and their permissions
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Add a service to fleet.toml, keeping its comments, and show the plan
    Add {
        /// The account
        account: String,
        /// The service's name
        name: String,
        /// The role that it has, instead of permissions of its own
        #[arg(long, conflicts_with_all = ["publish", "subscribe"])]
        role: Option<String>,
        /// A subject that it may publish; may be repeated
        #[arg(long, value_name = "SUBJECT")]
        publish: Vec<String>,
        /// A subject that it may subscribe; may be repeated
        #[arg(long, value_name = "SUBJECT")]
        subscribe: Vec<String>,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
    },
    /// Print where a service's creds file is, making it if need be
    Creds {
        /// The account
        account: String,
        /// The service's name
        name: String,
    },
}

/// `leafbox user`.
#[derive(Clone, Debug, Subcommand)]
pub enum User {
    /// Mint a user with a role, and write its creds file
    Mint {
        /// The account
        account: String,
        /// The role
        role: String,
        /// The user's name, for the logs
        #[arg(long)]
        name: String,
        /// How long it is good for, such as `30d`; for ever when left out
        #[arg(long, value_name = "SPAN")]
        expires: Option<String>,
        /// The user's own public key: its seed stays where it is, and only a JWT is written
        #[arg(long, value_name = "NKEY")]
        public_key: Option<String>,
        /// Where to write; `-` prints
        #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        output: PathBuf,
    },
    /// Cut a user off, or all users of an account with `*`; takes effect at the next apply
    Revoke {
        /// The account
        account: String,
        /// The user's public key, or `*`
        public_key: String,
    },
}

/// `leafbox auth`.
#[derive(Clone, Debug, Subcommand)]
pub enum Auth {
    /// Connect as each service and try each permission both ways
    ///
    /// Publishes empty messages with the header Leafbox-Auth-Test, which no stream stores, to made-up
    /// subjects under the declared wildcards. Subjects without a wildcard are published to only where
    /// that must be refused.
    Test {
        /// Only this account
        #[arg(long)]
        account: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `leafbox context`.
#[derive(Clone, Debug, Args)]
pub struct Context {
    /// Only this account
    #[arg(long)]
    pub account: Option<String>,
    /// Only this service
    #[arg(long, requires = "account")]
    pub service: Option<String>,
    /// Make the first one written the context that `nats` uses by default
    #[arg(long)]
    pub select: bool,
}

/// `leafbox logs`.
#[derive(Clone, Debug, Args)]
pub struct Logs {
    /// Go on printing as lines come
    #[arg(short, long)]
    pub follow: bool,
    /// How many of the last lines
    #[arg(short = 'n', long, default_value_t = 100, value_name = "N")]
    pub lines: usize,
}

/// `leafbox clean`.
#[derive(Clone, Debug, Args)]
pub struct Clean {
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// `leafbox unit`: where a restart would not help it exits with 2, and `nats` with 78, since
/// nats-server's own crashes end with 2. The units have `RestartPreventExitStatus=` to match.
#[derive(Clone, Debug, Subcommand)]
pub enum Unit {
    /// leafbox-nats.service: check everything that a start needs, then become nats-server
    Nats,
    /// Beside nats-server: tell systemd that it is ready, how it is, and that it lives
    NatsPulse(NatsPulse),
    /// ExecReload= of leafbox-nats.service: have nats-server take what it can without a restart
    NatsReload,
    /// leafbox-apply.service: make the stores equal to fleet.toml once nats-server is healthy
    Apply,
    /// Where the operator's keys are: sign users and boxes for the web console
    Signer,
    /// leafbox-uplink.service: wake copies that sleep when the link to the hub is back
    Uplink,
}

/// `leafbox unit nats-pulse`, which `leafbox unit nats` starts.
#[derive(Clone, Debug, Args)]
pub struct NatsPulse {
    /// The process of nats-server, which must be this one's parent
    #[arg(long, value_name = "PID")]
    pub server: i32,
    /// Its monitoring listener
    #[arg(long, value_name = "ADDRESS")]
    pub monitoring: std::net::SocketAddr,
    /// The folder that holds its stores
    #[arg(long = "stores", value_name = "DIR")]
    pub stores: PathBuf,
    /// It is one of several hub nodes: ready when it listens, since it is healthy only with the others
    #[arg(long)]
    pub clustered: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
