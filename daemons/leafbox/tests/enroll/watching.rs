//! What the hub's consoles learn of a box over its link, and what a thief learns who has the box.

use std::time::Duration;

use async_nats::{Client, Subscriber};
use futures::StreamExt;
use identity::layout;
use serde_json::{Value, json};
use settings::Name;
use tokio::time::timeout;

use crate::{
    boxes::{Box, Hub},
    harness::{DEADLINE, client},
};

fn leafbox() -> Name {
    "LEAFBOX".parse().unwrap()
}

/// A connection as a console of the hub has it.
async fn console_of(hub: &Hub) -> Client {
    client::connect(&hub.node.url(), &layout::console_creds(&hub.keys(), &leafbox())).await
}

/// What is heard first, said again until it is: claims that arrive make connections anew, and what is
/// said meanwhile is lost.
async fn heard_of(heard: &mut Subscriber, say: impl AsyncFn()) -> (String, String) {
    let said = async {
        loop {
            say().await;
            if let Ok(message) = timeout(Duration::from_millis(200), heard.next()).await {
                let message = message.unwrap();
                break (
                    message.subject.into_string(),
                    String::from_utf8_lossy(&message.payload).into_owned(),
                );
            }
        }
    };
    timeout(DEADLINE, said).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_asks_a_box_and_is_answered_by_its_console() {
    let hub = Hub::start();
    let one = Box::new("box-1", Some(hub.node.address("leaf")));
    hub.enroll(&one);
    let node = one.place.start(&["run"]);
    let console = console_of(&hub).await;
    let mut here = console.subscribe("_SERVERS.here.*").await.unwrap();
    let started = std::time::Instant::now();
    let who = loop {
        console.publish("_SERVERS.ask", "".into()).await.unwrap();
        if let Ok(Some(message)) = timeout(Duration::from_millis(200), here.next()).await {
            break message.subject.into_string();
        }
        assert!(started.elapsed() < DEADLINE, "the box's console does not answer:\n{}", node.log());
    };
    assert_eq!(who, "_SERVERS.here.box-1");

    for (what, wanted) in [("VARZ", "/data/server_name"), ("KICK", "/error/description")] {
        let question = json!({ "what": what, "options": {} }).to_string();
        let to = format!("_SERVERS.hub.box-1.{what}");
        let mut answers = console.subscribe(to.clone()).await.unwrap();
        let ask = async || {
            let (to, question) = (to.clone(), question.clone().into());
            console.publish_with_reply("_SERVERS.leaf.box-1", to, question).await.unwrap();
        };
        let said: Value = serde_json::from_str(&heard_of(&mut answers, ask).await.1).unwrap();
        let said = said.pointer(wanted).and_then(Value::as_str);
        let expected = if what == "VARZ" { "box-1" } else { "a leaf answers what reads alone" };
        assert_eq!(said, Some(expected), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_box_answers_for_no_other_and_hears_nothing_that_is_for_others() {
    let hub = Hub::start();
    let one = Box::new("box-1", Some(hub.node.address("leaf")));
    hub.enroll(&one);
    let keys = one.place.path(".data/keys");
    let console = console_of(&hub).await;
    let mut heard = console.subscribe("_SERVERS.>").await.unwrap();
    console.flush().await.unwrap();

    // It says what is its own, and nothing else.
    let thief = client::connect(&hub.node.url(), &layout::leaf_creds(&keys, &leafbox())).await;
    let say = async || {
        for subject in ["_SERVERS.here.box-2", "_SERVERS.hub.box-2.7", "_SERVERS.ask", "_SERVERS.leaf.box-2"]
        {
            thief.publish(subject, "forged".into()).await.unwrap();
        }
        thief.publish("_SERVERS.hub.box-1.7", "its own".into()).await.unwrap();
    };
    let first = heard_of(&mut heard, say).await;
    assert_eq!(first, ("_SERVERS.hub.box-1.7".to_owned(), "its own".to_owned()));

    // It hears what is asked of it, and nothing else; one that asks for more is refused as a whole.
    let mut own = thief.subscribe("_SERVERS.leaf.box-1").await.unwrap();
    let mut others = Vec::new();
    for subject in ["_SERVERS.>", "_SERVERS.hub.box-2.8", "_SERVERS.leaf.box-2", "_SERVERS.leaf.*"] {
        others.push(thief.subscribe(subject).await.unwrap());
    }
    thief.flush().await.unwrap();
    let say = async || {
        for subject in ["_SERVERS.hub.box-2.8", "_SERVERS.leaf.box-2", "_SERVERS.leaf.box-1"] {
            console.publish(subject, "secret".into()).await.unwrap();
        }
    };
    assert_eq!(heard_of(&mut own, say).await.0, "_SERVERS.leaf.box-1");
    for mut other in others {
        let message = futures::FutureExt::now_or_never(other.next()).flatten();
        assert!(message.is_none(), "{message:?}");
    }

    // Nor does anything of the servers come to it over SYS, where it can ask for claims alone.
    let sys = client::connect(&hub.node.url(), &layout::leaf_creds(&keys, &"SYS".parse().unwrap())).await;
    let mut answers = sys.subscribe("$SYS._INBOX.thief").await.unwrap();
    let ask = async || {
        for what in ["SERVER.PING", "SERVER.PING.IDZ", "SERVER.PING.CONNZ", "SERVER.PING.VARZ", "CLAIMS.PACK"]
        {
            let subject = format!("$SYS.REQ.{what}");
            sys.publish_with_reply(subject, "$SYS._INBOX.thief", "".into()).await.unwrap();
        }
    };
    let first = heard_of(&mut answers, ask).await.1;
    assert!(!first.starts_with('{'), "only the question for claims is answered, and not with JSON: {first}");
}
