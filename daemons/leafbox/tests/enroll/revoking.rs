//! A box that is taken back is cut off, and stays so.

use async_nats::connection::State;

use crate::{
    boxes::{Box, Hub, until_count},
    harness::{client, eventually},
};

/// A regression test: it was "never let in", and stayed in.
#[test]
fn a_box_that_a_restored_backup_does_not_know_is_taken_back_all_the_same() {
    let hub = Hub::start();
    let one = Box::new("box-1", Some(hub.node.address("leaf")));
    hub.enroll(&one);
    let _node = one.place.start(&["run"]);
    eventually("it is linked", || hub.links_of("box-1") == 3);
    std::fs::remove_dir_all(hub.keys().join("enrolled")).unwrap();
    hub.run(&["enroll", "revoke", "box-1", "--yes"]).expect(0);
    eventually("its links are gone", || hub.links_of("box-1") == 0);
    hub.run(&["enroll", "approve", "--yes", one.place.path(".data/keys/request").to_str().unwrap()])
        .says(1, &["was taken back from box-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_is_taken_back_is_cut_off_while_another_goes_on() {
    let hub = Hub::start();
    let boxes = ["box-1", "box-2"].map(|name| Box::new(name, Some(hub.node.address("leaf"))));
    for one in &boxes {
        hub.enroll(one);
    }
    let [lost, kept] = &boxes;
    let (lost_node, kept_node) = (lost.place.start(&["run"]), kept.place.start(&["run"]));
    eventually("both are linked", || hub.links_of("box-1") == 3 && hub.links_of("box-2") == 3);
    let mint = ["user", "mint", "SCHOOL", "teacher-service", "--name", "desk", "-o", "desk.creds"];
    for one in &boxes {
        one.place.run(&mint).expect(0);
    }
    // Users that the boxes made, at the hub.
    let thief = client::connect(&hub.node.url(), &lost.place.path("desk.creds")).await;
    let honest = client::connect(&hub.node.url(), &kept.place.path("desk.creds")).await;

    hub.run(&["enroll", "revoke", "box-1"]).says(1, &["say --yes", "cut off"]);
    let revoked = hub.run(&["enroll", "revoke", "box-1", "--yes"]);
    assert!(revoked.stderr.contains("the running hub knows"), "{}", revoked.stderr);
    let said = revoked.expect(0);
    assert!(said.contains("JetStream key") && said.contains("Take box-1 out of `nodes`"), "{said}");

    eventually("the links of the lost box are gone", || hub.links_of("box-1") == 0);
    eventually("the lost box's user is cut off", || thief.connection_state() != State::Connected);
    let refused = |log: String| log.contains("authentication error");
    eventually("the hub refuses the lost box", || refused(hub.node.log()));
    assert_eq!(hub.links_of("box-1"), 0, "it came back:\n{}", lost_node.log());
    assert_eq!(hub.links_of("box-2"), 3, "the other one was cut:\n{}", kept_node.log());
    assert_eq!(honest.connection_state(), State::Connected);
    let desk = client::connect(&kept_node.url(), &kept.place.path("desk.creds")).await;
    client::publish(&desk, "events.teacher.marks", "event", 0..3).await;
    let keys = hub.keys();
    let school = identity::layout::apply_creds(&keys, &"SCHOOL".parse().unwrap());
    let office = client::connect(&hub.node.url(), &school).await;
    until_count(&office, "EVENTS", 3).await;

    // What was taken back is never let in again, under no name; twice is once.
    let request = lost.place.path(".data/keys/request");
    let request = request.to_str().unwrap();
    hub.run(&["enroll", "approve", "--yes", request])
        .says(1, &["was taken back from box-1", "make new keys"]);
    hub.run(&["enroll", "revoke", "box-1", "--yes"]).expect(0);
    assert!(hub.run(&["enroll", "list"]).expect(0).contains("taken back"));
    hub.run(&["enroll", "revoke", "box-9", "--yes"]).says(1, &["was never let in", "box-1, box-2"]);

    // The same box, found again: new keys, a new request.
    assert_eq!(lost_node.stop(), 0);
    std::fs::remove_dir_all(lost.place.path(".data/keys/signing")).unwrap();
    hub.enroll(lost);
    let _again = lost.place.start(&["run"]);
    eventually("it is back", || hub.links_of("box-1") == 3);
}
