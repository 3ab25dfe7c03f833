//! A leaf and a hub, each with a nats-server of its own, joined by a link, and a registry on each.

use std::{net::SocketAddr, sync::Arc};

use async_nats::Client;
use bytes::Bytes;
use futures::TryStreamExt;
use registry::{
    Digest, Reference, Storage, Tag,
    cache::Cache,
    chunks::{Budget, ChunkConnections, ChunkStore},
    records::Origin,
    storage::{Backend, Policy, PutManifest},
    travel::{Config, Travel, TravelError},
};
use runtime::Credentials;
use serde_json::json;
use settings::{
    Fleet, Node, NodeRole,
    builtin::{LEAF_ROLE, REGISTRY_INBOX},
    travel::link_denies,
};
use supervisor::{
    Addresses, NatsServer,
    testing::{listen_at, start_in, store_in},
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::harness::{self, DEADLINE, content, push, sha256};

const LEAF: &str = "shop-1";

/// A fleet of three hub nodes, of which the first runs, and two leaves.
pub(crate) fn fleet(registry: &str) -> Fleet {
    let text = format!(
        "name = \"shops\"\nnodes = {{ hub = [\"hub-1\", \"hub-2\", \"hub-3\"], leaves = [\"{LEAF}\", \"shop-2\"] }}\n[registry]\n{registry}\n"
    );
    toml::from_str(&text).unwrap()
}

/// A node: its nats-server while it runs, and its registry while that does.
pub(crate) struct Site {
    pub(crate) node: Node,
    fleet: Fleet,
    bound: Addresses,
    server: Option<NatsServer>,
    pub(crate) folder: TempDir,
    registry: Option<Running>,
}

/// A daemon.
pub(crate) struct Running {
    storage: Storage,
    pub(crate) travel: Travel,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn close(self) {
        self.shutdown.cancel();
        tokio::time::timeout(DEADLINE, self.serving).await.unwrap().unwrap();
    }
}

impl Site {
    pub(crate) async fn hub(fleet: &Fleet) -> Self {
        Self::start(fleet, "name = \"hub-1\"\nrole = \"hub\"").await
    }

    /// A leaf whose uplink leads to an address; without one it has none.
    pub(crate) async fn leaf(fleet: &Fleet, uplink: Option<SocketAddr>) -> Self {
        Self::leaf_named(LEAF, fleet, uplink).await
    }

    pub(crate) async fn leaf_named(name: &str, fleet: &Fleet, uplink: Option<SocketAddr>) -> Self {
        let uplink = uplink.map(|uplink| format!("uplink.urls = [\"nats-leaf://{uplink}\"]"));
        Self::start(fleet, &format!("name = \"{name}\"\n{}", uplink.unwrap_or_default())).await
    }

    async fn start(fleet: &Fleet, node: &str) -> Self {
        let node: Node = toml::from_str(node).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let bound = Addresses::default();
        let mut site = Self { node, fleet: fleet.clone(), bound, server: None, folder, registry: None };
        site.run_server().await;
        harness::make_streams(&site.client().await, "").await;
        site.open().await;
        site
    }

    /// Starts nats-server; again at the same addresses, with what is on its disk.
    pub(crate) async fn run_server(&mut self) {
        let server = start_in(self.folder.path(), &self.config()).await;
        self.bound = server.addresses().clone();
        self.server = Some(server);
    }

    /// As a power cut would.
    pub(crate) async fn kill_server(&mut self) {
        self.server.take().unwrap().kill().await;
    }

    pub(crate) fn leaf_address(&self) -> SocketAddr {
        self.bound.leaf.unwrap()
    }

    fn config(&self) -> String {
        let mut config = format!(
            "server_name: \"{}\"\nlisten: \"{}\"\nhttp: \"127.0.0.1:-1\"\n\
             jetstream {{ store_dir: \"{}\", domain: \"{}\", sync_interval: always }}\n\
             accounts {{ LEAFBOX {{ jetstream: enabled, users: [\n\
             {{ user: test, password: test }}\n{}{}] }} }}\nleafnodes {{\n",
            self.node.name,
            listen_at(self.bound.client),
            store_in(self.folder.path()).display(),
            settings::travel::domain(&self.node),
            self.user("registry", self.node.name.as_str()),
            // One for each leaf, since each has a key of its own.
            self.user(LEAF_ROLE, LEAF) + &self.user(LEAF_ROLE, "shop-2"),
        );
        if self.node.role == NodeRole::Hub {
            config.push_str(&format!("listen: \"{}\"\n", listen_at(self.bound.leaf)));
        }
        if let Some(url) = self.node.uplink.urls.first() {
            let denies = &link_denies(&self.fleet, &self.node)["LEAFBOX"];
            let list = |subjects: &[settings::Subject]| serde_json::to_string(subjects).unwrap();
            let address = url.to_string();
            let address = address.rsplit('/').next().unwrap();
            config.push_str(&format!(
                "reconnect: \"1s\"\nremotes: [{{ url: \"nats-leaf://{LEAF_ROLE}-{}:test@{address}\", account: LEAFBOX, ignore_discovered_servers: true, \
                 deny_imports: {}, deny_exports: {} }}]\n",
                self.node.name,
                list(&denies.imports),
                list(&denies.exports),
            ));
        }
        config.push_str("}\n");
        config
    }

    /// A user with the rights of a role, as `leafbox` signs it for a node.
    fn user(&self, role: &str, node: &str) -> String {
        let account = self.fleet.all_accounts().remove("LEAFBOX").unwrap();
        let (name, declared) = account.all_roles().remove_entry(role).unwrap();
        let of_node =
            self.fleet.role_at_node(&"LEAFBOX".parse().unwrap(), &name, &declared, &node.parse().unwrap());
        let mut rights = json!({
            "publish": { "allow": of_node.publish, "deny": of_node.publish_deny },
            "subscribe": { "allow": of_node.subscribe, "deny": of_node.subscribe_deny },
        });
        if let Some(responses) = of_node.responses {
            let expires = format!("{}s", responses.expires.0.as_secs());
            rights["allow_responses"] = json!({ "max": responses.max, "expires": expires });
        }
        let user = if role == LEAF_ROLE { format!("{role}-{node}") } else { role.to_owned() };
        format!("{{ user: {user}, password: test, permissions: {rights} }}\n")
    }

    /// A client that may do everything.
    pub(crate) async fn client(&self) -> Client {
        self.client_of("test", "_INBOX").await
    }

    async fn client_of(&self, user: &str, inbox: &str) -> Client {
        let client = async_nats::ConnectOptions::with_user_and_password(user.into(), "test".into())
            .custom_inbox_prefix(inbox)
            .retry_on_initial_connect()
            .reconnect_delay_callback(|_| std::time::Duration::from_millis(50))
            .connect(self.bound.client.unwrap().to_string())
            .await
            .unwrap();
        client.flush().await.unwrap();
        client
    }

    /// Starts the registry.
    pub(crate) async fn open(&mut self) {
        self.registry = Some(self.daemon(self.travel_of(&self.node)).await);
    }

    /// A daemon of another node of the cluster, which has the same streams.
    pub(crate) async fn another(&self, node: &str) -> Running {
        self.daemon(self.travel_of(&Node { name: node.parse().unwrap(), ..self.node.clone() })).await
    }

    /// What `leafbox registry copy` opens on this node, beside the daemon; dropped as it ends.
    pub(crate) async fn command(&self) -> (Storage, Travel) {
        let config = self.travel_of(&self.node);
        self.storage_and_travel(Config { fetcher: format!("{} command", self.node.name), ..config }).await
    }

    fn travel_of(&self, node: &Node) -> Config {
        Config::new(node, &self.fleet, Credentials::in_directory(self.folder.path().join("keys")))
    }

    async fn daemon(&self, config: Config) -> Running {
        let (storage, travel) = self.storage_and_travel(config).await;
        let shutdown = CancellationToken::new();
        let (served, stop) = (travel.clone(), shutdown.clone());
        let serving = tokio::spawn(async move { served.serve(stop).await });
        Running { storage, travel, shutdown, serving }
    }

    async fn storage_and_travel(&self, config: Config) -> (Storage, Travel) {
        let client = async || self.client_of("registry", REGISTRY_INBOX).await;
        let connections = ChunkConnections { write: client().await, read: vec![client().await] };
        let chunks = ChunkStore::open(connections, Budget::default());
        let policy = Policy::of(self.node.role, &self.fleet.registry);
        let backend = Backend { client: client().await, chunks, cache: Cache::none() };
        let opening = Storage::open(backend, policy);
        let storage = tokio::time::timeout(DEADLINE, opening).await.unwrap().unwrap();
        let client = self.client_of("registry", "_INBOX").await;
        let travel = Travel::new(storage.clone(), client, config).unwrap();
        (storage, travel)
    }

    /// Ends the registry, which leaves nothing of it in memory.
    pub(crate) async fn close(&mut self) {
        self.registry.take().unwrap().close().await;
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.registry.as_ref().unwrap().storage
    }

    pub(crate) fn travel(&self) -> &Travel {
        &self.registry.as_ref().unwrap().travel
    }

    /// Pushes an image of these layers.
    pub(crate) async fn push(&self, repository: &str, tag: &str, layers: &[Bytes]) -> Image {
        let tags = if tag.is_empty() { Vec::new() } else { vec![harness::tag(tag)] };
        let image = Image::new(layers, None);
        self.put(repository, tags, &image).await;
        image
    }

    pub(crate) async fn put(&self, repository: &str, tags: Vec<Tag>, image: &Image) {
        let repository = harness::repository(repository);
        for blob in &image.blobs {
            push(self.storage(), &repository, blob).await.unwrap();
        }
        let put = PutManifest {
            repository,
            digest: None,
            tags,
            media_type: image.media_type.to_owned(),
            bytes: image.bytes.clone(),
            by: "test".to_owned(),
            origin: Origin::Pushed,
        };
        let stored = self.storage().put_manifest(put).await.unwrap();
        assert_eq!(stored.digest, image.digest);
    }

    /// Whether everything of an image is here.
    pub(crate) fn has(&self, repository: &str, image: &Image) -> bool {
        let repository = harness::repository(repository);
        let index = self.storage().index();
        index.manifest(&repository, &image.digest).is_some()
            && image.blobs.iter().all(|blob| index.link(&repository, &sha256(blob)).is_some())
    }

    /// Fetches a manifest as soon as the link is up.
    pub(crate) async fn until_fetched(&self, repository: &str, reference: &str) {
        harness::until("the link is up", async || {
            self.fetch(repository, reference).await.is_ok_and(|here| here)
        })
        .await;
    }

    pub(crate) async fn until_has(&self, repository: &str, image: &Image) {
        harness::until(&format!("all of {repository} is here"), async || self.has(repository, image)).await;
    }

    /// What a tag stands for here.
    pub(crate) fn tagged(&self, repository: &str, tag: &str) -> Option<(Digest, Origin)> {
        let tagged = self.storage().index().tag(&harness::repository(repository), &harness::tag(tag))?;
        Some((tagged.digest, Arc::unwrap_or_clone(tagged.origin)))
    }

    /// A blob as a client gets it, from here or from elsewhere.
    pub(crate) async fn get(&self, repository: &str, digest: &Digest) -> Result<Option<Bytes>, TravelError> {
        get(self.travel(), repository, digest).await
    }

    /// Has a manifest fetched.
    pub(crate) async fn fetch(&self, repository: &str, reference: &str) -> Result<bool, TravelError> {
        let reference: Reference = reference.parse().unwrap();
        let repository = harness::repository(repository);
        let fetching = self.travel().fetch_manifest(&repository, &reference);
        tokio::time::timeout(DEADLINE, fetching).await.unwrap()
    }
}

/// A blob as a client of this daemon or command gets it.
pub(crate) async fn get(
    travel: &Travel,
    repository: &str,
    digest: &Digest,
) -> Result<Option<Bytes>, TravelError> {
    let following = travel.blob(&harness::repository(repository), digest).await?;
    let Some(following) = following else { return Ok(None) };
    let size = following.size;
    let pieces: Vec<Bytes> = following.stream(0..size).try_collect().await?;
    Ok(Some(pieces.concat().into()))
}

/// A manifest and the blobs that it needs.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) bytes: Bytes,
    pub(crate) digest: Digest,
    pub(crate) blobs: Vec<Bytes>,
    media_type: &'static str,
}

