//! `POST /objects/{account}/{bucket}/delete`: the description says that the object is deleted, then its
//! chunks go (ADR-20).

use async_nats::HeaderMap;
use axum::{
    extract::{Path, Request},
    response::Response,
};
use serde_json::json;

use super::Bucket;
use crate::{
    audit::What,
    console::{
        form::Inputs,
        jetstream::{WRITING, answered},
        told::Message,
        visit::Operator,
    },
};

/// `POST /objects/{account}/{bucket}/delete`.
pub(super) async fn delete(
    Operator(visit): Operator,
    Path((account, bucket)): Path<(String, String)>,
    request: Request,
) -> Response {
    let done = async {
        let inputs = Inputs::of(request).await?;
        let bucket = Bucket::of(&visit, &account, &bucket)?;
        let stream = bucket.name.stream().writable()?.as_str();
        let name = inputs.get("name");
        inputs.confirms(name)?;
        let object = bucket.object(name).await?;
        let mut all = object.all.clone();
        all["deleted"] = true.into();
        all["size"] = 0.into();
        all["chunks"] = 0.into();
        all["digest"] = "".into();
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Rollup", "sub");
        headers.insert("Nats-Expected-Last-Subject-Sequence", object.sequence.to_string().as_str());
        let request = async_nats::Request::new().headers(headers).payload(all.to_string().into());
        answered(&bucket.account.client, &bucket.subject(name), request, WRITING).await?;
        if !object.nuid.is_empty() {
            let filter = json!({ "filter": format!("$O.{}.C.{}", bucket.name.as_str(), object.nuid) });
            bucket.account.write(&format!("STREAM.PURGE.{stream}"), &filter).await?;
        }
        visit.tell(What::ObjectDeleted, format!("{account}/{}/{name}", bucket.name.as_str()));
        Ok((bucket.path(&[]), Message::done(format!("{name} is deleted"))))
    };
    visit.acted("Delete an object", done.await)
}
