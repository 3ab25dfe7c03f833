//! Accounts through their life: added, revoked, lost and found, removed.
#![allow(clippy::unwrap_used)]

mod harness;

use std::{collections::BTreeMap, fs, path::PathBuf, thread};

use harness::{Node, Place, client, files};
use identity::{JwtSet, layout};
use settings::Name;

const NODE: &str = include_str!("../../../examples/school/node.toml");
const FLEET: &str = include_str!("../../../examples/school/fleet.toml");

/// An account that the school does not have yet.
const CLUB: &str = r#"
[accounts.CLUB.streams.NEWS]
subjects = ["news.>"]
max_bytes = "1MiB"

[accounts.CLUB.services.editor]
publish = ["news.>"]
subscribe = ["_INBOX.>"]
"#;

fn school() -> (Place, Node) {
    let place = Place::new(NODE, FLEET);
    let node = place.start(&["dev", "--any-port"]);
    (place, node)
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Every file of the keys and the signed JWTs, with what is in it.
fn secrets_and_jwts(place: &Place) -> BTreeMap<PathBuf, Vec<u8>> {
    let folders = [place.path(".data/keys"), place.path(".data/jwts")];
    folders
        .iter()
        .flat_map(|folder| files(folder))
        .map(|file| (file.clone(), fs::read(&file).unwrap()))
        .collect()
}

/// Mints a user of the teachers' role and gives its creds file and public key.
fn mint(place: &Place, user: &str) -> (PathBuf, String) {
    let file = place.path(&format!("{user}.creds"));
    let output = file.display().to_string();
    place.run(&["user", "mint", "SCHOOL", "teacher-service", "--name", user, "-o", &output]).expect(0);
    (file.clone(), identity::Creds::read(&file).unwrap().claims.subject)
}

fn revoked(jwts: &std::path::Path) -> Vec<String> {
    let set = JwtSet::read_dir(jwts).unwrap();
    set.accounts["SCHOOL"].claims().nats.revocations.keys().cloned().collect()
}

async fn is_refused(node: &Node, creds: &std::path::Path) -> bool {
    let options = async_nats::ConnectOptions::with_credentials_file(creds).await.unwrap();
    options.connect(node.url()).await.is_err()
}

#[test]
fn a_service_added_on_the_operators_machine_is_planned_applied_and_works() {
    let (place, _node) = school();
    let add = ["service", "add", "SCHOOL", "parent", "--publish", "parent.*", "--subscribe", "_INBOX.>"];
    place.run(&add).expect(0);
    let before = secrets_and_jwts(&place);
    let shown = place.run(&["plan"]).expect(2);
    assert!(shown.contains("+ SCHOOL role parent publish: parent.*"), "{shown}");
    assert_eq!(secrets_and_jwts(&place), before, "a plan writes nothing");
    let applied = place.run(&["apply"]).expect(0);
    assert!(applied.contains("accounts: SCHOOL in force on 1 server; 2 unchanged"), "{applied}");
    place.run(&["plan"]).expect(0);
    let tested = place.run(&["auth", "test"]).expect(0);
    assert!(tested.contains("SCHOOL parent"), "{tested}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_account_with_a_stream_is_planned_applied_and_works() {
    let (place, node) = school();
    place.write("fleet.toml", &format!("{FLEET}{CLUB}"));
    let before = secrets_and_jwts(&place);
    let shown = place.run(&["plan"]).expect(2);
    assert!(shown.contains("+ CLUB account: new"), "{shown}");
    assert_eq!(secrets_and_jwts(&place), before, "a plan writes nothing");
    place.run(&["apply"]).expect(0);
    place.run(&["plan"]).expect(0);
    place.run(&["auth", "test"]).expect(0);
    let keys = place.path(".data/keys");
    let editor = layout::service_creds(&keys, &name("CLUB"), &name("editor"));
    client::publish(&client::connect(&node.url(), &editor).await, "news.today", "news", 0..3).await;
    let apply = client::connect(&node.url(), &layout::apply_creds(&keys, &name("CLUB"))).await;
    assert_eq!(client::count(&apply, "NEWS").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_outlives_the_folder_of_jwts() {
    let (place, node) = school();
    let (creds, lost) = mint(&place, "lost");
    client::connect(&node.url(), &creds).await;
    place.run(&["user", "revoke", "SCHOOL", &lost]).expect(0);
    let shown = place.run(&["plan"]).expect(2);
    assert!(shown.contains(&format!("+ SCHOOL revoked {lost}")), "what a push would change: {shown}");
    place.run(&["apply"]).expect(0);
    assert!(is_refused(&node, &creds).await);

    let (jwts, git) = (place.path(".data/jwts"), place.path("git"));
    fs::remove_dir_all(&jwts).unwrap();
    place.run(&["apply", "--export", "git"]).expect(0);
    assert_eq!((revoked(&git), revoked(&jwts)), (vec![lost.clone()], vec![lost.clone()]));

    // With the memory beside the keys gone too, the servers know, and so does the copy in git.
    let forget = || {
        fs::remove_dir_all(&jwts).unwrap();
        fs::remove_file(layout::ledger(&place.path(".data/keys"))).unwrap();
    };
    forget();
    place.run(&["apply"]).expect(0);
    assert_eq!(revoked(&jwts), vec![lost.clone()]);
    assert!(is_refused(&node, &creds).await);
    assert_eq!(node.stop(), 0);
    forget();
    place.run(&["apply", "--export", "git"]).expect(0);
    assert_eq!(revoked(&jwts), vec![lost.clone()]);
    // And with only the memory left.
    fs::remove_dir_all(&jwts).unwrap();
    let node = place.start(&["dev", "--any-port"]);
    assert_eq!(revoked(&jwts), [lost]);
    assert!(is_refused(&node, &creds).await);
}

#[test]
fn revocations_at_the_same_moment_are_all_kept() {
    let (place, _node) = school();
    let users: Vec<String> = ["one", "two", "three", "four"].map(|user| mint(&place, user).1).into();
    thread::scope(|scope| {
        for user in &users {
            scope.spawn(|| place.run(&["user", "revoke", "SCHOOL", user]).expect(0));
        }
    });
    let mut expected = users.clone();
    expected.sort();
    assert_eq!(revoked(&place.path(".data/jwts")), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_declared_no_more_is_removed_only_by_name() {
    let place = Place::new(NODE, &format!("{FLEET}{CLUB}"));
    let node = place.start(&["dev", "--any-port"]);
    let editor = layout::service_creds(&place.path(".data/keys"), &name("CLUB"), &name("editor"));
    client::publish(&client::connect(&node.url(), &editor).await, "news.today", "news", 0..3).await;
    place.write("fleet.toml", FLEET);
    for command in [&["plan"][..], &["apply"], &["apply", "--prune"]] {
        let shown = place.run(command).expect(0);
        assert!(shown.contains("`leafbox apply --prune --delete CLUB` removes it"), "{shown}");
    }
    client::connect(&node.url(), &editor).await;

    let removed = place.run(&["apply", "--prune", "--delete", "CLUB"]).expect(0);
    assert!(removed.contains("- CLUB account: removed; with all that was in NEWS on this node"), "{removed}");
    assert!(is_refused(&node, &editor).await);
    let shown = place.run(&["plan"]).expect(0);
    assert!(!shown.contains("CLUB"), "{shown}");
    place.run(&["apply", "--prune", "--delete", "CLUB"]).expect(0);
    assert_eq!(node.stop(), 0);
    let node = place.start(&["dev", "--any-port"]);
    assert!(is_refused(&node, &editor).await, "a restart does not bring it back");

    // Declared again, it works, and begins anew.
    place.write("fleet.toml", &format!("{FLEET}{CLUB}"));
    place.run(&["apply"]).expect(0);
    place.run(&["plan"]).expect(0);
    let apply = layout::apply_creds(&place.path(".data/keys"), &name("CLUB"));
    let apply = client::connect(&node.url(), &apply).await;
    assert_eq!(client::state(&apply, "NEWS").await.unwrap()["messages"], 0);
}
