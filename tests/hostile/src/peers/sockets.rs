//! Peers that were let in to hear of wakes, and flood, or say what is no frame, or do not read.
//!
//! What must hold: the server lets each go long before it would ask whether somebody is there, and says with a code what was
//! wrong; of one that does not read, or has left, it keeps no socket.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::{head, status};
use crate::common::LOG;

/// Bytes that a flood has.
const FLOOD_BYTES: usize = 4 << 20;

/// A server asks every 20 s whether somebody is there; who says what is wrong is let go before that.
const AT_ONCE: Duration = Duration::from_secs(10);
/// Who neither reads nor answers is asked, asked again, and waited for while it leaves unread what it was sent, twice.
const UNREAD: Duration = Duration::from_secs(20 + 20 + 30 + 30 + 10);
/// What a server reads in one go: of who sends less than that, nothing is left unread that would cut off its last word.
const READ_AT_ONCE: usize = 4_096;

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

/// All whom the server lets go at once; [`Way::PingsUnread`] it waits for.
pub(super) const QUICK: &[Way] = &[
    Way::Talks,
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
        other => return Err(format!("was answered {other}: {}", String::from_utf8_lossy(&answer))),
    }
    if String::from_utf8_lossy(&answer).to_ascii_lowercase().contains("permessage-deflate") {
        return Err("frames of clients are unpacked".to_owned());
    }
    let own = to.local_addr().map_err(|error| error.to_string())?;
    if !held(&connections()?, addr, own) {
        return Err("the system does not show its socket".to_owned());
    }
    let bytes = said(way);
    match way {
        Way::Leaves => {
            drop((from, to));
            free_within(AT_ONCE, addr, own).await
        }
        Way::PingsUnread => {
            // Nobody reads, so at some point nobody can write either.
            let _ = tokio::time::timeout(Duration::from_secs(2), to.write_all(&bytes)).await;
            free_within(UNREAD, addr, own).await
        }
        _ => {
            let begun = Instant::now();
            let mut rest = answer.split_off(head_end(&answer));
            // The server may let it go before it has said everything.
            let (_, read) = tokio::join!(to.write_all(&bytes), from.read_to_end(&mut rest));
            if begun.elapsed() > AT_ONCE {
                return Err(format!("was kept for {:?}", begun.elapsed()));
            }
            match close_code(&rest) {
                Some(code) if code != 1000 => Ok(()),
                // What it left unread cuts off what it said.
                None if read.is_err() && bytes.len() > READ_AT_ONCE => Ok(()),
                other => Err(format!("was let go with {other:?}, {read:?}")),
            }
        }
    }
}

/// Where the answer to a handshake ends.
fn head_end(answer: &[u8]) -> usize {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    end.map_or(answer.len(), |end| end + 4)
}

/// The code of the closing frame among a server's frames, which are short.
fn close_code(mut frames: &[u8]) -> Option<u16> {
    while let [first, length @ 0..126, rest @ ..] = frames {
        let (body, later) = rest.split_at_checked(usize::from(*length))?;
        if first & 0x0f == 8 {
            return body.first_chunk().map(|code| u16::from_be_bytes(*code));
        }
        frames = later;
    }
    None
}

/// Waits until no process holds the server's end of a connection, as the system says.
async fn free_within(time: Duration, server: SocketAddr, peer: SocketAddr) -> Result<(), String> {
    let begun = Instant::now();
    while held(&connections()?, server, peer) {
        if begun.elapsed() > time {
            return Err(format!("its socket is kept for {:?}", begun.elapsed()));
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// What the system says of all connections.
fn connections() -> Result<String, String> {
    std::fs::read_to_string("/proc/net/tcp").map_err(|error| error.to_string())
}

/// Whether a connection is among those that the system says are held by a process: others have no inode.
fn held(connections: &str, server: SocketAddr, peer: SocketAddr) -> bool {
    let [server, peer] = [server, peer].map(|end| format!(":{:04X}", end.port()));
    connections.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words[..], [_, from, to, _, _, _, _, _, _, inode, ..]
            if from.ends_with(&server) && to.ends_with(&peer) && inode != "0")
    })
}
