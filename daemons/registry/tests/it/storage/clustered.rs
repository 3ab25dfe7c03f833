//! A hub of three: each record and chunk three times, and a daemon beside each nats-server. Which
//! replica answers a read is chance, and one that lags has less.

use std::net::TcpListener;

use futures::future::join_all;
use registry::{
    Algorithm, Storage,
    cache::Cache,
    chunks::Lane,
    records::{RECORDS_BUCKET, TAGS_BUCKET},
    storage::Policy,
};
use supervisor::{
    NatsServer,
    testing::{start_in, store_in},
};
use tempfile::TempDir;

use crate::harness::{body, client_of, collect, content, push, repository, sha256, storage_of, until_only};

const NAMES: [&str; 3] = ["hub-1", "hub-2", "hub-3"];

/// Three servers that know of each other.
async fn servers(folder: &TempDir) -> Vec<NatsServer> {
    // Ports that are free now: the servers have to know of each other before they start.
    let held = NAMES.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let routes = held.map(|listener| listener.local_addr().unwrap());
    let urls = routes.map(|route| format!("\"nats-route://{route}\"")).join(", ");
    let starts = NAMES.iter().zip(routes).map(|(name, route)| {
        let folder = folder.path().join(name);
        let text = format!(
            "listen: \"127.0.0.1:-1\"\nhttp: \"127.0.0.1:-1\"\nserver_name: {name}\n\
             jetstream {{ store_dir: \"{}\", sync_interval: always }}\n\
             cluster {{ name: hub, listen: \"{route}\", routes: [{urls}] }}\n",
            store_in(&folder).display()
        );
        async move { start_in(&folder, &text).await }
    });
    join_all(starts).await
}

fn url(server: &NatsServer) -> String {
    format!("nats://{}", server.addresses().client.unwrap())
}

async fn open(server: &NatsServer) -> Storage {
    storage_of(&url(server), Policy::default(), Cache::none()).await
}

/// The servers, and the storage of a daemon at each.
async fn hub(folder: &TempDir) -> (Vec<NatsServer>, Vec<Storage>) {
    let servers = servers(folder).await;
    let fleet = toml::from_str(&format!("name = \"fleet\"\n[nodes]\nhub = {NAMES:?}\n")).unwrap();
    let node = toml::from_str("name = \"hub-1\"\nrole = \"hub\"\n").unwrap();
    let [one, two] = Lane::ALL.map(Lane::stream);
    let client = client_of(url(&servers[0])).await;
    stores::testing::make(&client, &fleet, &node, &[one, two, RECORDS_BUCKET, TAGS_BUCKET]).await;
    let context = async_nats::jetstream::new(client);
    let stream = context.get_stream(one).await.unwrap();
    assert_eq!(stream.cached_info().config.num_replicas, 3);
    let storages = join_all(servers.iter().map(open)).await;
    (servers, storages)
}

/// A regression test: a part or the end of an upload was refused where a replica lagged behind what
/// another daemon had acknowledged, or even the same one.
#[tokio::test(flavor = "multi_thread")]
async fn each_part_of_an_upload_may_go_to_another_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let (_servers, storages) = hub(&folder).await;
    let app = repository("app");
    for round in 0..30_usize {
        let at = |step: usize| &storages[(round + step) % storages.len()];
        let bytes = content(round as u64, 30_000);
        let id = at(0).begin(&app, Algorithm::Sha256, 0).await.unwrap();
        for (step, part) in [0..10_000, 10_000..20_000].into_iter().enumerate() {
            let start = Some(part.start as u64);
            at(step + 1).append(&app, id, start, body(&bytes.slice(part))).await.unwrap();
        }
        let digest = sha256(&bytes);
        at(round).finish(&app, id, &digest, Some(20_000), body(&bytes.slice(20_000..))).await.unwrap();
        let stored = collect(at(1).read(&digest, 0..30_000).await.unwrap()).await.unwrap();
        assert!(stored == bytes, "round {round}");
    }
    until_only(&storages[0], 30).await;
}

/// A regression test: a record that another daemon wrote at the same moment was "not written", as long
/// as it was not yet on all replicas.
#[tokio::test(flavor = "multi_thread")]
async fn parallel_pushes_of_one_blob_at_all_daemons_succeed() {
    let folder = tempfile::tempdir().unwrap();
    let (_servers, storages) = hub(&folder).await;
    for round in 0..5 {
        let bytes = content(round, 20_000);
        let pushes = (0..12).map(|number| {
            let (storage, bytes) = (storages[number % storages.len()].clone(), bytes.clone());
            tokio::spawn(async move { push(&storage, &repository("app"), &bytes).await })
        });
        for pushed in join_all(pushes).await {
            assert_eq!(pushed.unwrap().unwrap(), sha256(&bytes));
        }
    }
    until_only(&storages[1], 5).await;
}
