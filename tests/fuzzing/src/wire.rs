//! Bodies of calls and answers in both forms, of any origin.
//!
//! What must hold: a body is refused or says the same after every way through both forms; a binary body has one spelling;
//! an op keeps its bytes.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use syncline::LogId;
use syncline::arbitrary;
use syncline::call::Push;
use syncline::wire::binary;
use syncline::wire::json::{
    DevicesJson, LogJson, LogsJson, OpJson, PageJson, ProblemJson, PushJson, PushedJson, RestoreJson,
    RestorePointsJson, SnapshotJson,
};

use crate::given::{each, how};
use crate::hostile_text::mutate;
use crate::random::Random;

const LOG: LogId = syncline::conformance::support::log(1).log;

/// Read, written and read again it is the same text.
fn text_of<T: Serialize + DeserializeOwned>(data: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(data).ok()?;
    let text = serde_json::to_string(&read).expect("what was read is written");
    let again: T = serde_json::from_str(&text).expect("what was written is read");
    assert_eq!(serde_json::to_string(&again).expect("written again"), text);
    Some(again)
}

pub(crate) fn wire_json(data: &[u8]) {
    let (how, data) = how(data);
    match how % 11 {
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
        let push = Push { log: LOG, request: None, cursor: None, atomic: how.is_multiple_of(2), ops };
        let mut bytes = binary::encode_push(&push).to_vec();
        mutate(&mut bytes, &mut Random::over(tape));
        bytes.into()
    };
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
