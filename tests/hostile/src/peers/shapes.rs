//! Requests that are bad from their first byte to their last: bombs, ambiguities, sizes.
//!
//! What must hold: each is refused, and leaves nothing. Of what does not read as a request at all the connection may be closed
//! without a word; a request whose body is bad has an answer.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Without, exchange, head, refused, status};
use crate::common::{LOG, gzip, op_json, zstd};

/// How often a server that is full is asked again, and how long between.
const TRIES: u32 = 200;
const APART: Duration = Duration::from_millis(50);

/// All of them, made once: first those whose bodies are bad.
pub(super) struct Shapes {
    all: All,
    bodies: usize,
}

impl Shapes {
    pub(super) fn new() -> Self {
        let mut all = Vec::new();
        bombs(&mut all);
        texts(&mut all);
        let bodies = all.len();
        framings(&mut all);
        heads(&mut all);
        Self { all, bodies }
    }

    pub(super) const fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn name(&self, number: usize) -> &str {
        &self.all[number].0
    }

    pub(super) async fn send(&self, number: usize, addr: SocketAddr) -> Result<(), String> {
        let answer = if number < self.bodies { Without::Never } else { Without::AWord };
        for _ in 0..TRIES {
            let said = exchange(addr, &self.all[number].1).await?;
            let answers = said.windows(9).filter(|window| window.starts_with(b"HTTP/1.")).count();
            if answers > 1 {
                return Err(format!("one request was answered {answers} times"));
            }
            // A full server has not looked at it.
            if status(&said) != 503 {
                return refused(&said, answer);
            }
            tokio::time::sleep(APART).await;
        }
        Err("the server is full for ever".to_owned())
    }
}

type All = Vec<(String, Vec<u8>)>;

/// A log that nobody else writes to; nothing that is sent here makes it.
fn ops() -> String {
    format!("/v1/logs/{LOG}/ops")
}

fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    let mut request = head("POST", &ops()).into_bytes();
    request.extend_from_slice(format!("content-type: application/json\r\n{headers}").as_bytes());
    request.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    request.extend_from_slice(body);
    request
}

/// 4 GiB of one byte, as few bytes. Once its window is full, a compressor says the same for each further MiB.
fn gzip_bomb(byte: u8) -> Vec<u8> {
    let mebibyte = vec![byte; 1 << 20];
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let mut marks = Vec::new();
    for _ in 0..3 {
        encoder.write_all(&mebibyte).expect("memory");
        encoder.flush().expect("memory");
        marks.push(encoder.get_ref().len());
    }
    let sample = encoder.get_ref()[marks[1]..marks[2]].to_vec();
    let mut bomb = encoder.get_ref()[..marks[1]].to_vec();
    (0..4_096).for_each(|_| bomb.extend_from_slice(&sample));
    bomb
}

