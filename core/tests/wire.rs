//! The bytes on the wire: golden files of every body, and two forms that say the same.
//!
//! How: `wire.golden/` holds each JSON body as text and each binary body as hexadecimal digits. A change there is a
//! change of the protocol. Random ops then go through both forms and must come out as they went in, to the byte.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "each proof uses its part")]
mod common;
#[path = "wire/tree.rs"]
mod tree;

use bytes::Bytes;
use common::{golden, seq};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::num::NonZeroU32;
use syncline::access::{Access, Bearer};
use syncline::arbitrary::{cursor, op, timestamp};
use syncline::blob::ScanPolicy;
use syncline::call::{ErrorCode, LeftOut, Page, PageOp, Push, Pushed, Refusal};
use syncline::conformance::author::{Author, entity_subject};
use syncline::conformance::support::{env, log};
use syncline::oplog::{
    ConflictReason, Draft, FullStateKind, FullStateMark, Head, HeadState, Holder, Holders, LogBounds, Op, OpKind,
    Payload, Precondition, RejectReason, RestorePoint, Sealing, Snapshot, Subject, Verdict,
};
use syncline::store::LogSummary;
use syncline::wire::binary;
use syncline::wire::json::{
    AcknowledgeJson, AcknowledgedJson, CreateGroupJson, DevicesJson, LogJson, LogsJson, MintTokenJson, OpJson,
    PageJson, ProblemJson, PushJson, PushedJson, RestoreJson, RestorePointsJson, RestoredJson, RotateKeysJson,
    ScanningJson, SnapshotJson, TokenJson, UndoRestoreJson,
};
use syncline::{
    Anchor, Cursor, EntityId, Hlc, LogId, Origin, ReplicaId, RequestId, Seq, Timestamp, TokenId, VectorClock,
};

const LOG: LogId = log(1).log;

fn anchor() -> Anchor {
    Anchor::genesis(log(1), Origin([4; 16]))
}

fn at(number: u64) -> Cursor {
    Cursor { seq: seq(number), anchor: Some(anchor()) }
}

fn clock() -> VectorClock {
    let mut author = Author::new(1);
    author.counter_is(3);
    author.clock().clone()
}

/// One op of every kind, payload form and precondition.
fn ops() -> Vec<Op> {
    let mut author = Author::new(1);
    let json = |text: &'static str| Payload::Json(text.into());
    let also = |mut subject: Subject| {
        if let Subject::Entity { also, .. } = &mut subject {
            also.extend([[2; 16], [3; 16]].map(EntityId::from_bytes));
        }
        subject
    };
    let things = || entity_subject("things", 1);
    let drafts = [
        author.draft(OpKind::Create, things(), json("{\"b\":1, \"a\":[1e2,-0]}")),
        Draft {
            precondition: Precondition::Version(seq(7)),
            ..author.draft(OpKind::Update, also(things()), Payload::Plain(Bytes::from_static(b"\0\xff plain")))
        },
        Draft { precondition: Precondition::Absent, ..author.draft(OpKind::Delete, things(), json("null")) },
        author.draft(OpKind::Move, things(), Payload::Sealed(Bytes::from_static(b"\x80\x81 sealed"))),
        author.draft(OpKind::Batch, things(), json("\"\\u0000\"")),
        author.draft(OpKind::Other(200), things(), json("{}")),
        author.draft(OpKind::FullState(FullStateKind::Initial), Subject::Log, Payload::Plain(Bytes::new())),
        author.draft(OpKind::FullState(FullStateKind::Recovery), Subject::Log, Payload::Plain(Bytes::new())),
        Draft {
            hlc: Hlc { ms: Timestamp::MAX, counter: u16::MAX },
            ..author.draft(OpKind::FullState(FullStateKind::Repair), Subject::Log, Payload::Plain(Bytes::new()))
        },
    ];
    drafts.into_iter().map(|draft| draft.seal().expect("a good draft")).collect()
}

