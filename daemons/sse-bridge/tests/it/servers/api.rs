//! `/api/…`: NATS's own answers, of any server, for who is logged in.

use sse_bridge::Role;

use super::fleet::Fleet;

const ENDPOINTS: [&str; 11] =
    ["varz", "connz", "routez", "subsz", "gatewayz", "leafz", "jsz", "accountz", "healthz", "statsz", "idz"];

#[tokio::test(flavor = "multi_thread")]
async fn each_endpoint_answers_for_each_server_and_for_all() {
    let fleet = Fleet::start().await;
    let console = fleet.leaf.console(true).await;
    let viewer = console.session(Role::Viewer).await;
    let both =
        |answer: &super::fleet::Answer| answer.json()["replies"].as_array().is_some_and(|all| all.len() == 2);
    console.eventually("both are heard", "/api/idz?server=all", Some(&viewer), both).await;
    for endpoint in ENDPOINTS {
        let id = |value: &serde_json::Value| match endpoint {
            "idz" => value["name"].as_str().unwrap().to_owned(),
            _ => value["server"]["name"].as_str().unwrap_or_else(|| panic!("{endpoint}: {value}")).to_owned(),
        };
        let own = console.get(&format!("/api/{endpoint}"), Some(&viewer)).await;
        assert_eq!((own.status, id(&own.json()).as_str()), (200, "shop-1"), "{endpoint}: {own:?}");
        assert!(own.head.contains("content-type: application/json"), "{own:?}");
        let hub = console.get(&format!("/api/{endpoint}?server=hub-1"), Some(&viewer)).await;
        assert_eq!((hub.status, id(&hub.json()).as_str()), (200, "hub-1"), "{endpoint}: {hub:?}");
        let all = console.get(&format!("/api/{endpoint}?server=all"), Some(&viewer)).await.json();
        let mut names: Vec<String> = all["replies"].as_array().unwrap().iter().map(id).collect();
        names.sort();
        assert_eq!(
            (names, all["errors"].as_array().unwrap().len()),
            (vec!["hub-1".into(), "shop-1".into()], 0)
        );
    }
    // By id, with options of NATS's.
    let id =
        console.get("/api/idz?server=hub-1", Some(&viewer)).await.json()["id"].as_str().unwrap().to_owned();
    let leafs =
        console.get(&format!("/api/leafz?server={id}&subscriptions=true"), Some(&viewer)).await.json();
    let accounts = leafs["data"]["leafs"].as_array().unwrap();
    assert!(
        accounts.iter().any(|leaf| leaf["account"] == "SHOP" && leaf["subscriptions_list"].is_array()),
        "{leafs}"
    );
    console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_refused_and_what_is_not_known_is_told() {
    let fleet = Fleet::start().await;
    let console = fleet.leaf.console(true).await;
    let viewer = console.session(Role::Viewer).await;
    assert_eq!(console.get("/api/varz", None).await.status, 401);
    for (path, status, code) in [
        ("/api/connz?auth=true", 403, "role"),
        ("/api/connz?auth=perhaps", 400, "bad_request"),
        ("/api/varz?limit=1", 400, "bad_request"),
        ("/api/raftz", 404, "unknown"),
        ("/api/varz?server=nowhere", 404, "unknown_server"),
        ("/api/varz?server=PING.IDZ%20x", 404, "unknown_server"),
    ] {
        let answer = console.get(path, Some(&viewer)).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}: {answer:?}");
    }
    let admin = console.session(Role::Admin).await;
    let connections = console.get("/api/connz?auth=true", Some(&admin)).await;
    assert!(connections.text.contains("\"authorized_user\":\"sys\""), "{connections:?}");
    console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_is_a_504_and_named_among_all() {
    let Fleet { mut hub, leaf, _folder } = Fleet::start().await;
    let console = leaf.console(true).await;
    let viewer = console.session(Role::Viewer).await;
    let both =
        |answer: &super::fleet::Answer| answer.json()["replies"].as_array().is_some_and(|all| all.len() == 2);
    console.eventually("both are heard", "/api/idz?server=all", Some(&viewer), both).await;
    // Stopped and not killed: the link stays, as over an uplink that was cut without a word.
    let pid = nix::unistd::Pid::from_raw(hub.server().pid().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let gone = console.get("/api/varz?server=hub-1", Some(&viewer)).await;
    let all = console.get("/api/varz?server=all", Some(&viewer)).await;
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    assert_eq!((gone.status, gone.code().as_str()), (504, "silent"), "{gone:?}");
    let all = all.json();
    assert_eq!(all["replies"][0]["server"]["name"], "shop-1");
    assert_eq!(all["errors"][0]["server"], "hub-1", "{all}");
    hub.kill().await;
    console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_system_account_it_says_what_is_missing() {
    let fleet = Fleet::start().await;
    let console = fleet.leaf.console(false).await;
    let viewer = console.session(Role::Viewer).await;
    let answer = console.get("/api/varz", Some(&viewer)).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "no_system_account"));
    assert!(answer.text.contains("console-SYS.creds"), "{answer:?}");
    console.stop().await;
}
