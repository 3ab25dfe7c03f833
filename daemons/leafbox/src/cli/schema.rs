//! `leafbox schema`: NATS's JSON schemas.

use std::path::PathBuf;

use clap::{Subcommand, ValueHint};

/// `leafbox schema`.
///
/// A NAME is a title, such as `io.nats.jetstream.api.v1.stream_create_request`, or a part of one that no
/// other has, such as `stream_create_request`.
#[derive(Clone, Debug, Subcommand)]
pub enum Schema {
    /// List the schemas
    #[command(visible_alias = "search")]
    List {
        /// Only titles that this regular expression matches somewhere, letters of either case
        filter: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a schema, as NATS has it
    #[command(visible_alias = "info")]
    Show {
        /// The schema
        name: String,
        /// List what can be filled in instead: type, bounds, default
        #[arg(long)]
        fields: bool,
        /// With --fields: print JSON, as the schema is anyway
        #[arg(long, requires = "fields")]
        json: bool,
    },
    /// Check a JSON document: exits 0 when it is right, 1 when it is not
    ///
    /// To the letter, as for what is sent to nats-server, unless --tolerant is given.
    #[command(visible_alias = "check", allow_missing_positional = true)]
    Validate {
        /// The schema; the document's `type` tells it when left out
        name: Option<String>,
        /// The document; `-` reads it from stdin
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Allow properties that the schema does not know, as newer servers send them
        #[arg(long)]
        tolerant: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}
