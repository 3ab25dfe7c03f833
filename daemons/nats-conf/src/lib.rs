//! Settings to the nats-server configuration of one node, and nothing else.
//!
//! Pure: no file is read and no address is looked up. The text holds no secret: the JetStream key
//! is a reference to an environment variable, and creds and TLS keys are paths. Account JWTs are
//! public and stand in it whole, so that a node boots with the accounts that it last saw.
//!
//! What nats-server reads differently from what it seems is written here so that nobody meets it:
//! sizes are plain bytes (`64M` would be decimal), lengths of time are quoted (`2m` would be a
//! number), and nothing is included (`include` is relative even for an absolute path).

mod jetstream;
mod leaf;
mod listeners;
mod text;

use std::path::{Path, PathBuf};

use settings::{ByteSize, Fleet, Name, Node, NodeRole};

use text::Block;

/// The environment variable that the configuration takes the JetStream key from.
pub const JETSTREAM_KEY_VARIABLE: &str = "LEAFBOX_JETSTREAM_KEY";

/// What a node trusts: the operator and the accounts that it starts with. All of it is public.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// The operator's JWT.
    pub operator: &'a str,
    /// The public key of the system account.
    pub system_account: &'a str,
    /// The accounts that are there before anyone pushes one.
    pub accounts: &'a [TrustedAccount<'a>],
}

/// An account that a node starts with.
#[derive(Clone, Copy, Debug)]
pub struct TrustedAccount<'a> {
    /// Its name, for the comment beside it.
    pub name: &'a str,
    /// Its public key.
    pub public_key: &'a str,
    /// Its JWT.
    pub jwt: &'a str,
}

/// One account's way from a leaf to the hub.
#[derive(Clone, Debug)]
pub struct Link {
    /// The account's name, for the comment beside it.
    pub name: Name,
    /// The account's public key.
    pub account: String,
    /// The creds file by which the leaf joins the hub.
    pub credentials: PathBuf,
    /// Subjects that do not come from the hub as core messages.
    pub deny_imports: Vec<String>,
    /// Subjects that do not go to the hub as core messages.
    pub deny_exports: Vec<String>,
}

/// What [`render`] needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The node. A listener's port 0 lets nats-server choose.
    pub node: &'a Node,
    /// The fleet that the node belongs to.
    pub fleet: &'a Fleet,
    /// Whom the node trusts.
    pub trust: Trust<'a>,
    /// A leaf's ways to the hub, unused on a hub node and without uplink URLs.
    pub links: &'a [Link],
    /// The folder that holds all state, absolute.
    pub data: &'a Path,
    /// The credentials directory: relative TLS paths are looked up in it.
    pub credentials: &'a Path,
    /// Bytes of file streams, where node.toml leaves it to the disk.
    pub max_storage: ByteSize,
}

/// The folder, under the data directory, where nats-server writes its ports and pid.
pub fn run_dir(data: &Path) -> PathBuf {
    data.join("run")
}

/// The nats-server configuration of a node.
pub fn render(input: &Input<'_>) -> String {
    let node = input.node;
    let mut root = Block::root();
    root.comment("Written by leafbox from node.toml and fleet.toml: change those instead.");
    root.text("server_name", &node.name);
    let region = node.region.as_ref().map(|region| format!("region:{region}"));
    let tags: Vec<String> = node.tags.iter().cloned().chain(region).collect();
    if !tags.is_empty() {
        root.list("server_tags", &tags);
    }

    listeners::clients(&mut root, input);
    root.blank();
    // Lame duck in 3 to 6 s, measured: grace before the first client is closed, then the rest.
    root.text("lame_duck_grace_period", "1s");
    root.text("lame_duck_duration", "30s");
    root.blank();
    trust(&mut root, input);
    root.blank();
    jetstream::render(&mut root, input);
    match node.role {
        NodeRole::Leaf => leaf::remotes(&mut root, input),
        NodeRole::Hub => {
            leaf::listener(&mut root, input);
            cluster(&mut root, input);
        }
    }
    listeners::websocket(&mut root, input);
    listeners::mqtt(&mut root, input);
    root.finish()
}

fn trust(root: &mut Block, input: &Input<'_>) {
    let trust = &input.trust;
    root.text("operator", trust.operator);
    root.text("system_account", trust.system_account);
    root.block("resolver", |resolver| {
        resolver.word("type", "full");
        resolver.path("dir", &input.data.join("resolver"));
        // Deletion is by tombstone first; without this the file would stay for ever.
        resolver.word("allow_delete", "true");
        resolver.text("interval", "10s");
        resolver.text("timeout", "2s");
        resolver.number("limit", 10_000);
    });
    root.block("resolver_preload", |preload| {
        for account in trust.accounts {
            preload.comment(account.name);
            preload.text(account.public_key, account.jwt);
        }
    });
}

fn cluster(root: &mut Block, input: &Input<'_>) {
    let (node, Some(address)) = (input.node, input.node.nats.route.address()) else { return };
    if !input.fleet.is_clustered(node) {
        return;
    }
    root.blank();
    root.block("cluster", |cluster| {
        cluster.text("name", &node.cluster.name);
        cluster.address("listen", address);
        if let Some(advertise) = &node.cluster.advertise {
            cluster.text("advertise", advertise);
        }
        cluster.list("routes", &node.cluster.routes);
        listeners::tls(cluster, input, node.nats.tls.route.as_ref());
    });
}
