//! Answering in nats-server's place where the hub has an outbox begin again.
//!
//! A source of the hub that missed something, as it does whenever a link breaks under load, has the
//! outbox begin again after what was acknowledged, and takes the answer's `delivered` for a position
//! that it has itself. nats-server resets first and looks at what is delivered afterwards; if the
//! consumer delivers in between, that tells messages which nobody received. The source then drops
//! them as old ones when they come again, and acknowledges them: they leave the outbox and are lost.
//! A thousand of five thousand were, on a busy machine.
//!
//! So the hub asks the leaf's leafbox, which asks nats-server and tells the hub what is acknowledged.
//! What was delivered too early then leaves a gap in the hub's count, for which it asks once more.
//! While no leafbox runs on the leaf, the outbox keeps what it has, and the hub goes on asking.

use std::time::Duration;

use async_nats::{Client, HeaderMap, Message};
use futures::StreamExt;
use serde_json::{Value, json};
use settings::{Fleet, Name, Node, NodeRole, store::Travel, travel as topology};
use tracing::debug;

use crate::{delivery, error::Error, travel};

/// Resets answered at once; one takes as long as the disk needs.
const AT_ONCE: usize = 16;
/// Who answers, so that it is one however many listen.
const GROUP: &str = "leafbox";
/// The hub waits no longer for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The accounts of this node whose outboxes the hub empties.
pub fn accounts_with_outboxes(fleet: &Fleet, node: &Node) -> Vec<Name> {
    if node.role == NodeRole::Hub {
        return Vec::new();
    }
    let accounts = fleet.all_accounts().into_iter();
    let with_outbox =
        accounts.filter(|(_, account)| account.streams.values().any(|one| one.travel == Some(Travel::Up)));
    with_outbox.map(|(name, _)| name).collect()
}

/// Answers for the outboxes of one account for as long as the connection is there.
pub async fn answer_resets(node: &Node, account: &Name, client: &Client) -> Result<(), Error> {
    let api = delivery::api_of(topology::domain(node));
    let subject = format!("{api}.CONSUMER.RESET.*.{}", travel::EMPTIED_BY);
    let subscribed = client.queue_subscribe(subject.clone(), GROUP.into()).await;
    let requests =
        subscribed.map_err(|source| Error::Subscribe { account: account.clone(), subject, source })?;
    requests.for_each_concurrent(AT_ONCE, |request| answer(client, &api, request)).await;
    Ok(())
}

async fn answer(client: &Client, api: &str, request: Message) {
    let (Some(rest), Some(reply)) = (request.subject.strip_prefix(api), request.reply.clone()) else {
        return;
    };
    let asked = async_nats::Request::new()
        .headers(request.headers.clone().unwrap_or_default())
        .payload(request.payload.clone())
        .timeout(Some(PATIENCE));
    let answer = match client.send_request(format!("$JS.API{rest}"), asked).await {
        Ok(answer) => answer,
        // The hub asks again.
        Err(error) => return debug!("no answer to {}: {error}", request.subject),
    };
    let payload = corrected(&answer.payload).unwrap_or_else(|| answer.payload.to_vec());
    let headers = answer.headers.unwrap_or_else(HeaderMap::new);
    let sent = if headers.is_empty() {
        client.publish(reply, payload.into()).await
    } else {
        client.publish_with_headers(reply, headers, payload.into()).await
    };
    if let Err(error) = sent {
        debug!("could not answer {}: {error}", request.subject);
    }
}

/// The answer to a reset with what is acknowledged as what was delivered; `None` for another answer.
fn corrected(answer: &[u8]) -> Option<Vec<u8>> {
    let mut answer: Value = serde_json::from_slice(answer).ok()?;
    let first = answer.get("reset_seq")?.as_u64()?;
    *answer.get_mut("delivered")? = json!({ "consumer_seq": 0, "stream_seq": first.saturating_sub(1) });
    serde_json::to_vec(&answer).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_delivered_after_a_reset_is_not_told() {
        let told = |answer: Value| -> Option<Value> {
            Some(serde_json::from_slice(&corrected(answer.to_string().as_bytes())?).unwrap())
        };
        let raced = json!({
            "name": "leafbox-hub", "config": { "ack_policy": "flow_control" }, "reset_seq": 1001,
            "delivered": { "consumer_seq": 979, "stream_seq": 1979 }, "num_ack_pending": 979,
        });
        let told_of_it = told(raced).unwrap();
        assert_eq!(told_of_it["delivered"], json!({ "consumer_seq": 0, "stream_seq": 1000 }));
        assert_eq!(told_of_it["config"]["ack_policy"], "flow_control");
        assert_eq!(told(json!({ "error": { "code": 404 } })), None);
        assert_eq!(corrected(b"no JSON"), None);
    }
}
