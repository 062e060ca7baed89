//! Bodies of calls and answers in both forms, of any origin.
//!
//! What must hold: a body is refused or says the same after every way through both forms; a binary body has one spelling;
//! an op keeps its bytes.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use syncline::arbitrary;
use syncline::call::{Commit, Push};
use syncline::oplog::Op;
use syncline::tree::Label;
use syncline::wire::binary;
use syncline::wire::json::{
    CommitJson, DevicesJson, LogJson, LogsJson, OpJson, PageJson, ProblemJson, PushJson, PushedJson, RestoreJson,
    RestorePointsJson, SnapshotJson,
};

use crate::files::{commit, edge};
use crate::given::{each, how};
use crate::hostile_text::mutate;
use crate::random::Random;

use syncline::{LogId, OpId, ReplicaId};

const LOG: LogId = syncline::conformance::support::log(1).log;

/// Read, written and read again it is the same text.
fn text_of<T: Serialize + DeserializeOwned>(data: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(data).ok()?;
    let text = serde_json::to_string(&read).expect("what was read is written");
    let again: T = serde_json::from_str(&text).expect("what was written is read");
    assert_eq!(serde_json::to_string(&again).expect("written again"), text);
    Some(again)
}

/// One of the values of a body exchanged for one that nobody thought of, or taken out.
fn exchange(body: &mut Value, random: &mut Random) {
    let mut at = body;
    loop {
        let many = match &*at {
            Value::Array(items) => items.len(),
            Value::Object(fields) => fields.len(),
            _ => 0,
        };
        if many == 0 || random.below(4) == 0 {
            break;
        }
        let which = random.below(many);
        if random.below(16) == 0 {
            match at {
                Value::Array(items) => drop(items.remove(which)),
                Value::Object(fields) => {
                    let name = fields.keys().nth(which).expect("a field").clone();
                    fields.remove(&name);
                }
                _ => {}
            }
            return;
        }
        at = match at {
            Value::Array(items) => &mut items[which],
            Value::Object(fields) => fields.values_mut().nth(which).expect("a field"),
            _ => return,
        };
    }
    *at = match random.below(6) {
        0 => json!(edge(random)),
        1 => Value::Null,
        2 => json!(["", "\u{0}", "00000000-0000-7000-8000-000000000001", "sealed", "absent", "AAAA"][random.below(6)]),
        3 => [json!({}), json!([]), json!(1.5), json!(-1), json!(true), json!("é")][random.below(6)].clone(),
        4 => json!([at.clone(), at.clone()]),
        _ => json!({ "json": at.clone() }),
    };
}

/// A good body of the kind that `how` says, with a few exchanges.
fn nearly_good(how: u8, data: &[u8]) -> Vec<u8> {
    let (tape, data) = data.split_at(data.len().min(24));
    let mut random = Random::over(tape);
    let body = if how.is_multiple_of(2) {
        let ops = each(&arbitrary::op(), &data[..data.len().min(12)]);
        serde_json::to_value(PushJson::of(&push(ops)).expect("sealed ops"))
    } else {
        let Some(ops) = commit(&mut random) else { return Vec::new() };
        let (id, replica) = (OpId::from_bytes([1; 16]), ReplicaId::from_bytes([2; 16]));
        let label = Label::new("phone").expect("a label");
        serde_json::to_value(CommitJson::of(&Commit { log: LOG, id, replica, label, ops }))
    };
    let mut body = body.expect("writes");
    for _ in 0..random.below(3) {
        exchange(&mut body, &mut random);
    }
    serde_json::to_vec(&body).expect("writes")
}

fn push(ops: Vec<Op>) -> Push {
    Push { log: LOG, request: None, cursor: None, atomic: false, ops }
}

pub(crate) fn wire_json(data: &[u8]) {
    let (how, data) = how(data);
    if how < 128 {
        return wire_json_of(how, data);
    }
    let body = nearly_good(how, data);
    wire_json_of(if how.is_multiple_of(2) { 0 } else { 11 }, &body);
}

