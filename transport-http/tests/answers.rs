//! What a client takes from a server that it need not trust.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::*;
use syncline::call::Call;
use syncline::client::{CallError, Transport as _};
use syncline::limits;
use syncline_transport_http::client::{ClientOptions, HttpClient};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Answers one request with this body.
async fn answering(encoding: &'static str, body: Vec<u8>) -> HttpClient {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut asked).await.unwrap(), 0);
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: {encoding}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // Whoever finds it too long hangs up.
        let _ = stream.write_all(&body).await;
    });
    HttpClient::new(ClientOptions::new(url, "token")).unwrap()
}

#[tokio::test]
async fn a_client_takes_an_answer_of_so_many_bytes_unpacked_and_not_one_more() {
    let max = 2 * limits::BODY_DECODED_BYTES_MAX;
    for (size, too_long) in [(max - 1, false), (max, false), (max + 1, true)] {
        for (encoding, body) in [("gzip", gzip(&vec![b' '; size])), ("zstd", zstd(&vec![b' '; size]))] {
            let refused = answering(encoding, body).await.call(Call::Status(LOG)).await.unwrap_err();
            let CallError::Protocol(why) = refused else { panic!("{encoding} {size}: {refused:?}") };
            assert_eq!(why.contains("more than"), too_long, "{encoding} {size}: {why}");
        }
    }
    // Frames follow each other in zstd: 64 MiB, 64 times.
    let bombs = [("zstd", zstd(&vec![0; 64 << 20]).repeat(64)), ("gzip", gzip(&vec![0; 4 * max]))];
    for (encoding, bomb) in bombs {
        let refused = answering(encoding, bomb).await.call(Call::Status(LOG)).await.unwrap_err();
        assert!(matches!(&refused, CallError::Protocol(why) if why.contains("more than")), "{encoding}: {refused:?}");
    }
}
