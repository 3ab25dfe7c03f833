//! Refuses to start JetStream with a key that its files were not written with.
//!
//! nats-server itself starts with a wrong key, says unavailable on `/healthz` and keeps the files;
//! but a `STREAM.CREATE` of the same name then erases them. So the fingerprint of the key stands in
//! the data directory and is compared before nats-server is started.

use std::fs;

use anyhow::{Context, Result, bail};
use settings::node::Encryption;

use crate::data::{DataDir, write_whole};

/// What the fingerprint file says of a store that is not encrypted.
const PLAIN: &str = "plain";

/// Compares the key's fingerprint with the one on record, and records it at the first start.
///
/// `fingerprint` is `None` when node.toml turns encryption off.
pub fn check(data: &DataDir, encryption: Encryption, fingerprint: Option<&str>) -> Result<()> {
    let file = data.key_fingerprint_file();
    let given = fingerprint.unwrap_or(PLAIN);
    let recorded = match fs::read_to_string(&file) {
        Ok(text) => text.trim().to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return write_whole(&file, format!("{given}\n").as_bytes(), 0o644);
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    if recorded == given {
        return Ok(());
    }
    let store = data.jetstream();
    match (recorded.as_str(), encryption) {
        (PLAIN, _) => bail!(
            "{} was written without encryption, and node.toml asks for it: set `jetstream.encryption = \"off\"`, \
             or back the stores up, move the folder away and restore them; nothing was started",
            store.display()
        ),
        (_, Encryption::Off) => bail!(
            "{} is encrypted (key {recorded}), and node.toml says `jetstream.encryption = \"off\"`: \
             take that line out; nothing was started",
            store.display()
        ),
        _ => bail!(
            "{} is encrypted with the key {recorded}, and the credential `jetstream.key` is {given}: \
             put the right key back; with the wrong one nats-server would offer empty stores; nothing was started",
            store.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn data() -> (tempfile::TempDir, DataDir) {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        data.create().unwrap();
        (folder, data)
    }

    #[test]
    fn the_same_key_is_accepted_again() {
        let (_folder, data) = data();
        check(&data, Encryption::Aes, Some("aaaa")).unwrap();
        check(&data, Encryption::Aes, Some("aaaa")).unwrap();
        check(&data, Encryption::Chacha, Some("aaaa")).unwrap();
    }

    #[test]
    fn a_wrong_a_missing_and_a_new_key_are_told_apart() {
        let (_folder, data) = data();
        check(&data, Encryption::Aes, Some("aaaa")).unwrap();
        let wrong = check(&data, Encryption::Aes, Some("bbbb")).unwrap_err().to_string();
        assert!(wrong.contains("aaaa") && wrong.contains("bbbb"), "{wrong}");
        let off = check(&data, Encryption::Off, None).unwrap_err().to_string();
        assert!(off.contains("take that line out"), "{off}");
        fs::write(data.key_fingerprint_file(), "plain\n").unwrap();
        let plain = check(&data, Encryption::Aes, Some("aaaa")).unwrap_err().to_string();
        assert!(plain.contains("without encryption"), "{plain}");
    }
}
