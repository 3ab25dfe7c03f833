//! `leafbox dev`: a node on this machine with everything made as needed, and on request a hub that
//! it joins.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use settings::{Listen, Name, NodeRole, Settings};
use supervisor::Leave;

use crate::{
    applying::Outcome,
    cli::{self, Global},
    converge, drift, example,
    instance::Instance,
    say,
    session::{self, keys_dir},
    setup::{Keys, Setup},
    table::Table,
};

/// How long a node may take until it is ready; a hub elects a leader within ten seconds.
const READY_DEADLINE: Duration = Duration::from_secs(60);
const STOP_DEADLINE: Duration = Duration::from_secs(15);
/// The discard port, where nothing listens.
const NO_ROUTE: &str = "nats-route://127.0.0.1:9";
/// Distance between the ports of hub nodes.
const PORT_STEP: u16 = 10;

/// Runs until Ctrl-C, or with `--once` until everything was seen to work.
pub(crate) async fn run(global: &Global, arguments: &cli::Dev) -> Result<()> {
    let started = Instant::now();
    let shutdown = runtime::shutdown::token().context("cannot listen for signals")?;
    let folder = session::data_folder(global);
    // The layout is checked before anything is written below it.
    session::data_dir(global)?;
    let is_default = global.config == Path::new(session::DEFAULT_NODE_FILE);
    if is_default && !global.config.exists() {
        example::unpack(&folder, arguments.example)?;
    } else if arguments.example.is_some() {
        bail!(
            "--example is for a folder without node.toml, and {} is there: leave it out",
            global.config.display()
        );
    }
    let mut settings = session::load(global)?;
    let data = session::data_dir_of(&settings)?;
    session::log_to(&data)?;
    if settings.node.role == NodeRole::Hub {
        bail!(
            "`leafbox dev` runs a leaf, and {} describes a hub node: `leafbox run` runs it",
            settings.node_file.display()
        );
    }
    let declared = settings.clone();
    if arguments.any_port {
        any_port(&mut settings);
    }
    let binary = session::nats_server(global, &settings, &data).await?;
    let hub = arguments.hub.map(|count| plan_hub(&mut settings, count, arguments.any_port));
    let mut nodes = Nodes { leaf: None, hub: Vec::new() };
    let plan = Plan { declared, settings, hub, once: arguments.once };
    let working = work(&mut nodes, plan, &binary, started);
    let outcome = match shutdown.run_until_cancelled(working).await {
        Some(Ok(())) if !arguments.once => {
            shutdown.cancelled().await;
            Ok(())
        }
        Some(outcome) => outcome,
        None => Ok(()),
    };
    nodes.stop().await;
    outcome
}

/// What runs, so that it is stopped however the start ended.
struct Nodes {
    leaf: Option<Instance>,
    hub: Vec<Instance>,
}

impl Nodes {
    async fn stop(self) {
        if let Some(leaf) = self.leaf {
            leaf.stop().await;
        }
        futures::future::join_all(self.hub.into_iter().map(Instance::stop)).await;
    }
}

/// What is to run.
struct Plan {
    /// What the files say.
    declared: Settings,
    /// The leaf, with ports and uplink as `dev` wants them.
    settings: Settings,
    hub: Option<Vec<Settings>>,
    once: bool,
}

async fn work(nodes: &mut Nodes, plan: Plan, binary: &Path, started: Instant) -> Result<()> {
    let Plan { declared, mut settings, hub, once } = plan;
    let any_port = settings.node.nats.client == Listen::loopback(0);
    // With ports of its own choice the hub must be there before the leaf can be told where.
    if let Some(hub) = &hub
        && any_port
    {
        // Its JWTs come from the leaf's setup, which makes all keys.
        drop(setup(settings.clone())?);
        launch_hub(nodes, hub, binary).await?;
        settings.node.uplink.urls = uplinks(&nodes.hub);
    }
    let leaf = Instance::launch(setup(settings)?, binary.to_owned(), Leave::AtOnce, STOP_DEADLINE).await?;
    let leaf = nodes.leaf.insert(leaf);
    // Only now is this the one leafbox on the folder.
    drift::record(declared, &leaf.setup().data, &leaf.setup().keys)?;
    leaf.ready(READY_DEADLINE).await?;
    leaf.log_in_by_itself();
    leaf.start_daemons()?;
    if let Outcome::Failed(why) = leaf.applied().await {
        bail!("the node runs, but not all could be applied: {why}");
    }
    all_ready(leaf).await?;
    let ready = started.elapsed();
    if let Some(hub) = &hub {
        if !any_port {
            launch_hub(nodes, hub, binary).await?;
        }
        for node in &mut nodes.hub {
            node.ready(READY_DEADLINE).await?;
        }
        for node in &mut nodes.hub {
            node.start_daemons()?;
        }
    }
    runtime::notify::ready();
    print(nodes, ready);
    if once { check(nodes).await } else { Ok(()) }
}

