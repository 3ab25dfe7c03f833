//! What a real nats-server 2.15.1 says, against NATS's own schemas.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{collections::BTreeMap, fmt::Debug, path::Path, time::Duration};

use async_nats::{Client, ConnectOptions, Subscriber};
use futures::StreamExt;
use schemas::{ApiError, Form, Found, Mode, Part, Problem, Schema, of_message, of_request};
use serde_json::{Value, json};
use supervisor::{Launch, LogSink, NatsServer, testing::nats_server_binary};
use tempfile::TempDir;
use tokio::time::timeout;

/// How long a message may take that is sent at once.
const DEADLINE: Duration = Duration::from_secs(60);

const CONFIG: &str = r#"
server_name: schemas
listen: 127.0.0.1:-1
http: 127.0.0.1:-1
jetstream { store_dir: "STORE" }
accounts {
  APP { jetstream: enabled, users: [{ user: app, password: app }] }
  SYS { users: [{ user: sys, password: sys }] }
}
system_account: SYS
"#;

struct Server {
    process: NatsServer,
    _directory: TempDir,
}

impl Server {
    async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let config = directory.path().join("nats.conf");
        let store = directory.path().join("jetstream");
        std::fs::write(&config, CONFIG.replace("STORE", Path::to_str(&store).unwrap())).unwrap();
        let launch = Launch {
            binary: nats_server_binary().await,
            config,
            store: Some(store),
            environment: Vec::new(),
            run_dir: directory.path().join("run"),
            log: LogSink::Tracing { server: "schemas".into() },
            ready_timeout: Duration::from_secs(30),
            routes: false,
            keys: Vec::new(),
        };
        Self { process: NatsServer::start(&launch).await.unwrap(), _directory: directory }
    }

    fn address(&self) -> String {
        self.process.addresses().client.unwrap().to_string()
    }

    async fn connect(&self, user: &str) -> Client {
        ConnectOptions::with_user_and_password(user.into(), user.into())
            .connect(self.address())
            .await
            .unwrap()
    }
}

/// Asks, checks the request strictly where it has a schema, and gives the reply.
async fn ask(client: &Client, subject: &str, request: &Value) -> Value {
    if let Some(schema) = of_request(subject) {
        assert_valid(schema, request, Mode::Strict);
    }
    let payload = request.to_string().into_bytes();
    let reply = timeout(DEADLINE, client.request(subject.to_owned(), payload.into())).await.unwrap().unwrap();
    serde_json::from_slice(&reply.payload).unwrap()
}

async fn next(events: &mut Subscriber, wanted: &impl Debug) -> (String, Value) {
    let event = timeout(DEADLINE, events.next()).await;
    let event = event.unwrap_or_else(|_| panic!("waited for {wanted:?}")).unwrap();
    (event.subject.to_string(), serde_json::from_slice(&event.payload).unwrap())
}

fn assert_valid(schema: Schema, document: &Value, mode: Mode) {
    if let Err(violations) = schema.rules().unwrap().check(document, mode) {
        panic!("{schema:?} {mode:?}: {violations:#?}\n{document:#}");
    }
}

/// The message has this schema, keeps to it, and no longer does when a value in it is spoilt, which is
/// told with its path.
fn assert_read(subject: &str, message: &Value, short: &str, spoil: &str) {
    let Found { schema, part } =
        of_message(subject, message).unwrap_or_else(|| panic!("{subject}: {message:#}"));
    assert_eq!(schema.short(), short, "{subject}");
    let document = part.of(message).unwrap();
    assert_valid(schema, document, Mode::Tolerant);
    let mut spoilt = document.clone();
    *spoilt.pointer_mut(spoil).unwrap_or_else(|| panic!("no {spoil} in {document:#}")) =
        json!({ "no": "such" });
    let violations = schema.rules().unwrap().check(&spoilt, Mode::Tolerant).unwrap_err();
    let told: Vec<_> =
        violations.iter().map(|violation| (violation.path.as_str(), violation.problem)).collect();
    assert_eq!(told, [(spoil, Problem::Wrong)], "{short}");
}