fn full_push() -> Push {
    let request = Some(RequestId::from_bytes([6; 16]));
    Push { log: LOG, request, cursor: Some(at(9)), atomic: true, ops: ops() }
}

fn bare_push() -> Push {
    Push { log: LOG, request: None, cursor: Some(Cursor::START), atomic: false, ops: ops()[..1].to_vec() }
}

fn page() -> Page {
    let page_op = |(index, op): (usize, &Op)| PageOp {
        seq: seq(index as u64 + 10),
        accepted_at: env(index as u64).now,
        batch_rest: u32::from(index == 0),
        op: op.raw().clone(),
    };
    Page {
        ops: ops().iter().enumerate().map(page_op).collect(),
        left_out: Vec::new(),
        next: at(18),
        end: seq(20),
        more: true,
    }
}

/// What a partial reader of the fourth collection gets of a page.
fn part_of_page() -> Page {
    let left = |index: u64, full_state| LeftOut {
        seq: seq(index + 20),
        accepted_at: env(index).now,
        batch_rest: u32::from(index == 1),
        digest: ops()[0].digest(),
        replica: Author::new(u8::try_from(index % 2).unwrap_or(0)).replica(),
        counter: index * 1_000,
        full_state,
    };
    Page { left_out: (0..5).map(|index| left(index, index == 4)).collect(), ..page() }
}

/// Every verdict there is.
fn verdicts() -> Vec<Verdict> {
    let head = |state| {
        let (op, replica) = (ops()[0].id(), Author::new(1).replica());
        Some(Box::new(Head { version: seq(5), op, replica, clock: clock(), state }))
    };
    let mut verdicts = vec![Verdict::Accepted { seq: seq(1) }, Verdict::Duplicate { seq: Seq::MAX }];
    let heads = [None, head(HeadState::Live(None)), head(HeadState::Tombstone(env(1).now))];
    let conflicts = ConflictReason::ALL.iter().zip(heads.iter().cycle());
    verdicts.extend(conflicts.map(|((reason, ..), head)| Verdict::Conflict { reason: *reason, head: head.clone() }));
    let rejects = RejectReason::ALL.iter().map(|(reason, ..)| reason.with_number(42));
    verdicts.extend(rejects.map(|reason| Verdict::Rejected { reason }));
    verdicts
}

fn pushed() -> Pushed {
    Pushed {
        verdicts: verdicts(),
        replayed: true,
        accepted_at: ACCEPTED_AT,
        newer: Some(Page { ops: Vec::new(), ..page() }),
    }
}

fn snapshot(payload: Payload) -> Snapshot {
    Snapshot { seq: seq(9), anchor: anchor(), clock: clock(), schema_version: 3, payload }
}

fn snapshots() -> [Snapshot; 3] {
    let bytes = Bytes::from_static(b"\x01\0");
    [Payload::Plain(bytes.clone()), Payload::Sealed(bytes), Payload::Json("{}".into())].map(snapshot)
}

fn bounds() -> LogBounds {
    let mark = FullStateMark { seq: seq(3), op: ops()[0].id(), clock: clock(), seen: clock() };
    LogBounds {
        first: seq(2),
        last: seq(9),
        clock: clock(),
        full_state: Some(mark),
        snapshot: seq(4),
        bytes: 12_345,
        damaged: true,
        sealing: Sealing::Required,
        key_epoch: 7,
        ..LogBounds::new(log(1), Origin([4; 16]), env(0).now)
    }
}

fn fresh() -> LogBounds {
    LogBounds::new(log(1), Origin([4; 16]), env(0).now)
}

fn holders() -> Holders {
    let holder = |number: u8| (Author::new(number).replica(), Holder { seq: seq(number.into()), heard_at: env(0).now });
    Holders::listed([holder(1), holder(2)], seq(1), Some(env(1).now))
}