impl Image {
    /// An image of these layers, which refers to `subject` when there is one.
    pub(crate) fn new(layers: &[Bytes], subject: Option<&Self>) -> Self {
        let config = Bytes::from(format!("{{\"architecture\":\"{}\"}}", layers.len()));
        let descriptor = |media_type: &str, bytes: &Bytes| json!({ "mediaType": media_type, "digest": sha256(bytes).to_string(), "size": bytes.len() });
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": layers.iter().map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar", layer))
                .collect::<Vec<_>>(),
        });
        if let Some(subject) = subject {
            manifest["subject"] = descriptor(subject.media_type, &subject.bytes);
        }
        let bytes = Bytes::from(manifest.to_string());
        let blobs = [&[config], layers].concat();
        Self { digest: sha256(&bytes), bytes, blobs, media_type }
    }

    /// An index of images, each of a platform.
    pub(crate) fn index(images: &[(&str, &Self)]) -> Self {
        let media_type = "application/vnd.oci.image.index.v1+json";
        let manifests: Vec<_> = images
            .iter()
            .map(|(architecture, image)| {
                json!({
                    "mediaType": image.media_type, "digest": image.digest.to_string(),
                    "size": image.bytes.len(),
                    "platform": { "os": "linux", "architecture": architecture },
                })
            })
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": manifests });
        let bytes = Bytes::from(index.to_string());
        Self { digest: sha256(&bytes), bytes, blobs: Vec::new(), media_type }
    }
}

/// Layers of these lengths, which no other number gives.
pub(crate) fn layers(number: u64, lengths: &[usize]) -> Vec<Bytes> {
    lengths.iter().zip(number * 100..).map(|(length, number)| content(number, *length)).collect()
}
