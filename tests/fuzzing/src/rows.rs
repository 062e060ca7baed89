//! Rows of a store and snapshots: bytes of any origin, and those of values with a few changes.
//!
//! What must hold: a row is refused or has one spelling; a log's state and its snapshot read back as they were, and a
//! prefix, its snapshot and the rest lead to what the whole leads to.

use bytes::Bytes;
use syncline::arbitrary;
use syncline::codec::{Reader, Writer};
use syncline::oplog::{Head, LogBounds, LogState, Op, Payload, Verdict};
use syncline::wire::binary;
use syncline::wire::json::SnapshotJson;

use crate::core_laws::{bounds, check, head, history, read_whole, snapshot as any_snapshot, verdict, written};
use crate::given::{each, how};

/// Where a row is changed, and how.
fn change(data: &[u8]) -> (usize, u8) {
    match data {
        [at, byte, ..] => (usize::from(*at), *byte),
        _ => (0, 0),
    }
}

pub(crate) fn one_spelling<T, E>(bytes: &Bytes, decode: impl Fn(Bytes) -> Result<T, E>, encode: impl Fn(&T) -> Bytes) {
    if let Ok(value) = decode(bytes.clone()) {
        assert_eq!(encode(&value), *bytes, "one spelling");
    }
}

fn verdict_bytes(verdict: &Verdict) -> Bytes {
    written(|out: &mut Writer| verdict.encode(out))
}

fn read_verdict(bytes: Bytes) -> Result<Verdict, syncline::codec::DecodeError> {
    read_whole(bytes, |input: &mut Reader| Verdict::decode(input))
}

pub(crate) fn store_rows(data: &[u8]) {
    let (how, data) = how(data);
    let bytes = Bytes::copy_from_slice(data);
    let change = change(data);
    let seed = &data[data.len().min(2)..data.len().min(6)];
    match how % 8 {
        0 => one_spelling(&bytes, Op::decode, |op| op.bytes().clone()),
        1 => one_spelling(&bytes, Head::from_bytes, Head::to_bytes),
        2 => one_spelling(&bytes, read_verdict, verdict_bytes),
        3 => {
            let Ok(bounds) = LogBounds::from_bytes(bytes) else { return };
            // Rows of the first version are read, and written as the present one.
            assert_eq!(LogBounds::from_bytes(bounds.to_bytes()), Ok(bounds));
        }
        4 => {
            let Some(op) = each(&arbitrary::op(), seed).pop() else { return };
            check(&op, change, |op| op.bytes().clone(), Op::decode);
        }
        5 => {
            let Some(head) = each(&head(), seed).pop() else { return };
            check(&head, change, Head::to_bytes, Head::from_bytes);
        }
        6 => {
            let Some(bounds) = each(&bounds(), seed).pop() else { return };
            check(&bounds, change, LogBounds::to_bytes, LogBounds::from_bytes);
        }
        _ => {
            let Some(verdict) = each(&verdict(), seed).pop() else { return };
            check(&verdict, change, verdict_bytes, read_verdict);
        }
    }
}

pub(crate) fn snapshot(data: &[u8]) {
    let (how, data) = how(data);
    let bytes = Bytes::copy_from_slice(data);
    match how % 4 {
        0 => one_spelling(&bytes, LogState::from_bytes, LogState::to_bytes),
        1 => {
            one_spelling(&bytes, binary::decode_snapshot, binary::encode_snapshot);
            let Ok(snapshot) = binary::decode_snapshot(bytes) else { return };
            assert_eq!(SnapshotJson::of(&snapshot).and_then(SnapshotJson::read), Ok(snapshot.clone()));
            if let Payload::Plain(state) = snapshot.payload {
                one_spelling(&state, LogState::from_bytes, LogState::to_bytes);
            }
        }
        2 => {
            let seed = &data[data.len().min(2)..data.len().min(6)];
            let Some(snapshot) = each(&any_snapshot(), seed).pop() else { return };
            check(&snapshot, change(data), binary::encode_snapshot, binary::decode_snapshot);
        }
        _ => {
            let (cut, data) = self::how(data);
            let Some(ops) = each(&history(), &data[..data.len().min(4)]).pop() else { return };
            let schema = syncline::conformance::support::schema();
            let mut whole = LogState::default();
            let mut parts = LogState::default();
            for (at, op) in ops.iter().enumerate() {
                if at == usize::from(cut) {
                    parts = LogState::from_bytes(parts.to_bytes()).expect("a state reads back");
                }
                let (one, other) = (whole.apply(op, &schema), parts.apply(op, &schema));
                assert_eq!(one, other);
                assert_eq!(whole, parts);
            }
            assert_eq!(LogState::from_bytes(whole.to_bytes()), Ok(whole));
        }
    }
}
