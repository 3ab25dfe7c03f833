//! What a kill or a power cut leaves in an encrypted store that nats-server cannot read.
//!
//! nats-server makes a block of messages before the block's key. Where it ended between the two, the
//! next start takes the empty block for one that was never encrypted, fails to convert it ("Error
//! recreating stream … corrupt state file"), and **deletes the stream's whole folder**. Seen with
//! 2.15.1, in about 4 of 14 kills of a server that stores an upload; see `loadEncryptionForMsgBlock` in
//! its filestore.go. Without the empty block, all that was acknowledged is recovered.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// `<store>/jetstream/<account>/streams/<stream>/msgs`, and those of a cluster's logs,
/// `<store>/jetstream/$SYS/_js_/<group>/msgs`.
const DEEPEST: usize = 5;

/// Removes empty blocks that have no key from the encrypted streams in a JetStream folder, and names
/// them. No nats-server may run on it.
///
/// # Errors
/// When something in it cannot be read or removed. A folder that is not there yet is no error.
pub fn mend(store: &Path) -> io::Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    match mend_folder(store, DEEPEST, &mut removed) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(removed),
    }
}

fn mend_folder(folder: &Path, deepest: usize, removed: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let path = entry.path();
        if entry.file_name() != "msgs" {
            if deepest > 0 {
                mend_folder(&path, deepest - 1, removed)?;
            }
        // A stream that is not encrypted has blocks without keys.
        } else if folder.join("meta.key").exists() {
            mend_blocks(&path, removed)?;
        }
    }
    Ok(())
}

fn mend_blocks(folder: &Path, removed: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "blk")
            && !path.with_extension("key").exists()
            && path.metadata()?.len() == 0
        {
            fs::remove_file(&path)?;
            removed.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_empty_blocks_without_a_key_of_encrypted_streams_go() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path();
        assert!(mend(&store.join("none")).unwrap().is_empty());
        let file = |path: &str, text: &str| {
            let path = store.join("jetstream").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        let kept = [
            file("APP/streams/ORDERS/meta.key", "key"),
            file("APP/streams/ORDERS/msgs/1.blk", "messages"),
            file("APP/streams/ORDERS/msgs/2.blk", ""),
            file("APP/streams/ORDERS/msgs/2.key", "key"),
            file("APP/streams/ORDERS/msgs/3.key.tmp", "key"),
            file("APP/streams/PLAIN/msgs/1.blk", ""),
        ];
        let mut gone =
            [file("APP/streams/ORDERS/msgs/3.blk", ""), file("$SYS/_js_/S-R3F-abc/msgs/7.blk", "")];
        file("$SYS/_js_/S-R3F-abc/meta.key", "key");
        let mut removed = mend(store).unwrap();
        removed.sort();
        gone.sort();
        assert_eq!(removed, gone);
        assert!(kept.iter().all(|path| path.exists()) && gone.iter().all(|path| !path.exists()));
        assert!(mend(store).unwrap().is_empty());
    }
}
