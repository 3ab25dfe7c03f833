//! The container registry, in both files.

use settings::{ByteSize, Facts, File, Fleet, Node, validate};

use crate::{FLEET, NODE, check, fleet, node, right, told_once};

#[test]
fn the_registry_of_a_node() {
    node(&[
        (
            "registry.listen = \"0.0.0.0:5000\"\n",
            "2  registry.listen = \"0.0.0.0:5000\"",
            "would read the tokens",
            "add [registry.tls]",
        ),
        (
            "registry.listen = \"127.0.0.1:7777\"\n",
            "2  registry.listen",
            "`health.listen` listens on port 7777 already",
            "its own port",
        ),
        ("registry.anonymous = \"all\"\n", "2  registry.anonymous", "`all`", "none"),
        ("registry.cache = \"2G\"\n", "2  registry.cache", "decimal unit", "2GiB"),
        ("[registry.tls]\ncert = \"a.crt\"\n", "2  registry.tls.key", "this key is missing", "add `key"),
        (
            "[registry]\nlisten = \"off\"\ntls = { cert = \"a.crt\", key = \"a.key\" }\n",
            "4  registry.tls",
            "nobody sees this certificate",
            "remove it",
        ),
        (
            "registry.tls = { cert = \"a.pem\", key = \"a.pem\" }\n",
            "2  registry.tls.key",
            "one file",
            "mode 0600",
        ),
        (
            "registry.tls = { cert = \"a.crt\", key = \"/nix/store/x/a.key\" }\n",
            "2  registry.tls.key",
            "Nix store",
            "LoadCredential",
        ),
    ]);
    right(
        File::Node,
        NODE,
        &[
            "registry = { listen = \"off\", cache = \"0B\", anonymous = \"none\" }\n",
            "registry = { listen = \"[::]:5000\", tls = { cert = \"a.crt\", key = \"/run/a.key\" } }\n",
        ],
    );
}

#[test]
fn the_registries_of_a_fleet() {
    fleet(&[
        ("registry.max_bytes = \"0B\"\n", "3  registry.max_bytes", "no blob", "leave it out"),
        (
            "[registry]\nmax_bytes = \"1GiB\"\nquotas = { team = \"2GiB\" }\n",
            "5  registry.quotas.team = \"2GiB\"",
            "may hold 1GiB",
            "lower it",
        ),
        (
            "registry.quotas = { \"Team/\" = \"2GiB\" }\n",
            "3  registry.quotas",
            "not the beginning of a repository",
            "lower-case path components",
        ),
        ("registry.grace = \"1m\"\n", "3  registry.grace", "is being pushed", "write \"1d\""),
        ("registry.upload_expiry = \"1s\"\n", "3  registry.upload_expiry", "only waits", "write \"1d\""),
        (
            "registry.travel.up = [\"sites/**\", \"Sites\"]\n",
            "3  registry.travel.up[1] = \"Sites\"",
            "in lower case",
            "write \"sites\"",
        ),
        (
            "registry.travel.down = [\"a**\"]\n",
            "3  registry.travel.down[0]",
            "beside other characters",
            "stands alone",
        ),
        (
            "[[registry.retain]]\nrepositories = \"team/*\"\n",
            "3  registry.retain[0]",
            "one at least",
            "add newest = 10",
        ),
        (
            "[[registry.retain]]\nnewest = 3\n",
            "3  registry.retain[0].repositories",
            "this key is missing",
            "add `repositories",
        ),
        (
            "[[registry.retain]]\nrepositories = \"**\"\ntags = \"app/v*\"\nnewest = 3\n",
            "5  registry.retain[0].tags",
            "no tag has a slash",
            "\"v*\"",
        ),
        (
            "[[registry.upstreams]]\nprefix = \"docker.io/\"\nurl = \"https://registry-1.docker.io\"\n",
            "4  registry.upstreams[0].prefix",
            "not the beginning of a repository",
            "without a slash at the end",
        ),
        (
            "[[registry.upstreams]]\nprefix = \"docker.io\"\nurl = \"https://registry-1.docker.io/v2/\"\n",
            "5  registry.upstreams[0].url",
            "and nothing more",
            "`/v2/` is added",
        ),
        (
            "[[registry.upstreams]]\nprefix = \"docker.io\"\nurl = \"registry-1.docker.io\"\n",
            "5  registry.upstreams[0].url",
            "not https://",
            "\"https://registry-1.docker.io\"",
        ),
        (
            "[[registry.upstreams]]\nprefix = \"mine\"\nurl = \"http://registry.example.net:5000\"\n",
            "5  registry.upstreams[0].url",
            "warning: what a tag stands for is asked in clear",
            "https://",
        ),
        (
            "[[registry.upstreams]]\nprefix = \"mine\"\nurl = \"http://registry.example.net\"\ncredentials = \"login\"\n",
            "5  registry.upstreams[0].url",
            "the login would go in clear",
            "remove `credentials`",
        ),
        (
            "registry.upstreams = [{ prefix = \"a\", url = \"https://a\" }, { prefix = \"a\", url = \"https://b\" }]\n",
            "3  registry.upstreams[1].prefix",
            "`registry.upstreams[0]` has this prefix",
            "keep one",
        ),
        (
            "registry.upstreams = [{ prefix = \"a\", url = \"https://a\", credentials = \"x/y\" }]\n",
            "3  registry.upstreams[0].credentials",
            "neither an absolute path nor the name",
            "the whole path",
        ),
    ]);
    right(
        File::Fleet,
        FLEET,
        &[
            "registry.upstreams = [{ prefix = \"mine\", url = \"http://[::1]:5000\", credentials = \"login\" }]\n",
            r#"
[registry]
max_bytes = "200GiB"
grace = "1d"
upload_expiry = "1d"
quotas = { team = "10GiB", "team/ci" = "2GiB" }
[registry.travel]
down = ["**"]
up = ["sites/**"]
[[registry.retain]]
repositories = "team/*"
tags = "V*"
newest = 10
[[registry.upstreams]]
prefix = "docker.io"
url = "https://registry-1.docker.io"
credentials = "docker-io.login"
"#,
        ],
    );
}

#[test]
fn a_login_in_an_upstreams_url_is_refused_and_not_repeated() {
    let told = check(
        File::Fleet,
        &format!("{FLEET}registry.upstreams = [{{ prefix = \"a\", url = \"https://me:hunter2@a\" }}]\n"),
    );
    let told = told.to_string();
    assert!(told.contains("no place for a login") && told.contains("`credentials`"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn a_registry_larger_than_the_disk() {
    let problems = |fleet: &str, node: &str| {
        let fleet: Fleet = toml::from_str(&format!("{FLEET}{fleet}")).unwrap();
        let node: Node = toml::from_str(node).unwrap();
        validate(&fleet, &node, Facts { disk: Some(ByteSize::gib(10)) })
    };
    let leaf = "name = \"l-1\"\n";
    let found = problems("registry.max_bytes = \"20GiB\"\n", leaf);
    let [problem] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((&*problem.file, &*problem.path), ("fleet.toml", "registry.max_bytes"), "{problem}");
    assert!(problem.message.contains("more than `l-1` has for JetStream, 9728MiB"), "{problem}");
    assert!(problem.remedy.contains("lower it"), "{problem}");
    assert!(problems("registry.max_bytes = \"5GiB\"\n", leaf).is_empty());
}

#[test]
fn the_registry_is_a_table() {
    told_once(
        File::Node,
        NODE,
        &[("registry = \"off\"\n", "2  registry = \"off\"", "a table", "registry = {")],
    );
}