fn wire_json_of(how: u8, data: &[u8]) {
    match how % 12 {
        0 => {
            let Some(Ok(push)) = text_of::<PushJson>(data).map(|body| body.read(LOG)) else { return };
            let text = serde_json::to_vec(&PushJson::of(&push).expect("sealed ops")).expect("writes");
            let again = serde_json::from_slice::<PushJson>(&text).expect("reads").read(LOG).expect("reads");
            assert_eq!(binary::encode_push(&again), binary::encode_push(&push));
            let back = binary::decode_push(LOG, binary::encode_push(&push)).expect("goes through the other form");
            assert_eq!(back.ops, push.ops);
        }
        1 => {
            let Some(Ok(page)) = text_of::<PageJson>(data).map(PageJson::read) else { return };
            assert_eq!(binary::decode_page(binary::encode_page(&page)), Ok(page.clone()));
            assert_eq!(PageJson::of(&page).and_then(PageJson::read), Ok(page));
        }
        2 => {
            let Some(Ok(pushed)) = text_of::<PushedJson>(data).map(PushedJson::read) else { return };
            assert_eq!(binary::decode_pushed(binary::encode_pushed(&pushed)), Ok(pushed.clone()));
            assert_eq!(PushedJson::of(&pushed).and_then(PushedJson::read), Ok(pushed));
        }
        3 => {
            let Some(Ok(snapshot)) = text_of::<SnapshotJson>(data).map(SnapshotJson::read) else { return };
            assert_eq!(binary::decode_snapshot(binary::encode_snapshot(&snapshot)), Ok(snapshot.clone()));
            assert_eq!(SnapshotJson::of(&snapshot).and_then(SnapshotJson::read), Ok(snapshot));
        }
        4 => {
            let _ = text_of::<LogJson>(data).map(LogJson::read);
        }
        5 => {
            let _ = text_of::<LogsJson>(data).map(LogsJson::read);
        }
        6 => {
            let _ = text_of::<RestorePointsJson>(data).map(RestorePointsJson::read);
        }
        7 => {
            let _ = text_of::<DevicesJson>(data).map(DevicesJson::read);
        }
        8 => {
            let _ = text_of::<ProblemJson>(data).map(ProblemJson::read);
        }
        9 => drop(text_of::<RestoreJson>(data)),
        11 => {
            let Some(Ok(commit)) = text_of::<CommitJson>(data).map(|body| body.read(LOG)) else { return };
            let text = serde_json::to_vec(&CommitJson::of(&commit)).expect("writes");
            let again = serde_json::from_slice::<CommitJson>(&text).expect("reads").read(LOG).expect("reads");
            assert_eq!((again.id, again.ops.to_bytes()), (commit.id, commit.ops.to_bytes()));
        }
        _ => {
            let Some(Ok(op)) = text_of::<OpJson>(data).map(|body| body.read(0)) else { return };
            assert_eq!(OpJson::of(&op).and_then(|body| body.read(0)), Ok(op));
        }
    }
}

pub(crate) fn wire_binary(data: &[u8]) {
    let (how, data) = how(data);
    let body = if how < 128 {
        Bytes::copy_from_slice(data)
    } else {
        let (tape, data) = data.split_at(data.len().min(16));
        let ops = each(&arbitrary::op(), &data[..data.len().min(16)]);
        let push = Push { atomic: how.is_multiple_of(2), ..push(ops) };
        let mut bytes = binary::encode_push(&push).to_vec();
        mutate(&mut bytes, &mut Random::over(tape));
        bytes.into()
    };
    if let Ok(blobs) = binary::decode_blobs(body.clone()) {
        assert_eq!(binary::encode_blobs(&blobs), body, "one spelling");
    }
    if let Ok(push) = binary::decode_push(LOG, body.clone()) {
        assert_eq!(binary::encode_push(&push), body, "one spelling");
        let text = serde_json::to_vec(&PushJson::of(&push).expect("sealed ops")).expect("writes");
        let again = serde_json::from_slice::<PushJson>(&text).expect("reads").read(LOG).expect("reads");
        assert_eq!(binary::encode_push(&again), body, "through the other form");
    }
    if let Ok(page) = binary::decode_page(body.clone()) {
        assert_eq!(binary::encode_page(&page), body, "one spelling");
    }
    if let Ok(pushed) = binary::decode_pushed(body.clone()) {
        assert_eq!(binary::encode_pushed(&pushed), body, "one spelling");
    }
    if let Ok(snapshot) = binary::decode_snapshot(body.clone()) {
        assert_eq!(binary::encode_snapshot(&snapshot), body, "one spelling");
    }
}
