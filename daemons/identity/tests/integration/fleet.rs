//! A fleet, its keys, the servers that run it, and users that notice what they are denied.

use std::time::{Duration, SystemTime};

use async_nats::{Client, ConnectOptions, Event};
use futures::StreamExt;
use identity::{
    Creds, JwtSet, KeyStore, UserRequest, claims::AccountBody, ensure_fleet_keys, layout, mint, sign,
};
use settings::{Fleet, Name};
use supervisor::{NatsServer, testing::start_in};
use tokio::{sync::mpsc, time::timeout};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const SHOPS: &str = r#"
name = "shops"
[accounts.HEAD]
exports = [
  { subject = "prices.>", kind = "stream", to = ["SHOP"] },
  { subject = "stock.*", kind = "service" },
]
[accounts.HEAD.roles.all]
publish = [">"]
subscribe = [">"]
[accounts.SHOP]
imports = [
  { from = "HEAD", subject = "stock.*", kind = "service", local = "head.stock.*" },
  { from = "HEAD", subject = "prices.fruit.>", kind = "stream" },
]
[accounts.SHOP.roles.all]
publish = [">"]
subscribe = [">"]
[accounts.SHOP.roles.till]
publish = ["sales.>"]
publish_deny = ["sales.void"]
subscribe = ["prices.>", "_INBOX.>"]
[accounts.SHOP.roles.answers]
subscribe = ["ask"]
responses = { max = 2, expires = "30s" }
[accounts.SHOP.roles.speaks]
publish = ["said"]
[accounts.VAN.roles.all]
publish = [">"]
subscribe = [">"]
"#;

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A fleet with its keys and its signed set.
pub(crate) struct Shops {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) keys: KeyStore,
    pub(crate) fleet: Fleet,
    pub(crate) set: JwtSet,
}

impl Shops {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyStore::create(&folder.path().join("keys")).unwrap();
        let fleet: Fleet = toml::from_str(SHOPS).unwrap();
        // Signed a minute ago, so that users minted now are newer than any revocation in a test.
        let now = SystemTime::now();
        ensure_fleet_keys(&keys, &fleet, now).unwrap();
        let set = sign(&keys, &fleet, None, now - Duration::from_secs(60)).unwrap();
        Self { folder, keys, fleet, set }
    }

    /// Signs the fleet with one text in its file replaced.
    pub(crate) fn changed(&self, from: &str, to: &str) -> JwtSet {
        assert!(SHOPS.contains(from));
        let fleet: Fleet = toml::from_str(&SHOPS.replace(from, to)).unwrap();
        ensure_fleet_keys(&self.keys, &fleet, SystemTime::now()).unwrap();
        sign(&self.keys, &fleet, Some(&self.set), SystemTime::now()).unwrap()
    }

    /// The set with the claims of one account changed as no fleet file could, and signed.
    pub(crate) fn forged(&self, account: &str, change: impl FnOnce(&mut AccountBody)) -> JwtSet {
        let before = &self.set.accounts[account];
        let mut claims = before.claims().clone();
        change(&mut claims.nats);
        let jwt = claims.sign(&self.keys.operator_signing().unwrap()[0], before.issued_at + 1);
        let accounts = self.set.accounts.iter().map(|(name, known)| {
            let jwt = if name.as_str() == account { jwt.clone() } else { known.jwt.clone() };
            (name.clone(), name.to_string(), jwt)
        });
        JwtSet::new(("operator".into(), self.set.operator.clone()), accounts).unwrap()
    }

    pub(crate) fn mint(&self, account: &str, role: &str) -> Creds {
        let (account, role) = (name(account), name(role));
        let request = UserRequest {
            account: &account,
            account_key: &self.set.accounts[&account].public_key,
            role: &role,
            name: &format!("{account}-{role}"),
            expires: None,
            tags: &[],
        };
        mint(&self.keys, &request, SystemTime::now()).unwrap()
    }

    pub(crate) async fn user(&self, server: &NatsServer, account: &str, role: &str) -> User {
        User::connect(server, &self.mint(account, role)).await.unwrap()
    }

    pub(crate) async fn pusher(&self, server: &NatsServer) -> Client {
        let creds = Creds::read(&layout::system_creds(self.keys.path())).unwrap();
        User::connect(server, &creds).await.unwrap().client
    }

    /// Starts a server that knows nothing but the signed set.
    pub(crate) async fn start(&self, server: &str) -> NatsServer {
        self.start_with(server, "").await
    }

    pub(crate) async fn start_with(&self, server: &str, more: &str) -> NatsServer {
        let data = self.folder.path().join(server);
        let preload: String = self
            .set
            .accounts
            .values()
            .map(|account| format!("  {}: {}\n", account.public_key, account.jwt))
            .collect();
        let text = format!(
            "server_name: {server}\nports_file_dir: \"{}\"\nlisten: \"127.0.0.1:-1\"\nhttp: \"127.0.0.1:-1\"\noperator: {}\n\
             system_account: {}\nresolver: {{ type: full, dir: \"{}\", allow_delete: true, interval: \"1s\" }}\n\
             resolver_preload: {{\n{preload}}}\n{more}\n",
            data.display(),
            self.set.operator,
            self.set.system_account,
            data.join("resolver").display(),
        );
        start_in(&data, &text).await
    }
}

