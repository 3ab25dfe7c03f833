//! Programs that people use, against the registry: skopeo, buildah, oras and crane where they are
//! installed.

use std::{path::Path, process::Stdio};

use runtime::testing::skipped;
use tokio::process::Command;

use crate::{client::sha256, harness::content, site::Site};

/// The program with an empty home of its own; `None` where there is none, which is told.
pub(crate) async fn program(name: &str, home: &Path) -> Option<Command> {
    let version =
        Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    if version.is_err() {
        skipped(&format!("{name} is not installed"));
        return None;
    }
    let logins = home.join("auth.json");
    if !logins.exists() {
        // buildah wants one that is there.
        std::fs::write(&logins, "{}").unwrap();
    }
    let mut command = Command::new(name);
    command
        .env("REGISTRY_AUTH_FILE", logins)
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home)
        .env("DOCKER_CONFIG", home)
        .current_dir(home);
    command.stdin(Stdio::null()).kill_on_drop(true);
    Some(command)
}

/// Runs a program to its end, which must be good, and returns what it says.
pub(crate) async fn run(mut command: Command, arguments: &[&str]) -> String {
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
    let layer = content(1, 3_000_000);
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

/// An image that buildah made of nothing is the same, byte by byte, after a push and a pull, and its
/// program runs: from where it is mounted, with this machine's libraries.
#[tokio::test]
async fn what_buildah_built_comes_back_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    if program("buildah", home.path()).await.is_none() {
        return;
    }
    let policy = home.path().join("policy.json");
    std::fs::write(&policy, r#"{ "default": [{ "type": "insecureAcceptAnything" }] }"#).unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, content(2, 200_000)).unwrap();
    let at = |name: &str| home.path().join(name).display().to_string();
    let buildah = async |store: &str, arguments: &[&str]| {
        let mut command = program("buildah", home.path()).await.unwrap();
        let (root, run) = (at(store), at(&format!("{store}-run")));
        command.args(["--storage-driver", "vfs", "--root", &root, "--runroot", &run]);
        command.args(arguments).output().await.unwrap()
    };
    let begun = buildah("first", &["from", "scratch"]).await;
    if !begun.status.success() {
        let reason = String::from_utf8_lossy(&begun.stderr);
        skipped(&format!("buildah makes no container here: {}", reason.trim()));
        return;
    }
    let good = async |store: &str, arguments: &[&str]| {
        let output = buildah(store, arguments).await;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    let site = Site::start().await;
    let container = String::from_utf8(begun.stdout).unwrap().trim().to_owned();
    let login = format!("test:{}", site.secret);
    let image = format!("docker://{}/built/app:v1", site.address);
    let (file, policy) = (file.display().to_string(), policy.display().to_string());
    good("first", &["copy", &container, &file, "/file"]).await;
    good("first", &["copy", &container, "/bin/echo", "/echo"]).await;
    good("first", &["commit", "--signature-policy", &policy, &container, "built"]).await;
    let to = ["--tls-verify=false", "--signature-policy", &policy, "--creds", &login];
    good("first", &[&["push"], &to[..], &["built", &image]].concat()).await;
    let pulled = good("second", &[&["pull"], &to[..], &[&image]].concat()).await;
    let id = good("first", &["inspect", "--type", "image", "--format", "{{.FromImageID}}", "built"]).await;
    assert_eq!(pulled, id);
    let again = good("second", &["from", "--pull-never", "--signature-policy", &policy, &pulled]).await;
    let mounted = good("second", &["mount", &again]).await;
    assert_eq!(std::fs::read(Path::new(&mounted).join("file")).unwrap(), content(2, 200_000));
    let echo = Path::new(&mounted).join("echo");
    assert!(std::fs::read(&echo).unwrap() == std::fs::read("/bin/echo").unwrap());
    let said = Command::new(&echo).arg("from the image").output().await.unwrap();
    assert_eq!(String::from_utf8(said.stdout).unwrap(), "from the image\n");
    good("second", &["umount", &again]).await;
    site.stop().await;
}

#[tokio::test]
async fn crane_copies_tags_lists_and_checks() {
    let home = tempfile::tempdir().unwrap();
    if program("crane", home.path()).await.is_none() {
        return;
    }
    let site = Site::start().await;
    let client = site.client();
    let digest = client.push_image("team/app", "v1", &content(3, 2_000_000)).await;
    let address = site.address.to_string();
    let image = |name: &str| format!("{address}/{name}");
    let crane = async |arguments: &[&str]| {
        let command = program("crane", home.path()).await.unwrap();
        run(command, &[arguments, &["--insecure"]].concat()).await.trim().to_owned()
    };
    assert_eq!(crane(&["digest", &image("team/app:v1")]).await, digest);
    crane(&["auth", "login", &address, "-u", "test", "-p", &site.secret]).await;
    crane(&["copy", &image("team/app:v1"), &image("other/app:v2")]).await;
    crane(&["tag", &image("other/app:v2"), "v3"]).await;
    assert_eq!(crane(&["ls", &image("other/app")]).await, "v2\nv3");
    assert_eq!(crane(&["catalog", &address]).await, "other/app\nteam/app");
    assert_eq!(sha256(crane(&["manifest", &image("other/app:v3")]).await.as_bytes()), digest);
    crane(&["delete", &image(&format!("other/app@{digest}"))]).await;
    client.get("/v2/other/app/manifests/v3").await.fails(404, "MANIFEST_UNKNOWN");
    site.stop().await;
}

#[tokio::test]
async fn oras_pushes_files_and_finds_what_refers_to_them() {
    let home = tempfile::tempdir().unwrap();
    if program("oras", home.path()).await.is_none() {
        return;
    }
    let site = Site::start().await;
    let bytes = content(4, 1_500_000);
    std::fs::write(home.path().join("file"), &bytes).unwrap();
    std::fs::write(home.path().join("bill"), "[]").unwrap();
    let image = format!("{}/files/app:v1", site.address);
    let login = ["--plain-http", "-u", "test", "-p", &site.secret];
    let oras = async |arguments: &[&str]| {
        run(program("oras", home.path()).await.unwrap(), &[arguments, &login[..]].concat()).await
    };
    oras(&["push", &image, "file:application/octet-stream"]).await;
    oras(&["attach", &image, "--artifact-type", "application/spdx+json", "bill"]).await;
    let found = oras(&["discover", &image, "--artifact-type", "application/spdx+json"]).await;
    assert!(found.contains("application/spdx+json"), "{found}");
    let none = oras(&["discover", &image, "--artifact-type", "application/other"]).await;
    assert!(!none.contains("spdx"), "{none}");
    let out = home.path().join("out").display().to_string();
    oras(&["pull", &image, "-o", &out]).await;
    assert_eq!(std::fs::read(home.path().join("out/file")).unwrap(), bytes);
    site.stop().await;
}
