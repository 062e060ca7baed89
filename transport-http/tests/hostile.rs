//! Faults on the wire, by row of the fault catalogue: each refused with a code, none stored in part, none expensive.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::*;
use syncline::call::Push;
use syncline::limits;
use syncline::seq::Seq;
use syncline::wire::binary;
use syncline_transport_http::server::ServerOptions;
use tokio::io::AsyncWriteExt as _;

const JSON: (&str, &str) = ("content-type", "application/json");

fn five_ops() -> Vec<u8> {
    let ops: Vec<String> = (1..=5).map(|counter| op_json(1, counter, r#"{"json":{"title":"milk"}}"#)).collect();
    push_of(&ops)
}

#[tokio::test]
async fn fault_w05_connection_cut_mid_body_stores_nothing() {
    let rig = Rig::start().await;
    let body = five_ops();
    for cut in [0, 1, body.len() / 2, body.len() - 1] {
        let mut stream = rig.dial().await;
        stream.write_all(head("POST", &ops_path(), &[JSON], Some(body.len())).as_bytes()).await.unwrap();
        stream.write_all(&body[..cut]).await.unwrap();
        stream.shutdown().await.unwrap();
        // Whatever is answered, when the server has closed it has made up its mind.
        let answer = Answer::read(&mut stream).await;
        assert_ne!(answer.status, 200);
        assert_eq!(rig.end().await, Seq::ZERO, "cut after {cut} of {}", body.len());
    }
    // The same body chunked, without its last chunk: every byte has arrived, the end has not.
    let mut stream = rig.dial().await;
    let chunked = head("POST", &ops_path(), &[JSON, ("transfer-encoding", "chunked")], None);
    stream.write_all(chunked.as_bytes()).await.unwrap();
    stream.write_all(format!("{:x}\r\n", body.len()).as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_ne!(Answer::read(&mut stream).await.status, 200);
    assert_eq!(rig.end().await, Seq::ZERO);
    assert_eq!(rig.push_json(&body).await.status, 200);
    assert_eq!(rig.end().await.get(), 5);
}

#[tokio::test]
async fn fault_w06_truncated_body_is_refused_in_every_form_and_encoding() {
    let rig = Rig::start().await;
    let json = five_ops();
    let ops = (1..=5).map(|counter| op(1, counter, json_payload("{}"))).collect();
    let push = Push { log: LOG, request: None, cursor: None, atomic: false, ops };
    let binary = binary::encode_push(&push).to_vec();
    let binary_type = ("content-type", "application/vnd.syncline.v1");
    type Sent = (Vec<u8>, Vec<(&'static str, &'static str)>);
    let bodies: [Sent; 4] = [
        (json.clone(), vec![JSON]),
        (binary, vec![binary_type]),
        (gzip(&json), vec![JSON, ("content-encoding", "gzip")]),
        (zstd(&json), vec![JSON, ("content-encoding", "zstd")]),
    ];
    for (body, headers) in &bodies {
        for cut in (0..body.len()).step_by(body.len() / 40).chain([body.len() - 1]) {
            let answer = rig.request("POST", &ops_path(), headers, &body[..cut]).await;
            assert!(matches!(answer.code().as_str(), "MALFORMED" | "OP_INVALID"), "{headers:?} at {cut}");
        }
    }
    assert_eq!(rig.end().await, Seq::ZERO);
    for (body, headers) in &bodies {
        assert_eq!(rig.request("POST", &ops_path(), headers, body).await.status, 200, "{headers:?}");
    }
}

/// Bodies of a few MiB at most that decode to 4 GiB of zeros.
fn bombs() -> [(&'static str, Vec<u8>); 2] {
    use std::io::Write as _;
    let mebibyte = vec![0_u8; 1 << 20];
    // Once its window is full of zeros, a compressor says the same for each further MiB; so it is asked once.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let mut marks = Vec::new();
    for _ in 0..3 {
        encoder.write_all(&mebibyte).unwrap();
        encoder.flush().unwrap();
        marks.push(encoder.get_ref().len());
    }
    let sample = encoder.get_ref()[marks[1]..marks[2]].to_vec();
    let mut gzip = encoder.get_ref()[..marks[1]].to_vec();
    (0..4_096).for_each(|_| gzip.extend_from_slice(&sample));
    // Frames follow each other in zstd: 64 MiB, 64 times.
    let frame = zstd(&vec![0; 64 << 20]);
    [("gzip", gzip), ("zstd", frame.repeat(64))]
}

#[tokio::test]
async fn fault_w07_gzip_and_zstd_bombs_are_refused_while_they_unpack() {
    let rig = Rig::start().await;
    for (encoding, bomb) in bombs() {
        assert!(bomb.len() < limits::BODY_BYTES_MAX, "{encoding}: {}", bomb.len());
        let answer = rig.request("POST", &ops_path(), &[JSON, ("content-encoding", encoding)], &bomb).await;
        assert_eq!(answer.code(), "BODY_TOO_LARGE", "{encoding}");
    }
    assert!(peak_bytes() < 1 << 30, "a quarter of one bomb was unpacked: {}", peak_bytes());
    // One layer only, however it is said.
    let twice = gzip(&gzip(b"{}"));
    for layers in ["gzip, gzip", "gzip,zstd", "br", "deflate", "identity, gzip"] {
        let answer = rig.request("POST", &ops_path(), &[JSON, ("content-encoding", layers)], &twice).await;
        assert_eq!(answer.code(), "UNSUPPORTED_MEDIA_TYPE", "{layers}");
    }
    let two = [JSON, ("content-encoding", "gzip"), ("content-encoding", "gzip")];
    assert_eq!(rig.request("POST", &ops_path(), &two, &twice).await.code(), "UNSUPPORTED_MEDIA_TYPE");
    assert_eq!(
        rig.request("POST", &ops_path(), &[JSON, ("content-encoding", "gzip")], &twice).await.code(),
        "MALFORMED",
        "the inner layer is not unpacked"
    );
    // Something behind the end of a gzip body is not silently dropped.
    let mut trailing = gzip(&five_ops());
    trailing.extend_from_slice(b"more");
    let answer = rig.request("POST", &ops_path(), &[JSON, ("content-encoding", "gzip")], &trailing).await;
    assert_eq!(answer.code(), "MALFORMED");
    // A zstd frame that wants a window larger than HTTP allows does not get the memory for it.
    let wide = {
        use std::io::Write as _;
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(&vec![b' '; 20 << 20]).unwrap();
        encoder.finish().unwrap()
    };
    let answer = rig.request("POST", &ops_path(), &[JSON, ("content-encoding", "zstd")], &wide).await;
    assert_eq!(answer.code(), "MALFORMED");
    assert_eq!(rig.end().await, Seq::ZERO);
}

#[tokio::test]
async fn fault_w07_who_sends_a_packed_body_slowly_has_no_more_memory_than_was_sent() {
    // The last of them waits for all others.
    let rig = Rig::with(ServerOptions { body_rate_window: PATIENCE, ..ServerOptions::default() }).await;
    let body = gzip(&vec![0; limits::BODY_DECODED_BYTES_MAX]);
    let (most, last) = body.split_at(body.len() - 100);
    let head = head("POST", &ops_path(), &[JSON, ("content-encoding", "gzip")], Some(body.len()));
    let mut streams = Vec::new();
    for _ in 0..40 {
        let mut stream = rig.dial().await;
        stream.write_all(&[head.as_bytes(), most].concat()).await.unwrap();
        streams.push(stream);
    }
    for mut stream in streams {
        stream.write_all(last).await.unwrap();
        assert_eq!(Answer::read(&mut stream).await.code(), "MALFORMED");
    }
    assert!(peak_bytes() < 1 << 30, "most of what they would have unpacked to: {}", peak_bytes());
}

#[tokio::test]
async fn fault_w08_json_100k_deep_is_refused_in_any_position() {
    let rig = Rig::start().await;
    let deep = 100_000;
    let (arrays, objects) = ("[".repeat(deep) + &"]".repeat(deep), r#"{"a":"#.repeat(deep) + "1" + &"}".repeat(deep));
    for nested in [&arrays, &objects] {
        let positions = [
            nested.clone(),
            format!(r#"{{"ops":{nested}}}"#),
            format!(r#"{{"ops":[{nested}]}}"#),
            format!(r#"{{"cursor":{nested},"ops":[]}}"#),
            format!(r#"{{"unknown":{nested},"ops":[]}}"#),
            String::from_utf8(push_of(&[op_json(1, 1, nested)])).unwrap(),
            String::from_utf8(push_one(1, 1, &format!(r#"{{"json":{nested}}}"#))).unwrap(),
            op_json(1, 1, r#"{"json":1}"#).replace(r#"{"ms":1700000000000}"#, nested),
        ];
        for (index, body) in positions.iter().enumerate() {
            let code = rig.push_json(body.as_bytes()).await.code();
            assert!(matches!(code.as_str(), "MALFORMED" | "OP_INVALID"), "position {index}: {code}");
        }
        for (method, target) in [("POST", "/v1/tokens".to_owned()), ("POST", format!("/v1/logs/{LOG}/restore"))] {
            assert_eq!(rig.request(method, &target, &[JSON], nested.as_bytes()).await.code(), "MALFORMED");
        }
        let target = format!("/v1/logs/{LOG}/snapshot");
        let code = rig.request("PUT", &target, &[JSON], nested.as_bytes()).await.code();
        assert_eq!(code, "MALFORMED");
    }
    assert_eq!(rig.end().await, Seq::ZERO);
}

#[tokio::test]
async fn fault_w09_huge_arrays_and_keys_are_refused_by_count_and_by_bytes() {
    let rig = Rig::start().await;
    let elements = |count: usize| format!(r#"{{"json":[{}]}}"#, vec!["0"; count].join(","));
    let at = limits::JSON_NODES_MAX;
    // The array is a value, not one of its own elements: exactly the limit passes.
    let table = [(at - 1, true), (at, true), (at + 1, false), (1_000_000, false)];
    for (counter, (count, taken)) in (1_u32..).zip(table) {
        let answer = rig.push_json(&push_one(1, counter, &elements(count))).await;
        match taken {
            true => assert_eq!(answer.status, 200, "{count} elements: {}", String::from_utf8_lossy(&answer.body)),
            false => assert_eq!(answer.code(), "OP_INVALID", "{count} elements"),
        }
    }
    let before = rig.end().await;
    let ten_million = format!(r#"{{"ops":[{}]}}"#, vec!["0"; 4_000_000].join(","));
    assert_eq!(rig.push_json(ten_million.as_bytes()).await.code(), "MALFORMED");
    let zipped = gzip(format!(r#"{{"ops":[{}]}}"#, vec!["0"; 10_000_000].join(",")).as_bytes());
    let answer = rig.request("POST", &ops_path(), &[JSON, ("content-encoding", "gzip")], &zipped).await;
    assert_eq!(answer.code(), "MALFORMED");
    let key = "k".repeat(1 << 20);
    let answer = rig.push_json(&push_one(2, 1, &format!(r#"{{"json":{{"{key}":1}}}}"#))).await;
    assert_eq!(answer.status, 200, "a long key is only bytes");
    let answer = rig.push_json(format!(r#"{{"{key}":1,"ops":[]}}"#).as_bytes()).await;
    assert_eq!(answer.code(), "MALFORMED");
    assert!(answer.body.len() < 4_096 + key.len(), "a refusal does not grow beyond what it quotes");
    assert_eq!(rig.end().await.get(), before.get() + 1);
}

#[tokio::test]
async fn fault_w10_ambiguous_json_has_one_verdict_and_accepted_text_comes_back_to_the_byte() {
    let rig = Rig::start().await;
    let refused = [
        r#"{"a":1,"a":2}"#,
        r#"{"a":{"b":1,"b":1}}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#""\ud800""#,
        r#""\udc00x""#,
        "1e999",
        "-1e999",
        "NaN",
        "Infinity",
        "01",
        "1.",
        "+1",
        "'x'",
        "[1,]",
        "\"\u{1}\"",
        "/*x*/1",
        "",
    ];
    for text in refused {
        let code = rig.push_json(&push_one(1, 1, &format!(r#"{{"json":{text}}}"#))).await.code();
        assert!(matches!(code.as_str(), "MALFORMED" | "OP_INVALID"), "{text}: {code}");
    }
    // Not UTF-8 at all: overlong, a surrogate encoded, a byte that never occurs.
    for bad in [&[0xc0_u8, 0x80][..], &[0xed, 0xa0, 0x80], &[0xff]] {
        let mut body = push_one(1, 1, r#"{"json":"@"}"#);
        let at = body.iter().position(|byte| *byte == b'@').unwrap();
        body.splice(at..=at, bad.iter().copied());
        let code = rig.push_json(&body).await.code();
        assert!(matches!(code.as_str(), "MALFORMED" | "OP_INVALID"), "{bad:?}: {code}");
    }
    let with_mark = [b"\xef\xbb\xbf", push_one(1, 1, r#"{"json":1}"#).as_slice()].concat();
    assert_eq!(rig.push_json(&with_mark).await.code(), "MALFORMED", "a byte order mark");
    for envelope in [
        r#"{"ops":[],"ops":[]}"#.to_owned(),
        format!(r#"{{"ops":[{}]}}"#, op_json(1, 1, r#"{"json":1}"#).replacen('{', r#"{"kind":"update","#, 1)),
        String::from_utf8(push_one(1, 1, r#"{"json":1,"json":2}"#)).unwrap(),
        String::from_utf8(push_one(1, 1, r#"{"json":1,"plain":""}"#)).unwrap(),
    ] {
        assert_eq!(rig.push_json(envelope.as_bytes()).await.code(), "MALFORMED", "{envelope}");
    }
    assert_eq!(rig.end().await, Seq::ZERO);

    let kept = [
        r#""\u0000""#,
        "-0",
        "-0.0",
        "1E2",
        "9007199254740993",
        "123456789012345678901234567890",
        r#"{"b":1,"a":2}"#,
        r#"  [1 ,2]"#,
        r#""\u00e9 é \ud83d\ude00""#,
        "1e-999",
        "null",
    ];
    for (counter, text) in (1_u32..).zip(kept) {
        let answer = rig.push_json(&push_one(2, counter, &format!(r#"{{"json":{text}}}"#))).await;
        assert_eq!(answer.status, 200, "{text}: {}", String::from_utf8_lossy(&answer.body));
    }
    let page = rig.request("GET", &format!("{}?after=0", ops_path()), &[], b"").await;
    let body = String::from_utf8(page.body).unwrap();
    for text in kept {
        assert!(body.contains(&format!(r#""payload":{{"json":{}}}"#, text.trim())), "{text} in {body}");
    }
}

#[tokio::test]
async fn fault_w11_integers_past_2_53_and_2_64_are_exact_or_refused() {
    let rig = Rig::start().await;
    for number in
        ["9223372036854775808", "18446744073709551616", "-1", "1.0", "1e3", "0x1", "", "99999999999999999999999"]
    {
        let answer = rig.request("GET", &format!("{}?after={number}", ops_path()), &[], b"").await;
        assert_eq!(answer.code(), "MALFORMED", "?after={number}");
        if !number.is_empty() {
            let body = format!(r#"{{"cursor":{{"seq":{number}}},"ops":[]}}"#);
            assert_eq!(rig.push_json(body.as_bytes()).await.code(), "MALFORMED", "seq {number}");
        }
    }
    let one = op_json(1, 1, r#"{"json":1}"#);
    let bad = [
        (r#""ms":1700000000000"#, r#""ms":281474976710656"#),
        (r#""ms":1700000000000"#, r#""ms":18446744073709551616"#),
        (r#""ms":1700000000000"#, r#""ms":1700000000000,"counter":65536"#),
        (r#""schema_version":1"#, r#""schema_version":4294967296"#),
        (r#":1},"hlc""#, r#":9007199254740992},"hlc""#),
        (r#":1},"hlc""#, r#":-1},"hlc""#),
        (r#":1},"hlc""#, r#":18446744073709551617},"hlc""#),
    ];
    for (from, to) in bad {
        let changed = one.replace(from, to);
        assert_ne!(changed, one);
        assert_eq!(rig.push_json(&push_of(&[changed])).await.code(), "MALFORMED", "{to}");
    }
    for version in ["0", "65536"] {
        let changed = one.replace(r#""schema_version":1"#, &format!(r#""schema_version":{version}"#));
        assert_eq!(rig.push_json(&push_of(&[changed])).await.code(), "OP_INVALID", "schema version {version}");
    }
    // The largest counter there is reads; it is a verdict, not a refusal, that it skips.
    let changed = one.replace(r#":1},"hlc""#, r#":9007199254740991},"hlc""#);
    let answer = rig.push_json(&push_of(&[changed])).await;
    assert_eq!(answer.json()["verdicts"][0]["verdict"], "rejected");
    // The largest position reads, and is ahead of the log.
    assert_eq!(rig.push_json(&push_of(&[one])).await.status, 200);
    let answer = rig.request("GET", &format!("{}?after=9223372036854775807", ops_path()), &[], b"").await;
    assert_eq!(answer.code(), "GAP_CLIENT_AHEAD");
}

#[tokio::test]
async fn fault_w12_unknown_fields_refused_unknown_payload_relayed() {
    let rig = Rig::start().await;
    let one = op_json(1, 1, r#"{"json":1}"#);
    let push = |op: &str| format!(r#"{{"ops":[{op}]}}"#);
    let with = |from: &str, to: &str| {
        let changed = one.replace(from, to);
        assert_ne!(changed, one);
        push(&changed)
    };
    for body in [
        format!(r#"{{"ops":[{one}],"colour":1}}"#),
        format!(r#"{{"cursor":{{"seq":0,"colour":1}},"ops":[{one}]}}"#),
        with(r#""kind""#, r#""colour":1,"kind""#),
        with(r#"{"ms""#, r#"{"colour":1,"ms""#),
        with(r#"{"json":1}"#, r#"{"json":1,"colour":1}"#),
        with(r#""schema_version":1"#, r#""schema_version":1,"precondition":"sometimes""#),
        with(r#""schema_version":1"#, r#""schema_version":1,"precondition":{"version":1,"colour":1}"#),
        with(r#""kind":"create""#, r#""kind":"paint""#),
        with(r#""kind":"create""#, r#""kind":"kind_256""#),
    ] {
        assert_eq!(rig.push_json(body.as_bytes()).await.code(), "MALFORMED", "{body}");
    }
    for target in [
        format!("{}?after=0&colour=1", ops_path()),
        format!("{}?after=0&after=0", ops_path()),
        format!("/v1/logs/{LOG}?colour=1"),
        "/v1/logs?colour=1".to_owned(),
    ] {
        assert_eq!(rig.request("GET", &target, &[], b"").await.code(), "MALFORMED", "{target}");
    }
    assert_eq!(rig.end().await, Seq::ZERO);
    // A kind, a schema version and content that this server knows nothing about are passed on as they are.
    let unknown = one
        .replace(r#""kind":"create""#, r#""kind":"kind_77""#)
        .replace(r#""schema_version":1"#, r#""schema_version":65535"#);
    let unknown = unknown.replace(r#"{"json":1}"#, r#"{"json":{"colour":{"of":["next year"]}}}"#);
    let answer = rig.push_json(push(&unknown).as_bytes()).await;
    assert_eq!(answer.json()["verdicts"][0]["verdict"], "accepted", "{}", answer.json());
    let page = rig.request("GET", &ops_path(), &[], b"").await.json();
    assert_eq!(page["ops"][0]["op"]["kind"], "kind_77");
    assert_eq!(page["ops"][0]["op"]["payload"]["json"]["colour"]["of"][0], "next year");
}

#[tokio::test]
async fn fault_w13_version_skew_is_refused_with_the_range_and_every_reply_names_its_version() {
    let rig = Rig::start().await;
    for version in ["0", "2", "4294967296", "1.0", "one", ""] {
        let answer = rig.request("POST", &ops_path(), &[JSON, ("syncline-protocol", version)], &five_ops()).await;
        assert_eq!(answer.code(), "UPGRADE_REQUIRED", "{version:?}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("versions 1 to 1"));
        assert_eq!(answer.header("syncline-protocol"), Some("1"));
    }
    assert_eq!(rig.end().await, Seq::ZERO, "nothing is taken at a version that is not spoken");
    for headers in [vec![JSON], vec![JSON, ("syncline-protocol", "1")]] {
        let answer = rig.request("POST", &ops_path(), &headers, &five_ops()).await;
        assert_eq!((answer.status, answer.header("syncline-protocol")), (200, Some("1")));
    }
    // A body of another version than this build's says so itself.
    let answer =
        rig.request("POST", &ops_path(), &[("content-type", "application/vnd.syncline.v1")], &[2, 1, 0, 0]).await;
    assert_eq!(answer.code(), "MALFORMED");
    let answer = rig.request("POST", &ops_path(), &[("content-type", "application/vnd.syncline.v2")], &[2, 1]).await;
    assert_eq!(answer.code(), "UNSUPPORTED_MEDIA_TYPE");
}

#[tokio::test]
async fn fault_w14_slow_headers_and_slow_bodies_are_cut_off() {
    let brief = Duration::from_millis(200);
    let options = ServerOptions { header_time: brief, body_rate_window: brief, ..ServerOptions::default() };
    let rig = Rig::with(options).await;
    // A head that does not end: the server hangs up without an answer.
    for part in ["P", "POST /v1/logs HTTP/1.1\r\nhost: test\r\nx-slow: "] {
        let mut stream = rig.dial().await;
        stream.write_all(part.as_bytes()).await.unwrap();
        assert_eq!(Answer::read(&mut stream).await.status, 0);
    }
    // A body that does not come, or comes by the byte.
    for bytes in [&b""[..], b"{"] {
        let mut stream = rig.dial().await;
        stream.write_all(head("POST", &ops_path(), &[JSON], Some(1_000)).as_bytes()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let answer = Answer::read(&mut stream).await;
        assert_eq!(answer.code(), "BODY_TOO_SLOW");
    }
    assert_eq!(rig.end().await, Seq::ZERO);
    assert_eq!(rig.push_json(&five_ops()).await.status, 200, "the server is as before");
}

#[tokio::test]
async fn fault_w18_request_smuggling_shapes_give_one_answer_and_no_second_request() {
    let rig = Rig::start().await;
    let auth = format!("authorization: Bearer {OPERATOR}\r\n");
    let hidden = format!("PUT /v1/logs/{LOG} HTTP/1.1\r\nhost: test\r\n{auth}\r\n");
    let post = |headers: &str, body: &str| {
        format!(
            "POST {} HTTP/1.1\r\nhost: test\r\n{auth}content-type: application/json\r\n{headers}\r\n{body}",
            ops_path()
        )
    };
    let length = hidden.len() + 5;
    let shapes = [
        (
            "both framings",
            post(&format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"), &format!("0\r\n\r\n{hidden}")),
        ),
        (
            "both, other order",
            post(&format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"), &format!("0\r\n\r\n{hidden}")),
        ),
        ("two lengths", post("content-length: 0\r\ncontent-length: 5\r\n", &hidden)),
        ("a list of lengths", post("content-length: 0, 5\r\n", &hidden)),
        ("a signed length", post("content-length: +5\r\n", &hidden)),
        ("a negative length", post("content-length: -1\r\n", &hidden)),
        ("a hexadecimal length", post("content-length: 0x5\r\n", &hidden)),
        ("an absurd length", post("content-length: 99999999999999999999999999\r\n", &hidden)),
        ("a huge length", post("content-length: 18446744073709551615\r\n", &hidden)),
        ("an unknown coding", post("transfer-encoding: xchunked\r\n", &format!("0\r\n\r\n{hidden}"))),
        ("chunked not last", post("transfer-encoding: chunked, identity\r\n", &format!("0\r\n\r\n{hidden}"))),
        (
            "a space before the colon",
            post("transfer-encoding : chunked\r\ncontent-length: 5\r\n", &format!("0\r\n\r\n{hidden}")),
        ),
        (
            "a folded header",
            post("x: y\r\n transfer-encoding: chunked\r\ncontent-length: 5\r\n", &format!("0\r\n\r\n{hidden}")),
        ),
        ("a NUL in a header", post("x: a\0b\r\ncontent-length: 0\r\n", &hidden)),
        ("a bare CR in a header", post("x: a\rb\r\ncontent-length: 0\r\n", &hidden)),
        (
            "a chunk size that overflows",
            post("transfer-encoding: chunked\r\n", &format!("10000000000000000\r\n{hidden}")),
        ),
        ("a chunk size that is none", post("transfer-encoding: chunked\r\n", &format!("-1\r\n{hidden}"))),
        ("no version", format!("POST {}\r\n{auth}\r\n{hidden}", ops_path())),
        (
            "chunked in HTTP/1.0",
            post("transfer-encoding: chunked\r\n", &format!("0\r\n\r\n{hidden}")).replacen("HTTP/1.1", "HTTP/1.0", 1),
        ),
    ];
    for (name, shape) in shapes {
        let mut stream = rig.dial().await;
        stream.write_all(shape.as_bytes()).await.unwrap();
        let answer = Answer::read(&mut stream).await;
        let answers = answer.all.windows(9).filter(|window| window == b"HTTP/1.1 " || window == b"HTTP/1.0 ").count();
        assert!(answers <= 1, "{name}: {}", String::from_utf8_lossy(&answer.all));
        assert!((400..=499).contains(&answer.status), "{name}: {}", answer.head);
        let status = rig.request("GET", &format!("/v1/logs/{LOG}"), &[], b"").await;
        assert_eq!(status.code(), "LOG_NOT_FOUND", "{name}: the hidden request was served");
    }
    // A line break in a path or a header's value does not become a header of ours.
    let answer = rig.request("GET", "/v1/logs/a%0d%0ax-injected:%201", &[("x-request-id", "a%0d%0ab")], b"").await;
    assert_eq!(answer.header("x-injected"), None);
    assert_ne!(answer.header("x-request-id"), Some("a%0d%0ab"));
}
