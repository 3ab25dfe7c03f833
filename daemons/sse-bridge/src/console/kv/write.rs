//! What changes keys: each change is made only if the key is as it was on the page.

use async_nats::HeaderMap;
use axum::{
    extract::{Path, Request},
    response::Response,
};

use super::{
    Bucket,
    key::{self, Again},
    written_to,
};
use crate::{
    audit::What,
    console::{
        failure::Failure,
        form::Inputs,
        guard,
        jetstream::{NatsError, WRITING, answered},
        told::Message,
        visit::{Operator, Visit},
    },
};

/// "wrong last sequence", of a key and of a stream with copies.
const CHANGED: [u64; 2] = [10071, 10164];

/// A change that a form asks for.
struct Change {
    bucket: Bucket,
    key: String,
    /// The revision that the key had on the page; 0 where it had none.
    revision: u64,
}

impl Change {
    fn of(visit: &Visit, account: &str, bucket: &str, inputs: &Inputs) -> Result<Self, Failure> {
        let bucket = Bucket::of(visit, account, bucket)?;
        bucket.name.stream().writable()?;
        let key = guard::key(inputs.get("key").trim())?.to_owned();
        let revision = inputs.get("revision");
        let revision = revision
            .parse()
            .map_err(|_| Failure::Body(format!("`{revision}` is no revision: write a number")))?;
        Ok(Self { bucket, key, revision })
    }

    /// Writes it, and gives the new revision.
    async fn write(&self, more: &[(&str, &str)], value: Vec<u8>) -> Result<u64, NatsError> {
        let account = &self.bucket.account;
        let info = account.stream(self.bucket.name.stream()).await?;
        let subject = written_to(&info["config"], &self.bucket.name, &self.key);
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Subject-Sequence", self.revision.to_string().as_str());
        for (name, value) in more {
            headers.insert(*name, *value);
        }
        let request = async_nats::Request::new().headers(headers).payload(value.into());
        let answer = answered(&account.client, &subject, request, WRITING).await?;
        Ok(answer["seq"].as_u64().unwrap_or_default())
    }
}

/// `POST /kv/{account}/{bucket}/put`.
pub(super) async fn put(
    Operator(visit): Operator,
    Path((account, bucket)): Path<(String, String)>,
    request: Request,
) -> Response {
    let value = async {
        let inputs = Inputs::of(request).await?;
        Ok::<_, Failure>((Change::of(&visit, &account, &bucket, &inputs)?, inputs.lines("value")))
    };
    let (change, value) = match value.await {
        Ok(asked) => asked,
        Err(failure) => return visit.failed("Store a value", &failure),
    };
    match change.write(&[], value.clone().into_bytes()).await {
        Ok(revision) => {
            visit.tell(What::KeyWritten, format!("{account}/{bucket}/{}: revision {revision}", change.key));
            let path = change.bucket.path(&["keys", &change.key]);
            visit.go(&path, Message::done(format!("{} is stored as revision {revision}", change.key)))
        }
        Err(NatsError::Refused { err_code, .. }) if CHANGED.contains(&err_code) => {
            again(&visit, &change, value).await
        }
        Err(error) => visit.failed("Store a value", &error.into()),
    }
}

/// The form again, beside what somebody else has stored meanwhile.
async fn again(visit: &Visit, change: &Change, value: String) -> Response {
    let history = match key::history(&change.bucket, &change.key).await {
        Ok(history) => history,
        Err(failure) => return visit.failed("Store a value", &failure),
    };
    let error = match (change.revision, history.first()) {
        (0, Some(now)) => {
            format!("the key is there already, with revision {}: store again to replace it", now.revision)
        }
        (was, now) => format!(
            "somebody else changed it since revision {was}; it has revision {} now: look at the value above, and \
             store again to replace it",
            now.map_or(0, |now| now.revision)
        ),
    };
    let again = Again { value, error };
    visit
        .form_again(&change.key, &key::page(visit, &change.bucket, &change.key, &history, None, Some(&again)))
}

/// `POST /kv/{account}/{bucket}/delete`.
pub(super) async fn delete(
    Operator(visit): Operator,
    Path((account, bucket)): Path<(String, String)>,
    request: Request,
) -> Response {
    let headers = [("KV-Operation", "DEL")];
    take_away(&visit, &account, &bucket, request, &headers, (What::KeyDeleted, "deleted")).await
}

/// `POST /kv/{account}/{bucket}/purge`.
pub(super) async fn purge(
    Operator(visit): Operator,
    Path((account, bucket)): Path<(String, String)>,
    request: Request,
) -> Response {
    let headers = [("KV-Operation", "PURGE"), ("Nats-Rollup", "sub")];
    take_away(&visit, &account, &bucket, request, &headers, (What::KeyPurged, "purged")).await
}

async fn take_away(
    visit: &Visit,
    account: &str,
    bucket: &str,
    request: Request,
    headers: &[(&str, &str)],
    (what, word): (What, &str),
) -> Response {
    let done = async {
        let inputs = Inputs::of(request).await?;
        let change = Change::of(visit, account, bucket, &inputs)?;
        inputs.confirms(&change.key)?;
        match change.write(headers, Vec::new()).await {
            Err(NatsError::Refused { err_code, .. }) if CHANGED.contains(&err_code) => {
                return Err(Failure::Changed { what: format!("the key {}", change.key) });
            }
            written => written?,
        };
        visit.tell(what, format!("{account}/{bucket}/{}", change.key));
        Ok((change.bucket.path(&[]), Message::done(format!("{} is {word}", change.key))))
    };
    visit.acted("Take a key away", done.await)
}
