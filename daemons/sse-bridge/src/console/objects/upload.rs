//! `POST /objects/{account}/{bucket}/upload`: a file from a form becomes an object (ADR-20).
//!
//! Its bytes are stored while they come, a chunk at a time; the description goes last, so that nobody sees
//! half an object. What was stored of an upload that ends early goes again.

use std::time::Duration;

use async_nats::{HeaderMap, Request};
use axum::{
    extract::{Multipart, Path, multipart::Field},
    response::Response,
};
use bytes::{Bytes, BytesMut};
use data_encoding::BASE64URL;
use maud::{Markup, html};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::{Bucket, Described};
use crate::{
    Role,
    audit::What,
    console::{
        command::command,
        failure::Failure,
        figures::{bytes, now},
        jetstream::{NatsError, WRITING, answered},
        told::Message,
        visit::{Operator, Visit},
    },
};

/// Bytes of a chunk, as clients of NATS have it; less where a message may have less.
const CHUNK: usize = 128 << 10;
/// How long the browser may send nothing.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a name and of a description.
const LONGEST: usize = 255;
/// "wrong last sequence", of a subject and of a stream with copies.
const CHANGED: [u64; 2] = [10071, 10164];

/// `POST /objects/{account}/{bucket}/upload`.
pub(super) async fn upload(
    Operator(visit): Operator,
    Path((account, bucket)): Path<(String, String)>,
    mut form: Multipart,
) -> Response {
    let storing = visit.clone();
    // A browser that goes away ends this request, and what it left must go all the same.
    let stored = tokio::spawn(async move {
        let bucket = Bucket::of(&storing, &account, &bucket)?;
        bucket.name.stream().writable()?;
        let object = store(&bucket, &mut form).await;
        if object.is_err() {
            // A browser that cannot send its file to the end does not look at the answer.
            let rest = async { while let Ok(Some(_)) = form.next_field().await {} };
            let _ = timeout(PATIENCE, rest).await;
        }
        let object = object?;
        let told = format!("{account}/{}/{}: {} bytes", bucket.name.as_str(), object.name, object.size);
        storing.tell(What::ObjectStored, told);
        let done = format!("{} is stored, {}", object.name, bytes(object.size));
        Ok((bucket.path(&["of", &object.name]), Message::done(done)))
    });
    let stored = stored.await.unwrap_or_else(|error| Err(Failure::Body(error.to_string())));
    visit.acted("Upload an object", stored)
}

/// What comes before the file in the form.
#[derive(Debug, Default)]
struct About {
    name: String,
    description: String,
    replaces: bool,
}

async fn store(bucket: &Bucket, form: &mut Multipart) -> Result<Described, Failure> {
    let unread = |error: axum::extract::multipart::MultipartError| Failure::Body(error.body_text());
    let mut about = About::default();
    while let Some(field) = timeout(PATIENCE, form.next_field()).await.map_err(late)?.map_err(unread)? {
        match field.name().unwrap_or_default() {
            "name" => about.name = short(field).await?.trim().to_owned(),
            "description" => about.description = short(field).await?,
            "replace" => about.replaces = short(field).await? == "true",
            "file" => {
                if about.name.is_empty() {
                    about.name = field.file_name().unwrap_or_default().to_owned();
                }
                return Upload::begin(bucket, about).await?.run(field).await;
            }
            _ => {}
        }
    }
    Err(Failure::Body("there is no file in it".to_owned()))
}

/// A field that is a line of text.
async fn short(mut field: Field<'_>) -> Result<String, Failure> {
    let mut text = Vec::new();
    while let Some(piece) = next(&mut field).await? {
        text.extend_from_slice(&piece);
        if text.len() > LONGEST {
            return Err(Failure::Body(format!("a name and a description have {LONGEST} bytes at most")));
        }
    }
    String::from_utf8(text).map_err(|_| Failure::Body("a name is a text in UTF-8".to_owned()))
}

async fn next(field: &mut Field<'_>) -> Result<Option<Bytes>, Failure> {
    let piece = timeout(PATIENCE, field.chunk()).await.map_err(late)?;
    piece.map_err(|error| Failure::Body(error.body_text()))
}

fn late(_: tokio::time::error::Elapsed) -> Failure {
    Failure::Body(format!("nothing of it came for {} s", PATIENCE.as_secs()))
}

/// An object under way.
struct Upload<'a> {
    bucket: &'a Bucket,
    about: About,
    /// What had its name before; deleted ones too.
    before: Option<Described>,
    id: String,
    size: u64,
    chunks: u64,
    digest: Sha256,
}

impl<'a> Upload<'a> {
    async fn begin(bucket: &'a Bucket, about: About) -> Result<Self, Failure> {
        let name = &about.name;
        if name.is_empty() || name.len() > LONGEST || name.chars().any(char::is_control) {
            return Err(Failure::Body(format!(
                "`{}` is no name of an object: it has 1 to {LONGEST} bytes, all of them to be seen",
                name.escape_debug()
            )));
        }
        let config = bucket.account.stream(bucket.name.stream()).await?["config"].take();
        if let Some(origin) = copied_from(&config) {
            return Err(Failure::Body(format!(
                "{} is a copy of {origin}: upload it there",
                bucket.name.as_str()
            )));
        }
        let before = bucket.at(&bucket.subject(name)).await?;
        if !about.replaces && before.as_ref().is_some_and(|before| !before.deleted) {
            return Err(Failure::Body(format!(
                "there is an object {name} already: tick the box that replaces it, or give another name"
            )));
        }
        let id = format!("{:032x}", rand::random::<u128>());
        Ok(Self { bucket, about, before, id, size: 0, chunks: 0, digest: Sha256::new() })
    }

