//! The pages of accounts and leaves, on a node whose accounts are signed where the operator's keys are.

use std::{io::Read, time::Duration};

use async_nats::{Client, ConnectOptions, Event};
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};

use super::{
    FLEET, NODE, Place, ask_with, eventually, get,
    harness::{DEADLINE, Node, PORTS, client},
    session, status,
};

/// `leafbox dev`, and the cookie of its admin.
fn start(fleet: &str) -> (Place, Node, String) {
    let place = Place::new(NODE, fleet);
    let node = place.start(&["dev", "--any-port"]);
    let address = node.address("console");
    eventually("the console answers", || status(&get(address, "/healthz", "")) == 200);
    let cookie = session(&node);
    eventually("the signer answers", || {
        get(address, "/accounts/SCHOOL", &cookie).contains("<dt>Signed at</dt><dd>school-1</dd>")
    });
    (place, node, cookie)
}

/// Sends a form as a page of the console does.
fn post(node: &Node, cookie: &str, path: &str, form: &[(&str, &str)]) -> String {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let headers = format!(
        "{cookie}Sec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n",
        body.len()
    );
    let mut answer = String::new();
    let mut stream = ask_with(node.address("console"), &format!("POST {path}"), &headers, &body);
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The answer for a box in a page.
fn block(page: &str) -> String {
    const END: &str = "-----END LEAFBOX ENROLL ANSWER-----";
    let begin = page.find("-----BEGIN LEAFBOX").unwrap_or_else(|| panic!("no block: {page}"));
    let end = page.find(END).unwrap() + END.len();
    format!("{}\n", &page[begin..end])
}

/// A client, and what becomes of its connection.
async fn watched(node: &Node, creds: &std::path::Path) -> (Client, mpsc::UnboundedReceiver<Event>) {
    let (sender, events) = mpsc::unbounded_channel();
    let options = ConnectOptions::with_credentials_file(creds).await.unwrap().event_callback(move |event| {
        let _ = sender.send(event);
        std::future::ready(())
    });
    (options.connect(node.url()).await.unwrap(), events)
}

/// Waits for an event of a connection.
async fn until(events: &mut mpsc::UnboundedReceiver<Event>, is_it: impl Fn(&Event) -> bool) {
    let waiting = async {
        while let Some(event) = events.recv().await {
            if is_it(&event) {
                return;
            }
        }
        panic!("the connection ended before");
    };
    timeout(DEADLINE, waiting).await.expect("not in time");
}

#[test]
fn an_account_shows_its_claims_without_a_jwt() {
    let (_place, node, cookie) = start(FLEET);
    let address = node.address("console");
    let list = get(address, "/accounts", &cookie);
    for words in ["href=\"/accounts/LEAFBOX\"", "href=\"/accounts/SYS\"", "declared in fleet.toml"] {
        assert!(list.contains(words), "{words}: {list}");
    }
    let page = get(address, "/accounts/LEAFBOX", &cookie);
    assert_eq!(status(&page), 200, "{page}");
    for words in
        ["leafbox-console", "leafbox.node.*.heartbeat", "Connections at once", "JetStream files", "for ever"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("eyJ0eXAi") && page.contains("(not shown)"), "{page}");
    // `nats` knows accounts by their keys, as servers do.
    assert!(page.contains("nats server account info A"), "{page}");
    let page = get(address, "/connections?account=LEAFBOX", &cookie);
    assert!(page.contains("nats server report connections --account A"), "{page}");
    assert_eq!(node.stop(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_minted_with_a_download_and_thrown_out_when_it_is_revoked() {
    let (place, node, cookie) = start(FLEET);
    let mint = [("role", "teacher-service"), ("name", "desk-7"), ("expires", "1h")];
    let answer = post(&node, &cookie, "/accounts/SCHOOL/mint", &mint);
    let (head, creds) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(status(head), 200, "{head}");
    for header in
        ["cache-control: no-store", "content-disposition: attachment; filename=\"SCHOOL-desk-7.creds\""]
    {
        assert!(head.contains(header), "{header}: {head}");
    }
    place.write("desk.creds", creds);
    let seed = creds.lines().find(|line| line.starts_with("SU")).unwrap().to_owned();
    let key = nkeys::KeyPair::from_seed(&seed).unwrap().public_key();

    let (desk, mut events) = watched(&node, &place.path("desk.creds")).await;
    client::publish(&desk, "events.teacher.marks", "event", 0..3).await;
    desk.publish("events.user.marks", "no".into()).await.unwrap();
    until(&mut events, |event| event.to_string().to_lowercase().contains("permissions violation")).await;

    // Leafbox's own accounts, roles that are none, and names that are none.
    for (account, role, says) in [
        ("SYS", "leafbox-push", "leafbox&#39;s own"),
        ("SCHOOL", "leafbox-apply", "leafbox&#39;s own"),
        ("SCHOOL", "nobody", "has no role nobody"),
    ] {
        let refused =
            post(&node, &cookie, &format!("/accounts/{account}/mint"), &[("role", role), ("name", "x")]);
        let says = [says.to_owned(), says.replace("&#39;", "'")];
        assert!(status(&refused) == 422 && says.iter().any(|says| refused.contains(says)), "{refused}");
        assert!(!refused.contains("BEGIN NATS"), "{refused}");
    }

    let revoke = |confirm: &str| {
        post(&node, &cookie, "/accounts/SCHOOL/revoke", &[("user", &key), ("confirm", confirm)])
    };
    assert_eq!(status(&revoke("desk-7")), 422);
    let none = post(&node, &cookie, "/accounts/SCHOOL/revoke", &[("user", "*"), ("confirm", "*")]);
    assert_eq!(status(&none), 400, "{none}");
    client::publish(&desk, "events.teacher.marks", "event", 3..4).await;
    let done = revoke(&key);
    assert_eq!(status(&done), 303, "{done}");
    until(&mut events, |event| matches!(event, Event::Disconnected)).await;
    let again = ConnectOptions::with_credentials_file(place.path("desk.creds")).await.unwrap();
    assert!(again.connect(node.url()).await.is_err(), "a revoked user is let in");
    let address = node.address("console");
    let path = done.lines().find_map(|line| line.strip_prefix("location: ")).unwrap();
    let page = get(address, path.trim(), &cookie);
    assert!(page.contains("the running hub knows") && page.matches(&key).count() >= 2, "{page}");

    // Who did it is known, and no secret is in any of it.
    let audit = client::connect(&node.url(), &place.path(".data/keys/console-LEAFBOX.creds")).await;
    let mut told = String::new();
    for what in [
        "console.user-minted",
        "signer.user-minted",
        "signer.refused",
        "console.user-revoked",
        "signer.user-revoked",
    ] {
        let body = json!({ "last_by_subj": format!("leafbox.audit.school-1.{what}") });
        let started = std::time::Instant::now();
        let event = loop {
            let answer =
                client::request(&audit, "$JS.API.STREAM.MSG.GET.LEAFBOX_AUDIT", &body).await.unwrap();
            if let Some(data) = answer["message"]["data"].as_str() {
                break String::from_utf8(data_encoding::BASE64.decode(data.as_bytes()).unwrap()).unwrap();
            }
            assert!(started.elapsed() < DEADLINE, "no event {what}: {answer}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        told += &event;
    }
    assert!(told.contains(&key) && told.contains("desk-7") && told.contains("\"who\":"), "{told}");
    let log = node.log();
    for text in [&told, &log, &page] {
        assert!(!text.contains(&seed) && !text.contains("eyJ0eXAi"), "a secret is told");
    }
    assert_eq!(node.stop(), 0);
}

/// Whoever may speak in LEAFBOX but the console.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_console_is_heard_by_the_signer() {
    let (place, node, _) = start(FLEET);
    for (creds, is_heard) in
        [("console-LEAFBOX", true), ("leaf-LEAFBOX", false), ("health", false), ("registry", false)]
    {
        let (client, mut events) = watched(&node, &place.path(&format!(".data/keys/{creds}.creds"))).await;
        if is_heard {
            let answer = client::request(&client, "leafbox.sign.about", &json!({})).await.unwrap();
            assert_eq!(answer["done"]["node"], "school-1", "{answer}");
            // What no reply is wanted for was not sent by the console.
            client
                .publish("leafbox.sign.take-back", "{\"who\":\"x\",\"node\":\"box-2\"}".into())
                .await
                .unwrap();
            client.flush().await.unwrap();
        } else {
            client.publish("leafbox.sign.about", "{}".into()).await.unwrap();
            until(&mut events, |event| event.to_string().contains("leafbox.sign.about")).await;
        }
    }
    assert_eq!(node.stop(), 0);
}

#[test]
fn a_box_is_let_in_from_the_browser() {
    let fleet = FLEET.replace(r#"leaves = ["school-1"]"#, r#"leaves = ["school-1", "box-2"]"#);
    // The node began before the box was listed.
    let (place, node, cookie) = start(FLEET);
    let address = node.address("console");
    let one = Place::new(&format!("name = \"box-2\"\n{PORTS}"), &fleet);
    let keys = ["--keys", ".data/keys"];
    let request = one.run(&[&["enroll", "request", "--no-encrypt"][..], &keys].concat()).expect(0);
    let shown = request.lines().find_map(|line| line.trim().strip_prefix("fingerprint")).unwrap().trim();
    let look = |text: &str| post(&node, &cookie, "/leaves/look", &[("request", text)]);
    let refused = look(&request);
    assert!(status(&refused) == 422 && refused.contains("does not know box-2"), "{refused}");
    place.write("fleet.toml", &fleet);
    let cut = look(&request[..request.len() / 2]);
    assert!(status(&cut) == 422 && cut.contains("cut off"), "{cut}");
    let page = look(&request);
    assert_eq!(status(&page), 200, "{page}");
    for words in [shown, "never let in", "run its web console", "teacher-service"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!place.path(".data/keys/enrolled/box-2.json").exists(), "looking lets nobody in");

    let approve = |fingerprint: &str, compared: &str| {
        let form = [("request", request.as_str()), ("fingerprint", fingerprint), ("compared", compared)];
        post(&node, &cookie, "/leaves/approve", &form)
    };
    assert_eq!(status(&approve(shown, "")), 422);
    let other = approve("AAAA AAAA AAAA AAAA AAAA AAAA AAAA AAAA", "true");
    assert!(status(&other) == 409 && other.contains("another one was compared"), "{other}");
    assert!(!place.path(".data/keys/enrolled/box-2.json").exists());
    let let_in = approve(shown, "true");
    assert!(status(&let_in) == 200 && let_in.contains("the running hub knows"), "{let_in}");
    let answer = block(&let_in);
    let file = post(&node, &cookie, "/leaves/answer", &[("node", "box-2"), ("answer", &answer)]);
    assert!(file.contains("attachment; filename=\"box-2.answer\"") && file.ends_with(&answer), "{file}");

    one.write("answer", &answer);
    one.run(&[&["enroll", "accept", "answer"][..], &keys].concat()).expect(0);
    let other = one.start(&["run"]);
    a_box_mints_users_and_nothing_else(&one, &other);
    assert_eq!(other.stop(), 0);
    let page = get(address, "/leaves", &cookie);
    assert!(page.contains(shown) && page.contains("/leaves/box-2/take-back"), "{page}");

    let take = |confirm: &str| post(&node, &cookie, "/leaves/box-2/take-back", &[("confirm", confirm)]);
    assert_eq!(status(&take("box-1")), 422);
    assert_eq!(status(&take("box-2")), 303);
    let page = get(address, "/leaves", &cookie);
    assert!(page.contains("its keys were taken back") && !page.contains("/leaves/box-2/take-back"), "{page}");
    let again = approve(shown, "true");
    assert!(status(&again) == 409 && again.contains("taken back"), "{again}");
    assert_eq!(node.stop(), 0);
}

/// By its own signer, with the keys that it made: the operator need not be in reach.
#[tokio::main]
async fn a_box_mints_users_and_nothing_else(place: &Place, node: &Node) {
    let client = client::connect(&node.url(), &place.path(".data/keys/console-LEAFBOX.creds")).await;
    let started = std::time::Instant::now();
    let about = loop {
        match client::request(&client, "leafbox.sign.about", &json!({})).await {
            Some(about) => break about,
            None => assert!(started.elapsed() < DEADLINE, "the box has no signer:\n{}", node.log()),
        }
    };
    assert_eq!(about["done"]["is_operator"], false, "{about}");
    let key = std::sync::Arc::new(nkeys::KeyPair::new_user());
    let mint = json!({ "who": "ada", "account": "SCHOOL", "role": "teacher-service", "name": "desk",
                       "public_key": key.public_key() });
    let minted = client::request(&client, "leafbox.sign.mint", &mint).await.unwrap();
    let jwt = minted["done"]["jwt"].as_str().unwrap_or_else(|| panic!("{minted}")).to_owned();
    let options = ConnectOptions::with_jwt(jwt, move |nonce| {
        let key = std::sync::Arc::clone(&key);
        async move { key.sign(&nonce).map_err(async_nats::AuthError::new) }
    });
    let desk = options.connect(node.url()).await.unwrap();
    client::publish(&desk, "events.teacher.marks", "event", 0..1).await;
    for (verb, form) in [
        (
            "revoke",
            json!({ "who": "ada", "account": "SCHOOL", "user": nkeys::KeyPair::new_user().public_key() }),
        ),
        ("look", json!({ "request": "x" })),
        ("take-back", json!({ "who": "ada", "node": "box-2" })),
    ] {
        let refused = client::request(&client, &format!("leafbox.sign.{verb}"), &form).await.unwrap();
        let why = refused["refused"].as_str().unwrap_or_else(|| panic!("{verb}: {refused}"));
        assert!(why.contains("has no operator's keys"), "{verb}: {why}");
    }
}

/// A node with neither the operator's keys nor its own.
#[test]
fn where_no_keys_are_nobody_signs() {
    let place = super::made();
    for folder in ["operator", "accounts", "roles"] {
        std::fs::remove_dir_all(place.path(&format!(".data/keys/{folder}"))).unwrap();
    }
    let node = place.start(&["run"]);
    let creds = place.path(".data/keys/console-LEAFBOX.creds");
    let asked = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let client = client::connect(&node.url(), &creds).await;
        client.request("leafbox.sign.about", "{}".into()).await
    });
    assert!(asked.is_err(), "somebody answers: {asked:?}");
    assert_eq!(node.stop(), 0);
}