fn setup(settings: Settings) -> Result<Setup> {
    let keys = keys_dir(&session::data_dir_of(&settings)?);
    Setup::new(settings, &keys, Keys::Made)
}

/// Starts the hub nodes. Where the system chose their ports, each is told of the others once all
/// have one.
async fn launch_hub(nodes: &mut Nodes, hub: &[Settings], binary: &Path) -> Result<()> {
    for settings in hub {
        // One keys folder for all: this is the operator's machine.
        let keys = settings.node.jwts.as_ref().map_or_else(PathBuf::new, |jwts| jwts.with_file_name("keys"));
        let setup = Setup::new(settings.clone(), &keys, Keys::Given)?;
        nodes.hub.push(Instance::launch(setup, binary.to_owned(), Leave::AtOnce, STOP_DEADLINE).await?);
    }
    let bound: Vec<SocketAddr> = nodes.hub.iter().filter_map(|node| node.addresses().route).collect();
    for node in &nodes.hub {
        let routes = routes_to(bound.iter().filter(|address| node.addresses().route != Some(**address)));
        if !routes.is_empty() && routes != node.setup().settings.node.cluster.routes {
            node.reroute(routes).await?;
        }
    }
    Ok(())
}

fn routes_to<'a>(addresses: impl Iterator<Item = &'a SocketAddr>) -> Vec<String> {
    addresses.map(|address| format!("nats-route://{address}")).collect()
}

fn uplinks(hub: &[Instance]) -> Vec<String> {
    hub.iter()
        .filter_map(|node| node.addresses().leaf)
        .map(|address| format!("nats-leaf://{address}"))
        .collect()
}

/// Every listener that is on gets a port that the system chooses.
fn any_port(settings: &mut Settings) {
    let nats = &mut settings.node.nats;
    for listener in [
        &mut nats.client,
        &mut nats.monitoring,
        &mut nats.websocket,
        &mut nats.mqtt,
        &mut nats.leaf,
        &mut nats.route,
        &mut settings.node.health.listen,
        &mut settings.node.registry.listen,
        &mut settings.node.console.listen,
    ] {
        if let Listen::On(address) = listener {
            address.set_port(0);
        }
    }
}

/// The settings of each hub node, and the leaf's way to them.
fn plan_hub(leaf: &mut Settings, count: u8, any_port: bool) -> Vec<Settings> {
    let nodes = &mut leaf.fleet.nodes;
    if nodes.hub.len() != usize::from(count) {
        nodes.hub =
            (1..=count).map(|number| format!("hub-{number}").parse().expect("a valid name")).collect();
    }
    if !nodes.leaves.contains(&leaf.node.name) {
        nodes.leaves.push(leaf.node.name.clone());
    }
    let names: Vec<Name> = nodes.hub.clone();
    let data = leaf.data_dir();
    let mut settings: Vec<Settings> = names
        .into_iter()
        .zip(1u16..)
        .map(|(name, number)| {
            let mut hub = leaf.clone();
            let node = &mut hub.node;
            node.role = NodeRole::Hub;
            node.data = data.join("hub").join(name.as_str());
            node.jwts = Some(leaf.jwts_dir());
            node.name = name;
            node.uplink = Default::default();
            node.nats = Default::default();
            node.nats.websocket = Listen::Off;
            node.registry = Default::default();
            let moved = [
                (&mut node.nats.client, 4222 + number * PORT_STEP),
                (&mut node.nats.monitoring, 8222 + number * PORT_STEP),
                (&mut node.nats.leaf, 7422 + (number - 1) * PORT_STEP),
                (&mut node.nats.route, 6222 + (number - 1) * PORT_STEP),
                (&mut node.health.listen, 7777 + number * PORT_STEP),
                (&mut node.registry.listen, 5000 + number * PORT_STEP),
            ];
            for (listener, port) in moved {
                *listener = Listen::loopback(if any_port { 0 } else { port });
            }
            hub
        })
        .collect();
    let addresses: Vec<SocketAddr> =
        settings.iter().filter_map(|hub| hub.node.nats.route.address()).collect();
    for (hub, own) in settings.iter_mut().zip(&addresses) {
        hub.node.cluster.routes = match (any_port, addresses.len()) {
            (_, 1) => Vec::new(),
            (false, _) => routes_to(addresses.iter().filter(|address| *address != own)),
            // nats-server starts no clustered JetStream without a route, so it gets one to nobody
            // until the others have ports.
            (true, _) => vec![NO_ROUTE.to_owned()],
        };
    }
    if !any_port {
        let leaves = settings.iter().filter_map(|hub| hub.node.nats.leaf.address());
        leaf.node.uplink.urls = leaves.map(|address| format!("nats-leaf://{address}")).collect();
    }
    settings
}

