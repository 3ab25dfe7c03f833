//! The web console, in node.toml.

use settings::{File, Listen, Node};

use crate::{NODE, node, right};

#[test]
fn where_the_console_listens() {
    node(&[
        (
            "console.listen = \"0.0.0.0:8080\"\n",
            "2  console.listen = \"0.0.0.0:8080\"",
            "passkeys to no page that comes in clear",
            "add [console.tls]",
        ),
        (
            "console.listen = \"127.0.0.1:5000\"\n",
            "2  console.listen",
            "`registry.listen` listens on port 5000 already",
            "its own port",
        ),
        ("console.port = 80\n", "2  console.port", "no such key", "listen"),
        (
            "[console]\nlisten = \"off\"\ntls = { cert = \"a.crt\", key = \"a.key\" }\n",
            "4  console.tls",
            "`console.listen` is off, so that nobody sees this certificate",
            "remove it",
        ),
        ("[console.tls]\ncert = \"a.crt\"\n", "2  console.tls.key", "this key is missing", "add `key"),
        (
            "console.tls = { cert = \"a.pem\", key = \"a.pem\" }\n",
            "2  console.tls.key",
            "one file",
            "mode 0600",
        ),
        (
            "console.tls = { cert = \"a.crt\", key = \"/nix/store/x/a.key\" }\n",
            "2  console.tls.key",
            "Nix store",
            "LoadCredential",
        ),
    ]);
    right(File::Node, NODE, &["console = { listen = \"off\" }\n", "console.listen = \"[::1]:0\"\n"]);
}

#[test]
fn what_passkeys_are_bound_to() {
    node(&[
        (
            "console = { listen = \"0.0.0.0:8080\", tls = { cert = \"a.crt\", key = \"a.key\" } }\n",
            "2  console.origin",
            "bound to the name",
            "\"https://shop-1.lan:8080\"",
        ),
        (
            "console.origin = \"shop-1.lan\"\n",
            "2  console.origin = \"shop-1.lan\"",
            "a scheme, a host",
            "\"https:",
        ),
        (
            "console.origin = \"https://shop-1.lan/\"\n",
            "2  console.origin",
            "nothing more",
            "as the browser shows",
        ),
        ("console.origin = \"https://shop-1.lan:0\"\n", "2  console.origin", "perhaps a port", "\"https:"),
        ("console.origin = \"wss://shop-1.lan\"\n", "2  console.origin", "a scheme", "\"https:"),
        ("console.origin = \"https://192.0.2.1:8080\"\n", "2  console.origin", "IP address", ".local"),
        ("console.origin = \"https://[::1]:8080\"\n", "2  console.origin", "IP address", "ssh -L"),
        ("console.origin = \"http://shop-1.lan\"\n", "2  console.origin", "comes in clear", "write https://"),
        (
            "console = { origin = \"http://localhost:1\", tls = { cert = \"a.crt\", key = \"a.key\" } }\n",
            "2  console.origin",
            "speaks https",
            "write \"https://localhost:1\"",
        ),
    ]);
    right(
        File::Node,
        NODE,
        &[
            "console.origin = \"https://shop-1.lan\"\n",
            "console.origin = \"http://console.localhost:9000\"\n",
            "console.tls = { cert = \"a.crt\", key = \"a.key\" }\n",
            "console = { listen = \"[::]:8080\", origin = \"https://a.lan:8080\", tls = { cert = \"a\", key = \"/b\" } }\n",
        ],
    );
}

/// Files from before there was a console have it on this machine alone.
#[test]
fn a_file_that_says_nothing_of_the_console() {
    let node: Node = toml::from_str("name = \"l-1\"\n").unwrap();
    assert_eq!(node.console.listen, Listen::loopback(8080));
    assert_eq!((node.console.origin, node.console.tls), (None, None));
}
