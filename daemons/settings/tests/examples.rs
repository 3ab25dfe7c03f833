//! The examples that ship are right, and so are the defaults.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::{Path, PathBuf};

use settings::{ByteSize, Fleet, Loaded, Name, Node, Problems, Sources, load};

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(path)
}

fn load_example(path: &str) -> Result<Loaded, Problems> {
    load(&Sources { node: example(path), environment: Vec::new(), disk_size: |_| Some(ByteSize::gib(32)) })
}

#[test]
fn every_example_loads_without_an_error() {
    let mut count = 0;
    for folder in std::fs::read_dir(example("")).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("node")) {
                count += 1;
                let loaded = load_example(path.to_str().unwrap()).map_err(|problems| problems.to_string());
                assert!(loaded.is_ok(), "{}", loaded.unwrap_err());
            }
        }
    }
    assert!(count >= 4, "{count} examples");
}

#[test]
fn the_school_warns_of_short_inboxes_and_nothing_else() {
    let loaded = load_example("school/node.toml").unwrap();
    assert_eq!(loaded.warnings.len(), 2, "{}", Problems(loaded.warnings));
    assert!(loaded.warnings.iter().all(|warning| warning.remedy.contains("_INBOX.>")));
}

#[test]
fn the_shop_has_no_warnings() {
    for node in ["shop/node-shop-1.toml", "shop/node-shop-2.toml", "shop/node-hub.toml"] {
        let loaded = load_example(node).unwrap();
        assert!(loaded.warnings.is_empty(), "{}", Problems(loaded.warnings));
    }
}

#[test]
fn the_school_has_the_permission_table_of_its_readme() {
    let loaded = load_example("school/node.toml").unwrap();
    let school = &loaded.settings.fleet.accounts[&"SCHOOL".parse::<Name>().unwrap()];
    let table = [
        ("teacher-service", "teacher.* events.teacher.*", "user.query.* events.user.* _INBOX.*"),
        ("user-service", "user.* events.user.*", "teacher.query.* events.teacher.* _INBOX.*"),
        ("notification-service", "notifications.*", "notifications.* events.*"),
    ];
    assert_eq!(school.services.len(), table.len());
    let joined = |subjects: &[settings::Subject]| {
        subjects.iter().map(|subject| subject.as_str()).collect::<Vec<_>>().join(" ")
    };
    for (service, publish, subscribe) in table {
        let declared = &school.services[&service.parse::<Name>().unwrap()];
        assert_eq!(joined(&declared.publish), publish, "{service}");
        assert_eq!(joined(&declared.subscribe), subscribe, "{service}");
    }
}

#[test]
fn defaults_and_examples_are_written_and_read_back_the_same() {
    let node: Node = toml::from_str("name = \"a\"").unwrap();
    assert_eq!(toml::from_str::<Node>(&toml::to_string(&node).unwrap()).unwrap(), node);
    let fleet: Fleet = toml::from_str("name = \"a\"\n[accounts.A.streams.S]\n[accounts.A.kv.k]\n").unwrap();
    assert_eq!(toml::from_str::<Fleet>(&toml::to_string(&fleet).unwrap()).unwrap(), fleet);
    let shop = load_example("shop/node-hub.toml").unwrap().settings;
    assert_eq!(toml::from_str::<Fleet>(&toml::to_string(&shop.fleet).unwrap()).unwrap(), shop.fleet);
    assert_eq!(toml::from_str::<Node>(&toml::to_string(&shop.node).unwrap()).unwrap(), shop.node);
}

/// Prints how long a large fleet takes; run with `--release --nocapture`.
#[test]
fn a_fleet_of_a_thousand_accounts_is_checked() {
    let fleet = large_fleet(1_000);
    let begin = std::time::Instant::now();
    let problems = settings::check_text(settings::File::Fleet, Path::new("fleet.toml"), &fleet);
    println!("1,000 accounts, {} KiB: {:?}", fleet.len() / 1024, begin.elapsed());
    assert!(problems.0.is_empty(), "{problems}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("fleet.toml"), &fleet).unwrap();
    std::fs::write(folder.path().join("node.toml"), "name = \"l-1\"\n").unwrap();
    let begin = std::time::Instant::now();
    let loaded = load(&Sources {
        node: folder.path().join("node.toml"),
        environment: Vec::new(),
        disk_size: |_| Some(ByteSize::gib(32_768)),
    });
    println!("loaded with a node: {:?}", begin.elapsed());
    assert!(loaded.is_ok(), "{}", loaded.unwrap_err());
    let spoilt = fleet.replace("max_age = \"7d\"", "max_aeg = \"7d\"");
    let begin = std::time::Instant::now();
    let problems = settings::check_text(settings::File::Fleet, Path::new("fleet.toml"), &spoilt);
    println!("the same with 1,000 mistakes: {:?}", begin.elapsed());
    assert_eq!(problems.0.len(), 1_000);
}

fn large_fleet(accounts: usize) -> String {
    let account = |number: usize| {
        format!(
            r#"
[accounts.TENANT_{number}]
description = "tenant {number}"
limits = {{ connections = 100, payload = "1MiB" }}
jetstream = {{ storage = "10GiB", streams = 20 }}

[accounts.TENANT_{number}.roles.device]
publish = ["telemetry.{number}.>", "state.{number}.*"]
subscribe = ["command.{number}.>", "_INBOX.>"]

[accounts.TENANT_{number}.services.backend]
publish = ["command.{number}.>", "$JS.API.>"]
subscribe = ["telemetry.{number}.>", "state.{number}.*", "_INBOX.>"]

[accounts.TENANT_{number}.services.gateway]
role = "device"

[[accounts.TENANT_{number}.exports]]
subject = "telemetry.{number}.>"
kind = "stream"

[accounts.TENANT_{number}.streams.TELEMETRY]
subjects = ["telemetry.{number}.>"]
travel = "up"
max_bytes = "1GiB"
max_age = "7d"

[accounts.TENANT_{number}.streams.TELEMETRY.consumers.archive]
filter = ["telemetry.{number}.a.>"]
ack_wait = "30s"

[accounts.TENANT_{number}.kv.state]
history = 5
max_bytes = "64MiB"
"#
        )
    };
    let head = "name = \"large\"\nnodes = { hub = [\"h-1\", \"h-2\", \"h-3\"], leaves = [\"l-1\"] }\n";
    std::iter::once(head.to_owned()).chain((0..accounts).map(account)).collect()
}
