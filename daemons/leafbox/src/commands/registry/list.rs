//! `leafbox registry ls` and `tags`.

use anyhow::{Context, Result};
use registry::{Digest, Repository, collect, records::Origin};
use serde_json::{Value, json};
use settings::Pattern;

use super::{image, storage};
use crate::{
    figures::{amount, date},
    say,
    session::Session,
    table::Table,
};

/// Lists the repositories.
pub(super) async fn repositories(session: &Session, pattern: Option<&Pattern>, as_json: bool) -> Result<()> {
    let storage = storage::open(session).await?;
    let mut rows = collect::repositories(&storage);
    rows.retain(|row| pattern.is_none_or(|pattern| pattern.matches(row.repository.as_str())));
    if as_json {
        say!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    if rows.is_empty() {
        match pattern {
            Some(pattern) => say!("no repository is named like `{pattern}`: `leafbox registry ls` lists all"),
            None => say!("there is no repository yet: the first push to one makes it"),
        }
        return Ok(());
    }
    let mut table = Table::new(&["REPOSITORY", "TAGS", "SIZE", "SHARED", "LAST CHANGE"]);
    for row in rows {
        table.row([
            row.repository.to_string(),
            row.tags.to_string(),
            amount(row.bytes),
            amount(row.shared),
            row.changed.map(when).unwrap_or_default(),
        ]);
    }
    say!("{}", table.to_string().trim_end());
    Ok(())
}

/// Lists the tags of a repository.
pub(super) async fn tags(session: &Session, repository: &Repository, as_json: bool) -> Result<()> {
    let storage = storage::open(session).await?;
    let index = storage.index();
    let tags = index.tags(repository).with_context(|| {
        format!("there is no repository {repository} here: `leafbox registry ls` lists those that are")
    })?;
    let size = |digest: &Digest| index.needs(repository, digest).values().sum::<u64>();
    if as_json {
        let rows = tags.iter().map(|(tag, entry)| {
            json!({
                "tag": tag,
                "digest": entry.digest,
                "media_type": *entry.media_type,
                "bytes": size(&entry.digest),
                "at": entry.at,
                "by": *entry.by,
                "origin": *entry.origin,
            })
        });
        say!("{}", serde_json::to_string_pretty(&rows.collect::<Vec<Value>>())?);
        return Ok(());
    }
    if tags.is_empty() {
        say!("{repository} has no tags; its manifests can be pulled by digest");
        return Ok(());
    }
    let mut table = Table::new(&["TAG", "DIGEST", "SIZE", "CHANGED", "BY", "FROM"]);
    for (tag, entry) in tags {
        table.row([
            tag.to_string(),
            image::short(&entry.digest),
            amount(size(&entry.digest)),
            when(entry.at),
            entry.by.to_string(),
            origin(&entry.origin),
        ]);
    }
    say!("{}", table.to_string().trim_end());
    Ok(())
}

/// A time of a record.
pub(crate) fn when(seconds: u64) -> String {
    i64::try_from(seconds).ok().and_then(date).unwrap_or_else(|| "?".to_owned())
}

/// Where something came from, in words.
pub(super) fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Pushed => "pushed here".to_owned(),
        Origin::Hub => "the hub".to_owned(),
        Origin::Upstream(prefix) => format!("upstream {prefix}"),
        Origin::Leaf(leaf) => format!("leaf {leaf}"),
    }
}