    /// Stores all of it, or nothing.
    async fn run(mut self, field: Field<'_>) -> Result<Described, Failure> {
        let stored = match self.fill(field).await {
            Ok(()) => self.describe().await,
            Err(failure) => Err(failure),
        };
        let useless = match &stored {
            Err(_) => Some(self.id.as_str()),
            Ok(_) => self.before.as_ref().map(|before| before.nuid.as_str()).filter(|id| !id.is_empty()),
        };
        if let Some(id) = useless {
            let filter = json!({ "filter": self.chunks_at(id) });
            let stream = self.bucket.name.stream().as_str();
            let purged = self.bucket.account.write(&format!("STREAM.PURGE.{stream}"), &filter).await;
            if let Err(error) = purged {
                tracing::warn!(
                    stream.name = stream,
                    "chunks that belong to no object stay in {stream}, at {}: {error}",
                    self.chunks_at(id)
                );
            }
        }
        stored
    }

    /// Stores the bytes.
    async fn fill(&mut self, mut field: Field<'_>) -> Result<(), Failure> {
        let limit = self.bucket.account.client.server_info().max_payload;
        let chunk = if limit == 0 { CHUNK } else { CHUNK.min(limit) };
        let mut waiting = BytesMut::new();
        while let Some(piece) = next(&mut field).await? {
            waiting.extend_from_slice(&piece);
            while waiting.len() >= chunk {
                let full = waiting.split_to(chunk).freeze();
                self.put(full).await?;
            }
        }
        if waiting.is_empty() { Ok(()) } else { self.put(waiting.freeze()).await }
    }

    async fn put(&mut self, chunk: Bytes) -> Result<(), Failure> {
        self.digest.update(&chunk);
        self.size += chunk.len() as u64;
        self.chunks += 1;
        let request = Request::new().payload(chunk);
        answered(&self.bucket.account.client, &self.chunks_at(&self.id), request, WRITING).await?;
        Ok(())
    }

    /// Makes it an object, if its name is as it was.
    async fn describe(&self) -> Result<Described, Failure> {
        let Self { bucket, about, .. } = self;
        let described = json!({
            "name": about.name,
            "description": about.description,
            "bucket": bucket.name.as_str(),
            "nuid": self.id,
            "size": self.size,
            "chunks": self.chunks,
            "mtime": now(),
            "digest": format!("SHA-256={}", BASE64URL.encode(&self.digest.clone().finalize())),
            "options": { "max_chunk_size": CHUNK },
        });
        let sequence = self.before.as_ref().map_or(0, |before| before.sequence);
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Rollup", "sub");
        headers.insert("Nats-Expected-Last-Subject-Sequence", sequence.to_string().as_str());
        let request = Request::new().headers(headers).payload(described.to_string().into());
        let written = answered(&bucket.account.client, &bucket.subject(&about.name), request, WRITING).await;
        match written {
            Err(NatsError::Refused { err_code, .. }) if CHANGED.contains(&err_code) => {
                Err(Failure::Changed { what: format!("the object {}", about.name) })
            }
            Err(error) => Err(error.into()),
            Ok(_) => Ok(serde_json::from_value(described).unwrap_or_default()),
        }
    }

    fn chunks_at(&self, id: &str) -> String {
        format!("$O.{}.C.{id}", self.bucket.name.as_str())
    }
}

/// The stream that a bucket copies, where it does.
fn copied_from(config: &Value) -> Option<&str> {
    config["mirror"]["name"].as_str().filter(|name| !name.is_empty())
}

/// The form, for who may use it.
pub(super) fn form(visit: &Visit, bucket: &Bucket, config: &Value) -> Markup {
    let name = bucket.name.as_str();
    if !visit.may(Role::Operator) || bucket.name.stream().writable().is_err() {
        return html! {};
    }
    html! {
        h2 { "Upload" }
        @if let Some(origin) = copied_from(config) {
            p.quiet { "It is a copy of " (origin) ": what is uploaded there comes here." }
        } @else {
            form method="post" action=(bucket.path(&["upload"])) enctype="multipart/form-data" {
                label for="upload-name" { "Name" }
                input #upload-name name="name" maxlength=(LONGEST) autocomplete="off" autocapitalize="none" spellcheck="false" aria-describedby="upload-hint";
                p.hint #upload-hint { "The name of the file when empty." }
                label for="upload-description" { "Description" }
                input #upload-description name="description" maxlength=(LONGEST) autocomplete="off";
                label for="upload-replace" {
                    input #upload-replace type="checkbox" name="replace" value="true";
                    "Replace an object of this name"
                }
                // Last: what is said of it must be known before its bytes come.
                label for="upload-file" { "File" }
                input #upload-file type="file" name="file" required;
                button type="submit" { "Upload" }
            }
            (command(&["object", "put", name, "FILE"]))
        }
    }
}
