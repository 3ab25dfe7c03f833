//! `node.toml`: listeners, TLS, links, limits.

use settings::File;

use crate::{NODE, node, right, told_once};

const HUB: &str = "name = \"h-1\"\nrole = \"hub\"\n";

#[test]
fn listeners() {
    node(&[
        (
            "nats.websocket = \"127.0.0.1:4222\"\n",
            "2  nats.websocket = \"127.0.0.1:4222\"",
            "`nats.client` listens on port 4222 already",
            "its own port",
        ),
        (
            "health.listen = \"0.0.0.0:8222\"\n",
            "2  health.listen",
            "`nats.monitoring` listens on port 8222 already",
            "its own port",
        ),
        ("nats.client = \"off\"\n", "2  nats.client", "own daemons and commands", "\"127.0.0.1:4222\""),
        ("nats.monitoring = \"off\"\n", "2  nats.monitoring", "whether it is well", "\"127.0.0.1:8222\""),
        (
            "nats.client = \"0.0.0.0:4222\"\n",
            "2  nats.client",
            "warning: clients beyond this machine are spoken to in clear",
            "add [nats.tls.client]",
        ),
        (
            "nats.monitoring = \"0.0.0.0:8222\"\n",
            "2  nats.monitoring",
            "monitoring has no login",
            "`health.listen` is for others",
        ),
        ("nats.leaf = \"127.0.0.1:7000\"\n", "2  nats.leaf", "only a hub node", "role = \"hub\""),
        ("nats.leaf_advertise = \"h:7422\"\n", "2  nats.leaf_advertise", "only a hub node", "role = \"hub\""),
        (
            "nats.websocket_origins = [\"https://a.example.net\", \"https://a.example.net/app\"]\n",
            "2  nats.websocket_origins[1]",
            "a scheme, a host and perhaps a port",
            "\"https://app.example.net\"",
        ),
        ("nats.websocket_origins = [\"*\"]\n", "2  nats.websocket_origins[0]", "a scheme", "as the browser"),
        (
            "nats.websocket_origins = [\"http://a\"]\nnats.websocket = \"off\"\n",
            "2  nats.websocket_origins",
            "`nats.websocket` is off",
            "remove it",
        ),
        ("nats.client_advertise = \"hub\"\n", "2  nats.client_advertise", "not a host and port", ":4222"),
    ]);
    right(
        File::Node,
        NODE,
        &[
            "nats.websocket_origins = [\"http://localhost:3000\", \"https://app.example.net\", \"http://[::1]:80\"]\n",
            "[nats]\nclient = \"127.0.0.1:0\"\nwebsocket = \"127.0.0.1:0\"\nmqtt = \"127.0.0.2:9222\"\nleaf = \"off\"\n",
        ],
    );
}

#[test]
fn tls() {
    node(&[
        (
            "[nats.tls.websocket]\ncert = \"a.crt\"\nkey = \"a.key\"\nverify = true\n",
            "5  nats.tls.websocket.verify = true",
            "no authority",
            "add `ca",
        ),
        (
            "[nats.tls.client]\ncert = \"a.crt\"\nkey = \"/nix/store/x/a.key\"\n",
            "4  nats.tls.client.key",
            "everybody on the machine can read the Nix store",
            "LoadCredential",
        ),
        (
            "[nats.tls.client]\ncert = \"tls/a.crt\"\nkey = \"a.key\"\n",
            "3  nats.tls.client.cert = \"tls/a.crt\"",
            "neither an absolute path nor the name of a credential",
            "the whole path",
        ),
        (
            "[nats.tls.client]\ncert = \"a.crt\"\nkey = \"a.key\"\nca = \"ca.crt\"\n",
            "5  nats.tls.client.ca",
            "warning: the other side is asked for no certificate",
            "verify = true",
        ),
    ]);
}

/// With `verify` leafbox's own daemons showed the server's certificate, and were refused.
#[test]
fn a_client_listener_that_asks_for_certificates_needs_one_for_leafbox() {
    let client = "[nats.tls.client]\ncert = \"a.crt\"\nkey = \"a.key\"\n";
    let (ca, own) = ("ca = \"ca.crt\"\nverify = true\n", "own_cert = \"o.crt\"\nown_key = \"o.key\"\n");
    told_once(
        File::Node,
        &format!("{NODE}{client}"),
        &[
            (ca, "6  nats.tls.client.verify = true", "locked out", "add `own_cert` and `own_key`"),
            (
                "ca = \"ca.crt\"\nverify = true\nown_cert = \"o.crt\"\n",
                "7  nats.tls.client.own_cert",
                "`own_cert` needs `own_key`",
                "add `own_key",
            ),
            (
                "ca = \"ca.crt\"\nverify = true\nown_cert = \"o.crt\"\nown_key = \"/nix/store/x/o.key\"\n",
                "8  nats.tls.client.own_key",
                "Nix store",
                "LoadCredential",
            ),
            ("own_key = \"o.key\"\n", "5  nats.tls.client.own_key", "nobody is asked", "add verify = true"),
        ],
    );
    told_once(
        File::Node,
        &format!("{NODE}[nats.tls.websocket]\ncert = \"a.crt\"\nkey = \"a.key\"\n{ca}"),
        &[("own_cert = \"o.crt\"\n", "7  nats.tls.websocket.own_cert", "client listener", "remove it")],
    );
    let websocket = client.replace("client", "websocket");
    right(File::Node, NODE, &[&format!("{client}{ca}{own}"), &format!("{websocket}{ca}"), client]);
}

