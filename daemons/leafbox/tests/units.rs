//! What the systemd units run, run as systemd would.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod harness;

use std::{fs, net::TcpListener, os::unix::fs::symlink, time::Duration};

use harness::{
    Ran, client, eventually, http_get,
    unit::{Appliance, child_of, is_running, set_mode, status},
};
use nix::sys::signal::Signal;
use settings::NodeRole;

/// Several beats of a watchdog that waits for one second.
const SILENCE: Duration = Duration::from_millis(1500);
/// Of `unit nats`: a crash of nats-server ends with 2, and is to be started again.
const BAD_CONFIG: i32 = 78;
const NO_CAPABILITIES: &str = "0000000000000000";

#[test]
fn systemd_hears_that_nats_server_is_ready_and_alive_and_nothing_when_it_hangs() {
    let mut appliance = Appliance::new();
    let mut nats = appliance.start_nats();
    let healthy = http_get(appliance.monitoring, "/healthz").unwrap();
    assert_eq!(healthy.0, 200, "READY=1 came before it was healthy: {}", healthy.1);
    assert!(nats.hears("WATCHDOG=1"));
    assert!(nats.hears("STATUS=healthy: "));

    nats.signal(Signal::SIGSTOP);
    assert!(nats.hears("STATUS=nats-server does not answer"));
    assert_eq!(nats.next(SILENCE), None, "the watchdog was told of a server that hangs");
    nats.signal(Signal::SIGCONT);
    assert!(nats.hears("WATCHDOG=1"));
    assert_eq!(nats.stop(), 0);
}

/// It is healthy only with the others, which may wait for it.
#[test]
fn a_hub_node_alone_is_ready_when_it_listens_and_leaves_in_lame_duck_mode() {
    let mut appliance = Appliance::with(NodeRole::Hub);
    let mut nats = appliance.start_nats();
    let healthz = http_get(appliance.monitoring, "/healthz").unwrap();
    assert_ne!(healthz.0, 200, "{}", healthz.1);
    assert!(nats.hears("STATUS=not healthy: "));
    assert!(nats.hears("WATCHDOG=1"));
    nats.signal(Signal::SIGUSR2);
    assert_eq!(nats.wait(), 0);
    assert!(nats.log().contains("lame duck mode"), "{}", nats.log());
}

#[test]
fn the_main_process_becomes_nats_server_and_its_pulse_ends_with_it() {
    let mut appliance = Appliance::new();
    let mut nats = appliance.start_nats();
    let words = runtime::holder::command_line(nats.pid()).unwrap();
    assert!(words[0].ends_with("nats-server"), "{words:?}");
    let pulse = child_of(nats.pid());
    for pid in [nats.pid(), pulse] {
        assert_eq!(status(pid, "NoNewPrivs"), "1");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(status(pid, set), NO_CAPABILITIES, "{set} of {pid}");
        }
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    }
    // The key of JetStream is in nats-server's environment and nowhere else.
    let environment = fs::read(format!("/proc/{pulse}/environ"));
    assert!(!String::from_utf8_lossy(&environment.unwrap_or_default()).contains("LEAFBOX_JETSTREAM_KEY"));

    nats.child.kill().unwrap();
    nats.child.wait().unwrap();
    eventually("the pulse ends", || !is_running(pulse));
}

/// Outside systemd as well.
#[test]
fn leafbox_run_and_its_nats_server_have_no_privileges() {
    let appliance = Appliance::new();
    let mut command = appliance.place.command(&["run"]);
    command.env("CREDENTIALS_DIRECTORY", &appliance.credentials);
    let node = appliance.place.start_command(command);
    for pid in [node.pid(), child_of(node.pid())] {
        assert_eq!(status(pid, "NoNewPrivs"), "1");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(status(pid, set), NO_CAPABILITIES, "{set} of {pid}");
        }
    }
    assert_eq!(node.stop(), 0);
}

