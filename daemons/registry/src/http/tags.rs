//! `GET /v2/<name>/tags/list` and `GET /v2/_catalog`: lists in parts.

use axum::{
    http::{StatusCode, header},
    response::Response,
};
use serde::Serialize;

use super::{Asked, Failure, Parts, answer::Answer};
use crate::{Repository, Tag, access::Action, parse::next_link};

const JSON: &str = "application/json";

#[derive(Serialize)]
struct TagList<'a> {
    name: &'a Repository,
    tags: &'a [Tag],
}

pub(crate) async fn list(parts: &Parts, asked: &Asked, repository: &Repository) -> Result<Response, Failure> {
    asked.caller.may(repository, Action::Pull)?;
    let page = asked.query.page()?;
    let storage = &parts.storage;
    // One more than wanted, which tells whether there are more.
    let limit = page.count.map_or(usize::MAX, |count| count.saturating_add(1));
    let found = match page.last.map(str::parse::<Tag>) {
        None => storage.tags_after(repository, None, limit).await?,
        Some(Ok(last)) => storage.tags_after(repository, Some(&last), limit).await?,
        // What is no tag has a place among them too.
        Some(Err(_)) => storage.tags(repository).await?,
    };
    let found = found.ok_or_else(|| Failure::RepositoryUnknown(repository.clone()))?;
    let after =
        found.into_iter().map(|(tag, _)| tag).filter(|tag| page.last.is_none_or(|last| tag.as_str() > last));
    let (tags, more) = page.cut(after);
    let answer = Answer::of(StatusCode::OK);
    let answer = match (tags.last(), page.count) {
        (Some(last), Some(count)) if more => {
            let path = format!("/v2/{repository}/tags/list");
            answer.with(header::LINK, next_link(&path, &[("n", &count.to_string()), ("last", last.as_str())]))
        }
        _ => answer,
    };
    Ok(answer.json(JSON, &TagList { name: repository, tags: &tags }))
}

#[derive(Serialize)]
struct Catalog<'a> {
    repositories: &'a [Repository],
}

/// Those that the caller may pull from.
pub(crate) async fn catalog(parts: &Parts, asked: &Asked) -> Result<Response, Failure> {
    asked.caller.may_list()?;
    let page = asked.query.page()?;
    let index = parts.storage.index();
    let all = match page.last.map(str::parse::<Repository>) {
        Some(Ok(last)) => index.repositories_after(Some(&last), usize::MAX),
        Some(Err(_)) | None => index.repositories(),
    };
    let is_after = |repository: &Repository| page.last.is_none_or(|last| repository.as_str() > last);
    let seen = all.into_iter().filter(|repository| is_after(repository) && asked.caller.sees(repository));
    let (repositories, more) = page.cut(seen);
    let answer = Answer::of(StatusCode::OK);
    let answer = match (repositories.last(), page.count) {
        (Some(last), Some(count)) if more => {
            let parameters = [("n", &*count.to_string()), ("last", last.as_str())];
            answer.with(header::LINK, next_link("/v2/_catalog", &parameters))
        }
        _ => answer,
    };
    Ok(answer.json(JSON, &Catalog { repositories: &repositories }))
}
