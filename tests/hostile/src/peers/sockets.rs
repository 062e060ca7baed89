//! Peers that were let in to hear of wakes, and flood, or say what is no frame, or do not read.
//!
//! What must hold: the server lets each go, or is let go by it, without holding more than a frame of what they sent.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{head, status};
use crate::common::LOG;

/// Bytes that a flood has.
const FLOOD_BYTES: usize = 4 << 20;

/// What they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Frames of text, which nobody asked for.
    Talks,
    /// Pings, whose answers are not read.
    PingsUnread,
    /// A frame that says it has 2^62 bytes.
    Announces,
    /// A frame one byte larger than allowed.
    TooLarge,
    /// A message in pieces, which never ends.
    Pieces,
    /// Frames without a mask, which only servers send.
    Unmasked,
    /// A frame with bits that mean nothing.
    Reserved,
    /// A ping that is larger than one may be.
    LargePing,
    /// Bytes that are no frames.
    Noise,
    /// A closing frame with a code that may not be sent.
    BadClose,
    /// It asks for frames to be packed, and sends a bomb.
    Packed,
    /// It leaves at once.
    Leaves,
}

pub(super) const ALL: &[Way] = &[
    Way::Talks,
    Way::PingsUnread,
    Way::Announces,
    Way::TooLarge,
    Way::Pieces,
    Way::Unmasked,
    Way::Reserved,
    Way::LargePing,
    Way::Noise,
    Way::BadClose,
    Way::Packed,
    Way::Leaves,
];

/// A frame of a client, its mask all zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(0x80 | u8::try_from(length).unwrap_or(0)),
        Ok(length) => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

fn said(way: Way) -> Vec<u8> {
    let flood = |frame: Vec<u8>| frame.repeat(FLOOD_BYTES.div_ceil(frame.len()));
    match way {
        Way::Talks => flood(frame(0x81, b"hello")),
        Way::PingsUnread => flood(frame(0x89, &[b'x'; 125])),
        Way::Announces => [&[0x82, 0xff][..], &(1_u64 << 62).to_be_bytes(), &[0; 4], &[0; 1_000]].concat(),
        Way::TooLarge => frame(0x82, &vec![0; syncline::limits::SOCKET_FRAME_BYTES_MAX + 1]),
        Way::Pieces => [frame(0x01, b"a"), flood(frame(0x00, &[b'a'; 1_000]))].concat(),
        Way::Unmasked => [&[0x81, 5][..], b"hello"].concat().repeat(1_000),
        Way::Reserved => frame(0xf1, b"hello"),
        Way::LargePing => frame(0x89, &[0; 126]),
        Way::Noise => b"this is no frame at all".repeat(1_000),
        Way::BadClose => frame(0x88, &[0x03, 0xed]),
        Way::Packed => frame(0xc1, &crate::common::gzip(&vec![0; 16 << 20])),
        Way::Leaves => Vec::new(),
    }
}

pub(super) async fn flood(way: Way, addr: SocketAddr) -> Result<(), String> {
    let stream = TcpStream::connect(addr).await.map_err(|error| format!("no connection: {error}"))?;
    let (mut from, mut to) = stream.into_split();
    let request = head("GET", &format!("/v1/logs/{LOG}/wake")).replacen("connection: close", "connection: upgrade", 1)
        + "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
           sec-websocket-extensions: permessage-deflate\r\n\r\n";
    to.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
        if from.read_buf(&mut answer).await.map_err(|error| error.to_string())? == 0 {
            break;
        }
    }
    match status(&answer) {
        101 => {}
        // As many sockets as there may be.
        503 => return Ok(()),
        other => return Err(format!("was answered {other}: {}", String::from_utf8_lossy(&answer))),
    }
    if String::from_utf8_lossy(&answer).to_ascii_lowercase().contains("permessage-deflate") {
        return Err("frames of clients are unpacked".to_owned());
    }
    let bytes = said(way);
    // The server may let it go before it has said everything.
    let sent = to.write_all(&bytes);
    if way == Way::PingsUnread {
        // Nobody reads, so at some point nobody can write either: then it leaves.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), sent).await;
        return Ok(());
    }
    let mut rest = Vec::new();
    let (_, _) = tokio::join!(sent, async {
        if way != Way::Leaves {
            let _ = from.read_to_end(&mut rest).await;
        }
    });
    Ok(())
}