#[test]
fn nobody_else_runs_on_the_data_of_the_unit_until_it_ends() {
    let mut appliance = Appliance::new();
    let nats = appliance.start_nats();
    let second = || {
        let mut command = appliance.place.command(&["run"]);
        command.env("CREDENTIALS_DIRECTORY", &appliance.credentials);
        Ran::of(command.output().unwrap())
    };
    let words = format!("a leafbox (pid {}) already runs", nats.pid());
    second().says(1, &[&words]);
    appliance.run("nats").says(1, &[&words]);
    drop(nats);
    let again = appliance.start_nats();
    assert_eq!(again.stop(), 0);
}

#[tokio::test]
async fn a_reload_takes_a_limit_and_keeps_every_connection() {
    let mut appliance = Appliance::new();
    let nats = appliance.start_nats();
    let creds = appliance.operator.path(".data/keys/services/SCHOOL/teacher.creds");
    let teacher = client::connect(&format!("nats://{}", appliance.client), &creds).await;
    let before = teacher.server_info().client_id;
    let reload = |pid: u32| {
        let mut command = appliance.command("nats-reload");
        Ran::of(command.env("MAINPID", pid.to_string()).output().unwrap())
    };

    appliance.edit("[nats]\n", "[nats]\nmax_connections = 77\n");
    reload(std::process::id()).says(1, &["is not the nats-server that runs on"]);
    assert_ne!(appliance.varz()["max_connections"], 77);
    reload(nats.pid()).expect(0);
    assert_eq!(appliance.varz()["max_connections"], 77);
    teacher.flush().await.unwrap();
    assert_eq!(teacher.server_info().client_id, before, "the client had to connect again");

    // A port does not move while it runs, and then nothing else changes either.
    let (configuration, loaded) = (appliance.place.read(".data/run/nats-server.conf"), appliance.varz());
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    appliance.edit(&appliance.client.to_string(), &elsewhere.to_string());
    appliance.edit("max_connections = 77", "max_connections = 78");
    reload(nats.pid()).says(
        1,
        &[
            &format!("- listen: \"{}\"", appliance.client),
            &format!("+ listen: \"{elsewhere}\""),
            "systemctl restart leafbox-nats",
        ],
    );
    assert_eq!(appliance.place.read(".data/run/nats-server.conf"), configuration);
    assert_eq!(appliance.varz()["config_load_time"], loaded["config_load_time"]);
    assert_eq!(appliance.varz()["max_connections"], 77);
    assert_eq!(nats.stop(), 0);
}

#[test]
fn apply_exits_with_0_when_all_is_applied_1_when_not_and_2_for_a_bad_file() {
    let mut appliance = Appliance::new();
    let nats = appliance.start_nats();
    let applied = || -> serde_json::Value {
        serde_json::from_str(&appliance.place.read(".data/run/applied.json")).unwrap()
    };
    appliance.run("apply").expect(0);
    assert_eq!(applied()["ok"], true);

    let creds = appliance.credential("apply-SCHOOL.creds");
    let text = fs::read(&creds).unwrap();
    fs::remove_file(&creds).unwrap();
    appliance.run("apply").says(1, &["SCHOOL", "apply-SCHOOL.creds"]);
    assert_eq!(applied()["ok"], false);
    fs::write(&creds, text).unwrap();
    set_mode(&creds, 0o600);

    appliance.place.write("fleet.toml", &format!("{}\nmax_bytse = 1\n", harness::unit::FLEET));
    appliance.run("apply").says(2, &["max_bytse"]);
    appliance.place.write("fleet.toml", harness::unit::FLEET);
    appliance.run("apply").expect(0);
    assert_eq!(applied()["ok"], true);
    assert_eq!(nats.stop(), 0);
}

