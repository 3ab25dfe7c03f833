//! Names the certificate and key files that node.toml asks for and that are not there, before
//! nats-server says so in its own words.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use identity::layout;
use settings::{Node, node::Tls};

/// Checks that every file of TLS is there; relative ones are in the credentials directory.
pub fn check(node: &Node, credentials: &Path) -> Result<()> {
    let missing: Vec<String> = files(node)
        .into_iter()
        .map(|(key, file)| (key, layout::credential(credentials, file)))
        .filter(|(_, path)| !path.is_file())
        .map(|(key, path)| format!("{} (`{key}`)", path.display()))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "node.toml asks for TLS with files that are not there: {}; put them there, or correct node.toml; \
         nothing was started",
        missing.join(", ")
    )
}

/// Puts the path of the file in the credentials directory in place of each relative name.
pub fn resolve(node: &mut Node, credentials: &Path) {
    let resolve = |file: &mut PathBuf| *file = layout::credential(credentials, &*file);
    let tls = &mut node.nats.tls;
    let listeners = [&mut tls.client, &mut tls.websocket, &mut tls.mqtt, &mut tls.leaf, &mut tls.route];
    for tls in listeners.into_iter().flatten() {
        [&mut tls.cert, &mut tls.key].into_iter().for_each(resolve);
        [&mut tls.ca, &mut tls.own_cert, &mut tls.own_key].into_iter().flatten().for_each(resolve);
    }
    let uplink = &mut node.uplink;
    [&mut uplink.ca, &mut uplink.cert, &mut uplink.key].into_iter().flatten().for_each(resolve);
}

fn files(node: &Node) -> Vec<(String, PathBuf)> {
    let tls = &node.nats.tls;
    let listeners = [
        ("client", &tls.client),
        ("websocket", &tls.websocket),
        ("mqtt", &tls.mqtt),
        ("leaf", &tls.leaf),
        ("route", &tls.route),
    ];
    let of_listeners = listeners.into_iter().filter_map(|(name, tls)| Some((name, tls.as_ref()?)));
    let mut files: Vec<(String, PathBuf)> =
        of_listeners.flat_map(|(name, tls)| of_listener(name, tls)).collect();
    let uplink = &node.uplink;
    let of_uplink = [("ca", &uplink.ca), ("cert", &uplink.cert), ("key", &uplink.key)];
    files.extend(
        of_uplink.into_iter().filter_map(|(key, file)| Some((format!("uplink.{key}"), file.clone()?))),
    );
    files
}

fn of_listener(name: &str, tls: &Tls) -> Vec<(String, PathBuf)> {
    let files = [
        ("cert", Some(&tls.cert)),
        ("key", Some(&tls.key)),
        ("ca", tls.ca.as_ref()),
        ("own_cert", tls.own_cert.as_ref()),
        ("own_key", tls.own_key.as_ref()),
    ];
    let present = files.into_iter().filter_map(|(key, file)| Some((key, file?)));
    present.map(|(key, file)| (format!("nats.tls.{name}.{key}"), file.clone())).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_missing_file_is_named_with_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let node: Node = toml::from_str(
            "name = \"a\"\n[nats.tls.client]\ncert = \"c.pem\"\nkey = \"k.pem\"\n[uplink]\nca = \"ca.pem\"\n",
        )
        .unwrap();
        std::fs::write(folder.path().join("c.pem"), "").unwrap();
        let error = check(&node, folder.path()).unwrap_err().to_string();
        assert!(error.contains("k.pem (`nats.tls.client.key`)") && error.contains("`uplink.ca`"), "{error}");
        assert!(!error.contains("c.pem (`nats.tls.client.cert`)"), "{error}");
        for name in ["k.pem", "leafbox_ca.pem"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        check(&node, folder.path()).unwrap();
        let mut resolved = node;
        resolve(&mut resolved, folder.path());
        assert_eq!(resolved.uplink.ca, Some(folder.path().join("leafbox_ca.pem")));
        assert_eq!(resolved.nats.tls.client.unwrap().key, folder.path().join("k.pem"));
    }
}
