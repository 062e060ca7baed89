//! What a client takes from a server that it need not trust.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::*;
use syncline::call::Call;
use syncline::client::{BlobTransport as _, CallError, Transport as _};
use syncline::digest::Digest;
use syncline::limits;
use syncline_transport_http::client::{ClientOptions, HttpClient};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Answers one request after the other with these, each a status, further heads and a body, on a connection of its own.
async fn answering(answers: Vec<(&'static str, String, Vec<u8>)>) -> HttpClient {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for (status, heads, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
                assert_ne!(stream.read_buf(&mut asked).await.unwrap(), 0);
            }
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\n{heads}content-length: {length}\r\nconnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            // Whoever finds it too long hangs up.
            let _ = stream.write_all(&body).await;
        }
    });
    HttpClient::new(ClientOptions::new(url, "token")).unwrap()
}

/// One answer with this body.
async fn packed(encoding: &str, body: Vec<u8>) -> HttpClient {
    let heads = format!("content-type: application/json\r\ncontent-encoding: {encoding}\r\n");
    answering(vec![("200 OK", heads, body)]).await
}

/// The answer to a HEAD has no body that says why; a moment later the same server may have nothing against it.
#[tokio::test]
async fn a_server_that_cannot_say_for_a_moment_where_an_upload_goes_on_is_asked_again_later() {
    for (heads, may) in [("retry-after: 3\r\n", Some(3_000)), ("", None)] {
        let later = ("503 Service Unavailable", heads.to_owned(), Vec::new());
        let needs = br#"{"needs":["send"]}"#.to_vec();
        let fine = ("200 OK", "content-type: application/json\r\n".to_owned(), needs);
        let client = answering(vec![later, fine]).await;
        let blob = Digest::of(&[b"blob"]);
        match (client.upload_at(LOG, blob, 4).await.unwrap_err(), may) {
            (CallError::Refused(refusal), Some(wait)) => {
                assert_eq!(refusal.retry_after_ms.map(std::num::NonZero::get), Some(wait));
            }
            (CallError::Interrupted(_), None) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_client_takes_an_answer_of_so_many_bytes_unpacked_and_not_one_more() {
    let max = 2 * limits::BODY_DECODED_BYTES_MAX;
    for (size, too_long) in [(max - 1, false), (max, false), (max + 1, true)] {
        for (encoding, body) in [("gzip", gzip(&vec![b' '; size])), ("zstd", zstd(&vec![b' '; size]))] {
            let refused = packed(encoding, body).await.call(Call::Status(LOG)).await.unwrap_err();
            let CallError::Protocol(why) = refused else { panic!("{encoding} {size}: {refused:?}") };
            assert_eq!(why.contains("more than"), too_long, "{encoding} {size}: {why}");
        }
    }
    // Frames follow each other in zstd: 64 MiB, 64 times.
    let bombs = [("zstd", zstd(&vec![0; 64 << 20]).repeat(64)), ("gzip", gzip(&vec![0; 4 * max]))];
    for (encoding, bomb) in bombs {
        let refused = packed(encoding, bomb).await.call(Call::Status(LOG)).await.unwrap_err();
        assert!(matches!(&refused, CallError::Protocol(why) if why.contains("more than")), "{encoding}: {refused:?}");
    }
}