fn points() -> Vec<RestorePoint> {
    let kinds = [FullStateKind::Initial, FullStateKind::Recovery, FullStateKind::Repair];
    let point = |kind| {
        let hlc = Hlc { ms: env(0).now, counter: 2 };
        RestorePoint { seq: seq(3), op: ops()[0].id(), kind, replica: ReplicaId::SERVER, hlc, accepted_at: env(1).now }
    };
    kinds.map(point).into()
}

const ACCEPTED_AT: Timestamp = Timestamp::from_ms(1_700_000_000_000).unwrap();

/// The body as golden text; reading it and writing it again changes nothing.
fn check<T: Serialize + DeserializeOwned>(name: &str, body: &T) -> T {
    let mut text = serde_json::to_string_pretty(body).expect("writes");
    let again: T = serde_json::from_str(&text).expect("reads");
    assert_eq!(serde_json::to_string_pretty(&again).expect("writes"), text, "{name}");
    text.push('\n');
    golden(&format!("wire.golden/{name}.json"), &text);
    again
}

fn check_binary(name: &str, body: &Bytes) {
    let digits: Vec<String> = body.iter().map(|byte| format!("{byte:02x}")).collect();
    let lines: Vec<String> = digits.chunks(32).map(|line| line.join("")).collect();
    golden(&format!("wire.golden/{name}.hex"), &(lines.join("\n") + "\n"));
}

#[test]
fn every_json_body_is_as_agreed() {
    for (name, push) in [("push", full_push()), ("push_bare", bare_push())] {
        let read = check(name, &PushJson::of(&push).expect("writes")).read(LOG).expect("reads");
        assert_eq!(binary::encode_push(&read), binary::encode_push(&push));
    }
    assert_eq!(check("page", &PageJson::of(&page()).expect("writes")).read(), Ok(page()));
    assert_eq!(check("page_of_part", &PageJson::of(&part_of_page()).expect("writes")).read(), Ok(part_of_page()));
    assert_eq!(check("pushed", &PushedJson::of(&pushed()).expect("writes")).read(), Ok(pushed()));
    for (name, snapshot) in ["snapshot_plain", "snapshot_sealed", "snapshot_json"].into_iter().zip(snapshots()) {
        assert_eq!(check(name, &SnapshotJson::of(&snapshot).expect("writes")).read(), Ok(snapshot));
    }
    for (name, bounds, created) in [("log", bounds(), false), ("log_fresh", fresh(), true)] {
        assert_eq!(check(name, &LogJson::of(LOG, &bounds, created)).read(), Ok(bounds));
    }
    let logs = vec![LogSummary { log: LOG, bounds: fresh() }, LogSummary { log: log(2).log, bounds: bounds() }];
    assert_eq!(check("logs", &LogsJson::of(&logs)).read(), Ok(logs));
    assert_eq!(check("restore_points", &RestorePointsJson::of(&points())).read(), Ok(points()));
    check("restored", &RestoredJson { seq: seq(9), end: at(9) });
    let request = RequestId::from_bytes([6; 16]);
    check("restore", &RestoreJson { to: seq(3), seen: at(9), request });
    check("undo_restore", &UndoRestoreJson { seen: at(9), request });
    check("acknowledge", &AcknowledgeJson { replica: Author::new(1).replica(), cursor: at(9) });
    check("acknowledged", &AcknowledgedJson { stable: seq(7), devices: 3 });
    let holders = holders();
    assert_eq!(check("devices", &DevicesJson::of(&holders)).read(), holders);
    check("rotate_keys", &RotateKeysJson { from: u32::MAX });
    let bearer = Bearer::new(log(1).bucket, TokenId::from_bytes([8; 16]), [7; 32]);
    check("token", &TokenJson { id: bearer.id(), token: bearer.to_string() });
    let (logs, replica, expires_at) = (Some(vec![LOG]), Some(Author::new(1).replica()), Some(env(0).now));
    check("mint_token", &MintTokenJson { name: "phone".into(), access: Access::Write, logs, replica, expires_at });
    let name = "operator".to_owned();
    check(
        "mint_token_bare",
        &MintTokenJson { name, access: Access::Admin, logs: None, replica: None, expires_at: None },
    );
    let refusal = Refusal::new(ErrorCode::GapDiverged, "for people").with_end(at(9)).at_op(3);
    let again = check("problem", &ProblemJson::of(&refusal)).read().expect("a known code");
    let said = |refusal: &Refusal| (refusal.code, refusal.detail.clone(), refusal.end, refusal.index);
    assert_eq!(said(&again), said(&refusal));
    let busy = ProblemJson::of(&Refusal::new(ErrorCode::Busy, "for people").with_retry_after(1_500));
    assert_eq!(busy.retry_after_s, Some(2), "whole seconds, never fewer than said");
    assert_eq!(busy.read().expect("a known code").retry_after_ms, NonZeroU32::new(2_000));
}

