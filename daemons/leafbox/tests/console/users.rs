//! `leafbox console`: who may come in, as an admin types it on the machine.

use std::io::Read;

use serde_json::{Value, json};

use super::{NODE, Place, ask_with, device::Device, eventually, get, harness, harness::Node, made, status};

/// Posts JSON as the console's own page does.
fn post(node: &Node, path: &str, body: &Value) -> (u16, String) {
    let body = body.to_string();
    let headers = format!(
        "Sec-Fetch-Site: same-origin\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    let mut answer = String::new();
    ask_with(node.address("console"), &format!("POST {path}"), &headers, &body)
        .read_to_string(&mut answer)
        .unwrap();
    (status(&answer), answer)
}

fn body(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// The link that the command prints, and its token.
fn link(place: &Place, arguments: &[&str]) -> (String, String) {
    let printed = place.run(&[&["console", "enroll"], arguments].concat()).expect(0);
    let link = printed.trim_end().to_owned();
    assert!(!link.contains('\n'), "the link alone: {printed}");
    let token = link.split_once("/login/#enroll=").unwrap().1.to_owned();
    (link, token)
}

/// Makes a passkey by a token, and gives the `Cookie` header of the session; none when the token is
/// not good.
async fn enrol(node: &Node, token: &str) -> Option<String> {
    let mut begun = (503, String::new());
    eventually("the users are known", || {
        begun = post(node, "/login/enroll/begin", &json!({ "token": token }));
        begun.0 != 503
    });
    let (mut code, mut answer) = begun;
    if code == 200 {
        let begun = body(&answer);
        let mut device = Device::new(&format!("http://localhost:{}", node.address("console").port()));
        let credential = device.create(&begun["options"]).await;
        let finish = json!({ "ceremony": begun["ceremony"], "credential": credential, "label": "laptop" });
        (code, answer) = post(node, "/login/enroll/finish", &finish);
    }
    if code != 200 {
        assert!(code == 403 && answer.contains("bad_token"), "{answer}");
        return None;
    }
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    Some(format!("Cookie: {}\r\n", cookie.split(';').next().unwrap()))
}

fn is_in(node: &Node, cookie: &str) -> bool {
    status(&get(node.address("console"), "/", cookie)) == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_admin_comes_in_by_a_link_and_rules_over_others() {
    let place = made();
    let node = place.start(&["run"]);
    let none = place.run(&["console", "users"]).expect(0);
    assert!(none.contains("no user yet") && none.contains("`leafbox console enroll`"), "{none}");

    let said = place.run(&["console", "enroll"]);
    for words in
        ["within 15 minutes", "`admin` with the role admin", "good once", "ssh -L", "`console.origin`"]
    {
        assert!(said.stderr.contains(words), "`{words}` in:\n{}", said.stderr);
    }
    let older = said.expect(0).trim_end().split_once("#enroll=").unwrap().1.to_owned();
    let (url, token) = link(&place, &[]);
    assert!(
        url.starts_with(&format!("http://localhost:{}/login/#", node.address("console").port())),
        "{url}"
    );
    assert_eq!(enrol(&node, &older).await, None, "a newer link was made");
    let admin = enrol(&node, &token).await.unwrap();
    assert_eq!(enrol(&node, &token).await, None, "the link was used");
    assert!(is_in(&node, &admin));

    place.run(&["console", "enroll"]).says(1, &["an admin already", "--user NAME --role ROLE", "--recover"]);
    place.run(&["console", "enroll", "--user", "Vic"]).says(2, &["`Vic` is no user name", "a-z"]);
    place
        .run(&["console", "enroll", "--user", "vic", "--role", "root"])
        .says(2, &["viewer, operator or admin"]);
    let (_, token) = link(&place, &["--user", "vic", "--role", "viewer"]);
    let vic = enrol(&node, &token).await.unwrap();
    let table = place.run(&["console", "users"]).expect(0);
    let row =
        table.lines().find(|line| line.trim_start().starts_with("vic")).unwrap_or_else(|| panic!("{table}"));
    assert!(row.contains("viewer") && row.contains("laptop"), "{table}");

    assert!(place.run(&["console", "role", "vic", "operator"]).expect(0).contains("vic is operator now"));
    let users = place.run(&["console", "users", "--json"]).json(0);
    let one = &users.as_array().unwrap().iter().find(|user| user["name"] == "vic").unwrap();
    assert_eq!((&one["role"], one["passkeys"].as_array().unwrap().len()), (&json!("operator"), 1), "{users}");
    assert!(!users.to_string().contains("secret"), "{users}");
    place.run(&["console", "role", "eve", "admin"]).says(1, &["no user `eve`", "`leafbox console users`"]);

    // Told at once to the daemon, which another process is.
    let session = one["sessions"][0]["id"].as_str().unwrap();
    place.run(&["console", "revoke", "--session", session]).expect(0);
    eventually("the session has ended", || !is_in(&node, &vic));
    place.run(&["console", "revoke", "--session", session]).says(1, &["no session", "users --json"]);
    assert!(
        place
            .run(&["console", "revoke", "admin", "--sessions"])
            .expect(0)
            .contains("ended 1 session of admin")
    );
    eventually("the admin's session has ended", || !is_in(&node, &admin));
    place.run(&["console", "revoke"]).says(2, &["<NAME|--session <ID>>"]);

    let (_, token) = link(&place, &["--recover", "--user", "admin"]);
    let admin = enrol(&node, &token).await.unwrap();
    let out = place.run(&["console", "revoke", "admin"]).expect(0);
    assert!(out.contains("admin is out") && out.contains("no admin is left"), "{out}");
    eventually("the admin is out", || !is_in(&node, &admin));

    let audit = audited(&place, &node).await;
    for what in ["enrolment-made", "enrolled", "role-changed", "session-revoked", "user-removed", "recovered"]
    {
        assert!(audit.iter().any(|known| known == what), "{what} in {audit:?}");
    }
    assert_eq!(node.stop(), 0);
}

/// What the audit stream tells of the console.
async fn audited(place: &Place, node: &Node) -> Vec<String> {
    let creds = place.path(".data/keys/console-LEAFBOX.creds");
    let client = harness::client::connect(&node.url(), &creds).await;
    let mut stream = async_nats::jetstream::new(client).get_stream("LEAFBOX_AUDIT").await.unwrap();
    let last = stream.info().await.unwrap().state.last_sequence;
    let mut told = Vec::new();
    for sequence in 1..=last {
        let subject = stream.get_raw_message(sequence).await.unwrap().subject.to_string();
        let what = subject.split_once(".console.").map(|(_, what)| what.to_owned());
        told.extend(what);
    }
    told
}

#[test]
fn where_no_link_helps_the_command_says_what_does() {
    let place = made();
    place.run(&["console", "users"]).says(1, &["`leafbox dev` or `leafbox run`"]);
    place.write("node.toml", &format!("{NODE}\nconsole.listen = \"off\"\n"));
    place.run(&["console", "enroll"]).says(1, &["has no console", "`console.listen`"]);
}
