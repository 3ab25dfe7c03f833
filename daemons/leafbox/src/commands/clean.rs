//! `leafbox clean`: removes the data directory of a stopped node.

use std::io::{IsTerminal, Write, stderr, stdin};

use anyhow::{Context, Result, bail};

use crate::{cli, data::DataDir, say};

/// Removes the data directory after asking, or at once with `--yes`.
pub(crate) fn run(data: &DataDir, arguments: &cli::Clean) -> Result<()> {
    let root = data.root();
    if !root.exists() {
        say!("{} is not there: nothing to remove", root.display());
        return Ok(());
    }
    // A mistyped --data must not cost anyone their home directory.
    if !data.is_marked() {
        bail!(
            "{} has no leafbox.json, so it is not a leafbox data folder: nothing was removed",
            root.display()
        );
    }
    if data.is_running() {
        bail!("a node runs on {}: stop it first; nothing was removed", root.display());
    }
    if !arguments.yes {
        if !stdin().is_terminal() {
            bail!("there is no terminal to ask on: say --yes to remove {}", root.display());
        }
        eprint!("Remove {} with every key, message and bucket in it? Type the word remove: ", root.display());
        stderr().flush().context("cannot ask")?;
        let mut answer = String::new();
        stdin().read_line(&mut answer).context("cannot read the answer")?;
        if answer.trim() != "remove" {
            bail!("not removed");
        }
    }
    let left = data.remove()?;
    if left.is_empty() {
        say!("removed {}", root.display());
    } else {
        say!("removed what was leafbox's in {}; left {}", root.display(), left.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const YES: cli::Clean = cli::Clean { yes: true };

    #[test]
    fn removes_a_stopped_node_and_says_so_twice() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(&folder.path().join("data")).unwrap();
        data.create().unwrap();
        run(&data, &YES).unwrap();
        assert!(!data.root().exists());
        run(&data, &YES).unwrap();
    }

    #[test]
    fn refuses_a_running_node_and_a_folder_of_someone_else() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        assert!(run(&data, &YES).unwrap_err().to_string().contains("not a leafbox data folder"));
        data.create().unwrap();
        let _lock = data.lock().unwrap();
        assert!(run(&data, &YES).unwrap_err().to_string().contains("stop it first"));
        assert!(data.root().join("leafbox.json").exists());
    }
}