fn bombs(all: &mut All) {
    let gzipped = "content-encoding: gzip\r\n";
    for (name, byte) in [("zeros", 0), ("blanks", b' '), ("brackets", b'['), ("digits", b'1')] {
        all.push((format!("4 GiB of {name} as gzip"), post(gzipped, &gzip_bomb(byte))));
    }
    let zeros = zstd(&vec![0; 64 << 20]).repeat(64);
    all.push(("4 GiB of zeros as zstd".into(), post("content-encoding: zstd\r\n", &zeros)));
    let nested = gzip(&gzip(&gzip(&vec![0; 8 << 20])));
    all.push(("gzip in gzip in gzip".into(), post(gzipped, &nested)));
    for layers in ["gzip, gzip", "gzip, zstd", "br", "deflate", "compress", "gzip;q=1"] {
        all.push((format!("encoded as {layers}"), post(&format!("content-encoding: {layers}\r\n"), &nested)));
    }
    let just_right = gzip(&vec![b' '; syncline::limits::BODY_DECODED_BYTES_MAX]);
    all.push(("as many blanks as a body may have".into(), post(gzipped, &just_right)));
    let many = format!(r#"{{"ops":[{}0]}}"#, "0,".repeat(10_000_000));
    all.push(("ten million elements".into(), post(gzipped, &gzip(many.as_bytes()))));
    let keys: Vec<String> = (0..200_000).map(|key| format!("\"{key}\":0")).collect();
    all.push(("two hundred thousand keys".into(), post(gzipped, &gzip(format!("{{{}}}", keys.join(",")).as_bytes()))));
}

fn texts(all: &mut All) {
    let deep = 1_000_000;
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"a":"#, "}]")] {
        let nested = format!("{}1{}", open.repeat(deep), close.repeat(deep));
        all.push((format!("a million of {open} deep"), post("", format!(r#"{{"ops":[{nested}]}}"#).as_bytes())));
        let op = op_json(3, 1, &format!(r#"{{"json":{nested}}}"#));
        all.push((format!("a payload a million of {open} deep"), post("", format!(r#"{{"ops":[{op}]}}"#).as_bytes())));
    }
    let op = |payload: &str| format!(r#"{{"ops":[{}]}}"#, op_json(3, 1, payload));
    let odd = [
        op(r#"{"json":{"a":1,"a":2}}"#),
        op(r#"{"json":1,"json":2}"#),
        op(r#"{"json":"\ud800"}"#),
        op(r#"{"json":1e999}"#),
        op(r#"{"json":NaN}"#),
        r#"{"ops":[],"ops":[]}"#.to_owned(),
        format!(r#"{{"ops":[{}]}}"#, "\"x\",".repeat(100_000)),
        format!(r#"{{"{}":1,"ops":[]}}"#, "k".repeat(1 << 20)),
        "\u{feff}{}".to_owned(),
        String::new(),
    ];
    all.extend(
        odd.into_iter().enumerate().map(|(number, text)| (format!("odd text {number}"), post("", text.as_bytes()))),
    );
    all.push(("bytes that are no text".into(), post("", &[0xff; 4_096])));
}

fn framings(all: &mut All) {
    let hidden = format!("{}\r\n", head("DELETE", &format!("/v1/logs/{LOG}?seq=0")));
    let shape = |headers: &str, rest: &str| {
        format!("{}content-type: application/json\r\n{headers}\r\n{rest}", head("POST", &ops())).into_bytes()
    };
    let chunks = format!("0\r\n\r\n{hidden}");
    let rows = [
        ("both framings", "content-length: 5\r\ntransfer-encoding: chunked\r\n", chunks.as_str()),
        ("two lengths", "content-length: 0\r\ncontent-length: 5\r\n", &hidden),
        ("an absurd length", "content-length: 99999999999999999999999999\r\n", &hidden),
        ("a huge length", "content-length: 18446744073709551615\r\n", &hidden),
        ("a length too large", "content-length: 1099511627776\r\n", &hidden),
        ("a negative length", "content-length: -1\r\n", &hidden),
        ("an unknown coding", "transfer-encoding: xchunked\r\n", &chunks),
        ("chunked twice", "transfer-encoding: chunked, chunked\r\n", &chunks),
        ("a chunk that overflows", "transfer-encoding: chunked\r\n", "10000000000000000\r\nx"),
        ("a chunk of a negative size", "transfer-encoding: chunked\r\n", "-1\r\nx"),
        ("a NUL in a header", "x: a\0b\r\ncontent-length: 0\r\n", &hidden),
        ("a bare CR in a header", "x: a\rb\r\ncontent-length: 0\r\n", &hidden),
        ("a folded header", "x: y\r\n z: w\r\ncontent-length: 5\r\n", &hidden),
    ];
    all.extend(rows.into_iter().map(|(name, headers, rest)| (name.to_owned(), shape(headers, rest))));
    let chunked = "transfer-encoding: chunked\r\n";
    all.push(("a chunk's extension without an end".into(), shape(chunked, &format!("1;{}", "a".repeat(4 << 20)))));
    let trailers = (0..100_000).map(|number| format!("x-{number}: y\r\n")).collect::<String>();
    all.push(("trailers without an end".into(), shape(chunked, &format!("2\r\n{{}}\r\n0\r\n{trailers}"))));
    all.push(("a hundred thousand chunks".into(), shape(chunked, &("1\r\n[\r\n".repeat(100_000) + "0\r\n\r\n"))));
}

fn heads(all: &mut All) {
    let log = format!("/v1/logs/{LOG}");
    let with = |more: &str| format!("{}{more}\r\n", head("GET", &log)).into_bytes();
    all.push(("a header of a mebibyte".into(), with(&format!("x: {}\r\n", "y".repeat(1 << 20)))));
    let many = (0..10_000).map(|number| format!("x-{number}: y\r\n")).collect::<String>();
    all.push(("ten thousand headers".into(), with(&many)));
    all.push((
        "a target of a mebibyte".into(),
        format!("{}\r\n", head("GET", &format!("/{}", "a".repeat(1 << 20)))).into(),
    ));
    for target in ["/v1/logs/%0d%0ax-injected:%20y", "/v1/../../etc/passwd", "/%00", "/v1/logs/%ff%fe", "//", "*", "x"]
    {
        all.push((format!("the target {target}"), format!("{}\r\n", head("GET", target)).into()));
    }
    all.push(("two tokens".into(), with("authorization: Bearer x\r\n")));
    all.push(("no HTTP at all".into(), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(100)));
    all.push(("HTTP/2 with prior knowledge".into(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()));
    all.push(("the name of every method".into(), head("PROPFIND", &log).into_bytes().repeat(20)));
}
