//! What is measured beside the bridge, with the same clients: another way to bring a message to many.

use std::{fs, net::SocketAddr, path::Path, process::Stdio, str::FromStr, time::Duration};

use anyhow::{Context, Result, bail};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};
use supervisor::NatsServer;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep},
};

use crate::{clients::Opening, process::Process};

/// What mercure's hub believes publishers by; it listens on loopback for as long as the measurement takes.
const KEY: &str = "of-a-hub-that-is-measured-and-ends-then";
/// How long a hub may take until it listens.
const PATIENCE: Duration = Duration::from_secs(30);

/// A peer on the command line: `mercure=PROGRAM` or `websocket`.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// Mercure's hub, without a history: this program, which is Caddy with its module.
    Mercure(String),
    /// nats-server's own websocket, which a browser with nats.ws uses.
    Websocket,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some(("mercure", program)) => Ok(Self::Mercure(program.to_owned())),
            None if text == "websocket" => Ok(Self::Websocket),
            _ => Err(format!("`{text}` is no peer: write mercure=PROGRAM or websocket")),
        }
    }
}

impl Peer {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Mercure(_) => "Mercure",
            Self::Websocket => "nats-server, websocket",
        }
    }
}

/// nats-server's websocket: what it measures is the server itself.
pub(crate) fn websocket(nats: &NatsServer) -> Result<(Process, SocketAddr, Opening)> {
    let address = nats.addresses().websocket.context("nats-server has no websocket")?;
    let greeting = "GET / HTTP/1.1\r\nhost: bench\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                    sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    let subscribe = "CONNECT {\"verbose\":false}\r\nSUB bench.> 1\r\nPING\r\n";
    let opening = Opening { greeting: greeting.into(), then: framed(subscribe.as_bytes()), until: b"PONG" };
    Ok((Process::of(nats.pid()), address, opening))
}

/// A frame as browsers send it: binary, whole, under a mask, which is 0 here.
fn framed(text: &[u8]) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("a short text");
    assert!(length < 126, "the length is one byte");
    [&[0x82, 0x80 | length, 0, 0, 0, 0], text].concat()
}

/// A hub of mercure's.
pub(crate) struct Mercure {
    address: SocketAddr,
    connection: BufReader<TcpStream>,
    token: String,
    _child: Child,
}

impl Mercure {
    pub(crate) async fn start(program: &str, folder: &Path) -> Result<(Self, Process)> {
        // It does not say which port it was given.
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = folder.join("Caddyfile");
        let text = format!(
            "{{\n admin off\n persist_config off\n auto_https off\n log {{\n  level ERROR\n }}\n}}\n\
             http://{address} {{\n mercure {{\n  publisher_jwt {KEY} HS256\n  anonymous\n  transport local\n }}\n}}\n"
        );
        fs::write(&config, text)?;
        let child = Command::new(program)
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(&config)
            .env("HOME", folder)
            .env("XDG_DATA_HOME", folder)
            .env("XDG_CONFIG_HOME", folder)
            .current_dir(folder)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{program} cannot be started"))?;
        let began = Instant::now();
        let stream = loop {
            match TcpStream::connect(address).await {
                Ok(stream) => break stream,
                Err(_) if began.elapsed() < PATIENCE => sleep(Duration::from_millis(50)).await,
                Err(error) => return Err(error).context("mercure does not listen"),
            }
        };
        stream.set_nodelay(true)?;
        let process = Process::of(child.id().context("mercure ended")?);
        Ok((Self { address, connection: BufReader::new(stream), token: token(), _child: child }, process))
    }

    pub(crate) fn opening(&self) -> (SocketAddr, Opening) {
        let greeting = "GET /.well-known/mercure?topic=bench HTTP/1.1\r\nhost: bench\r\n\r\n";
        let greeting = greeting.replace("bench\r", &format!("{}\r", self.address));
        (self.address, Opening { greeting: greeting.into(), then: Vec::new(), until: b"\r\n\r\n" })
    }

    /// Publishes, and waits for the answer.
    pub(crate) async fn publish(&mut self, payload: &str) -> Result<()> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let body = form.append_pair("topic", "bench").append_pair("data", payload).finish();
        let request = format!(
            "POST /.well-known/mercure HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            self.token,
            body.len()
        );
        self.connection.get_mut().write_all(request.as_bytes()).await?;
        let (mut line, mut length, mut status) = (String::new(), 0, String::new());
        loop {
            line.clear();
            self.connection.read_line(&mut line).await?;
            let line = line.trim_end().to_ascii_lowercase();
            if status.is_empty() {
                status.clone_from(&line);
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse()?;
            }
            if line.is_empty() {
                break;
            }
        }
        self.connection.read_exact(&mut vec![0; length]).await?;
        if !status.contains(" 200 ") {
            bail!("mercure took no message: {status}");
        }
        Ok(())
    }
}

/// A JWT that lets publish (HS256: RFC 7518, 3.2; HMAC: RFC 2104).
fn token() -> String {
    let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let signed =
        format!("{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(r#"{"mercure":{"publish":["*"]}}"#));
    let padded = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(KEY.bytes()).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(&signed).finalize();
    let outer = Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize();
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&outer))
}
