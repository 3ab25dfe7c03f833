//! Where entries come from.

use std::time::Duration;

use async_nats::{Client, Message, Subscriber};
use futures::{StreamExt, stream::select_all};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Entry, Journal, Kind};
use crate::{
    console::servers::Servers,
    feed::{Accounts, SYS},
};

/// What happens in the system account.
const OF_SERVERS: [&str; 4] =
    ["$SYS.ACCOUNT.>", "$SYS.SERVER.*.CLIENT.AUTH.ERR", "$SYS.SERVER.*.SHUTDOWN", "$SYS.SERVER.*.LAMEDUCK"];
/// What happens in JetStream, in each account that has streams, and in the system account what is not
/// of one. `ADVISORY.API` itself is left out.
const OF_JETSTREAM: [&str; 6] = [
    "$JS.EVENT.ADVISORY.STREAM.>",
    "$JS.EVENT.ADVISORY.CONSUMER.>",
    "$JS.EVENT.ADVISORY.SERVER.>",
    "$JS.EVENT.ADVISORY.DOMAIN.>",
    "$JS.EVENT.ADVISORY.API.LIMIT_REACHED",
    "$JS.EVENT.METRIC.>",
];
/// How often it is asked whether a connection was lost.
const LOOK: Duration = Duration::from_millis(500);
/// How long a subscription may take; after that it is made when nats-server is there.
const PATIENCE: Duration = Duration::from_secs(5);

impl Journal {
    /// Listens in every account until `shutdown`.
    pub(crate) async fn run(self, accounts: Accounts, servers: Servers, shutdown: CancellationToken) {
        let mut listening = JoinSet::new();
        for name in accounts.names() {
            let Some((name, client)) = accounts.get(name) else { continue };
            let (journal, servers) = (self.clone(), servers.clone());
            listening.spawn(journal.listen(name.to_string(), client.clone(), servers));
        }
        shutdown.cancelled().await;
        listening.shutdown().await;
    }

    async fn listen(self, account: String, client: Client, servers: Servers) {
        let mut connects = connects(&client);
        let mut subscribers: Vec<Subscriber> = Vec::new();
        let of_servers = OF_SERVERS.iter().filter(|_| account == SYS);
        for subject in of_servers.chain(&OF_JETSTREAM) {
            match timeout(PATIENCE, client.subscribe(*subject)).await {
                Ok(Ok(subscriber)) => subscribers.push(subscriber),
                Ok(Err(error)) => {
                    tracing::warn!(account.name = account, "{subject} of {account} is not shown: {error}");
                }
                Err(_) => tracing::warn!(
                    account.name = account,
                    "{subject} of {account} is not shown: it takes too long"
                ),
            }
        }
        let mut messages = select_all(subscribers);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => self.take(&account, &message, &servers).await,
                    None => return,
                },
                _ = look.tick() => {}
            }
            let now = self::connects(&client);
            // 0 is the first time: nothing was missed that could have been heard.
            if now != connects && connects > 0 {
                let about = format!(
                    "the connection to nats-server in {account} was lost for a while: what happened meanwhile is not known here"
                );
                self.add(Entry::of(&account, Kind::Gap, "", about));
            }
            connects = now;
        }
    }

    async fn take(&self, account: &str, message: &Message, servers: &Servers) {
        let named = match Entry::named_account(&message.subject) {
            Some(key) => servers.account_name(key).await,
            None => account.to_owned(),
        };
        self.add(Entry::read(&named, &message.subject, &message.payload));
    }
}

fn connects(client: &Client) -> u64 {
    client.statistics().connects.load(std::sync::atomic::Ordering::Relaxed)
}
