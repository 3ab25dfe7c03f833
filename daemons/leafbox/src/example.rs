//! The examples that leafbox carries, so that it runs where there is no file yet.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::cli::Example;

/// Where `leafbox dev` keeps the example that it runs, so that every other command finds it.
pub fn node_file(data: &Path) -> PathBuf {
    data.join("example").join("node.toml")
}

/// Writes the example under the data folder, where nothing is yet: what someone has edited there is
/// theirs.
///
/// # Errors
/// When another example was asked for by name than the one that is there.
pub fn unpack(data: &Path, asked: Option<Example>) -> Result<()> {
    let folder = data.join("example");
    let node = node_file(data);
    if let (Some(asked), Ok(found)) = (asked, fs::read_to_string(&node))
        && found != files(asked)[0].1
    {
        bail!(
            "{} is another example, or was edited: `leafbox clean` removes it with all its data, \
             `leafbox init` writes an example elsewhere",
            node.display()
        );
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, text) in files(asked.unwrap_or(Example::School)) {
        let path = folder.join(name);
        if !path.exists() {
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}

/// File names, as `leafbox init` writes them, and texts of an example.
pub fn files(example: Example) -> [(&'static str, &'static str); 2] {
    match example {
        Example::School => [
            ("node.toml", include_str!("../../../examples/school/node.toml")),
            ("fleet.toml", include_str!("../../../examples/school/fleet.toml")),
        ],
        Example::Shop => [
            ("node.toml", include_str!("../../../examples/shop/node-shop-1.toml")),
            ("fleet.toml", include_str!("../../../examples/shop/fleet.toml")),
        ],
    }
}
