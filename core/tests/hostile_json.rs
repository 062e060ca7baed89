//! Hostile documents and bodies: each has one verdict, the same in every build and over every store.
//!
//! How: rows of bytes with their verdict and the reason beside them. A payload is kept to the byte or refused; a number
//! in an envelope is exact or refused, never rounded; nothing is built, and no stack used, that a body did not pay for.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "each proof uses its part")]
mod common;

use bytes::Bytes;
use syncline::call::Push;
use syncline::codec::{DecodeError, Writer};
use syncline::conformance::author::Author;
use syncline::conformance::support::log;
use syncline::limits;
use syncline::oplog::{JsonFault, OpKind, Payload, Precondition, Snapshot, check_json};
use syncline::wire::WireError;
use syncline::wire::binary::{decode_page, decode_push, decode_pushed, decode_snapshot, encode_push, encode_snapshot};
use syncline::wire::json::{PushJson, SnapshotJson};
use syncline::{Anchor, LogId, Origin, Seq, VectorClock};

const KEPT: bool = true;
const REFUSED: bool = false;

fn verdict(text: &[u8]) -> Result<(), JsonFault> {
    check_json(text, limits::JSON_NODES_MAX)
}

#[test]
fn fault_w10_every_odd_document_has_one_verdict() {
    let rows: &[(&[u8], bool, &str)] = &[
        (b"null", KEPT, "a document need not be an object"),
        (b"\"\"", KEPT, "nor be long"),
        (b"", REFUSED, "an empty text is no document"),
        (b"{\"a\":1,\"a\":2}", REFUSED, "readers disagree about which one counts"),
        (b"{\"a\":1,\"\\u0061\":2}", REFUSED, "the same key, spelt differently"),
        (b"{\"x\":{\"a\":1,\"a\":1}}", REFUSED, "also further in, also when the values agree"),
        (b"[{\"a\":1},{\"a\":2}]", KEPT, "the same key in two objects"),
        (b"{\"a\":1,\"A\":2}", KEPT, "keys differ by case"),
        ("{\"\u{e9}\":1,\"e\u{301}\":2}".as_bytes(), KEPT, "keys are compared as text, not as what it looks like"),
        (b"\"\\u0000\"", KEPT, "U+0000 is a character"),
        (b"\"\0\"", REFUSED, "but a control character must be escaped"),
        (b"\"\n\"", REFUSED, "like this one"),
        (b"\0", REFUSED, "and stands for nothing outside strings"),
        (b"\"\\ud83d\\ude00\"", KEPT, "a pair of surrogates"),
        (b"\"\\ud800\"", REFUSED, "a leading surrogate alone"),
        (b"\"\\udc00\"", REFUSED, "a trailing surrogate alone"),
        (b"\"\\ude00\\ud83d\"", REFUSED, "a pair the wrong way round"),
        (b"{\"\\ud800\":1}", REFUSED, "in a key too"),
        (b"\"\xed\xa0\x80\"", REFUSED, "a surrogate in UTF-8"),
        (b"\"\xc0\xaf\"", REFUSED, "overlong UTF-8"),
        (b"\"\xc0\x80\"", REFUSED, "overlong U+0000"),
        (b"\"\xf4\x90\x80\x80\"", REFUSED, "beyond U+10FFFF"),
        (b"\"\xff\"", REFUSED, "not UTF-8"),
        (b"\"\xe2\x82\"", REFUSED, "a character cut off"),
        (b"\xef\xbb\xbf1", REFUSED, "a byte order mark"),
        (b"\xff\xfe1\0", REFUSED, "UTF-16"),
        (b"NaN", REFUSED, "not a number of JSON"),
        (b"Infinity", REFUSED, "nor is this"),
        (b"-Infinity", REFUSED, "nor this"),
        (b"1e999", REFUSED, "beyond a double: readers make it infinite or fail"),
        (b"-1e999", REFUSED, "on both sides"),
        (b"1e308", KEPT, "within a double"),
        (b"1e-999", KEPT, "too small is zero to everyone"),
        (b"-0", KEPT, "kept as written"),
        (b"0.1000", KEPT, "kept as written"),
        (b"9007199254740993", KEPT, "2^53 + 1, kept as written"),
        (b"9223372036854775808", KEPT, "2^63, kept as written"),
        (b"123456789012345678901234567890", KEPT, "beyond 2^64, kept as written"),
        (b"01", REFUSED, "no leading zeros"),
        (b"+1", REFUSED, "no plus"),
        (b".5", REFUSED, "no bare point"),
        (b"0x10", REFUSED, "no hexadecimal"),
        (b"1 2", REFUSED, "one document"),
        (b"{} garbage", REFUSED, "and nothing after it"),
        (b"[1,]", REFUSED, "no trailing comma"),
        (b"{\"a\":1,}", REFUSED, "no trailing comma"),
        (b"{a:1}", REFUSED, "keys are strings"),
        (b"{'a':1}", REFUSED, "in double quotes"),
        (b"// no\n1", REFUSED, "no comments"),
        (b"[1", REFUSED, "cut off"),
        (b"{\"a\":", REFUSED, "cut off"),
        (b"\"\\x41\"", REFUSED, "an escape JSON does not have"),
        (b" 1", REFUSED, "blanks around it would be lost inside another document"),
        (b"1\n", REFUSED, "on either side"),
        (b"[ 1 , 2 ]", KEPT, "blanks inside stay"),
    ];
    for (text, kept, why) in rows {
        let found = verdict(text);
        assert_eq!(found.is_ok(), *kept, "{}: {why}: {found:?}", String::from_utf8_lossy(text));
        assert!(!matches!(found, Err(JsonFault::TooDeep | JsonFault::TooManyNodes { .. })), "{why}");
    }
}

