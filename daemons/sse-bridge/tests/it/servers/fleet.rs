//! A hub and a leaf as real nats-servers, linked in `SYS` and `SHOP`, and the console of one of them.

use std::{net::SocketAddr, time::Duration};

use async_nats::Client;
use serde_json::{Value, json};
use sse_bridge::{Config, Connections, Role};
use supervisor::{
    NatsServer,
    testing::{listen_at, start_in, store_in},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    login::site::Site,
    server::{DEADLINE, make_stores},
};

/// What the link of shop-1 may of the consoles' questions (`settings::builtin`).
const LINK_SAYS: &str = r#""_SERVERS.here.shop-1", "_SERVERS.hub.shop-1.>""#;
const LINK_HEARS: &str = r#""_SERVERS.ask", "_SERVERS.leaf.shop-1""#;

/// Both nodes; they end with this value.
pub(crate) struct Fleet {
    pub(crate) hub: Node,
    pub(crate) leaf: Node,
    pub(crate) _folder: TempDir,
}

/// A node's nats-server.
pub(crate) struct Node {
    name: &'static str,
    more: String,
    folder: std::path::PathBuf,
    server: Option<NatsServer>,
}

impl Fleet {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hub = Node::start(&folder, "hub-1", "leafnodes { listen: \"127.0.0.1:-1\" }").await;
        let at = hub.server().addresses().leaf.unwrap();
        let remote = |user: &str, account: &str| {
            format!("{{ url: \"nats-leaf://{user}:{user}@{at}\", account: {account} }}")
        };
        let links =
            format!("leafnodes {{ remotes: [ {}, {} ] }}", remote("sys", "SYS"), remote("shop", "SHOP"));
        let leaf = Node::start(&folder, "shop-1", &links).await;
        Self { hub, leaf, _folder: folder }
    }

    /// The same with a link that may what a real leaf's may of this, and nothing in `SYS`.
    pub(crate) async fn start_apart() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hub = Node::start(&folder, "hub-1", "leafnodes { listen: \"127.0.0.1:-1\" }").await;
        let at = hub.server().addresses().leaf.unwrap();
        let link = format!(
            "leafnodes {{ remotes: [ {{ url: \"nats-leaf://link:link@{at}\", account: LEAFBOX }} ] }}"
        );
        let leaf = Node::start(&folder, "shop-1", &link).await;
        Self { hub, leaf, _folder: folder }
    }
}

impl Node {
    pub(crate) async fn start(folder: &TempDir, name: &'static str, more: &str) -> Self {
        let folder = folder.path().join(name);
        let server = start_in(&folder, &configuration(name, &folder, None, more)).await;
        let node = Self { name, more: more.to_owned(), folder, server: Some(server) };
        make_stores(&node.client("leafbox").await).await;
        node
    }

    fn role(&self) -> &'static str {
        if self.name.starts_with("hub") { "hub" } else { "leaf" }
    }

    pub(crate) fn server(&self) -> &NatsServer {
        self.server.as_ref().unwrap()
    }

    pub(crate) async fn kill(&mut self) {
        // Its lock goes with the value.
        self.server.take().unwrap().kill().await;
    }

    /// Starts it again at the same address.
    pub(crate) async fn run_again(&mut self, at: SocketAddr) {
        let text = configuration(self.name, &self.folder, Some(at), &self.more);
        self.server = Some(start_in(&self.folder, &text).await);
    }

    /// A connection as a user, which is named as its account.
    pub(crate) async fn client(&self, user: &str) -> Client {
        self.client_named(user, "test").await
    }

    pub(crate) async fn client_named(&self, user: &str, name: &str) -> Client {
        let options = async_nats::ConnectOptions::with_user_and_password(user.to_owned(), user.to_owned());
        let url = format!("nats://{}", self.server().addresses().client.unwrap());
        let client = options
            .name(name)
            .max_reconnects(None)
            .reconnect_delay_callback(|_| Duration::from_millis(50))
            .connect(url)
            .await
            .unwrap();
        client.flush().await.unwrap();
        client
    }

    /// The node's console, with a connection to `SYS` or without.
    pub(crate) async fn console(&self, with_sys: bool) -> Console {
        let leafbox = self.client("leafbox").await;
        let sys = if with_sys { Some(self.client("sys").await) } else { None };
        let declared = [("SHOP".to_owned(), self.client("shop").await)].into();
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            fleet: serde_json::from_value(json!({ "name": "shop" })).unwrap(),
            node: serde_json::from_value(json!({ "name": self.name, "role": self.role() })).unwrap(),
            credentials: runtime::Credentials::in_directory(folder.path()),
            development: false,
            pulse: runtime::Pulse::new(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let site = Site::of(leafbox.clone(), None).await;
        let run = sse_bridge::run(config, listener, Connections { leafbox, sys, declared }, stop.clone());
        let running = tokio::spawn(async move { run.await.unwrap() });
        let console = Console { address, site, stop, running, _folder: folder };
        console.eventually("it knows its users", "/healthz", None, |answer| answer.status == 200).await;
        console
    }
}

