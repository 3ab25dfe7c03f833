//! `leafbox registry`: the container registry of this node.

use clap::{Args, Subcommand};
use settings::{Pattern, Span};

mod image;

pub use image::{Image, Place};

/// `leafbox registry`.
///
/// Every subcommand but `status` works on JetStream itself, so that the daemon need not run.
#[derive(Clone, Debug, Subcommand)]
pub enum Registry {
    /// List the repositories: tags, bytes, last change
    Ls {
        /// Only repositories of this pattern, such as `team/*` or `team/**`
        #[arg(value_name = "PATTERN")]
        repositories: Option<Pattern>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the tags of a repository
    Tags {
        /// The repository, such as `team/app`
        repository: registry::Repository,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show an image: manifest, platform, layers, what refers to it, who pushed it, its tag's history
    ///
    /// With a repository alone, its tag `latest`.
    Inspect {
        /// `team/app:1.4.2`, or `team/app@sha256:…`
        #[arg(value_name = "REPOSITORY[:TAG|@DIGEST]")]
        image: Image,
        /// Print JSON, with the manifest as it was pushed
        #[arg(long)]
        json: bool,
    },
    /// Delete a tag, or a manifest with all its tags; says what goes and when its space comes back
    ///
    /// Deleting a tag leaves its manifest, which can be pulled by digest, and its space in use, unless a
    /// retention rule of fleet.toml speaks of the repository. Deleting a manifest frees what nothing
    /// else mentions, after the grace time.
    Rm {
        /// `team/app:1.4.2` for the tag, `team/app@sha256:…` for the manifest and all its tags
        #[arg(value_name = "REPOSITORY:TAG|REPOSITORY@DIGEST")]
        image: Image,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Collect now what the daemon collects each hour: tags by retention, and blobs that nothing mentions
    ///
    /// What nothing mentions is marked first, and goes when it has been marked for the grace time
    /// (`registry.grace` in fleet.toml), so that pushes and pulls under way end well.
    Gc {
        /// Change nothing, and say what would go
        #[arg(long)]
        dry_run: bool,
        /// Do not wait for the grace time: a push or pull under way may have to be repeated
        #[arg(long)]
        now: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show where the space goes: by repository and namespace, in JetStream, on the disk
    Du {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// The tokens that clients log in with
    #[command(subcommand)]
    Token(Token),
    /// Ask the daemon how it is: travel backlog and progress, cache, uploads
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Copy an image with all it needs, between repositories here, from the hub, or to it
    ///
    /// Within this registry no bytes move. From the hub they come over NATS, and a copy that was
    /// interrupted goes on where it stopped.
    Copy(CopyImage),
}

/// `leafbox registry copy`.
#[derive(Clone, Debug, Args)]
pub struct CopyImage {
    /// `team/app:1.4.2` here, `hub://team/app:1.4.2` at the hub
    #[arg(value_name = "SOURCE")]
    pub source: Place,
    /// `prod/app` or `prod/app:1.4`; `hub://team/app:1.4.2` for the hub, where it keeps its name
    ///
    /// Without a tag it has the source's.
    #[arg(value_name = "TARGET")]
    pub target: Place,
    /// Also what refers to it, such as signatures and SBOMs
    #[arg(long)]
    pub referrers: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `leafbox registry token`.
#[derive(Clone, Debug, Subcommand)]
pub enum Token {
    /// Make a token: prints its secret once on stdout, and how to log in with it on stderr
    ///
    /// Without --pull, --push or --delete it may pull. Who may push may pull as well: docker and others
    /// ask what is there before they send it.
    Add {
        /// What it is called: the user name of `docker login`
        name: String,
        /// Repositories that it is for, such as `team/*` or `**`; may be repeated
        #[arg(long = "repo", value_name = "PATTERN", required = true)]
        repositories: Vec<Pattern>,
        /// It may pull
        #[arg(long)]
        pull: bool,
        /// It may push, and pull
        #[arg(long)]
        push: bool,
        /// It may delete tags, manifests and blobs
        #[arg(long)]
        delete: bool,
        /// How long it is good for, such as `90d`; for ever when left out
        #[arg(long, value_name = "SPAN")]
        expires: Option<Span>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the tokens; their secrets are kept nowhere
    #[command(visible_alias = "ls")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End a token at once
    Revoke {
        /// What it is called
        name: String,
    },
}