/// A connection that hears what the server denies it.
pub(crate) struct User {
    pub(crate) client: Client,
    events: mpsc::UnboundedReceiver<Event>,
    /// Heard while waiting for something else.
    heard: Vec<Event>,
}

impl User {
    pub(crate) async fn connect(
        server: &NatsServer,
        creds: &Creds,
    ) -> Result<Self, async_nats::ConnectError> {
        let (sender, events) = mpsc::unbounded_channel();
        let client = ConnectOptions::with_credentials(&creds.text())
            .unwrap()
            // Another server learns of a subscription later, which would blur what came first.
            .ignore_discovered_servers()
            .event_callback(move |event| {
                let sender = sender.clone();
                async move { drop(sender.send(event)) }
            })
            .connect(server.addresses().client.unwrap().to_string())
            .await?;
        let mut user = Self { client, events, heard: Vec::new() };
        user.hears("the connection", |event| matches!(event, Event::Connected)).await;
        Ok(user)
    }

    /// Waits for an event that `wanted` takes.
    pub(crate) async fn hears(&mut self, what: &str, wanted: impl Fn(&Event) -> bool) {
        if let Some(place) = self.heard.iter().position(&wanted) {
            self.heard.remove(place);
            return;
        }
        let hear = async {
            loop {
                match self.events.recv().await.unwrap() {
                    event if wanted(&event) => return,
                    event => self.heard.push(event),
                }
            }
        };
        if timeout(PATIENCE, hear).await.is_err() {
            panic!("waited for {what}, heard {:?}", self.heard);
        }
    }

    /// Waits until it was dropped and is back, as after a change of its role.
    pub(crate) async fn reconnects(&mut self) {
        self.hears("the disconnection", |event| matches!(event, Event::Disconnected)).await;
        self.hears("the connection", |event| matches!(event, Event::Connected)).await;
    }

    pub(crate) async fn is_denied(&mut self, what: &str, subject: &str) {
        let words = format!("permissions violation for {what} to \"{}\"", subject.to_lowercase());
        self.hears(&words, |event| event.to_string().to_lowercase().contains(&words)).await;
    }

    /// Waits until the server has done all that this connection sent it, for a flush only empties
    /// the client's buffer. What a user may not publish is answered in order as well.
    pub(crate) async fn settle(&mut self) {
        let subject = self.client.new_inbox().replace("_INBOX", "settle");
        let mut echo = self.client.subscribe(subject.clone()).await.unwrap();
        self.client.publish(subject.clone(), "".into()).await.unwrap();
        tokio::select! {
            Some(_) = echo.next() => {}
            () = self.is_denied("publish", &subject) => {}
        }
    }

    /// Whether a message published on `subject` reaches `observer`; if not, the server must say so.
    pub(crate) async fn can_publish(&mut self, observer: &mut User, subject: &str) -> bool {
        let mut seen = observer.client.subscribe(subject.to_owned()).await.unwrap();
        observer.settle().await;
        self.client.publish(subject.to_owned(), "tried".into()).await.unwrap();
        self.settle().await;
        observer.client.publish(subject.to_owned(), "after".into()).await.unwrap();
        let first = timeout(PATIENCE, seen.next()).await.unwrap().unwrap();
        let arrived = first.payload == "tried";
        if !arrived {
            self.is_denied("publish", subject).await;
        }
        arrived
    }

    /// Whether a message that `observer` publishes on `subject` arrives; if not, the server must
    /// say so.
    pub(crate) async fn can_subscribe(&mut self, observer: &User, subject: &str) -> bool {
        let mut messages = self.client.subscribe(subject.to_owned()).await.unwrap();
        self.settle().await;
        observer.client.publish(subject.to_owned(), "tried".into()).await.unwrap();
        tokio::select! {
            Some(_) = messages.next() => true,
            () = self.is_denied("subscription", subject) => false,
        }
    }
}