fn configuration(name: &str, folder: &std::path::Path, at: Option<SocketAddr>, more: &str) -> String {
    format!(
        "listen: \"{}\"\nhttp: \"127.0.0.1:-1\"\nserver_name: {name}\n\
         jetstream {{ store_dir: \"{}\", domain: {name} }}\n\
         accounts {{\n LEAFBOX {{ jetstream: enabled, users: [ {{ user: leafbox, password: leafbox }}, \
         {{ user: link, password: link, permissions: {{ publish: [{LINK_SAYS}], subscribe: [{LINK_HEARS}] }} }} \
         ] }}\n \
         SHOP {{ jetstream: enabled, users: [ {{ user: shop, password: shop }} ] }}\n \
         SYS {{ users: [ {{ user: sys, password: sys }} ] }}\n}}\nsystem_account: SYS\n{more}\n",
        listen_at(at),
        store_in(folder).display()
    )
}

/// The console of a node, asked over HTTP.
pub(crate) struct Console {
    address: SocketAddr,
    pub(crate) site: Site,
    stop: CancellationToken,
    running: JoinHandle<()>,
    _folder: TempDir,
}

/// Somebody who is logged in.
pub(crate) struct Session(String);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Answer {
    /// A header of the answer; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The code of an error.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_else(|| panic!("no error: {self:?}")).to_owned()
    }
}

impl Console {
    /// Somebody of this role, who has enrolled with a passkey.
    pub(crate) async fn session(&self, role: Role) -> Session {
        let (browser, _) = self.site.enrol(&format!("{role}-of-{}", self.address.port()), role).await;
        let session = Session(browser.cookie.unwrap());
        self.eventually("the session is known", "/api/idz", Some(&session), |answer| answer.status != 401)
            .await;
        session
    }

    /// Makes it one whose passkey was shown six minutes ago.
    pub(crate) async fn age(&self, session: &Session) {
        self.site.age(&session.0).await;
    }

    pub(crate) async fn get(&self, path: &str, session: Option<&Session>) -> Answer {
        self.ask("GET", path, session, "", "").await
    }

    /// Sends a form, as a page of this console does.
    pub(crate) async fn post(&self, path: &str, session: &Session, form: &[(&str, &str)]) -> Answer {
        let mut body = form_urlencoded::Serializer::new(String::new());
        let body = body.extend_pairs(form).finish();
        self.ask("POST", path, Some(session), "sec-fetch-site: same-origin\r\n", &body).await
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        session: Option<&Session>,
        headers: &str,
        body: &str,
    ) -> Answer {
        let mut stream =
            self.send(method, path, session, &format!("connection: close\r\n{headers}"), body).await;
        let mut text = String::new();
        timeout(DEADLINE, stream.read_to_string(&mut text)).await.unwrap().unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            text: unchunked(head, body),
        }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        session: Option<&Session>,
        headers: &str,
        body: &str,
    ) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let cookie =
            session.map(|Session(cookie)| format!("cookie: __Host-leafbox={cookie}\r\n")).unwrap_or_default();
        let form = match body {
            "" => String::new(),
            body if headers.contains("content-type: ") => format!("content-length: {}\r\n", body.len()),
            body => format!(
                "content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n",
                body.len()
            ),
        };
        let host = format!("localhost:{}", self.address.port());
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{cookie}{headers}{form}\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        BufReader::new(stream)
    }

    /// Sends the beginning of a request whose headers say that there is more, and no more.
    pub(crate) async fn begin(&self, path: &str, session: &Session, headers: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let (Session(cookie), port) = (session, self.address.port());
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: localhost:{port}\r\ncookie: __Host-leafbox={cookie}\r\n");
        stream.write_all(format!("{head}{headers}\r\n{body}").as_bytes()).await.unwrap();
        stream
    }

    /// A stream of events that stays open.
    pub(crate) async fn live(&self, path: &str, session: &Session, headers: &str) -> Live {
        let mut stream = self.send("GET", path, Some(session), headers, "").await;
        let mut first = String::new();
        timeout(DEADLINE, stream.read_line(&mut first)).await.unwrap().unwrap();
        assert!(first.starts_with("HTTP/1.1 200"), "{first}");
        Live { stream, text: first }
    }

    /// Asks until it is answered as wanted.
    pub(crate) async fn eventually(
        &self,
        what: &str,
        path: &str,
        session: Option<&Session>,
        wanted: impl Fn(&Answer) -> bool,
    ) -> Answer {
        let asking = async {
            loop {
                let answer = self.get(path, session).await;
                if wanted(&answer) {
                    return answer;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        match timeout(DEADLINE, asking).await {
            Ok(answer) => answer,
            Err(_) => panic!("never so: {what}: {:?}", self.get(path, session).await),
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

/// A stream of events that stays open.
pub(crate) struct Live {
    stream: BufReader<TcpStream>,
    text: String,
}

impl Live {
    /// Reads until what came so far has this, and gives all of it.
    pub(crate) async fn until(&mut self, wanted: &str) -> &str {
        let reading = async {
            while !self.text.contains(wanted) {
                let mut line = Vec::new();
                assert!(
                    self.stream.read_until(b'\n', &mut line).await.unwrap() > 0,
                    "it ended: {}",
                    self.text
                );
                self.text.push_str(&String::from_utf8_lossy(&line));
            }
        };
        let came = timeout(DEADLINE, reading).await.is_ok();
        assert!(came, "never came: {wanted}\n{}", self.text);
        &self.text
    }
}

fn unchunked(head: &str, body: &str) -> String {
    if !head.to_lowercase().contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    let (mut rest, mut text) = (body, String::new());
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        text.push_str(&more[..size]);
        rest = &more[size + 2..];
    }
    text
}