/// The kernel refuses a process what it did not name, links that lead out included.
#[test]
fn apply_cannot_open_what_it_has_no_business_with() {
    let mut appliance = Appliance::new();
    let nats = appliance.start_nats();
    let jwt = appliance.place.path("jwts/SCHOOL.jwt");
    let outside = appliance.operator.path("outside.jwt");
    fs::rename(&jwt, &outside).unwrap();
    symlink(&outside, &jwt).unwrap();
    let run = || {
        let mut command = appliance.command("apply");
        Ran::of(command.env("LEAFBOX_LOG", "debug").output().unwrap())
    };
    let ran = run();
    if ran.stderr.contains("this kernel has no Landlock") {
        runtime::testing::skipped("this kernel has no Landlock");
        return;
    }
    assert!(ran.stderr.contains("Landlock ABI"), "{}", ran.stderr);
    ran.says(1, &["SCHOOL.jwt", "Permission denied"]);
    fs::remove_file(&jwt).unwrap();
    fs::rename(&outside, &jwt).unwrap();
    run().expect(0);
    assert_eq!(nats.stop(), 0);
}

/// A regression test: the kernel kept the certificate from whoever connects, where an ACME client
/// keeps it elsewhere, and the platform's authorities, which the NATS client opens: no unit connected
/// with TLS.
#[test]
fn apply_connects_with_tls_and_a_certificate_that_lies_elsewhere() {
    let mut appliance = Appliance::new();
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    set_mode(&key, 0o600);
    appliance.edit("[nats]\n", &format!("[nats]\ntls.client = {{ cert = {cert:?}, key = {key:?} }}\n"));
    let nats = appliance.start_nats();
    appliance.run("apply").expect(0);
    assert_eq!(nats.stop(), 0);
}

#[test]
fn the_uplink_watcher_tells_that_it_is_ready_alive_and_stopping() {
    let mut appliance = Appliance::new();
    let nats = appliance.start_nats();
    let mut uplink = appliance.start("uplink");
    assert!(uplink.hears("READY=1") && uplink.hears("WATCHDOG=1"), "{}", uplink.log());
    assert_eq!(status(uplink.pid(), "NoNewPrivs"), "1");
    assert_eq!(status(uplink.pid(), "CapEff"), NO_CAPABILITIES);
    assert_eq!(status(uplink.pid(), "CapPrm"), NO_CAPABILITIES);
    uplink.signal(Signal::SIGTERM);
    assert!(uplink.hears("STOPPING=1"));
    assert_eq!(uplink.stop(), 0);
    assert_eq!(nats.stop(), 0);
}

/// With the operator's keys, and confined to the files that it signs with.
#[tokio::test(flavor = "multi_thread")]
async fn the_signer_signs_where_the_operators_keys_are_and_nowhere_else() {
    let mut appliance = Appliance::new();
    let nats = appliance.start_nats();
    appliance.run("signer").says(2, &["has no operator's keys", "start this where they are"]);

    appliance.credentials = appliance.operator.path(".data/keys");
    let mut signer = appliance.start("signer");
    assert!(signer.hears("READY=1") && signer.hears("WATCHDOG=1"), "{}", signer.log());
    assert_eq!(status(signer.pid(), "NoNewPrivs"), "1");
    assert_eq!(status(signer.pid(), "CapEff"), NO_CAPABILITIES);
    let url = format!("nats://{}", appliance.client);
    let console = client::connect(&url, &appliance.credentials.join("console-LEAFBOX.creds")).await;
    let ask = async |verb: &str, form: serde_json::Value| {
        client::request(&console, &format!("leafbox.sign.{verb}"), &form).await
    };
    let started = std::time::Instant::now();
    let about = loop {
        match ask("about", serde_json::json!({})).await {
            Some(about) => break about,
            None => assert!(started.elapsed() < harness::DEADLINE, "it does not answer: {}", signer.log()),
        }
    };
    assert_eq!(about["done"]["roles"]["SCHOOL"], serde_json::json!(["teacher"]), "{about}");
    let key = nkeys::KeyPair::new_user().public_key();
    let revoke = serde_json::json!({ "who": "ada", "account": "SCHOOL", "user": key });
    let told = ask("revoke", revoke).await.unwrap();
    assert_eq!(told["done"]["in_force"], true, "{told}");
    assert!(fs::read_to_string(appliance.credentials.join("signed.json")).unwrap().contains("SCHOOL"));
    assert_eq!(signer.stop(), 0);
    assert_eq!(nats.stop(), 0);
}

