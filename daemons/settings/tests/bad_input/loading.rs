//! Two files, `.env` and the environment together.

use std::{fs, path::Path};

use settings::{ByteSize, Loaded, Problems, Sources, load};
use tempfile::TempDir;

const GOOD_FLEET: &str = "name = \"f\"\n[nodes]\nhub = [\"h-1\"]\nleaves = [\"l-1\"]\n";

struct Folder(TempDir);

impl Folder {
    fn new(node: &str, fleet: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("node.toml"), node).unwrap();
        fs::write(folder.path().join("fleet.toml"), fleet).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn load(&self, environment: &[(&str, &str)]) -> Result<Loaded, Problems> {
        load(&Sources {
            node: self.path().join("node.toml"),
            environment: environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            disk_size: |_| Some(ByteSize::gib(10)),
        })
    }

    fn told(&self, environment: &[(&str, &str)]) -> String {
        self.load(environment).unwrap_err().to_string().replace(&format!("{}/", self.path().display()), "")
    }
}

#[test]
fn both_files_and_the_variables_are_told_together() {
    let folder = Folder::new("name = \"l-1\"\ncolour = 1\n", "name = \"f\"\n[accounts.SYS]\n");
    fs::write(folder.path().join(".env"), "LEAFBOX_NATS__CLEINT=off\n").unwrap();
    let told = folder.told(&[("LEAFBOX_NATS__PING_MAX", "0"), ("HOME", "/root")]);
    let blocks = [
        ".env:1  LEAFBOX_NATS__CLEINT\n  this variable sets no key of node.toml\n  did you mean `LEAFBOX_NATS__CLIENT`?",
        "environment  LEAFBOX_NATS__PING_MAX = 0\n  it sets `nats.ping_max`: every connection",
        "fleet.toml:2  accounts.SYS\n",
        "node.toml:2  colour = 1\n",
    ];
    for block in blocks {
        assert!(told.contains(block), "`{block}` in:\n{told}");
    }
    assert_eq!(told.matches("\n\n").count() + 1, blocks.len(), "{told}");
}

#[test]
fn variables_set_keys_the_environment_over_the_file_beside() {
    let folder = Folder::new("name = \"l-1\"\n[nats]\nclient = \"127.0.0.1:1\"\n", GOOD_FLEET);
    fs::write(
        folder.path().join(".env"),
        "LEAFBOX_NATS__CLIENT=127.0.0.1:2\nLEAFBOX_NATS_SERVER=bin/nats-server\nLEAFBOX_LOG=debug\nOTHER=x\n",
    )
    .unwrap();
    let settings = folder
        .load(&[
            ("LEAFBOX_NATS__CLIENT", "127.0.0.1:3"),
            ("LEAFBOX_NATS__MAX_CONNECTIONS", "5"),
            ("LEAFBOX_UPLINK__URLS", "[\"tls://a\", \"tls://b\"]"),
            ("LEAFBOX_TAGS", "['x']"),
            ("LEAFBOX_NATS__TLS__CLIENT__CERT", "c"),
            ("LEAFBOX_NATS__TLS__CLIENT__KEY", "k"),
            ("LEAFBOX_TEST_ANYTHING", "x"),
            ("LEAFBOX_CONFIG", "x"),
        ])
        .unwrap_or_else(|problems| panic!("{problems}"))
        .settings;
    assert_eq!(settings.node.nats.client.to_string(), "127.0.0.1:3");
    assert_eq!(settings.node.nats.max_connections, 5);
    assert_eq!(settings.node.uplink.urls, ["tls://a", "tls://b"]);
    assert_eq!(settings.node.tags, ["x"]);
    assert_eq!(settings.node.nats.tls.client.as_ref().unwrap().cert, Path::new("c"));
    assert_eq!(settings.nats_server(), Some(folder.path().join("bin/nats-server")));
    assert_eq!(settings.base, folder.path());
    assert_eq!(settings.data_dir(), folder.path().join(".data"));
}

