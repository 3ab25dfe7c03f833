//! What takes messages, streams and consumers away.

use axum::{
    extract::{Path, Request},
    response::Response,
};
use serde_json::{Value, json};

use super::{Place, undeclared};
use crate::{
    audit::What,
    console::{
        failure::Failure,
        form::Inputs,
        guard,
        told::Message,
        visit::{Admin, Operator},
    },
    feed::Pattern,
};

/// `POST /streams/{account}/{stream}/purge`.
pub(super) async fn purge(
    Operator(visit): Operator,
    Path((account, stream)): Path<(String, String)>,
    request: Request,
) -> Response {
    let done = async {
        let inputs = Inputs::of(request).await?;
        let place = Place::of(&visit, &account, &stream)?;
        inputs.confirms(place.stream.writable()?.as_str())?;
        let mut body = serde_json::Map::new();
        match inputs.get("filter").trim() {
            "" => {}
            filter => {
                let filter: Pattern = filter.parse().map_err(guard::Refused::from)?;
                body.insert("filter".to_owned(), filter.as_str().into());
            }
        }
        match inputs.get("keep").trim() {
            "" => {}
            keep => {
                let keep: u64 = keep
                    .parse()
                    .map_err(|_| Failure::Body(format!("`{keep}` is no number of messages to keep")))?;
                body.insert("keep".to_owned(), keep.into());
            }
        }
        let body = Value::Object(body);
        let answer = place.account.write(&format!("STREAM.PURGE.{stream}"), &body).await?;
        let count = answer["purged"].to_string();
        visit.tell(What::StreamPurged, format!("{account}/{stream}: {count} messages {body}"));
        Ok((place.path(&[]), Message::done(format!("{count} messages of {stream} are purged"))))
    };
    visit.acted("Purge", done.await)
}

/// `POST /streams/{account}/{stream}/delete`.
pub(super) async fn delete(
    Admin(visit): Admin,
    Path((account, stream)): Path<(String, String)>,
    request: Request,
) -> Response {
    let done = async {
        let inputs = Inputs::of(request).await?;
        let place = Place::of(&visit, &account, &stream)?;
        inputs.confirms(place.stream.writable()?.as_str())?;
        place.undeclared().await?;
        place.account.write(&format!("STREAM.DELETE.{stream}"), &Value::Null).await?;
        visit.tell(What::StreamDeleted, format!("{account}/{stream}"));
        let message = Message::done(format!("the stream {stream} of {account} is deleted"));
        Ok(("/streams".to_owned(), message))
    };
    visit.acted("Delete a stream", done.await)
}

/// `POST /streams/{account}/{stream}/messages/{sequence}/delete`.
pub(super) async fn delete_message(
    Operator(visit): Operator,
    Path((account, stream, sequence)): Path<(String, String, u64)>,
    request: Request,
) -> Response {
    let done = async {
        let inputs = Inputs::of(request).await?;
        let place = Place::of(&visit, &account, &stream)?;
        place.stream.writable()?;
        inputs.confirms(&sequence.to_string())?;
        let body = json!({ "seq": sequence, "no_erase": true });
        place.account.write(&format!("STREAM.MSG.DELETE.{stream}"), &body).await?;
        visit.tell(What::MessageDeleted, format!("{account}/{stream}: sequence {sequence}"));
        let message = Message::done(format!("the message {sequence} of {stream} is deleted"));
        Ok((place.path(&["messages"]), message))
    };
    visit.acted("Delete a message", done.await)
}

/// `POST /streams/{account}/{stream}/consumers/{consumer}/delete`.
pub(super) async fn delete_consumer(
    Admin(visit): Admin,
    Path((account, stream, consumer)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    let done = async {
        let inputs = Inputs::of(request).await?;
        let place = Place::of(&visit, &account, &stream)?;
        let name = guard::consumer(&consumer)?;
        place.stream.writable()?;
        inputs.confirms(name)?;
        let info = place.account.consumer(&place.stream, name).await?;
        undeclared(&info["config"], || format!("the consumer {name}"))?;
        place.account.write(&format!("CONSUMER.DELETE.{stream}.{name}"), &Value::Null).await?;
        visit.tell(What::ConsumerDeleted, format!("{account}/{stream}/{name}"));
        let message = Message::done(format!("the consumer {consumer} of {stream} is deleted"));
        Ok((place.path(&[]), message))
    };
    visit.acted("Delete a consumer", done.await)
}
