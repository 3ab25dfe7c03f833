//! How it goes over the wire.

use std::io::Read;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sse_bridge::feed::FeedConfig;
use tokio::{net::TcpStream, time::timeout};

use crate::{
    event_source::Request,
    site::{Bridge, DEADLINE, Nats, quick},
};

#[tokio::test(flavor = "multi_thread")]
async fn answers_say_that_they_are_not_to_be_kept_or_held_back() {
    let nats = Nats::start().await;
    let bridge = Bridge::start(&nats, quick()).await;
    let answer = Request::new(bridge.address, "subject=a").send().await;
    assert_eq!(answer.status, 200);
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("transfer-encoding", "chunked"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_of_events_share_one_connection_of_http2() {
    let nats = Nats::start().await;
    let bridge = Bridge::start(&nats, quick()).await;
    let stream = TcpStream::connect(bridge.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut bodies = Vec::new();
    for number in 0..20 {
        let request = hyper::Request::get(format!("http://{}/sse?subject=many.{number}", bridge.address))
            .header("x-user", "ann:admin")
            .body(Empty::<Bytes>::new())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, hyper::Version::HTTP_2));
        bodies.push(response.into_body());
    }
    assert_eq!(bridge.metric("feeds"), 20);
    let client = nats.client("leafbox").await;
    for (number, body) in bodies.iter_mut().enumerate() {
        let mut text = String::new();
        while !text.contains("\"data\":") {
            // Until the subscription is there.
            client.publish(format!("many.{number}"), "1".into()).await.unwrap();
            client.flush().await.unwrap();
            if let Ok(frame) = timeout(std::time::Duration::from_millis(50), body.frame()).await {
                text.push_str(std::str::from_utf8(frame.unwrap().unwrap().data_ref().unwrap()).unwrap());
            }
        }
        assert!(text.contains(&format!("\"subject\":\"many.{number}\"")), "{text}");
    }
    drop((bodies, sender));
    timeout(DEADLINE, connection).await.unwrap().unwrap().unwrap();
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_brotli_is_sent_it_while_there_is_room() {
    let nats = Nats::start().await;
    let bridge = Bridge::start(&nats, FeedConfig { compressed: 1, ..quick() }).await;
    let stream = TcpStream::connect(bridge.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get("/sse?subject=a")
        .header("host", bridge.address.to_string())
        .header("x-user", "ann:admin")
        .header("accept-encoding", "gzip, br")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "br");
    let plain = Request::new(bridge.address, "subject=a").with("accept-encoding", "br").send().await;
    assert_eq!((plain.status, plain.header("content-encoding")), (200, None));
    let client = nats.client("leafbox").await;
    let (mut body, mut sent, mut text) = (response.into_body(), Vec::new(), Vec::new());
    while !String::from_utf8_lossy(&text).contains("\"data\":\"told\"") {
        // Until the subscription is there.
        client.publish("a", "\"told\"".into()).await.unwrap();
        client.flush().await.unwrap();
        if let Ok(frame) = timeout(std::time::Duration::from_millis(50), body.frame()).await {
            sent.extend_from_slice(frame.unwrap().unwrap().data_ref().unwrap());
            text.clear();
            // It has no end yet: what there is so far is what is read.
            let _ = brotli::Decompressor::new(&sent[..], 4096).read_to_end(&mut text);
        }
    }
    drop((body, sender));
    connection.abort();
    bridge.stop().await;
}