#[test]
fn every_binary_body_is_as_agreed() {
    for (name, push) in [("push", full_push()), ("push_bare", bare_push())] {
        let bytes = binary::encode_push(&push);
        check_binary(name, &bytes);
        assert_eq!(binary::encode_push(&binary::decode_push(LOG, bytes.clone()).expect("reads")), bytes);
    }
    check_binary("page", &binary::encode_page(&page()));
    assert_eq!(binary::decode_page(binary::encode_page(&page())), Ok(page()));
    check_binary("page_of_part", &binary::encode_page(&part_of_page()));
    assert_eq!(binary::decode_page(binary::encode_page(&part_of_page())), Ok(part_of_page()));
    check_binary("pushed", &binary::encode_pushed(&pushed()));
    assert_eq!(binary::decode_pushed(binary::encode_pushed(&pushed())), Ok(pushed()));
    for (name, snapshot) in ["snapshot_plain", "snapshot_sealed", "snapshot_json"].into_iter().zip(snapshots()) {
        let bytes = binary::encode_snapshot(&snapshot);
        check_binary(name, &bytes);
        assert_eq!(binary::decode_snapshot(bytes), Ok(snapshot));
    }
}

#[test]
fn every_code_of_a_refusal_has_its_line() {
    let mut table = String::from("# code: status, advice\n");
    for code in ErrorCode::ALL {
        assert_eq!(ErrorCode::from_name(code.name()), Some(*code));
        table += &format!("{}: {}, {}\n", code.name(), code.status(), code.advice().name());
    }
    golden("wire.golden/codes.txt", &table);
}

#[test]
fn a_request_with_an_unknown_field_is_refused() {
    fn refuses<T: Serialize + DeserializeOwned>(body: &T) {
        let text = serde_json::to_string(body).expect("writes");
        let surprised = text.replacen('{', "{\"surprise\":1,", 1);
        assert!(serde_json::from_str::<T>(&text).is_ok() && serde_json::from_str::<T>(&surprised).is_err(), "{text}");
    }
    let request = RequestId::from_bytes([6; 16]);
    refuses(&PushJson::of(&bare_push()).expect("writes"));
    refuses(&OpJson::of(&ops()[0]).expect("writes"));
    refuses(&SnapshotJson::of(&snapshots()[0]).expect("writes"));
    refuses(&RestoreJson { to: seq(3), seen: at(9), request });
    refuses(&UndoRestoreJson { seen: at(9), request });
    refuses(&RotateKeysJson { from: 1 });
    refuses(&CreateGroupJson { name: "x".into() });
    refuses(&ScanningJson { policy: ScanPolicy::Meanwhile });
    refuses(&MintTokenJson { name: "x".into(), access: Access::Read, logs: None, replica: None, expires_at: None });
}

#[test]
fn an_answer_of_a_newer_server_with_a_field_more_still_reads() {
    let text = serde_json::to_string(&PageJson::of(&page()).expect("writes")).expect("writes");
    let newer = text.replacen('{', "{\"surprise\":1,", 1);
    assert_eq!(serde_json::from_str::<PageJson>(&newer).expect("reads").read(), Ok(page()));
}

