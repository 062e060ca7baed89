//! Bad peers of a real server: slow ones, bombs, requests that two readers would read differently, sockets that flood.
//!
//! What must hold: none of them is answered with a failure of the server, or for longer than its limits say; the server's
//! memory has a bound that does not depend on what they send; and who behaves is answered meanwhile, and finds what it wrote.
//!
//! Next: `shapes` are the requests, `slow` the peers that take their time, `sockets` those that were let in.

mod good;
mod shapes;
mod slow;
mod sockets;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use syncline::limits;
use syncline_prove::{Chance, Tally};
use syncline_tests::rig::server::{Process, TOKEN};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use good::Good;
use shapes::Shapes;

/// Bad peers at once.
const AT_ONCE: usize = 24;
/// What the server may take: for each of them what a body may have as it comes and as it is unpacked, and what it needs itself.
const MEMORY_MAX: u64 = (AT_ONCE * (limits::BODY_BYTES_MAX + limits::BODY_DECODED_BYTES_MAX)) as u64 + (256 << 20);
/// Nothing here takes as long; it ends what would never end.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long bad peers come.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_enums, reason = "once, or for a while")]
pub enum Effort {
    /// Each request and each socket once; nobody who takes their time, or for whom the server has some.
    Once,
    /// For this long, whoever the seed says.
    For(Duration),
}

/// What a bad peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Shape(usize),
    Socket(sockets::Way),
    Slow(slow::Way),
}

/// Sends them, beside somebody who behaves.
///
/// # Errors
/// When the server does not start or ends.
pub async fn run(tally: &mut Tally, effort: Effort, seed: u64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Process::start(&folder.path().join("data"), None);
    let addr: SocketAddr = server.url.trim_start_matches("http://").parse()?;
    let shapes = Arc::new(Shapes::new());
    let begun = Instant::now();
    let mut chance = Chance::new(seed);
    let each = (0..shapes.len()).map(Kind::Shape).chain(sockets::QUICK.iter().copied().map(Kind::Socket));
    let mut each = each.collect::<Vec<_>>().into_iter();
    let next = || match effort {
        Effort::Once => each.next(),
        Effort::For(time) if begun.elapsed() > time => None,
        Effort::For(_) => Some(match chance.index(10) {
            0 => Kind::Slow(slow::ALL[chance.index(slow::ALL.len())]),
            1 => Kind::Socket(sockets::Way::PingsUnread),
            2..=4 => Kind::Socket(sockets::QUICK[chance.index(sockets::QUICK.len())]),
            _ => Kind::Shape(chance.index(shapes.len())),
        }),
    };
    let (answered, longest) = {
        let good = Good::begin(addr);
        all_of(tally, addr, &shapes, next).await;
        good.end().await?
    };
    tally.add("requests answered meanwhile", answered);
    tally.add("the slowest of them, ms", u64::try_from(longest.as_millis()).unwrap_or(u64::MAX));
    let peak = peak_bytes(server.pid().context("the server ended")?)?;
    tally.add("memory at most, MiB", peak >> 20);
    if peak > MEMORY_MAX {
        tally.found(format!("the server took {peak} bytes, and {MEMORY_MAX} is its bound"));
    }
    Ok(())
}

/// Sends one after the other, some at once.
async fn all_of(tally: &mut Tally, addr: SocketAddr, shapes: &Arc<Shapes>, mut next: impl FnMut() -> Option<Kind>) {
    let mut under_way = JoinSet::new();
    loop {
        while under_way.len() < AT_ONCE
            && let Some(kind) = next()
        {
            let shapes = Arc::clone(shapes);
            under_way.spawn(async move { (kind, one(addr, kind, &shapes).await) });
        }
        match under_way.join_next().await {
            None => return,
            Some(Ok((kind, outcome))) => judged(tally, kind, outcome, shapes),
            Some(Err(error)) => tally.found(format!("a bad peer broke down: {error}")),
        }
    }
}

async fn one(addr: SocketAddr, kind: Kind, shapes: &Shapes) -> Result<(), String> {
    let tried = async {
        match kind {
            Kind::Shape(number) => shapes.send(number, addr).await,
            Kind::Socket(way) => sockets::flood(way, addr).await,
            Kind::Slow(way) => slow::dawdle(way, addr).await,
        }
    };
    tokio::time::timeout(PATIENCE, tried).await.unwrap_or_else(|_| Err("the server keeps it for ever".to_owned()))
}

fn judged(tally: &mut Tally, kind: Kind, outcome: Result<(), String>, shapes: &Shapes) {
    let (what, name) = match kind {
        Kind::Shape(number) => ("bad requests", shapes.name(number).to_owned()),
        Kind::Socket(way) => ("bad sockets", format!("{way:?}")),
        Kind::Slow(way) => ("slow peers", format!("{way:?}")),
    };
    tally.add(what, 1);
    if let Err(why) = outcome {
        tally.found(format!("{name}: {why}"));
    }
}

/// The most memory that a process has had.
fn peak_bytes(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}

/// A request's head as the operator's, without its end.
fn head(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\nauthorization: Bearer {TOKEN}\r\n")
}

/// Sends bytes, as far as the server takes them, and reads what it says until it closes.
async fn exchange(addr: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut stream = TcpStream::connect(addr).await.map_err(|error| format!("no connection: {error}"))?;
    let (mut from, mut to) = stream.split();
    let mut said = Vec::new();
    // A server that refuses may close before all was sent; what it said is still there to be read.
    let (_, _) = tokio::join!(to.write_all(bytes), from.read_to_end(&mut said));
    Ok(said)
}

/// The status of an answer; 0 when there was none.
fn status(said: &[u8]) -> u16 {
    let line = said.split(|byte| *byte == b'\r').next().unwrap_or_default();
    std::str::from_utf8(line).ok().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0)
}

/// Whether a connection may be closed without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Without {
    /// What was sent is no request.
    AWord,
    Never,
}

/// A refusal, or a closed connection where one may be: nothing that was sent is done, and nothing breaks.
fn refused(said: &[u8], without: Without) -> Result<(), String> {
    match status(said) {
        400..=499 => Ok(()),
        0 if without == Without::AWord => Ok(()),
        0 => Err("was not answered".to_owned()),
        other => Err(format!("was answered {other}: {}", String::from_utf8_lossy(&said[..said.len().min(300)]))),
    }
}

/// Ensures that a response is the one wanted.
fn is(said: &[u8], wanted: u16) -> anyhow::Result<()> {
    ensure!(status(said) == wanted, "{}", String::from_utf8_lossy(&said[..said.len().min(500)]));
    Ok(())
}
