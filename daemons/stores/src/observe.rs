//! What the JetStream of this node holds in one account.

use std::collections::BTreeMap;

use async_nats::Client;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use crate::{
    api::{Api, ConsumerInfo, StreamInfo},
    desired::DesiredAccount,
    error::Error,
};

/// Requests in flight in one account.
const AT_ONCE: usize = 8;

/// The streams of an account, and the consumers of those that have or need some.
#[derive(Default)]
pub(crate) struct Observed {
    pub streams: BTreeMap<String, StreamInfo>,
    /// Streams that exist and whose leader did not answer.
    pub silent: Vec<String>,
    pub consumers: BTreeMap<String, BTreeMap<String, ConsumerInfo>>,
    /// Messages of one subject at most, for streams that would keep fewer.
    pub most_of_one_subject: BTreeMap<String, u64>,
}

/// Asks for the streams at once, and for the consumers only where there are any.
pub(crate) async fn observe(desired: &DesiredAccount, client: &Client) -> Result<Observed, Error> {
    let api = &Api::local(&desired.name, client);
    let (streams, silent) = api.streams().await?;
    let streams: BTreeMap<String, StreamInfo> = streams
        .into_iter()
        .filter_map(|info| Some((info.config.get("name")?.as_str()?.to_owned(), info)))
        .collect();
    let with_consumers: Vec<&String> =
        streams.iter().filter(|(_, info)| info.state.consumer_count > 0).map(|(name, _)| name).collect();
    // Collected first: a closure that borrows, kept across an await, is not provably Send.
    let asking: Vec<_> = with_consumers
        .into_iter()
        .map(|name| async move {
            let consumers = api.consumers(name).await?;
            let by_name = consumers.into_iter().map(|consumer| (consumer.name.clone(), consumer)).collect();
            Ok::<_, Error>((name.clone(), by_name))
        })
        .collect();
    let consumers = stream::iter(asking).buffer_unordered(AT_ONCE).try_collect().await?;
    let mut most_of_one_subject = BTreeMap::new();
    for store in &desired.stores {
        let Some(info) = streams.get(&store.stream) else { continue };
        let limit = |config: &crate::wire::Config| {
            config.get("max_msgs_per_subject").and_then(Value::as_i64).filter(|limit| *limit > 0)
        };
        let Some(wanted) = limit(&store.config) else { continue };
        // Asked only when it would shrink and cannot be told from the total: it lists every subject.
        let shrinks = limit(&info.config).is_none_or(|held| held > wanted);
        if shrinks && info.state.messages > wanted.unsigned_abs() {
            most_of_one_subject.insert(store.stream.clone(), api.most_of_one_subject(&store.stream).await?);
        }
    }
    Ok(Observed { streams, silent, consumers, most_of_one_subject })
}
