//! `leafbox console`: who may use the web console of this node.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use sse_bridge::{Role, login::UserName};

/// `leafbox console`.
///
/// Every subcommand works on JetStream itself, so that the daemon need not run; what is changed counts
/// in it within a second.
#[derive(Clone, Debug, Subcommand)]
pub enum Console {
    /// Print a link by which somebody gets a passkey: the first admin, a new user, or one who lost theirs
    ///
    /// The link is good once, and for 15 minutes. It alone goes to stdout.
    Enroll(EnrollUser),
    /// List the users: role, passkeys, sessions
    Users {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a user another role; pages that they have open begin anew with it
    Role {
        /// The user
        user: UserName,
        /// `viewer`, `operator` or `admin`
        role: Role,
    },
    /// Remove a user with all passkeys, or end sessions; either acts within a second
    Revoke(RevokeUser),
    /// Make a certificate for the console, and an authority by which devices trust it
    ///
    /// It is for the name in `console.origin` of node.toml. Run again it changes nothing, unless the
    /// certificate ends within 30 days, when it makes a new one that devices trust already.
    Ca {
        /// The folder for the four files; the node's own keys when left out
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        keys: Option<PathBuf>,
        /// Make all anew; every device has to install the new authority
        #[arg(long)]
        replace: bool,
    },
}

/// `leafbox console enroll`.
#[derive(Clone, Debug, Args)]
pub struct EnrollUser {
    /// What the user is called; `admin` when left out
    #[arg(long, value_name = "NAME")]
    pub user: Option<UserName>,
    /// What the user may do: `viewer`, `operator`, or `admin`, as when left out
    #[arg(long, value_name = "ROLE", requires = "user")]
    pub role: Option<Role>,
    /// Give a user who lost their passkeys a new one; without --user it is for `admin`, who is made
    /// if need be
    #[arg(long)]
    pub recover: bool,
}

/// `leafbox console revoke`.
#[derive(Clone, Debug, Args)]
#[command(group = clap::ArgGroup::new("whom").required(true).multiple(false))]
pub struct RevokeUser {
    /// The user to remove
    #[arg(value_name = "NAME", group = "whom")]
    pub user: Option<UserName>,
    /// End this session alone, as `leafbox console users --json` shows it
    #[arg(long, value_name = "ID", group = "whom")]
    pub session: Option<String>,
    /// End the user's sessions alone: the passkeys stay good
    #[arg(long, conflicts_with = "session")]
    pub sessions: bool,
}