fn deep(open: &str, close: &str, depth: usize) -> String {
    format!("{}{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn fault_w08_a_hundred_thousand_levels_use_no_more_stack_than_a_few() {
    let attack = || {
        let objects = format!("{}1{}", "{\"k\":".repeat(100_000), "}".repeat(100_000));
        for text in [deep("[", "]", 100_000), deep("[", "", 100_000), objects, "{\"k\":".repeat(100_000)] {
            assert_eq!(verdict(text.as_bytes()), Err(JsonFault::TooDeep));
            assert!(read(&text).is_err(), "as a whole body");
            assert!(read(&push_with("cursor", &text)).is_err(), "in a field of the envelope");
            assert!(read(&push_with("payload", &format!("{{\"json\":{text}}}"))).is_err(), "as a payload");
            assert!(read(&format!("{{\"surprise\":{text}}}")).is_err(), "in an unknown field");
        }
    };
    let small = std::thread::Builder::new().stack_size(256 << 10);
    small.spawn(attack).expect("a thread").join().expect("no overflow and no panic");
}

#[test]
fn fault_w09_ten_million_elements_are_refused_while_they_are_counted() {
    let max = limits::JSON_NODES_MAX;
    let text = format!("[{}1]", "1,".repeat(10_000_000));
    assert_eq!(verdict(text.as_bytes()), Err(JsonFault::TooManyNodes { max }));
    // Nothing behind the limit is looked at.
    let broken = format!("[{}!", "1,".repeat(max + 1));
    assert_eq!(verdict(broken.as_bytes()), Err(JsonFault::TooManyNodes { max }));
}

const FIELDS: [(&str, &str); 10] = [
    ("id", "\"01010101-0101-0101-0101-010101010101\""),
    ("replica", "\"02020202-0202-0202-0202-020202020202\""),
    ("kind", "\"create\""),
    ("collection", "\"things\""),
    ("entity", "\"03030303-0303-0303-0303-030303030303\""),
    ("clock", "{\"02020202-0202-0202-0202-020202020202\":1}"),
    ("hlc", "{\"ms\":5,\"counter\":1}"),
    ("schema_version", "1"),
    ("precondition", "{\"version\":1}"),
    ("payload", "{\"json\":1}"),
];

/// A push of one op, one of its fields with another text; `cursor`, `atomic` and `request` stand at the top.
fn push_with(name: &str, text: &str) -> String {
    let value = |field: &str, usual: &str| if field == name { text.to_owned() } else { usual.to_owned() };
    let op: Vec<String> = FIELDS.iter().map(|(field, usual)| format!("\"{field}\":{}", value(field, usual))).collect();
    let (cursor, atomic) = (value("cursor", "{\"seq\":1}"), value("atomic", "true"));
    format!("{{\"cursor\":{cursor},\"atomic\":{atomic},\"ops\":[{{{}}}]}}", op.join(","))
}

fn read(text: &str) -> Result<Push, WireError> {
    serde_json::from_str::<PushJson>(text)?.read(LOG)
}

const LOG: LogId = log(1).log;

#[test]
fn fault_w11_a_number_in_the_envelope_is_exact_or_refused() {
    type Field = (&'static str, fn(&str) -> String, u64, u64, fn(&Push) -> u64);
    let fields: [Field; 6] = [
        ("cursor", |n| format!("{{\"seq\":{n}}}"), 0, (1 << 63) - 1, |p| p.cursor.expect("given").seq.get()),
        (
            "clock",
            |n| format!("{{\"02020202-0202-0202-0202-020202020202\":{n}}}"),
            0,
            (1 << 53) - 1,
            |p| p.ops[0].counter(),
        ),
        ("hlc", |n| format!("{{\"ms\":{n}}}"), 0, (1 << 48) - 1, |p| p.ops[0].hlc().ms.ms()),
        ("hlc", |n| format!("{{\"ms\":5,\"counter\":{n}}}"), 0, (1 << 16) - 1, |p| p.ops[0].hlc().counter.into()),
        ("schema_version", |n| n.to_owned(), 1, 65_535, |p| p.ops[0].schema_version().into()),
        (
            "precondition",
            |n| format!("{{\"version\":{n}}}"),
            1,
            (1 << 63) - 1,
            |p| match p.ops[0].precondition() {
                Precondition::Version(version) => version.get(),
                other => panic!("{other:?}"),
            },
        ),
    ];
    let edges = [0, 16, 31, 32, 48, 53, 63].map(|bits| 1_u128 << bits);
    let exact = edges.into_iter().chain([1 << 64, 1 << 70]).flat_map(|edge| [edge - 1, edge, edge + 1]);
    let exact: Vec<u128> = exact.collect();
    for (name, shape, min, max, get) in fields {
        for value in &exact {
            let fits = (u128::from(min)..=u128::from(max)).contains(value);
            let found = read(&push_with(name, &shape(&value.to_string())));
            let found = found.map(|push| u128::from(get(&push))).ok();
            assert_eq!(found, fits.then_some(*value), "{name} {value}");
        }
        for odd in ["-1", "-0", "1.0", "1e0", "1.5", "1e999", "\"1\"", "true", "[1]", "01", "+1", "NaN"] {
            assert!(read(&push_with(name, &shape(odd))).is_err(), "{name} {odd}");
        }
    }
}

#[test]
fn fault_w12_unknown_and_repeated_fields_of_the_envelope_are_refused() {
    let good = push_with("", "");
    assert!(read(&good).is_ok());
    // Every object of the envelope; the payload's document is its author's business.
    let objects: Vec<usize> = good.match_indices('{').map(|(at, _)| at + 1).collect();
    assert_eq!(objects.len(), 7, "the push, cursor, op, clock, hlc, precondition, payload");
    for at in objects {
        let surprised = format!("{}\"surprise\":1,{}", &good[..at], &good[at..]);
        assert!(read(&surprised).is_err(), "{surprised}");
        let first = good[at..].split_inclusive([',', '}']).next().expect("a field");
        let first = first.trim_end_matches([',', '}']);
        if !first.contains(['{', '[']) {
            let repeated = format!("{}{first},{}", &good[..at], &good[at..]);
            assert!(read(&repeated).is_err(), "{repeated}");
        }
    }
    let twice = "{\"02020202-0202-0202-0202-020202020202\":0,\"02020202-0202-0202-0202-020202020202\":1}";
    assert!(read(&push_with("clock", twice)).is_err(), "a clock names a replica once, also beside a zero");
    assert!(read(&push_with("payload", "{\"json\":{\"surprise\":{\"surprise\":1}}}")).is_ok());
}

#[test]
fn a_field_of_the_wrong_form_is_refused() {
    let rows = [
        ("id", "\"01010101010101010101010101010101\"", "an id has hyphens"),
        ("id", "\"{01010101-0101-0101-0101-0101010101}\"", "and no braces"),
        ("id", "7", "and is a string"),
        ("kind", "\"explode\"", "a kind has a name"),
        ("kind", "\"kind_1\"", "and only one"),
        ("kind", "\"kind_256\"", "within a byte"),
        ("kind", "\"initial_state\"", "a full state is about the log"),
        ("collection", "\"\"", "a collection has a name"),
        ("collection", "\"a/b\"", "of few characters"),
        ("collection", "null", "and stands beside its entity"),
        ("entity", "null", "both or none"),
        ("precondition", "\"maybe\"", "three preconditions"),
        ("precondition", "{\"version\":1,\"absent\":null}", "one at a time"),
        ("payload", "{}", "one payload"),
        ("payload", "{\"json\":1,\"plain\":\"\"}", "in one form"),
        ("payload", "{\"plain\":\"AA\"}", "base64 is padded"),
        ("payload", "{\"plain\":\"AB==\"}", "with zeros"),
        ("payload", "{\"plain\":\"A-_=\"}", "in the standard alphabet"),
        ("payload", "{\"json\":\"\\ud800\"}", "a payload is acceptable JSON"),
        ("payload", "{\"json\":{\"a\":1,\"a\":2}}", "whatever the envelope says"),
        ("atomic", "1", "yes or no"),
        ("atomic", "null", "said or left out"),
        ("hlc", "{}", "a time is there"),
        ("cursor", "{\"seq\":1,\"anchor\":\"00\"}", "an anchor has 96 digits"),
    ];
    for (field, text, why) in rows {
        assert!(read(&push_with(field, text)).is_err(), "{field} {text}: {why}");
    }
}

#[test]
fn fault_w06_a_body_cut_off_anywhere_is_refused() {
    let good = push_with("", "");
    for end in 0..good.len() {
        assert!(read(&good[..end]).is_err(), "{}", &good[..end]);
    }
    for tail in ["x", "{}", "\0", ",", "]", "\u{feff}"] {
        assert!(read(&format!("{good}{tail}")).is_err(), "followed by {tail:?}");
    }
    assert!(read(&format!("\u{feff}{good}")).is_err(), "after a byte order mark");
    assert!(read(&format!(" \n{good}\r\n")).is_ok(), "blanks around a body mean nothing");
}

fn binary_push() -> Bytes {
    let mut author = Author::new(1);
    let ops = (0..3).map(|_| author.op(OpKind::Create, "things", 1, "payload")).collect();
    encode_push(&Push { log: LOG, request: None, cursor: None, atomic: true, ops })
}

#[test]
fn fault_w06_a_binary_body_cut_off_or_lengthened_is_refused() {
    let good = binary_push();
    assert!(decode_push(LOG, good.clone()).is_ok());
    for end in 0..good.len() {
        assert!(decode_push(LOG, good.slice(..end)).is_err(), "at {end}");
    }
    let longer = Bytes::from([&good[..], b"\0"].concat());
    assert_eq!(decode_push(LOG, longer).expect_err("refused"), WireError::Binary(DecodeError::Trailing(1)));
}

#[test]
fn a_count_that_the_body_cannot_hold_is_refused_before_anything_is_built() {
    for claimed in [1, 2, 1_000, u64::from(u32::MAX), u64::MAX / 43, u64::MAX - 1, u64::MAX] {
        let body = |tag: u8, before: &[u8]| {
            let mut out = Writer::default();
            out.fixed(&[1, tag]);
            out.fixed(before);
            out.u64(claimed);
            out.fixed(&[0; 40]);
            out.finish()
        };
        let truncated =
            |result: Result<(), WireError>| matches!(result, Err(WireError::Binary(DecodeError::Truncated(_))));
        assert!(truncated(decode_push(LOG, body(1, &[0])).map(drop)), "{claimed} ops");
        assert!(truncated(decode_page(body(3, &[0, 0, 0, 0])).map(drop)), "{claimed} ops of a page");
        // A verdict is at least two bytes, so that few of them do fit; they are still no verdicts.
        assert!(decode_pushed(body(2, &[0])).is_err(), "{claimed} verdicts");
        let before_clock = [&[1][..], &[0; 48]].concat();
        assert!(decode_snapshot(body(4, &before_clock)).is_err(), "{claimed} entries of a clock");
    }
}

#[test]
fn a_binary_body_is_of_one_version_and_the_kind_expected() {
    let good = binary_push();
    for (at, byte) in [(0, 0), (0, 2), (1, 0), (1, 2), (1, 9), (2, 0b1000), (2, 0xff)] {
        let mut body = good.to_vec();
        body[at] = byte;
        let refused = decode_push(LOG, body.into()).expect_err("refused");
        assert!(matches!(refused, WireError::Binary(DecodeError::Unknown { .. })), "byte {at} is {byte}: {refused}");
    }
    for refused in
        [decode_page(good.clone()).map(drop), decode_pushed(good.clone()).map(drop), decode_snapshot(good).map(drop)]
    {
        assert!(matches!(refused, Err(WireError::Binary(DecodeError::Unknown { .. }))));
    }
}

#[test]
fn fault_w10_an_accepted_payload_keeps_its_text_to_the_byte() {
    for text in ["-0", "1e2", "[ 1 , 2 ]", "{\"b\":1,\"a\":1.0}", "\"\\u0000\\/\"", "123456789012345678901234567890"] {
        let push = read(&push_with("payload", &format!("{{\"json\":{text}}}"))).expect("kept");
        assert_eq!(push.ops[0].payload(), &Payload::Json(text.to_owned().into()));
    }
}

/// Found by a fuzzer: the binary form took a state that the JSON form could not say.
#[test]
fn a_snapshot_that_says_it_is_json_is_json_in_both_forms() {
    let snapshot = |text: &'static str| Snapshot {
        seq: Seq::FIRST,
        anchor: Anchor::genesis(log(1), Origin([4; 16])),
        clock: VectorClock::new(),
        schema_version: 1,
        payload: Payload::Json(text.into()),
    };
    for text in ["\u{1}\0", "", "{\"a\":1,\"a\":1}", "1e999", " 1"] {
        assert!(decode_snapshot(encode_snapshot(&snapshot(text))).is_err(), "{text:?}");
    }
    let good = snapshot("{\"a\": 1}");
    assert_eq!(decode_snapshot(encode_snapshot(&good)).expect("reads"), good);
    assert_eq!(SnapshotJson::of(&good).and_then(SnapshotJson::read), Ok(good));
    let repeated = SnapshotJson::of(&snapshot("{\"a\":1,\"a\":1}"));
    assert!(repeated.and_then(SnapshotJson::read).is_err());
}

/// Left out and `null` are two things to some who write JSON and one to others.
#[test]
fn fault_w10_null_is_no_way_to_leave_a_field_out() {
    use syncline::wire::json::{MakeLinkJson, MintTokenJson, PushJson, QuotaJson};

    fn reads<T: serde::de::DeserializeOwned>(text: &str) -> bool {
        serde_json::from_str::<T>(text).is_ok()
    }
    let token = |more: &str| format!(r#"{{"name":"a","access":"read"{more}}}"#);
    assert!(reads::<MintTokenJson>(&token("")));
    for field in ["logs", "replica", "expires_at"] {
        assert!(!reads::<MintTokenJson>(&token(&format!(r#","{field}":null"#))), "{field}");
    }
    assert!(reads::<QuotaJson>("{}") && !reads::<QuotaJson>(r#"{"quota":null}"#));
    let node = "00000000-0000-7000-8000-000000000001";
    assert!(reads::<MakeLinkJson>(&format!(r#"{{"node":"{node}"}}"#)));
    for field in ["pin", "expires_at", "password", "max_downloads"] {
        assert!(!reads::<MakeLinkJson>(&format!(r#"{{"node":"{node}","{field}":null}}"#)), "{field}");
    }
    assert!(reads::<PushJson>(r#"{"cursor":{"seq":0},"ops":[]}"#));
    for body in [r#"{"cursor":null,"ops":[]}"#, r#"{"cursor":{"seq":0,"anchor":null},"ops":[]}"#] {
        assert!(!reads::<PushJson>(body), "{body}");
    }
}