/// Without clock and payload an op is forty-two bytes long.
#[test]
fn the_shortest_op_goes_through_the_binary_wire() {
    let draft = Draft {
        clock: VectorClock::new(),
        hlc: Hlc::default(),
        ..Author::new(1).draft(OpKind::FullState(FullStateKind::Initial), Subject::Log, Payload::Plain(Bytes::new()))
    };
    let op = draft.seal().expect("a good draft");
    assert_eq!(op.bytes().len(), 42);
    for count in [1, 2, 9] {
        let push = Push { ops: vec![op.clone(); count], ..bare_push() };
        assert_eq!(binary::decode_push(LOG, binary::encode_push(&push)).expect("reads").ops, push.ops);
        let page_op = PageOp { seq: seq(1), accepted_at: Timestamp::default(), batch_rest: 0, op: op.raw().clone() };
        let page =
            Page { ops: vec![page_op; count], left_out: Vec::new(), next: Cursor::START, end: seq(1), more: false };
        assert_eq!(binary::decode_page(binary::encode_page(&page)), Ok(page));
    }
}

proptest! {
    #[test]
    fn both_forms_say_the_same_and_keep_every_op_to_the_byte(
        ops in vec((op(), timestamp(), any::<u32>()), 0..6),
        position in cursor(),
        flags in any::<[bool; 2]>(),
    ) {
        let [atomic, more] = flags;
        let push = Push {
            log: LOG,
            request: atomic.then(|| RequestId::from_bytes([6; 16])),
            cursor: Some(position).filter(|_| more),
            atomic,
            ops: ops.iter().map(|(op, ..)| op.clone()).collect(),
        };
        let bytes = binary::encode_push(&push);
        let text = serde_json::to_string(&PushJson::of(&push).expect("writes")).expect("writes");
        let from_json = serde_json::from_str::<PushJson>(&text).expect("reads").read(LOG).expect("reads");
        let from_binary = binary::decode_push(LOG, bytes.clone()).expect("reads");
        prop_assert_eq!(binary::encode_push(&from_json), &bytes);
        prop_assert_eq!(binary::encode_push(&from_binary), &bytes);

        let page_op = |(op, accepted_at, batch_rest): &(Op, Timestamp, u32)| {
            PageOp { seq: position.seq, accepted_at: *accepted_at, batch_rest: *batch_rest, op: op.raw().clone() }
        };
        let page = Page { ops: ops.iter().map(page_op).collect(), left_out: Vec::new(), next: position, end: position.seq, more };
        let pushed = Pushed { verdicts: verdicts(), replayed: atomic, accepted_at: ACCEPTED_AT, newer: Some(page) };
        let text = serde_json::to_string(&PushedJson::of(&pushed).expect("writes")).expect("writes");
        let from_json = serde_json::from_str::<PushedJson>(&text).expect("reads").read();
        prop_assert_eq!(&from_json, &Ok(pushed.clone()));
        prop_assert_eq!(binary::decode_pushed(binary::encode_pushed(&pushed)), from_json);
    }

    #[test]
    fn json_text_survives_every_wire_to_the_byte(text in "[ \n]{0,2}(1|\\[ 1,2 \\]|\\{ \"a\" : 1 \\})[ \n]{0,2}") {
        let payload = Payload::Json(text.clone().into());
        let draft = Author::new(1).draft(OpKind::Create, entity_subject("things", 1), payload);
        // What a document inside another would lose is refused before it is signed and stored.
        if let Ok(op) = draft.seal() {
            let json = serde_json::to_string(&OpJson::of(&op).expect("writes")).expect("writes");
            prop_assert_eq!(serde_json::from_str::<OpJson>(&json).expect("reads").read(0), Ok(op));
        } else {
            prop_assert_ne!(text.trim(), text.as_str());
        }
    }
}
