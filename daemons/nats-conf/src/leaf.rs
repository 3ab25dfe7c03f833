//! The link between a leaf and the hub, from either end.

use settings::node::Uplink;

use crate::{
    Input,
    listeners::{min_version, resolve, tls},
    text::Block,
};

/// The hub's end.
pub(crate) fn listener(root: &mut Block, input: &Input<'_>) {
    let nats = &input.node.nats;
    let Some(address) = nats.leaf.address() else { return };
    root.blank();
    root.block("leafnodes", |leafnodes| {
        leafnodes.address("listen", address);
        if let Some(advertise) = &nats.leaf_advertise {
            leafnodes.text("advertise", advertise);
        }
        tls(leafnodes, input, nats.tls.leaf.as_ref());
    });
}

/// The leaf's end: one remote an account.
pub(crate) fn remotes(root: &mut Block, input: &Input<'_>) {
    let uplink = &input.node.uplink;
    if uplink.urls.is_empty() || input.links.is_empty() {
        return;
    }
    root.blank();
    root.block("leafnodes", |leafnodes| {
        leafnodes.text("reconnect", "1s");
        leafnodes.blocks("remotes", input.links, |remote, link| {
            remote.comment(&link.name);
            remote.list("urls", &uplink.urls);
            remote.text("account", &link.account);
            remote.path("credentials", &link.credentials);
            // The hub gossips addresses that only the hub's own network may reach.
            remote.word("ignore_discovered_servers", "true");
            if !link.deny_imports.is_empty() {
                remote.list("deny_imports", &link.deny_imports);
            }
            if !link.deny_exports.is_empty() {
                remote.list("deny_exports", &link.deny_exports);
            }
            uplink_tls(remote, input, uplink);
        });
    });
}

fn uplink_tls(remote: &mut Block, input: &Input<'_>, uplink: &Uplink) {
    // Only this block makes nats-server insist on TLS: with `tls://` alone it speaks in clear with
    // whoever answers so (`leafNodeGetTLSConfigForSolicit`).
    if !uplink.is_tls() {
        return;
    }
    remote.block("tls", |block| {
        let files = [("ca_file", &uplink.ca), ("cert_file", &uplink.cert), ("key_file", &uplink.key)];
        for (key, file) in files {
            if let Some(file) = file {
                block.path(key, &resolve(input, file));
            }
        }
        min_version(block, uplink.min_version);
    });
}
