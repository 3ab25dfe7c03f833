//! ko builds a Go program without Docker, and pushes it.

use std::{fs, path::Path, process::Stdio};

use runtime::testing::skipped;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    client::{Client, IMAGE, Manifest, sha256},
    clients::{program, run},
    site::Site,
};

const PROGRAM: &str = "package main\n\nfunc main() { println(\"built by ko\") }\n";

/// What Go calls this machine.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An image without layers for ko to build on: its own is on another registry.
async fn push_base(client: &Client) {
    let config = json!({
        "architecture": architecture(), "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [] }, "history": [],
    });
    let config = serde_json::to_vec(&config).unwrap();
    let digest = client.push_blob("base", &config).await;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": config.len(),
        },
        "layers": [],
    });
    client.push_manifest("base", "v1", &Manifest::of(IMAGE, &manifest)).await;
}

/// Gets what a descriptor names, and checks that it is that.
async fn blob(client: &Client, descriptor: &Value) -> Vec<u8> {
    let digest = descriptor["digest"].as_str().unwrap();
    let bytes = client.get(&format!("/v2/built/app/blobs/{digest}")).await.is(200).body;
    assert_eq!((sha256(&bytes).as_str(), Some(bytes.len() as u64)), (digest, descriptor["size"].as_u64()));
    bytes
}

/// Takes a layer apart into a folder, and returns what the program in it says.
async fn run_layer(layer: &[u8], name: &str, folder: &Path) -> String {
    let archive = folder.join("layer");
    fs::write(&archive, layer).unwrap();
    let mut tar = Command::new("tar");
    tar.args(["-xf", "layer"]).current_dir(folder);
    run(tar, &[]).await;
    let said = Command::new(folder.join(name)).output().await.unwrap();
    assert!(said.status.success());
    String::from_utf8(said.stderr).unwrap()
}

#[tokio::test]
async fn what_ko_builds_and_pushes_is_pulled_as_it_was_and_runs() {
    let home = tempfile::tempdir().unwrap();
    let go = Command::new("go").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    if go.is_err() {
        skipped("go is not installed, and ko needs it");
        return;
    }
    let Some(mut ko) = program("ko", home.path()).await else { return };
    let source = home.path().join("app");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("go.mod"), "module example.net/app\n\ngo 1.21\n").unwrap();
    fs::write(source.join("main.go"), PROGRAM).unwrap();

    let site = Site::start().await;
    let client = site.client();
    push_base(&client).await;
    let login = data_encoding::BASE64.encode(format!("test:{}", site.secret).as_bytes());
    let logins = json!({ "auths": { site.address.to_string(): { "auth": login } } });
    fs::write(home.path().join("config.json"), logins.to_string()).unwrap();
    ko.current_dir(&source)
        .env("KO_DOCKER_REPO", format!("{}/built/app", site.address))
        .env("KO_DEFAULTBASEIMAGE", format!("{}/base:v1", site.address))
        // Nothing is fetched: neither modules nor another Go.
        .env("GOPROXY", "off")
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=mod")
        .env("GOPATH", home.path().join("go"))
        .env("GOCACHE", home.path().join("cache"));
    let platform = format!("linux/{}", architecture());
    let arguments = ["build", "--bare", "--insecure-registry", "--tags", "v1", "--platform", &platform, "."];
    let pushed = run(ko, &arguments).await;
    let (_, digest) = pushed.trim().rsplit_once('@').expect("ko says what it pushed");

    let by_tag = client.get("/v2/built/app/manifests/v1").await.is(200);
    assert_eq!(by_tag.header("docker-content-digest"), Some(digest));
    let by_digest = client.get(&format!("/v2/built/app/manifests/{digest}")).await.is(200);
    assert_eq!((sha256(&by_digest.body).as_str(), &by_digest.body), (digest, &by_tag.body));
    let manifest = by_digest.json();
    let config: Value = serde_json::from_slice(&blob(&client, &manifest["config"]).await).unwrap();
    assert_eq!(config["config"]["Entrypoint"], json!(["/ko-app/app"]));
    let layers = manifest["layers"].as_array().unwrap();
    let mut last = Vec::new();
    for layer in layers {
        last = blob(&client, layer).await;
    }
    if cfg!(target_os = "linux") {
        assert_eq!(run_layer(&last, "ko-app/app", home.path()).await, "built by ko\n");
    }
    site.stop().await;
}
