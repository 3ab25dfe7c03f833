//! What a box keeps: across power cuts, when the fleet grows, in folders for units, sealed.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, MetadataExt, chown, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    boxes::{Box, Hub, fleet, operator, pasted, secrets},
    harness::{Place, Ran, eventually, files, untouched::Snapshot},
};

/// An account that comes later.
const MORE: &str = "\n[accounts.LIBRARY.services.desk]\npublish = [\"loans.>\"]\n";

fn answer(operator: &Place, one: &Box) -> String {
    let request = one.run(&["request"]).expect(0);
    pasted(operator.command(&["enroll", "approve", "--yes", "-"]), &request).expect(0)
}

/// What accepting writes, in that order.
#[test]
fn whatever_a_power_cut_leaves_is_completed_by_accepting_again() {
    let operator = operator();
    let one = Box::new("box-1", None);
    let answer = answer(&operator, &one);
    one.paste(&["accept", "-"], &answer).expect(0);
    let whole = Snapshot::of(&one.place.path(".data"));
    one.paste(&["accept", "-"], &answer).expect(0);
    whole.assert_still(&one.place.path(".data"));

    let written: Vec<PathBuf> = files(&one.place.path(".data"))
        .into_iter()
        .filter(|file| file.extension().is_some_and(|kind| kind == "creds" || kind == "jwt"))
        .collect();
    assert_eq!(written.len(), 10 + 4, "{written:?}");
    for lost in &written {
        fs::remove_file(one.place.path(".data/keys/enrolled")).unwrap();
        fs::remove_file(lost).unwrap();
        if lost.extension().unwrap() == "creds" {
            // Cut while it was written, on a filesystem that gives the name before the content.
            fs::write(lost, "").unwrap();
            fs::set_permissions(lost, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        one.run(&["status"]).expect(1);
        one.paste(&["accept", "-"], &answer).expect(0);
        assert!(fs::metadata(lost).unwrap().len() > 100, "{}", lost.display());
        one.run(&["status"]).expect(0);
    }
    // With the JWTs not yet whole, the node does not start on half of them.
    fs::remove_file(one.place.path(".data/jwts/operator.jwt")).unwrap();
    one.place.run(&["run"]).says(1, &["no account JWTs"]);
    one.paste(&["accept", "-"], &answer).expect(0);
    assert_eq!(one.place.start(&["run"]).stop(), 0);
}

/// A regression test: who owns the data directory, as nats-server does, could have root give it any
/// file, by a link in the folder of JWTs or in its place.
#[test]
fn accepting_as_root_gives_away_nothing_that_a_link_leads_to() {
    let operator = operator();
    let one = Box::new("box-1", None);
    let answer = answer(&operator, &one);
    let (jwts, elsewhere) = (one.place.path(".data/jwts"), one.place.path("elsewhere"));
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, &jwts).unwrap();
    one.paste(&["accept", "-"], &answer).says(1, &["jwts is not a folder", "move it away"]);
    assert!(files(&elsewhere).is_empty());
    assert!(!one.place.path(".data/keys/enrolled").exists());

    fs::remove_file(&jwts).unwrap();
    fs::create_dir(&jwts).unwrap();
    let precious = elsewhere.join("precious");
    fs::write(&precious, "").unwrap();
    symlink(&precious, jwts.join("HEAD.jwt")).unwrap();
    symlink(&precious, jwts.join("SCHOOL.jwt")).unwrap();
    if nix::unistd::geteuid().is_root() {
        // The keys stay root's: only the data directory is another user's.
        chown(one.place.path(".data"), Some(1), Some(1)).unwrap();
    } else {
        println!("not looked at: only root gives files away");
    }
    one.paste(&["accept", "-"], &answer).expect(0);
    assert_eq!(fs::read(&precious).unwrap(), b"");
    assert_eq!(fs::metadata(&precious).unwrap().uid(), nix::unistd::geteuid().as_raw());
    let owner = fs::metadata(one.place.path(".data")).unwrap().uid();
    for given in [&jwts, &jwts.join("SCHOOL.jwt"), &jwts.join("operator.jwt")] {
        assert_eq!(fs::symlink_metadata(given).unwrap().uid(), owner, "{}", given.display());
    }
}

#[test]
fn an_account_that_the_fleet_gains_is_asked_for_and_the_rest_stays() {
    let hub = Hub::start();
    let one = Box::new("box-1", Some(hub.node.address("leaf")));
    hub.enroll(&one);
    let school = one.read(".data/keys/leaf-SCHOOL.creds");
    let older = one.read("answer");
    one.place.write("fleet.toml", &format!("{}{MORE}", fleet()));
    let said = one.run(&["status"]).expect(1);
    assert!(said.contains("fleet.toml has 4 roles more") && said.contains("enroll request"), "{said}");
    one.run(&["accept", "answer"]).says(1, &["in LIBRARY that this box has not made"]);
    let printed = one.run(&["request"]).expect(0);
    assert!(printed.contains("made 4 keys"), "{printed}");

    // The operator's file is older: said, and nothing is let in.
    let request = one.place.path(".data/keys/request");
    let request = request.to_str().unwrap();
    hub.run(&["enroll", "approve", "--yes", request]).says(2, &["LIBRARY", "same fleet.toml"]);
    hub.write_fleet(&format!("{}{MORE}", fleet()));
    let approved = hub.run(&["enroll", "approve", "--yes", request]);
    assert!(approved.stderr.contains("4 keys are new, and 0 of the old ones"), "{}", approved.stderr);
    let answer = approved.expect(0);
    one.paste(&["accept", "-"], &older).says(1, &["do not know this box's key", "in LIBRARY"]);
    one.paste(&["accept", "-"], &answer).expect(0);
    one.run(&["status"]).expect(0);
    assert_eq!(one.read(".data/keys/leaf-SCHOOL.creds"), school, "the user that was there is another now");
    // An older answer takes nothing back.
    one.paste(&["accept", "-"], &older).expect(0);
    let _node = one.place.start(&["run"]);
    eventually("the new account is linked", || hub.links_of("box-1") == 4);
}

/// The folders that tmpfiles makes on an appliance.
fn split(one: &Box) -> PathBuf {
    let keys = one.place.path(".data/keys");
    for folder in ["nats", "apply", "health", "signing"] {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(keys.join(folder)).unwrap();
    }
    keys
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn where_each_unit_has_a_folder_it_finds_there_what_it_needs_and_no_more() {
    let operator = operator();
    let one = Box::new("box-1", None);
    let keys = split(&one);
    let run =
        |arguments: &[&str]| one.place.run(&[&["enroll"], arguments, &["--keys", ".data/keys"]].concat());
    let request = run(&["request", "--no-encrypt"]).expect(0);
    assert!(request.contains("who has the disk has the keys"), "{request}");
    run(&["request", "--encrypt"]).says(2, &["are plain files"]);
    let answer = pasted(operator.command(&["enroll", "approve", "--yes", "-"]), &request).expect(0);
    one.place.write("answer", &answer);
    let accepted = run(&["accept", "answer"]).expect(0);
    assert!(accepted.contains("systemd starts the node now"), "{accepted}");
    assert_eq!(
        names(&keys.join("nats")),
        ["jetstream.key", "leaf-LEAFBOX.creds", "leaf-SCHOOL.creds", "leaf-SYS.creds"]
    );
    assert_eq!(names(&keys.join("apply")), ["apply-LEAFBOX.creds", "apply-SCHOOL.creds"]);
    assert_eq!(names(&keys.join("health")), ["health.creds"]);
    // Folders that a box of an older leafbox lacks.
    assert_eq!(names(&keys.join("registry")), ["registry.creds"]);
    assert_eq!(
        names(&keys.join("console")),
        ["console-LEAFBOX.creds", "console-SCHOOL.creds", "console-SYS.creds"]
    );
    assert_eq!(
        names(&keys),
        ["apply", "console", "enrolled", "health", "nats", "registry", "request", "signing"]
    );
    assert_eq!(names(&one.place.path(".data")), ["jwts", "keys"]);
}

/// A hub node that is no machine of the operator's.
#[test]
fn a_hub_node_gets_the_creds_of_a_hub_node() {
    let operator = operator();
    let one = Box::new("box-1", None);
    one.place.write("node.toml", "name = \"hub-1\"\nrole = \"hub\"\n");
    let answer = answer(&operator, &one);
    one.paste(&["accept", "-"], &answer).expect(0);
    assert_eq!(
        names(&one.place.path(".data/keys")),
        [
            "apply-LEAFBOX.creds",
            "apply-SCHOOL.creds",
            "console-LEAFBOX.creds",
            "console-SCHOOL.creds",
            "console-SYS.creds",
            "enrolled",
            "health.creds",
            "jetstream.key",
            "registry.creds",
            "request",
            "signing",
            "sys.creds"
        ]
    );
}

/// `systemd-creds` with a host key of its own, so that the test needs neither root nor a TPM.
fn systemd_creds(secret: &Path, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    use std::io::Write;
    let mut command = Command::new("systemd-creds");
    command.args(arguments).env("SYSTEMD_CREDENTIAL_SECRET", secret);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    child.stdin.take()?.write_all(input).ok()?;
    let output = child.wait_with_output().ok()?;
    output.status.success().then_some(output.stdout)
}

#[test]
fn sealed_keys_open_under_the_names_that_systemd_looks_for_and_on_this_machine_only() {
    let one = Box::new("box-1", None);
    let (keys, secret) = (split(&one), one.place.path("host.secret"));
    let trial = ["encrypt", "--name=leafbox_trial", "--with-key=auto", "-", "-"];
    if systemd_creds(&secret, &trial, b"trial").is_none() {
        runtime::testing::skipped("there is no systemd-creds here, or it seals nothing for this user");
        return;
    }
    let operator = operator();
    let run = |arguments: &[&str]| {
        let mut command = one.place.command(&[&["enroll"], arguments, &["--keys", ".data/keys"]].concat());
        command.env("SYSTEMD_CREDENTIAL_SECRET", &secret);
        Ran::of(command.output().unwrap())
    };
    let request = run(&["request"]).expect(0);
    assert!(request.contains("sealed by"), "{request}");
    assert_eq!(run(&["request"]).expect(0).lines().nth(4), request.lines().nth(4), "the same keys");
    run(&["request", "--no-encrypt"]).says(2, &["are sealed"]);
    let answer = pasted(operator.command(&["enroll", "approve", "--yes", "-"]), &request).expect(0);
    one.place.write("answer", &answer);
    run(&["accept", "answer"]).expect(0);
    assert!(run(&["accept", "answer"]).expect(0).contains("all of it was here already"));
    run(&["status"]).expect(0);
    assert_eq!(secrets(&keys).len(), 1, "a seed lies in clear");

    for (folder, file) in
        [("nats", "jetstream.key"), ("nats", "leaf-SCHOOL.creds"), ("health", "health.creds")]
    {
        let sealed = fs::read(keys.join(folder).join(file)).unwrap();
        let open =
            |name: &str| systemd_creds(&secret, &["decrypt", &format!("--name={name}"), "-", "-"], &sealed);
        let opened = open(&format!("leafbox_{file}")).unwrap();
        assert!(opened.starts_with(b"k") || opened.starts_with(b"-----BEGIN"), "{file}");
        assert_eq!(open("leafbox_other"), None, "{file} opens under another name");
    }

    // Another machine, or this one after its key was lost.
    fs::remove_file(&secret).unwrap();
    run(&["accept", "answer"]).says(1, &["cannot decrypt", "only on the machine that sealed it"]);
    let mut command = one.place.command(&["enroll", "status", "--keys", ".data/keys"]);
    command.env("PATH", one.place.path("nothing"));
    Ran::of(command.output().unwrap()).says(1, &["no systemd-creds on PATH", "--no-encrypt"]);
}
