//! The examples that leafbox carries, so that it runs where there is no file yet.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::cli::Example;

/// Where `leafbox dev` keeps the example that it runs, so that every other command finds it.
pub fn node_file(data: &Path) -> PathBuf {
    data.join("example").join("node.toml")
}

/// Writes the example under the data folder, in place of an older one.
pub fn unpack(data: &Path, example: Example) -> Result<()> {
    let folder = data.join("example");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, text) in files(example) {
        let path = folder.join(name);
        if fs::read_to_string(&path).is_ok_and(|found| found == text) {
            continue;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
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
