//! Refuses to start JetStream with a key that its files were not written with.
//!
//! nats-server itself starts with a wrong key, says unavailable on `/healthz` and keeps the files;
//! but a `STREAM.CREATE` of the same name then erases them. So the fingerprint of the key stands in
//! the data directory and is compared before nats-server is started.

use std::fs;

use anyhow::{Context, Result, bail};
use settings::node::Encryption;

use crate::{
    contradiction,
    data::{DataDir, write_whole},
};

/// What the fingerprint file says of a store that is not encrypted.
const PLAIN: &str = "plain";

/// Compares the key's fingerprint with the one on record, and records it as long as nats-server
/// never ran here: a start that was refused for another reason binds nobody to its key.
///
/// `fingerprint` is `None` where there is no key: node.toml turns encryption off, or the key is
/// missing.
pub fn check(data: &DataDir, encryption: Encryption, fingerprint: Option<&str>) -> Result<()> {
    let file = data.key_fingerprint_file();
    let given = if encryption == Encryption::Off { Some(PLAIN) } else { fingerprint };
    let recorded = match fs::read_to_string(&file) {
        Ok(text) => Some(text.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    if given.is_some() && recorded.as_deref() == given {
        return Ok(());
    }
    let store = data.jetstream();
    if recorded.is_none() && has_run(data) {
        contradiction!(
            "{} has been used, and {} does not say with which key: nothing was started. If jetstream.key is \
             that key, or the store never was encrypted and node.toml says so, write `{}` into that file",
            store.display(),
            file.display(),
            given.unwrap_or("the fingerprint of the key")
        );
    }
    let Some(recorded) = recorded.filter(|_| has_run(data)) else {
        let Some(given) = given else {
            bail!(
                "there is no jetstream.key in the credentials directory, and JetStream is encrypted with it: \
                 put one there with mode 0600 (`openssl rand -hex 32` prints one), and keep a copy elsewhere"
            );
        };
        return write_whole(&file, format!("{given}\n").as_bytes(), 0o644);
    };
    match (recorded.as_str(), encryption) {
        (PLAIN, _) => contradiction!(
            "{} was written without encryption, and node.toml asks for it: set `jetstream.encryption = \"off\"`, \
             or back the stores up, move the folder away and restore them; nothing was started",
            store.display()
        ),
        (_, Encryption::Off) => contradiction!(
            "{} is encrypted (key {recorded}), and node.toml says `jetstream.encryption = \"off\"`: \
             take that line out; nothing was started",
            store.display()
        ),
        _ => match given {
            Some(given) => contradiction!(
                "{} is encrypted with the key {recorded}, and the credential `jetstream.key` is {given}: \
                 put the right key back; with the wrong one nats-server would offer empty stores; nothing was started",
                store.display()
            ),
            // It may come: the file of a secret store is at times later than the unit.
            None => bail!(
                "{} is encrypted with the key {recorded}, and the credential `jetstream.key` is missing: \
                 put it back from a backup; nothing was started",
                store.display()
            ),
        },
    }
}

/// Whether nats-server ever ran on the folder: it makes its own in it at its first start.
pub fn has_run(data: &DataDir) -> bool {
    fs::read_dir(data.jetstream()).is_ok_and(|mut entries| entries.next().is_some())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn data() -> (tempfile::TempDir, DataDir) {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        data.create().unwrap();
        fs::create_dir(data.jetstream().join("jetstream")).unwrap();
        (folder, data)
    }

    #[test]
    fn a_key_is_bound_only_once_nats_server_ran() {
        let (_folder, data) = data();
        fs::remove_dir(data.jetstream().join("jetstream")).unwrap();
        let missing = check(&data, Encryption::Aes, None).unwrap_err().to_string();
        assert!(missing.contains("openssl rand -hex 32"), "{missing}");
        assert!(!data.key_fingerprint_file().exists());
        check(&data, Encryption::Aes, Some("aaaa")).unwrap();
        check(&data, Encryption::Aes, Some("bbbb")).unwrap();
        fs::create_dir(data.jetstream().join("jetstream")).unwrap();
        assert!(check(&data, Encryption::Aes, Some("aaaa")).is_err());
        let missing = check(&data, Encryption::Aes, None).unwrap_err().to_string();
        assert!(missing.contains("bbbb") && missing.contains("backup"), "{missing}");
    }

    #[test]
    fn a_used_store_without_a_record_binds_nobody_to_a_guess() {
        let (_folder, data) = data();
        let lost = check(&data, Encryption::Aes, Some("aaaa")).unwrap_err().to_string();
        assert!(lost.contains("write `aaaa` into"), "{lost}");
        assert!(!data.key_fingerprint_file().exists(), "a guess was recorded");
        fs::write(data.key_fingerprint_file(), "aaaa\n").unwrap();
        check(&data, Encryption::Aes, Some("aaaa")).unwrap();
    }

    #[test]
    fn the_same_key_is_accepted_again() {
        let (_folder, data) = data();
        fs::write(data.key_fingerprint_file(), "aaaa\n").unwrap();
        check(&data, Encryption::Aes, Some("aaaa")).unwrap();
        check(&data, Encryption::Aes, Some("aaaa")).unwrap();
        check(&data, Encryption::Chacha, Some("aaaa")).unwrap();
    }

    #[test]
    fn a_wrong_a_missing_and_a_new_key_are_told_apart() {
        let (_folder, data) = data();
        fs::write(data.key_fingerprint_file(), "aaaa\n").unwrap();
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
