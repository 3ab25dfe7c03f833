//! `GET /objects/{account}/{bucket}/of/{object}`: what is known of an object, and its bytes.

use axum::{
    extract::Path,
    http::{HeaderValue, header},
    response::Response,
};
use maud::{Markup, html};

use super::{Bucket, Described, above, chunks};
use crate::{
    Role,
    console::{
        command::command,
        download::download,
        failure::Failure,
        figures::{bytes, moment},
        form::confirm,
        visit::Visit,
    },
};

/// `GET /objects/{account}/{bucket}/of/{object}`.
pub(super) async fn show(
    visit: Visit,
    Path((account, bucket, name)): Path<(String, String, String)>,
) -> Response {
    let content = async {
        let bucket = Bucket::of(&visit, &account, &bucket)?;
        let object = bucket.object(&name).await?;
        Ok::<_, Failure>(page(&visit, &bucket, &object))
    };
    visit.answer(&name, content.await)
}

/// `GET /objects/{account}/{bucket}/of/{object}/file`.
pub(super) async fn file(
    visit: Visit,
    Path((account, bucket, name)): Path<(String, String, String)>,
) -> Response {
    let found = async {
        let bucket = Bucket::of(&visit, &account, &bucket)?;
        let object = bucket.object(&name).await?;
        if object.nuid.is_empty() || object.nuid.contains(['.', '*', '>', ' ']) {
            return Err(Failure::Missing(format!(
                "content of {name}: it is a link, or was written by no client"
            )));
        }
        Ok((bucket, object))
    };
    match found.await {
        Ok((bucket, object)) => {
            let (file, size) = (name.rsplit('/').next().unwrap_or(&name).to_owned(), object.size);
            let mut response = download(&file, chunks::body(bucket, object));
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(size));
            response
        }
        Err(failure) => visit.failed(&name, &failure),
    }
}

fn page(visit: &Visit, bucket: &Bucket, object: &Described) -> Markup {
    let name = bucket.name.as_str();
    html! {
        (above(bucket))
        dl {
            dt { "Size" } dd { (bytes(object.size)) " in " (object.chunks) " chunks" }
            dt { "Changed" } dd { (moment(&object.written)) }
            @if !object.mtime.is_empty() { dt { "File of" } dd { (moment(&object.mtime)) } }
            dt { "Digest" } dd { code { (object.digest) } }
            @if !object.description.is_empty() { dt { "Description" } dd { (object.description) } }
        }
        p.actions { a.button href=(bucket.path(&["of", &object.name, "file"])) download { "Download" } }
        (command(&["object", "get", name, &object.name]))
        details {
            summary { "As NATS says it" }
            pre tabindex="0" aria-label="Description" { code { (format!("{:#}", object.all)) } }
        }
        @if visit.may(Role::Operator) && bucket.name.stream().writable().is_ok() {
            h2 { "Destroy" }
            details {
                summary { "Delete the object" }
                form.danger method="post" action=(bucket.path(&["delete"])) {
                    p { "Its content does not come back." }
                    input type="hidden" name="name" value=(object.name);
                    (confirm("delete-confirm", &object.name))
                    button.danger type="submit" { "Delete" }
                }
                (command(&["object", "rm", name, &object.name]))
            }
        }
    }
}