#[test]
fn variables_that_are_wrong_are_named_with_where_they_were_set() {
    let folder = Folder::new("name = \"l-1\"\n", GOOD_FLEET);
    let cases = [
        (
            ("LEAFBOX_NATS__CLIENT", "4222"),
            "= 4222\n  it sets `nats.client`: `4222` is not an address",
            "write an IP",
        ),
        (("LEAFBOX_NATS__MAX_PAYLOAD", "1"), "it sets `nats.max_payload`: `1` has no unit", "\"1KiB\""),
        (
            ("LEAFBOX_NATS__PING_MAX", "two"),
            "it sets `nats.ping_max`, which is a whole number",
            "LEAFBOX_NATS__PING_MAX=10",
        ),
        (("LEAFBOX_CLUSTER__TRUSTED_NETWORK", "yes"), "which is true or false", "=true or"),
        (("LEAFBOX_UPLINK__URLS", "tls://a"), "which is an array", "'[\"a\", \"b\"]'"),
        (
            ("LEAFBOX_ROLE", "lef"),
            "it sets `role`: this should be one of a few words, and is `lef`",
            "`leaf`?",
        ),
        (("LEAFBOX_NATS_CLIENT", "off"), "sets no key", "did you mean `LEAFBOX_NATS__CLIENT`?"),
    ];
    for (variable, what, remedy) in cases {
        let told = folder.told(&[variable]);
        assert!(told.starts_with(&format!("environment  {}", variable.0)), "{told}");
        assert!(told.contains(what) && told.contains(remedy), "`{what}`, `{remedy}` in:\n{told}");
    }
}

#[test]
fn a_variable_cannot_mend_what_is_no_table() {
    let folder = Folder::new("name = \"l-1\"\nhealth = 5\n", GOOD_FLEET);
    let told = folder.told(&[("LEAFBOX_HEALTH__LISTEN", "off")]);
    assert!(
        told.contains("environment  LEAFBOX_HEALTH__LISTEN\n") && told.contains("has no table there"),
        "{told}"
    );
    assert!(told.contains("node.toml:2  health = 5\n"), "{told}");
}

#[test]
fn the_value_of_an_unknown_variable_is_not_repeated() {
    let folder = Folder::new("name = \"l-1\"\n", GOOD_FLEET);
    let told = folder.told(&[("LEAFBOX_TOKEN", "hunter2")]);
    assert!(told.contains("LEAFBOX_TOKEN") && !told.contains("hunter2"), "{told}");
}

#[test]
fn files_that_are_not_there() {
    let folder = Folder::new("name = \"l-1\"\nfleet = \"../f.toml\"\n", GOOD_FLEET);
    let told = folder.told(&[]);
    assert!(
        told.contains("f.toml\n  this file cannot be read: ") && told.contains("line 2 of node.toml"),
        "{told}"
    );
    fs::remove_file(folder.path().join("node.toml")).unwrap();
    let told = folder.told(&[]);
    assert!(
        told.starts_with("node.toml\n  this file cannot be read: ") && told.contains("create it"),
        "{told}"
    );
    fs::write(folder.path().join("node.toml"), [0xff, 0xfe]).unwrap();
    assert!(folder.told(&[]).contains("not UTF-8"));
}

#[test]
fn an_empty_fleet_file_lacks_its_name_and_nothing_else_is_said() {
    let folder = Folder::new("name = \"l-1\"\n", "");
    assert_eq!(folder.told(&[]), "fleet.toml  name\n  this key is missing\n  add `name = \"…\"`");
}

#[test]
fn warnings_do_not_stop_anything() {
    let folder = Folder::new("name = \"l-1\"\nnats.client = \"0.0.0.0:4222\"\n", GOOD_FLEET);
    let loaded = folder.load(&[]).unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    assert_eq!((loaded.warnings[0].line, &*loaded.warnings[0].path), (Some(2), "nats.client"));
}

/// A program named in a shell was looked for in the folder of node.toml.
#[test]
fn a_program_named_by_the_environment_is_seen_from_the_working_directory() {
    let folder = Folder::new("name = \"l-1\"\n", GOOD_FLEET);
    let program = |environment: &[(&str, &str)]| {
        folder.load(environment).unwrap().settings.nats_server().unwrap().to_owned()
    };
    let here = std::env::current_dir().unwrap();
    assert_eq!(program(&[("LEAFBOX_NATS_SERVER", "bin/nats-server")]), here.join("bin/nats-server"));
    assert_eq!(program(&[("LEAFBOX_NATS_SERVER", "nats-server")]), Path::new("nats-server"), "left to PATH");
    fs::write(folder.path().join(".env"), "LEAFBOX_NATS_SERVER=bin/nats-server\n").unwrap();
    assert_eq!(program(&[]), folder.path().join("bin/nats-server"));
}