#[tokio::test]
async fn what_jetstream_answers_keeps_to_its_schemas() {
    let server = Server::start().await;
    let app = server.connect("app").await;
    let request = async |subject: &str, request: Value, short: &str, spoil: &str| {
        let reply = ask(&app, subject, &request).await;
        assert_read("_INBOX.x", &reply, short, spoil);
        reply
    };
    let config = json!({ "name": "ORDERS", "subjects": ["orders.>"], "retention": "limits", "max_consumers": -1,
        "max_msgs": -1, "max_bytes": 1 << 20, "max_age": 0, "storage": "file", "num_replicas": 1,
        "metadata": { "team": "shop" } });
    request("$JS.API.STREAM.CREATE.ORDERS", config.clone(), "stream_create_response", "/config/max_bytes")
        .await;
    for number in 0..3 {
        let ack = ask(&app, "orders.new", &json!({ "number": number })).await;
        // It has a schema and no `type`, so nobody can tell by looking at it.
        assert_valid(Schema::named("pub_ack_response").unwrap(), &ack, Mode::Tolerant);
        assert_eq!(of_message("_INBOX.x", &ack), None);
    }
    let info =
        request("$JS.API.STREAM.INFO.ORDERS", json!({}), "stream_info_response", "/state/messages").await;
    assert_eq!(info["state"]["messages"], 3);
    request("$JS.API.STREAM.UPDATE.ORDERS", config, "stream_update_response", "/config/retention").await;
    request("$JS.API.STREAM.LIST", json!({}), "stream_list_response", "/streams/0/config/storage").await;
    request("$JS.API.STREAM.NAMES", json!({ "offset": 0 }), "stream_names_response", "/total").await;
    let get = json!({ "seq": 2 });
    request("$JS.API.STREAM.MSG.GET.ORDERS", get, "stream_msg_get_response", "/message/seq").await;

    let consumer = json!({ "stream_name": "ORDERS", "config": { "name": "till", "durable_name": "till",
        "deliver_policy": "by_start_sequence", "opt_start_seq": 2, "ack_policy": "explicit",
        "ack_wait": 30_000_000_000_i64, "max_deliver": -1, "replay_policy": "instant" } });
    let created = "$JS.API.CONSUMER.CREATE.ORDERS.till";
    request(created, consumer, "consumer_create_response", "/config/opt_start_seq").await;
    // Strictly, consumers are asked for with an offset, and streams without.
    let page = json!({ "offset": 0 });
    let info = "$JS.API.CONSUMER.INFO.ORDERS.till";
    request(info, json!({}), "consumer_info_response", "/num_pending").await;
    request(
        "$JS.API.CONSUMER.LIST.ORDERS",
        page.clone(),
        "consumer_list_response",
        "/consumers/0/config/ack_wait",
    )
    .await;
    request("$JS.API.CONSUMER.NAMES.ORDERS", page, "consumer_names_response", "/consumers/0").await;
    let pause = json!({ "pause_until": "2099-01-31T12:00:00Z" });
    request("$JS.API.CONSUMER.PAUSE.ORDERS.till", pause, "consumer_pause_response", "/type").await;
    request("$JS.API.CONSUMER.DELETE.ORDERS.till", json!({}), "consumer_delete_response", "/success").await;
    request("$JS.API.INFO", json!({}), "account_info_response", "/streams").await;
    request("$JS.API.STREAM.PURGE.ORDERS", json!({ "keep": 1 }), "stream_purge_response", "/purged").await;
    request(
        "$JS.API.STREAM.MSG.DELETE.ORDERS",
        json!({ "seq": 3 }),
        "stream_msg_delete_response",
        "/success",
    )
    .await;
    request("$JS.API.STREAM.DELETE.ORDERS", json!({}), "stream_delete_response", "/success").await;
    let gone = request("$JS.API.STREAM.INFO.ORDERS", json!({}), "stream_info_response", "/error/code").await;
    assert_eq!(ApiError::of_reply(&gone).unwrap().constant, "JSStreamNotFoundErr");
}

