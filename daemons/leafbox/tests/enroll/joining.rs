//! From first boot to the first message on the hub; and without any hub.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use futures::StreamExt;
use identity::{enrolment::Request, layout};
use serde_json::json;

use crate::{
    boxes::{Box, Hub, block, fingerprint, last, operator, pasted, secrets, until_count},
    harness::{DEADLINE, client, eventually, files},
};

fn assert_holds_none(secrets: &BTreeSet<String>, what: &str, text: &str) {
    // Not in the message: a failing test must not print one either.
    let found = secrets.iter().filter(|secret| text.contains(secret.as_str())).count();
    assert_eq!(found, 0, "{what} holds {found} secrets");
}

/// A telephone before the console.
fn scan(printed: &str) -> String {
    let lines: Vec<Vec<char>> = printed
        .lines()
        .filter(|line| line.starts_with(['█', '▀']))
        .map(|line| line.chars().collect())
        .collect();
    let side = lines[0].len();
    const PIXELS: usize = 4;
    // The terminal's background is dark.
    let light = |column: usize, row: usize| match (lines[row / 2][column], row % 2) {
        ('█', _) | ('▀', 0) | ('▄', 1) => 255,
        _ => 0,
    };
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(side * PIXELS, side * PIXELS, |x, y| {
        light(x / PIXELS, y / PIXELS)
    });
    let codes = image.detect_grids();
    assert_eq!(codes.len(), 1, "not one code in:\n{printed}");
    codes[0].decode().unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_knows_two_files_sends_its_first_message_to_the_hub() {
    let hub = Hub::start();
    let one = Box::new("box-1", Some(hub.node.address("leaf")));
    // As in an image: the accounts as they were when it was built.
    let image = one.place.path("image");
    hub.operator.run(&["apply", "--export", image.to_str().unwrap()]).expect(0);
    let settings = format!("jwts = \"image\"\n{}", Box::settings("box-1", Some(hub.node.address("leaf"))));
    one.place.write("node.toml", &settings);

    assert!(one.run(&["status"]).expect(1).contains("next: `leafbox enroll request`"));
    let printed = one.run(&["request", "--console"]).expect(0);
    assert!(printed.contains("box-1, a leaf of the fleet school, asks to be let in"), "{printed}");
    assert_eq!(one.run(&["request", "--console"]).expect(0).lines().last(), printed.lines().last());
    let shown = fingerprint(&printed);
    assert!(one.run(&["status"]).expect(1).contains(&shown));
    let request = Request::parse(&scan(&printed)).unwrap();
    assert_eq!(request, Request::parse(&block(&printed)).unwrap());
    assert_eq!(request.fingerprint().to_string(), shown);
    one.place.write("request", &printed);

    let path = one.place.path("request");
    let path = path.to_str().unwrap();
    hub.run(&["enroll", "approve", path]).says(1, &["say --yes", "never let in", &shown]);
    let approved = hub.run(&["enroll", "approve", "--yes", path]);
    assert!(approved.stderr.contains("the running hub knows"), "{}", approved.stderr);
    assert!(approved.stderr.contains("LEAFBOX: report the health of box-1"), "{}", approved.stderr);
    let answer = approved.expect(0);
    assert_eq!(block(&answer), answer, "`> answer` takes the answer and nothing else");
    let listed = hub.run(&["enroll", "list"]).expect(0);
    assert!(listed.contains("box-1") && listed.contains(&shown), "{listed}");

    // A paste on a serial console.
    let pasting = format!("$ \r\n{}", answer.replace('\n', "\r\n")) + "echo not read\r\n";
    let accepted = one.paste(&["accept"], &pasting).expect(0);
    assert!(
        accepted.contains("the one that this box knows") && accepted.contains("`leafbox run`"),
        "{accepted}"
    );
    assert!(one.run(&["status"]).expect(0).contains("the box is enrolled"));

    let node = one.place.start(&["run"]);
    eventually("all accounts are linked", || hub.links_of("box-1") == 3);
    // Its registry asks the hub's over the link.
    let registry = client::connect(&node.url(), &one.place.path(".data/keys/registry.creds")).await;
    let started = std::time::Instant::now();
    let told = loop {
        match registry.request("leafbox.registry.hub.box-1.resolve", "which?".into()).await {
            Ok(told) => break told,
            Err(error) => assert!(started.elapsed() < DEADLINE, "{error}:\n{}", node.log()),
        }
    };
    let head = told.headers.and_then(|headers| Some(headers.get("Leafbox-Travel")?.to_string())).unwrap();
    assert!(head.contains("malformed"), "{head}");
    // A service of the box, minted on the box.
    let minting = ["user", "mint", "SCHOOL", "teacher-service", "--name", "desk", "-o", "desk.creds"];
    one.place.run(&minting).expect(0);
    let desk = client::connect(&node.url(), &one.place.path("desk.creds")).await;
    client::publish(&desk, "events.teacher.marks", "event", 0..3).await;
    let keys = hub.keys();
    let office =
        client::connect(&hub.node.url(), &identity::layout::apply_creds(&keys, &"SCHOOL".parse().unwrap()))
            .await;
    until_count(&office, "EVENTS", 3).await;
    client::assert_exactly(&office, "EVENTS", "event", 0..3).await;

    assert_eq!(node.stop(), 0);
    let secrets = secrets(&one.place.path(".data/keys"));
    assert!(secrets.len() > 15, "only {} secrets were found", secrets.len());
    for (what, text) in [
        ("the request", printed),
        ("the answer", answer),
        ("accept", accepted),
        ("the log", one.read("node.log")),
        ("the configuration", one.read(".data/run/nats-server.conf")),
    ] {
        assert_holds_none(&secrets, what, &text);
    }
    for file in files(&one.place.path(".data/jwts")) {
        assert_holds_none(&secrets, &file.display().to_string(), &fs::read_to_string(&file).unwrap());
    }
    assert_private(&one.place.path(".data/keys"));
}

#[track_caller]
fn assert_private(folder: &Path) {
    for file in files(folder) {
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
        let mode = fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "the folder of {}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_starts_from_its_answer_where_there_is_no_hub() {
    let operator = operator();
    // An address where nobody listens.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let one = Box::new("box-1", Some(nobody));
    let printed = one.run(&["request"]).expect(0);
    let approving = operator.command(&["enroll", "approve", "--yes", "-"]);
    let approved = pasted(approving, &printed.replace("-----BEGIN", "leafbox[212]: -----BEGIN"));
    assert!(approved.stderr.contains("`leafbox apply` where the hub runs"), "{}", approved.stderr);
    let accepted = one.paste(&["accept", "-"], &approved.expect(0)).expect(0);
    assert!(accepted.contains("because it is the first"), "{accepted}");

    let node = one.place.start(&["run"]);
    one.place
        .run(&["user", "mint", "SCHOOL", "teacher-service", "--name", "desk", "-o", "desk.creds"])
        .expect(0);
    let desk = client::connect(&node.url(), &one.place.path("desk.creds")).await;
    client::publish(&desk, "events.teacher.marks", "event", 0..3).await;
    let apply = one.place.path(".data/keys/apply-SCHOOL.creds");
    client::assert_exactly(&client::connect(&node.url(), &apply).await, "EVENTS", "event", 0..3).await;
}

/// A regression test: every node's health user could write every node's heartbeat.
#[tokio::test(flavor = "multi_thread")]
async fn the_health_user_of_a_box_cannot_speak_for_another() {
    let hub = Hub::start();
    let one = Box::new("box-1", Some(hub.node.address("leaf")));
    hub.enroll(&one);
    let node = one.place.start(&["run"]);
    let keys = one.place.path(".data/keys");
    for (url, apply) in [
        (node.url(), keys.join("apply-LEAFBOX.creds")),
        (hub.node.url(), identity::layout::apply_creds(&hub.keys(), &"LEAFBOX".parse().unwrap())),
    ] {
        let health = client::connect(&url, &keys.join("health.creds")).await;
        let apply = client::connect(&url, &apply).await;
        health.publish("$KV.leafbox_nodes.box-2", "forged".into()).await.unwrap();
        health.publish("leafbox.node.box-2.heartbeat", "forged".into()).await.unwrap();
        // Answered after what came before on the same connection.
        let own =
            client::request(&health, "$KV.leafbox_nodes.box-1", &json!({ "test": true })).await.unwrap();
        assert!(own["seq"].is_u64(), "{own}");
        assert_eq!(last(&apply, "KV_leafbox_nodes", "$KV.leafbox_nodes.box-2").await, None);
        assert!(last(&apply, "KV_leafbox_nodes", "$KV.leafbox_nodes.box-1").await.is_some());
    }

    // Nor its link, as a thief has it; the hub reads the box's own key from the box.
    let thief = client::connect(&hub.node.url(), &keys.join("leaf-LEAFBOX.creds")).await;
    for subject in ["$KV.leafbox_nodes.box-2", "$JS.hub.API.$KV.leafbox_nodes.box-2"] {
        thief.publish(subject, "forged".into()).await.unwrap();
    }
    let info = client::request(&thief, "$JS.hub.API.STREAM.INFO.KV_leafbox_nodes", &json!({})).await.unwrap();
    assert_eq!(info["config"]["name"], "KV_leafbox_nodes", "answered after what came before: {info}");
    let apply = identity::layout::apply_creds(&hub.keys(), &"LEAFBOX".parse().unwrap());
    let apply = client::connect(&hub.node.url(), &apply).await;
    assert_eq!(last(&apply, "KV_leafbox_nodes", "$KV.leafbox_nodes.box-2").await, None);
    let is_heartbeat = |message: serde_json::Value| {
        let data = data_encoding::BASE64.decode(message["data"].as_str().unwrap().as_bytes()).unwrap();
        serde_json::from_slice::<serde_json::Value>(&data).unwrap()["test"].is_null()
    };
    let started = std::time::Instant::now();
    while !last(&apply, "KV_leafbox_nodes", "$KV.leafbox_nodes.box-1").await.is_some_and(is_heartbeat) {
        assert!(started.elapsed() < DEADLINE, "no heartbeat came up:\n{}", node.log());
    }
}

/// What the keys of a stolen box are good for against the registries of the hub and of other boxes.
#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_a_box_reach_no_registry_but_its_own() {
    let hub = Hub::start();
    let one = Box::new("box-1", None);
    hub.enroll(&one);
    let keys = one.place.path(".data/keys");
    let hubs = client::connect(&hub.node.url(), &layout::registry_creds(&hub.keys())).await;
    let bearer = "$KV.leafbox_registry.bearer";
    let stored = client::request(&hubs, bearer, &json!({ "secret": true })).await.unwrap();
    assert_eq!(stored["seq"], 1, "{stored}");

    // The link's, as a plain client: it writes nothing, reads nothing, and hears nothing of it.
    let link = client::connect(&hub.node.url(), &keys.join("leaf-LEAFBOX.creds")).await;
    let mut heard = Vec::new();
    for subject in [
        ">",
        "leafbox.>",
        "leafbox.registry.hub.*.*",
        "leafbox.registry.leaf.*.*",
        "leafbox.registry.leaf.box-1.>",
    ] {
        heard.push(link.subscribe(subject).await.unwrap());
    }
    let mut heard = futures::stream::select_all(heard);
    for subject in [
        bearer,
        "$JS.hub.API.$KV.leafbox_registry.bearer",
        "leafbox.registry.chunk.forged",
        "leafbox.registry.chunk2.forged",
    ] {
        link.publish(subject, "forged".into()).await.unwrap();
    }
    let reader = json!({ "stream_name": "KV_leafbox_registry", "config":
        { "name": "reader", "deliver_subject": "answer.thief", "ack_policy": "none" } });
    for api in ["$JS.API", "$JS.hub.API"] {
        for (request, body) in [
            ("STREAM.MSG.GET.KV_leafbox_registry", json!({ "seq": 1 })),
            ("DIRECT.GET.KV_leafbox_registry", json!({ "seq": 1 })),
            (&format!("DIRECT.GET.KV_leafbox_registry.{bearer}"), json!({})),
            ("CONSUMER.CREATE.KV_leafbox_registry", reader.clone()),
            ("CONSUMER.CREATE.KV_leafbox_registry.reader", reader.clone()),
        ] {
            let request = format!("{api}.{request}");
            link.publish_with_reply(request, "answer.thief", body.to_string().into()).await.unwrap();
        }
    }
    link.flush().await.unwrap();
    let own = client::request(&hubs, "$KV.leafbox_registry.upload", &json!({})).await.unwrap();
    assert_eq!(own["seq"], 2, "something came between: {own}");
    hubs.publish("leafbox.registry.chunk.upload", "chunk".into()).await.unwrap();
    hubs.publish("leafbox.registry.chunk2.upload", "chunk".into()).await.unwrap();
    hubs.publish("leafbox.registry.hub.box-2.resolve", "which?".into()).await.unwrap();
    hubs.publish("leafbox.registry.leaf.box-2.resolve", "which?".into()).await.unwrap();
    // What it may hear comes last.
    let started = std::time::Instant::now();
    loop {
        // Said again while nothing comes: a connection may be made anew when claims arrive.
        hubs.publish("leafbox.registry.leaf.box-1.end", "end".into()).await.unwrap();
        hubs.flush().await.unwrap();
        let Ok(message) = tokio::time::timeout(Duration::from_secs(1), heard.next()).await else {
            assert!(started.elapsed() < DEADLINE, "not even what it may hear");
            continue;
        };
        let message = message.unwrap();
        let subject = message.subject.as_str();
        if subject == "leafbox.registry.leaf.box-1.end" {
            break;
        }
        let secret = ["$KV.leafbox_registry", "leafbox.registry.", "answer."];
        assert!(!secret.iter().any(|prefix| subject.starts_with(prefix)), "heard {subject}");
    }

    // Both the link's and the registry's own, which the hub takes from this machine alone, ask and
    // announce as this box.
    let registry = client::connect(&hub.node.url(), &keys.join("registry.creds")).await;
    let mut asked = futures::stream::select(
        hubs.subscribe("leafbox.registry.hub.>").await.unwrap(),
        hubs.subscribe("leafbox.registry.leaf.*.>").await.unwrap(),
    );
    hubs.flush().await.unwrap();
    for (whose, asking) in [("link", &link), ("registry", &registry)] {
        let last = format!("leafbox.registry.hub.box-1.{whose}");
        let started = std::time::Instant::now();
        let first = loop {
            // Said again, like above. What it may ask comes last.
            for subject in [
                "leafbox.registry.hub.box-2.announce",
                "leafbox.registry.hub.box-2.resolve",
                "leafbox.registry.leaf.box-2.blob",
                last.as_str(),
            ] {
                asking.publish(subject.to_owned(), "which?".into()).await.unwrap();
            }
            asking.flush().await.unwrap();
            let other = "leafbox.registry.hub.box-1.link";
            match tokio::time::timeout(Duration::from_secs(1), asked.next()).await {
                // Of the one before, which was said again.
                Ok(Some(message)) if whose != "link" && message.subject.as_str() == other => {}
                Ok(message) => break message.unwrap(),
                Err(_) => assert!(started.elapsed() < DEADLINE, "not even what its {whose} may ask"),
            }
        };
        assert_eq!(first.subject.as_str(), last);
    }
}