/// What `--once` asserts before it says that all is well.
async fn check(nodes: &Nodes) -> Result<()> {
    for node in nodes.leaf.iter().chain(&nodes.hub) {
        let name = &node.setup().settings.node.name;
        if let Outcome::Failed(why) = node.applied_within(READY_DEADLINE).await {
            bail!("{name}: not all could be applied: {why}");
        }
        all_ready(node).await?;
        let session = node.session();
        let mut plan = converge::plan(&session).await?;
        // The session knows the ports and uplink that `dev` gave the node, not what the files say.
        plan.restart.clear();
        if !plan.is_empty() {
            super::plan::print(&plan);
            bail!("{name}: something differs right after apply: the lines above say what");
        }
    }
    if !nodes.hub.is_empty() {
        joined(nodes).await?;
    }
    say!("checked: ready, and nothing differs");
    Ok(())
}

/// Waits until the health daemon finds everything in order; it connects while stores are applied.
async fn all_ready(node: &Instance) -> Result<()> {
    if node.addresses().health.is_none() {
        return Ok(());
    }
    let session = node.session();
    let deadline = Instant::now() + READY_DEADLINE;
    while let Err(error) = super::health::run_quietly(&session).await {
        if Instant::now() > deadline {
            return Err(error.context(format!("{} is not ready", session.settings.node.name)));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Waits until the leaf is linked to the hub.
async fn joined(nodes: &Nodes) -> Result<()> {
    let leaf = nodes.leaf.as_ref().context("there is no leaf")?;
    let monitoring = leaf.addresses().monitoring.context("node.toml turns the monitoring listener off")?;
    let monitoring = runtime::Monitoring::new(monitoring);
    let deadline = Instant::now() + READY_DEADLINE;
    loop {
        let leafz: serde_json::Value = monitoring.json("/leafz").await?;
        if leafz["leafnodes"].as_u64().unwrap_or(0) > 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("the leaf did not join the hub within {READY_DEADLINE:?}: `leafbox logs` says why");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn print(nodes: &Nodes, ready: Duration) {
    let Some(leaf) = &nodes.leaf else { return };
    let setup = leaf.setup();
    let node = &setup.settings.node;
    say!(
        "\nleafbox {}: {} is ready after {:.2} s, a leaf with the JetStream domain {}\n",
        env!("CARGO_PKG_VERSION"),
        node.name,
        ready.as_secs_f64(),
        setup.settings.domain()
    );
    let mut table = Table::new(&["LISTENER", "ADDRESS", "FOR"]);
    for row in leaf.addresses().rows(node) {
        table.row(row);
    }
    say!("{table}");
    if !nodes.hub.is_empty() {
        let mut table = Table::new(&["HUB NODE", "CLIENTS", "MONITORING", "HEALTH", "REGISTRY"]);
        for hub in &nodes.hub {
            let rows: BTreeMap<String, String> = hub
                .addresses()
                .rows(&hub.setup().settings.node)
                .into_iter()
                .map(|[name, url, _]| (name, url))
                .collect();
            let url = |name: &str| rows.get(name).cloned().unwrap_or_default();
            table.row([
                hub.setup().settings.node.name.to_string(),
                url("clients"),
                url("monitoring"),
                url("health"),
                url("registry"),
            ]);
        }
        say!("{table}");
    }
    let mut table = Table::new(&["ACCOUNT", "SERVICE", "CREDS FILE"]);
    for (account, declared) in &setup.settings.fleet.accounts {
        for service in declared.services.keys() {
            let creds = identity::layout::service_creds(&setup.keys, account, service);
            table.row([account.to_string(), service.to_string(), short(&creds)]);
        }
    }
    if !table.is_empty() {
        say!("{table}");
    }
    let command = if std::env::var_os("CARGO").is_some() { "cargo run -q --" } else { "leafbox" };
    let data = short(setup.data.root());
    let given = if node.data.ends_with(".data") && setup.settings.data_dir().parent().is_some_and(is_here) {
        String::new()
    } else {
        format!(" --data {data}")
    };
    say!("  {command} status{given}      what runs, and what is wrong");
    say!("  {command} auth test{given}   the permissions, tried out");
    say!("  {command} context{given}     contexts for the nats command line");
    say!("\nCtrl-C stops everything in order. All state is in {data}: the next start finds it again.");
}

fn is_here(folder: &Path) -> bool {
    std::env::current_dir().is_ok_and(|here| here == folder)
}

/// A path as short as it can be typed from here.
fn short(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}
