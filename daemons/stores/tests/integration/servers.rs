//! Leaf and hub nodes as real nats-servers, with a user for each account.

use std::{collections::BTreeMap, fmt::Write, future::Future, net::SocketAddr, time::Duration};

use async_nats::{Client, jetstream};
use futures::StreamExt;
use settings::{Fleet, Name, Node, NodeRole, travel::link_denies};
use stores::{Clients, Healthy, Plan};
use supervisor::{
    Addresses, NatsServer,
    testing::{listen_at, start_in, store_in},
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// How long a condition may take that is met in seconds.
const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) fn fleet(text: &str) -> Fleet {
    toml::from_str(text).unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Waits until the condition gives a value.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    condition: impl FnMut() -> F,
) -> T {
    eventually_or_tell(what, condition, async || String::new()).await
}

/// The same, and what `state` tells where it never does, so that a rare failure explains itself.
pub(crate) async fn eventually_or_tell<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
    state: impl AsyncFnOnce() -> String,
) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        if Instant::now() > deadline {
            panic!("{what}: not within {DEADLINE:?}\n{}", state().await);
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// One node: its files, its server while it runs, and a client for each account.
pub(crate) struct Site {
    pub(crate) node: Node,
    pub(crate) clients: Clients,
    accounts: Vec<String>,
    denies: BTreeMap<Name, settings::travel::Denies>,
    uplink: Option<SocketAddr>,
    bound: Addresses,
    server: Option<NatsServer>,
    directory: TempDir,
}

impl Site {
    pub(crate) async fn leaf(fleet: &Fleet, node: &str, uplink: Option<SocketAddr>) -> Self {
        Self::start(fleet, &format!("name = \"{node}\""), uplink).await
    }

    pub(crate) async fn hub(fleet: &Fleet) -> Self {
        Self::start(fleet, "name = \"hub-1\"\nrole = \"hub\"", None).await
    }

    async fn start(fleet: &Fleet, node: &str, uplink: Option<SocketAddr>) -> Self {
        let node: Node = toml::from_str(node).unwrap();
        let accounts = fleet.all_accounts().keys().map(ToString::to_string).collect();
        let denies = link_denies(fleet, &node);
        let directory = TempDir::new().unwrap();
        let (bound, clients) = (Addresses::default(), Clients::new());
        let mut site = Self { node, clients, accounts, denies, uplink, bound, server: None, directory };
        site.run().await;
        for account in site.accounts.iter().filter(|account| *account != "SYS") {
            let client = connect(site.bound.client.unwrap(), account).await;
            site.clients.insert(name(account), client);
        }
        // As the leaf's leafbox does.
        for account in stores::accounts_with_outboxes(fleet, &site.node) {
            let (node, client) = (site.node.clone(), site.clients[&account].clone());
            tokio::spawn(async move { stores::answer_resets(&node, &account, &client).await.unwrap() });
        }
        site
    }

    /// Starts the server; again at the same addresses, with what is on its disk.
    pub(crate) async fn run(&mut self) {
        let server = start_in(self.directory.path(), &self.config()).await;
        self.bound = server.addresses().clone();
        self.server = Some(server);
    }

    pub(crate) async fn kill(&mut self) {
        self.server.take().unwrap().kill().await;
    }

    /// Loses the disk while stopped.
    pub(crate) fn wipe(&self) {
        std::fs::remove_dir_all(store_in(self.directory.path())).unwrap();
    }

    pub(crate) fn leaf_address(&self) -> SocketAddr {
        self.bound.leaf.unwrap()
    }

    pub(crate) fn monitoring_address(&self) -> SocketAddr {
        self.bound.monitoring.unwrap()
    }

    pub(crate) async fn healthy(&self) -> Healthy {
        Healthy::ask(self.bound.monitoring.unwrap()).await.unwrap()
    }

    pub(crate) async fn plan(&self, fleet: &Fleet) -> Plan {
        stores::plan(fleet, &self.node, &self.clients).await
    }

    /// Plans and applies; everything must succeed, and nothing may differ afterwards, twice.
    pub(crate) async fn apply(&self, fleet: &Fleet) -> Plan {
        let plan = self.plan(fleet).await;
        let applied = stores::apply(&plan, &self.clients, self.healthy().await).await;
        assert!(applied.failed.is_empty(), "{applied}");
        for _ in 0..2 {
            let after = self.plan(fleet).await;
            assert!(after.is_empty(), "{after}");
        }
        plan
    }

    pub(crate) fn client(&self, account: &str) -> &Client {
        &self.clients[account]
    }

    pub(crate) fn jetstream(&self, account: &str) -> jetstream::Context {
        let mut context = jetstream::new(self.client(account).clone());
        context.set_timeout(Duration::from_secs(5));
        context
    }

    /// The payloads of a stream in order.
    pub(crate) async fn payloads(&self, account: &str, stream: &str) -> Vec<String> {
        let stream = self.jetstream(account).get_stream(stream).await.unwrap();
        let waiting = stream.get_info().await.unwrap().state.messages;
        let config = jetstream::consumer::pull::OrderedConfig::default();
        let messages = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
        let messages: Vec<_> = messages.take(usize::try_from(waiting).unwrap()).collect().await;
        messages
            .into_iter()
            .map(|message| String::from_utf8(message.unwrap().payload.to_vec()).unwrap())
            .collect()
    }

    pub(crate) async fn count(&self, account: &str, stream: &str) -> u64 {
        let stream = self.jetstream(account).get_stream(stream).await;
        match stream {
            Ok(stream) => stream.get_info().await.map_or(0, |info| info.state.messages),
            Err(_) => 0,
        }
    }

    pub(crate) async fn last_sequence(&self, account: &str, stream: &str) -> u64 {
        let stream = self.jetstream(account).get_stream(stream).await.unwrap();
        stream.get_info().await.unwrap().state.last_sequence
    }

    /// Waits until a stream holds this many messages.
    pub(crate) async fn holds(&self, account: &str, stream: &str, messages: u64) {
        let condition = || async { (self.count(account, stream).await == messages).then_some(()) };
        let what = format!("{messages} messages in {stream} of {}", self.node.name);
        eventually_or_tell(&what, condition, async || self.state(account, stream).await).await;
    }

    /// A stream with its sources, and its consumers, as the server tells them.
    pub(crate) async fn state(&self, account: &str, stream: &str) -> String {
        let mut told = String::new();
        for asked in [format!("STREAM.INFO.{stream}"), format!("CONSUMER.LIST.{stream}")] {
            let answer = self.client(account).request(format!("$JS.API.{asked}"), "".into()).await;
            let answer = answer.map(|answer| String::from_utf8_lossy(&answer.payload).into_owned());
            writeln!(told, "{} {asked}: {answer:?}", self.node.name).unwrap();
        }
        told
    }

    fn config(&self) -> String {
        let domain = settings::travel::domain(&self.node);
        let mut config = format!(
            "server_name: \"{}\"\nlisten: \"{}\"\nhttp: \"{}\"\n\
             jetstream {{ store_dir: \"{}\", domain: \"{domain}\", sync_interval: always, max_file: 4GB, max_mem: 64MB }}\n\
             system_account: SYS\naccounts {{\n",
            self.node.name,
            listen_at(self.bound.client),
            listen_at(self.bound.monitoring),
            store_in(self.directory.path()).display(),
        );
        for account in &self.accounts {
            let jetstream = if account == "SYS" { "" } else { "jetstream: enabled, " };
            writeln!(
                config,
                "  {account} {{ {jetstream}users: [{{ user: \"{account}\", password: test }}] }}"
            )
            .unwrap();
        }
        config.push_str("}\nleafnodes {\n");
        if self.node.role == NodeRole::Hub {
            writeln!(config, "  listen: \"{}\"", listen_at(self.bound.leaf)).unwrap();
        }
        if let Some(uplink) = self.uplink {
            config.push_str("  reconnect: 1\n  remotes: [\n");
            for account in self.accounts.iter().filter(|account| *account != "SYS") {
                let denies = &self.denies[account.as_str()];
                let list = |subjects: &[settings::Subject]| serde_json::to_string(subjects).unwrap();
                writeln!(
                    config,
                    "    {{ url: \"nats-leaf://{account}:test@{uplink}\", account: {account}, ignore_discovered_servers: true, deny_imports: {}, deny_exports: {} }}",
                    list(&denies.imports),
                    list(&denies.exports),
                )
                .unwrap();
            }
            config.push_str("  ]\n");
        }
        config.push_str("}\n");
        config
    }
}

async fn connect(address: SocketAddr, account: &str) -> Client {
    async_nats::ConnectOptions::with_user_and_password(account.into(), "test".into())
        .retry_on_initial_connect()
        .reconnect_delay_callback(|_| Duration::from_millis(100))
        .connect(address.to_string())
        .await
        .unwrap()
}
