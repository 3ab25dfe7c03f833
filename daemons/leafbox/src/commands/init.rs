//! `leafbox init`: an example's files, to edit.

use std::{fs, io::Write};

use anyhow::{Context, Result, bail};

use crate::{cli, example, say};

/// Writes the example's files; refuses to replace one that is there.
pub(crate) fn run(arguments: &cli::Init) -> Result<()> {
    let folder = &arguments.into;
    let files = example::files(arguments.example);
    let taken: Vec<String> = files
        .iter()
        .map(|(name, _)| folder.join(name))
        .filter(|path| path.exists())
        .map(|path| path.display().to_string())
        .collect();
    if !taken.is_empty() {
        bail!(
            "{} is there already: remove it or write elsewhere with --into DIR; nothing was written",
            taken.join(" and ")
        );
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, text) in files {
        let path = folder.join(name);
        fs::File::create_new(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        say!("wrote {}", path.display());
    }
    say!("next: edit them, then `leafbox check` and `leafbox dev`");
    Ok(())
}