#[tokio::test]
async fn what_a_form_makes_is_taken_by_the_server() {
    let server = Server::start().await;
    let app = server.connect("app").await;
    let make = |schema: &str, base: Value, typed: &[(&str, &str)]| {
        let form = Form::of(&Schema::named(schema).unwrap().rules().unwrap());
        let defaults = form.fields().iter().filter(|field| !field.path.contains('*'));
        let shown: Vec<(String, String)> = match &base {
            Value::Null => defaults
                .filter_map(|field| Some((field.path.clone(), field.show(field.default.as_ref()?))))
                .collect(),
            base => form.inputs(base),
        };
        let inputs = shown.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        form.document(base.clone(), inputs.chain(typed.iter().copied())).unwrap()
    };
    let typed = [("/name", "S"), ("/subjects", "s.>\nt.>"), ("/max_bytes", "1MiB"), ("/max_age", "7d")];
    let stream = make("stream_create_request", Value::Null, &typed);
    let created = ask(&app, "$JS.API.STREAM.CREATE.S", &stream).await;
    assert_eq!(created["config"]["subjects"], json!(["s.>", "t.>"]), "{created:#}");
    assert_eq!(created["config"]["max_age"], 604_800_000_000_000_i64);

    // An edit starts from what the server has.
    let update = make("stream_update_request", created["config"].clone(), &[("/max_age", "unlimited")]);
    let reply = ask(&app, "$JS.API.STREAM.UPDATE.S", &update).await;
    assert_eq!(
        (&reply["config"]["max_age"], &reply["config"]["max_bytes"]),
        (&json!(0), &json!(1 << 20)),
        "{reply:#}"
    );

    let consumer = make(
        "consumer_create_request",
        Value::Null,
        &[
            ("/stream_name", "S"),
            ("/config/name", "c"),
            ("/config/durable_name", "c"),
            ("/config/ack_policy", "explicit"),
            ("/config/deliver_policy", "by_start_time"),
            ("/config/opt_start_time", "2026-01-31T12:00"),
        ],
    );
    let created = ask(&app, "$JS.API.CONSUMER.CREATE.S.c", &consumer).await;
    assert_eq!(created["config"]["opt_start_time"], "2026-01-31T12:00:00Z", "{created:#}");
}

#[tokio::test]
async fn what_servers_tell_of_clients_keeps_to_its_schemas() {
    let server = Server::start().await;
    let system = server.connect("sys").await;
    let mut events: BTreeMap<&str, Subscriber> = BTreeMap::new();
    for subject in [
        "$SYS.ACCOUNT.APP.CONNECT",
        "$SYS.ACCOUNT.APP.DISCONNECT",
        "$SYS.ACCOUNT.APP.SERVER.CONNS",
        "$SYS.SERVER.*.CLIENT.AUTH.ERR",
    ] {
        events.insert(subject, system.subscribe(subject).await.unwrap());
    }
    system.flush().await.unwrap();
    let app = server.connect("app").await;
    drop(app);
    let refused = ConnectOptions::with_user_and_password("app".into(), "wrong".into());
    refused.connect(server.address()).await.unwrap_err();

    for (subject, short, spoil) in [
        ("$SYS.ACCOUNT.APP.CONNECT", "client_connect", "/client/start"),
        ("$SYS.ACCOUNT.APP.DISCONNECT", "client_disconnect", "/sent/msgs"),
        ("$SYS.ACCOUNT.APP.SERVER.CONNS", "account_connections", "/conns"),
        ("$SYS.SERVER.*.CLIENT.AUTH.ERR", "client_disconnect", "/reason"),
    ] {
        let (subject, event) = next(events.get_mut(subject).unwrap(), &subject).await;
        assert_read(&subject, &event, short, spoil);
        // The subject says the same, for a server that says no type.
        let mut untyped = event.clone();
        untyped.as_object_mut().unwrap().shift_remove("type");
        assert_eq!(of_message(&subject, &untyped), of_message(&subject, &event), "{subject}");
        // Which is why there is a tolerant mode: the day that this fails, it is needed less.
        let rules = Schema::named(short).unwrap().rules().unwrap();
        let violations = rules.check(&event, Mode::Strict).unwrap_err();
        assert!(violations.iter().all(|violation| violation.problem == Problem::Unknown), "{violations:#?}");
    }
}