#[test]
fn links() {
    node(&[
        (
            "uplink.urls = [\"http://hub\"]\n",
            "2  uplink.urls[0] = \"http://hub\"",
            "cannot join with this scheme",
            "tls://hub.example.net:7422",
        ),
        ("uplink.urls = [\"hub:7422\"]\n", "2  uplink.urls[0]", "no scheme", "tls://"),
        ("uplink.urls = [\"tls://hub:99999\"]\n", "2  uplink.urls[0]", "no valid host and port", "tls://hub"),
        ("uplink.urls = [\"tls://h\", \"tls://h\"]\n", "2  uplink.urls[1]", "twice", "remove one"),
        (
            "uplink.urls = [\"nats://10.0.0.1:7422\"]\n",
            "2  uplink.urls[0]",
            "warning: this link goes in clear",
            "wss://",
        ),
        (
            "uplink = { urls = [\"tls://h\"], key = \"k\" }\n",
            "2  uplink.key",
            "`key` needs `cert`",
            "add `cert",
        ),
        (
            "uplink = { urls = [\"nats-leaf://127.0.0.1:7422\"], min_version = \"1.2\" }\n",
            "2  uplink.min_version",
            "warning: no URL asks for TLS",
            "tls://",
        ),
        (
            "cluster.routes = [\"nats-route://h-2:6222\"]\n",
            "2  cluster",
            "only a hub node is in a cluster",
            "remove [cluster]",
        ),
    ]);
    told_once(
        File::Node,
        HUB,
        &[
            ("uplink.urls = [\"tls://h\"]\n", "3  uplink", "only a leaf has an uplink", "remove [uplink]"),
            (
                "cluster.routes = [\"tcp://h-2:6222\"]\n",
                "3  cluster.routes[0]",
                "cannot join",
                "nats-route://",
            ),
            (
                "nats.route = \"10.0.0.1:6222\"\n",
                "3  nats.route",
                "sees every account",
                "cluster.trusted_network = true",
            ),
            (
                "[nats]\nroute = \"10.0.0.1:6222\"\ntls.route = { cert = \"a\", key = \"b\" }\n",
                "4  nats.route",
                "sees every account",
                "verify = true",
            ),
        ],
    );
    right(
        File::Node,
        HUB,
        &[
            "nats.route = \"10.0.0.1:6222\"\ncluster.trusted_network = true\n",
            "nats.route = \"10.0.0.1:6222\"\nnats.tls.route = { cert = \"a\", key = \"b\", ca = \"c\", verify = true }\n",
        ],
    );
    right(
        File::Node,
        NODE,
        &[
            "uplink = { urls = [\"tls://h\"], min_version = \"1.2\" }\n",
            "uplink.urls = [\"nats://127.0.0.1:7422\", \"wss://hub.example.net/leaf\", \"tls://[fd00::1]:7422\"]\n",
        ],
    );
}

#[test]
fn a_password_in_a_url_is_refused_and_not_repeated() {
    let told =
        crate::check(File::Node, "name = \"a\"\nuplink.urls = [\"tls://me:hunter2@hub:7422\"]\n").to_string();
    assert!(told.starts_with("node.toml:2  uplink.urls[0]\n") && told.contains("creds files"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn limits() {
    node(&[
        (
            "jetstream.sync_interval = \"1s\"\n",
            "2  jetstream.sync_interval = \"1s\"",
            "power cut within 1s",
            "\"always\"",
        ),
        ("nats.max_payload = \"65MiB\"\n", "2  nats.max_payload", "no more than 64MiB", "object bucket"),
        (
            "nats.max_payload = \"9MiB\"\n",
            "2  nats.max_payload",
            "warning: messages above 8MiB",
            "object bucket",
        ),
        ("nats.max_connections = 0\n", "2  nats.max_connections = 0", "nobody could connect", "10000"),
        ("nats.ping_max = 0\n", "2  nats.ping_max", "at its first ping", "write 2"),
        ("nats.ping_interval = \"0s\"\n", "2  nats.ping_interval", "at least a second", "\"10s\""),
        ("health.heartbeat = \"0s\"\n", "2  health.heartbeat", "at least a second", "\"10s\""),
        ("jetstream.max_storage = \"0B\"\n", "2  jetstream.max_storage", "no room", "leave it out"),
        ("data = \"/nix/store/x\"\n", "2  data", "read-only", "/var/lib/leafbox"),
        ("tags = [\"a b\"]\n", "2  tags[0] = \"a b\"", "one word", "\"ssd\""),
    ]);
    told_once(File::Node, "", &[("name = \"hub\"\n", "1  name = \"hub\"", "JetStream domain", "`shop-1`")]);
}
