//! `leafbox enroll`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// `leafbox enroll`.
#[derive(Clone, Debug, Subcommand)]
pub enum Enroll {
    /// On the box: make its keys where they are missing, and print the request for the operator
    Request(EnrollRequest),
    /// On the box: take the operator's answer, and make the creds that the node runs with
    Accept(EnrollAccept),
    /// On the box: show how far it is and what to do next; exits 0 when it is enrolled, 1 before
    Status {
        /// Where the keys are
        #[command(flatten)]
        keys: DeviceKeys,
    },
    /// Where the operator's keys are: let a box in, and print the answer for it
    Approve(EnrollApprove),
    /// Where the operator's keys are: list the boxes that were let in
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Where the operator's keys are: take the keys of a box back, as when it was stolen
    Revoke(EnrollRevoke),
}

/// Where a box keeps its keys.
#[derive(Clone, Debug, Args)]
pub struct DeviceKeys {
    /// The folder of the box's keys; /var/lib/leafbox-keys where that is there, else `<data>/keys`
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub keys: Option<PathBuf>,
}

/// `leafbox enroll request`.
#[derive(Clone, Debug, Args)]
pub struct EnrollRequest {
    /// Where the keys are
    #[command(flatten)]
    pub keys: DeviceKeys,
    /// Encrypt what is written with systemd-creds, by the TPM or by a key of this machine; the
    /// default where each unit has a folder of its own
    #[arg(long, overrides_with = "no_encrypt")]
    pub encrypt: bool,
    /// Write plain files, mode 0600
    #[arg(long, overrides_with = "encrypt")]
    pub no_encrypt: bool,
    /// Print the QR code also where the output is no terminal, as on a console by way of a unit
    #[arg(long)]
    pub console: bool,
}

/// `leafbox enroll accept`.
#[derive(Clone, Debug, Args)]
pub struct EnrollAccept {
    /// The answer; `-` reads what is pasted, to the last line of the answer
    #[arg(default_value = "-", value_hint = ValueHint::FilePath)]
    pub answer: PathBuf,
    /// Where the keys are
    #[command(flatten)]
    pub keys: DeviceKeys,
    /// The public key of the operator that the box shall obey, as `leafbox enroll approve` shows it
    #[arg(long, value_name = "NKEY")]
    pub operator: Option<String>,
}

/// `leafbox enroll approve`.
#[derive(Clone, Debug, Args)]
pub struct EnrollApprove {
    /// The request: a file with the block or the text of the QR code; `-` reads what is pasted
    #[arg(value_hint = ValueHint::FilePath)]
    pub request: PathBuf,
    /// Where to write the answer; printed when left out
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Do not ask: the fingerprint was compared
    #[arg(long)]
    pub yes: bool,
}

/// `leafbox enroll revoke`.
#[derive(Clone, Debug, Args)]
pub struct EnrollRevoke {
    /// The node
    pub node: String,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}
