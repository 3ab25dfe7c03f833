//! Programs that people use, against the registry: skopeo, buildah, oras and crane where they are
//! installed.

use std::{path::Path, process::Stdio};

use tokio::process::Command;

use crate::{
    client::{noise, sha256},
    site::Site,
};

/// The program with an empty home of its own; `None` where there is none, which is told.
async fn program(name: &str, home: &Path) -> Option<Command> {
    let version =
        Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    if version.is_err() {
        println!("skipped: {name} is not installed");
        return None;
    }
    let mut command = Command::new(name);
    command.env("HOME", home).env("XDG_RUNTIME_DIR", home).env("DOCKER_CONFIG", home).current_dir(home);
    command.env("REGISTRY_AUTH_FILE", home.join("auth.json")).stdin(Stdio::null()).kill_on_drop(true);
    Some(command)
}

/// Runs a program to its end, which must be good, and returns what it says.
async fn run(mut command: Command, arguments: &[&str]) -> String {
    let output = command.args(arguments).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}{complaints}");
    text
}

/// The digests of the files in a folder as `skopeo copy … dir:` makes it, by name.
fn files(folder: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = entries
        .map(|entry| {
            let bytes = std::fs::read(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), sha256(&bytes))
        })
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn skopeo_pushes_pulls_copies_lists_and_deletes() {
    let home = tempfile::tempdir().unwrap();
    if program("skopeo", home.path()).await.is_none() {
        return;
    }
    let skopeo = async |arguments: &[&str]| {
        let command = program("skopeo", home.path()).await.unwrap();
        // Without Debian's policy file, as on a machine that only has the program.
        run(command, &[&["--insecure-policy"], arguments].concat()).await
    };
    let site = Site::start().await;
    let client = site.client();
    let layer = noise(3_000_000, 1);
    let digest = client.push_image("team/app", "v1", &layer).await;
    let address = site.address.to_string();
    let image = |name: &str| format!("docker://{address}/{name}");
    let folder = |name: &str| format!("dir:{}", home.path().join(name).display());

    // Anybody here may pull.
    skopeo(&["copy", "--src-tls-verify=false", &image("team/app:v1"), &folder("pulled")]).await;
    skopeo(&["login", "--tls-verify=false", "-u", "test", "-p", &site.secret, &address]).await;
    skopeo(&["copy", "--dest-tls-verify=false", &folder("pulled"), &image("other/app:v2")]).await;
    let both = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
    let by_digest = image(&format!("other/app@{digest}"));
    skopeo(&[&both[..], &[&by_digest, &image("third/app:v3")]].concat()).await;
    skopeo(&["copy", "--src-tls-verify=false", &image("third/app:v3"), &folder("again")]).await;
    assert_eq!(files(&home.path().join("pulled")), files(&home.path().join("again")));
    for name in ["team/app:v1", "other/app:v2", "third/app:v3"] {
        let found = skopeo(&["inspect", "--raw", "--tls-verify=false", &image(name)]).await;
        assert_eq!(sha256(found.as_bytes()), digest, "{name}");
    }
    let tags = skopeo(&["list-tags", "--tls-verify=false", &image("other/app")]).await;
    assert!(tags.contains("\"v2\""), "{tags}");
    skopeo(&["delete", "--tls-verify=false", &image("other/app:v2")]).await;
    client.get("/v2/other/app/manifests/v2").await.fails(404, "MANIFEST_UNKNOWN");
    client.get("/v2/team/app/manifests/v1").await.is(200);
    site.stop().await;
}