#[tokio::test]
async fn varz_keeps_to_its_schema_and_other_replies_have_none() {
    let server = Server::start().await;
    let system = server.connect("sys").await;
    let subject = "$SYS.REQ.SERVER.PING.VARZ";
    let reply = ask(&system, subject, &json!({})).await;
    assert_eq!(of_message(subject, &reply).unwrap().part, Part::Data);
    assert_read(subject, &reply, "varz", "/connections");
    for kind in ["CONNZ", "SUBSZ", "ROUTEZ", "GATEWAYZ", "LEAFZ", "JSZ", "ACCOUNTZ", "HEALTHZ", "STATSZ"] {
        let subject = format!("$SYS.REQ.SERVER.PING.{kind}");
        let reply = ask(&system, &subject, &json!({})).await;
        assert_eq!(of_message(&subject, &reply), None, "{kind}");
    }
}

#[tokio::test]
async fn advisories_keep_to_their_schemas() {
    let server = Server::start().await;
    let app = server.connect("app").await;
    let mut advisories = app.subscribe("$JS.EVENT.ADVISORY.>").await.unwrap();
    app.flush().await.unwrap();
    let stream = json!({ "name": "S", "subjects": ["s"], "retention": "limits", "max_consumers": -1,
        "max_msgs": -1, "max_bytes": -1, "max_age": 0, "storage": "file", "num_replicas": 1 });
    ask(&app, "$JS.API.STREAM.CREATE.S", &stream).await;
    for _ in 0..3 {
        ask(&app, "s", &json!({})).await;
    }
    let consumer = json!({ "stream_name": "S", "config": { "name": "c", "deliver_policy": "all",
        "ack_policy": "explicit", "max_deliver": 1, "max_ack_pending": 100, "priority_groups": ["g"],
        "priority_policy": "pinned_client", "priority_timeout": 60_000_000_000_i64 } });
    let created = ask(&app, "$JS.API.CONSUMER.CREATE.S.c", &consumer).await;
    assert_eq!(created.get("error"), None, "{created:#}");
    for answer in ["-NAK", "+TERM no use"] {
        // It comes with its own subject, which a request would not know as its reply.
        let inbox = app.new_inbox();
        let mut messages = app.subscribe(inbox.clone()).await.unwrap();
        let pull = json!({ "batch": 1, "group": "g" });
        assert_valid(of_request("$JS.API.CONSUMER.MSG.NEXT.S.c").unwrap(), &pull, Mode::Strict);
        let pull = pull.to_string().into_bytes();
        app.publish_with_reply("$JS.API.CONSUMER.MSG.NEXT.S.c", inbox, pull.into()).await.unwrap();
        let message = timeout(DEADLINE, messages.next()).await.unwrap().unwrap();
        app.publish(message.reply.unwrap(), answer.into()).await.unwrap();
        ask(&app, "$JS.API.CONSUMER.UNPIN.S.c", &json!({ "group": "g" })).await;
    }
    let snapshot = json!({ "deliver_subject": app.new_inbox() });
    ask(&app, "$JS.API.STREAM.SNAPSHOT.S", &snapshot).await;
    let pause = json!({ "pause_until": "2099-01-31T12:00:00Z" });
    ask(&app, "$JS.API.CONSUMER.PAUSE.S.c", &pause).await;
    ask(&app, "$JS.API.CONSUMER.DELETE.S.c", &json!({})).await;
    ask(&app, "$JS.API.STREAM.DELETE.S", &json!({})).await;

    let mut wanted = BTreeMap::from([
        ("api_audit", "/client/start"),
        ("stream_action", "/action"),
        ("consumer_action", "/consumer"),
        ("consumer_pause", "/paused"),
        ("consumer_group_pinned", "/pinned_id"),
        ("consumer_group_unpinned", "/reason"),
        ("nak", "/consumer_seq"),
        ("terminated", "/consumer_seq"),
        ("snapshot_create", "/client/start"),
    ]);
    while !wanted.is_empty() {
        let (subject, advisory) = next(&mut advisories, &wanted).await;
        let schema = of_message(&subject, &advisory).unwrap().schema;
        match wanted.remove(schema.short()) {
            Some(spoil) => assert_read(&subject, &advisory, schema.short(), spoil),
            None => assert_valid(schema, &advisory, Mode::Tolerant),
        }
    }
}