#[test]
fn another_key_than_the_stores_starts_nothing_and_is_not_tried_again() {
    let mut appliance = Appliance::new();
    let nats = appliance.start_nats();
    appliance.run("apply").expect(0);
    assert_eq!(nats.stop(), 0);
    let key = appliance.credential("jetstream.key");
    let right = fs::read(&key).unwrap();
    fs::write(&key, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef").unwrap();
    let mut refused = appliance.start("nats");
    assert!(!refused.hears("READY=1"));
    assert!(refused.log().contains("nothing was started"), "{}", refused.log());
    assert!(!refused.log().contains("Starting nats-server"), "{}", refused.log());
    assert_eq!(refused.child.wait().unwrap().code(), Some(BAD_CONFIG));

    // Only missing, it may come: the unit tries again.
    fs::remove_file(&key).unwrap();
    appliance.run("nats").says(1, &["`jetstream.key` is missing", "nothing was started"]);
    fs::write(&key, right).unwrap();
    set_mode(&key, 0o600);
    let nats = appliance.start_nats();
    assert_eq!(nats.stop(), 0);
}

#[test]
fn what_may_come_later_exits_with_1_and_what_must_be_changed_with_78() {
    let appliance = Appliance::new();
    let jwts = appliance.place.path("jwts");
    let aside = appliance.place.path("aside");
    fs::rename(&jwts, &aside).unwrap();
    appliance.run("nats").says(1, &["leafbox apply --export"]);
    fs::rename(&aside, &jwts).unwrap();

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let good = appliance.place.read("node.toml");
    appliance.edit("[health]", "[healht]");
    appliance.run("nats").says(BAD_CONFIG, &["healht"]);
    appliance.place.write("node.toml", &good);
    appliance.edit(&appliance.monitoring.to_string(), &address);
    let holder = format!("(process {})", std::process::id());
    appliance.run("nats").says(1, &[&format!("{address} is taken by"), &holder, "`nats.monitoring`"]);

    appliance.edit(&address, "127.0.0.1:0");
    appliance.run("nats").says(BAD_CONFIG, &["port 0 in nats.monitoring", "a port of its own"]);
    appliance.place.write("node.toml", &good);

    let mut unnamed = appliance.command("nats");
    Ran::of(unnamed.env_remove("LEAFBOX_NATS_SERVER").output().unwrap())
        .says(BAD_CONFIG, &["LEAFBOX_NATS_SERVER"]);
    let mut missing = appliance.command("nats");
    missing.env("LEAFBOX_NATS_SERVER", "/no-such-program");
    Ran::of(missing.output().unwrap()).says(BAD_CONFIG, &["/no-such-program cannot be used as nats-server"]);
    assert!(!appliance.place.path(".data/jetstream/jetstream").exists(), "nats-server was started");
}

#[test]
fn a_credential_that_others_can_read_is_refused_outside_systemd() {
    let appliance = Appliance::new();
    let keys = appliance.place.path(".data/keys");
    fs::create_dir_all(keys.parent().unwrap()).unwrap();
    fs::rename(&appliance.credentials, &keys).unwrap();
    let key = keys.join("leafbox_jetstream.key");
    let run = || {
        let mut command = appliance.command("nats");
        Ran::of(command.env_remove("CREDENTIALS_DIRECTORY").output().unwrap())
    };
    set_mode(&key, 0o644);
    run().says(1, &["leafbox_jetstream.key", "run `chmod 600"]);
    assert!(!appliance.place.path(".data/jetstream/jetstream").exists(), "nats-server was started");
}
