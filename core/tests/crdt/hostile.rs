//! Bytes of any origin: a typed error or a value in its one spelling, and never a state that does not read afterwards.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use syncline::codec::{DecodeError, Writer};
use syncline::crdt::{Content, Counter, Document, List, Register, Set, Tree};
use syncline::oplog::{Change, Merging, OpKind, Payload, ReduceError, Reducer};
use syncline::{Hlc, OpId, ReplicaId, Timestamp};

use crate::world::{Step, Tried, moment, steps, talk, value};

/// Where a byte is changed, and to what.
pub(crate) type Hit = (u16, u8);

fn hit(bytes: &[u8], hits: &[Hit]) -> Bytes {
    let mut bytes = bytes.to_vec();
    for (at, to) in hits {
        let at = usize::from(*at) % (bytes.len() + 1);
        match bytes.get_mut(at) {
            Some(byte) => *byte = *to,
            None => bytes.push(*to),
        }
    }
    bytes.into()
}

pub(crate) fn altered_bytes_are_refused_or_another_value<C: Tried>(
    steps: &[Step],
    hits: &[Hit],
) -> Result<(), TestCaseError> {
    let said = talk::<C>(steps);
    let mut value = value(&said);
    let state = hit(&value.encode(), hits);
    if let Ok(other) = C::decode(state.clone()) {
        prop_assert_eq!(other.encode(), state.to_vec(), "one spelling");
        let _ = other.view();
    }
    for cut in 0..state.len().min(200) {
        let _ = C::decode(state.slice(..cut));
    }
    for (number, said) in said.iter().enumerate() {
        let bytes = hit(&C::write_edit(&said.edit), hits);
        let Ok(edit) = C::read_edit(bytes.clone()) else { continue };
        prop_assert_eq!(C::write_edit(&edit), bytes, "one spelling");
        // An author that breaks every rule: times that go back, a name used again.
        let mut moment = moment(said.author, number / 2, 1 + number as u64 % 3);
        moment.op = said.moment.op;
        value.apply(&moment, edit);
        let read = C::decode(value.encode().into());
        prop_assert_eq!(read.as_ref(), Ok(&value), "what it leads to is read back");
        prop_assert!(value.view().is_ok());
    }
    Ok(())
}

/// As a state, and as an edit of nothing.
pub(crate) fn refused_or_read<C: Tried>(bytes: &[u8]) -> Result<(), TestCaseError> {
    let bytes = Bytes::copy_from_slice(bytes);
    if let Ok(value) = C::decode(bytes.clone()) {
        prop_assert_eq!(value.encode(), bytes.to_vec());
        // What it shows may be no JSON, which is an error.
        let _ = value.view();
        prop_assert_eq!(&value.clone().merged(&value), &value, "idempotent");
    }
    let Ok(edit) = C::read_edit(bytes.clone()) else { return Ok(()) };
    prop_assert_eq!(C::write_edit(&edit), bytes, "one spelling");
    let mut value = C::default();
    value.apply(&moment(0, 0, 1), edit);
    prop_assert_eq!(C::decode(value.encode().into()), Ok(value), "what it leads to is read back");
    Ok(())
}

/// A count of more than the bytes could hold takes no memory.
fn huge_counts_are_refused<C: Content>() {
    for head in [vec![1], vec![1, 0], vec![1, 1], vec![1, 0, 0]] {
        for count in [u64::MAX, 1 << 40, 1 << 20] {
            let mut out = Writer::default();
            out.fixed(&head);
            out.u64(count);
            out.fixed(&[0; 40]);
            let bytes = out.finish();
            assert!(C::decode(bytes.clone()).is_err() || C::read_edit(bytes).is_err(), "{}", C::NAME);
        }
    }
}

fn change<'p>(kind: OpKind, payload: &'p Payload) -> Change<'p> {
    let ms = Timestamp::from_ms(5).unwrap();
    let (op, replica) = (OpId::from_bytes([1; 16]), ReplicaId::from_bytes([2; 16]));
    Change { op, replica, kind, hlc: Hlc { ms, counter: 0 }, accepted_at: ms, payload }
}

fn a_change_that_does_not_fit_changes_nothing<C: Content>(fits: &C::Edit) {
    let reducer = Merging::<C>::new();
    let mut state = None;
    reducer.reduce(&mut state, &change(OpKind::Update, &Payload::Plain(C::write_edit(fits)))).unwrap();
    let before = state.clone();
    let plain = |bytes: &'static [u8]| Payload::Plain(bytes.into());
    for payload in [plain(b""), plain(b"\x02\0\0"), plain(b"\x01\x09"), plain(b"nonsense"), Payload::Json("{}".into())]
    {
        let refused = reducer.reduce(&mut state, &change(OpKind::Update, &payload));
        assert_eq!(refused, Err(ReduceError::Unfit(C::NAME)));
        assert_eq!(state, before);
    }
    let sealed = Payload::Sealed("x".into());
    assert_eq!(reducer.reduce(&mut state, &change(OpKind::Update, &sealed)), Err(ReduceError::Sealed));
    let mut foreign = Some(b"{}".to_vec());
    let payload = Payload::Plain(C::write_edit(fits));
    assert_eq!(reducer.reduce(&mut foreign, &change(OpKind::Update, &payload)), Err(ReduceError::Unfit(C::NAME)));
    assert_eq!(foreign, Some(b"{}".to_vec()));
    assert_eq!(reducer.view(b"{}"), Err(ReduceError::Unfit(C::NAME)));
}

macro_rules! hostile {
    ($($name:ident: $type:ty, $edit:expr;)*) => {$(
        mod $name {
            use super::*;

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(500))]

                #[test]
                fn altered_bytes_are_refused_or_another_value_and_lead_nowhere_unreadable(
                    steps in steps(12),
                    hits in vec((any::<u16>(), any::<u8>()), 1..4),
                ) {
                    altered_bytes_are_refused_or_another_value::<$type>(&steps, &hits)?;
                }

                #[test]
                fn bytes_of_any_origin_are_refused_or_read(bytes in vec(any::<u8>(), 0..120)) {
                    refused_or_read::<$type>(&[&[1][..], &bytes].concat())?;
                }
            }

            #[test]
            fn counts_beyond_the_bytes_are_refused() {
                huge_counts_are_refused::<$type>();
            }

            #[test]
            fn what_does_not_fit_changes_nothing() {
                let edit = <$type>::read_edit(Bytes::from_static($edit)).unwrap();
                a_change_that_does_not_fit_changes_nothing::<$type>(&edit);
            }
        }
    )*};
}

hostile! {
    counter: Counter, b"\x01\0\x04";
    document: Document, b"\x01\0\x01\x02\x01a\x01b\x01\x011";
    register: Register, b"\x01\x01\x011";
    set: Set, b"\x01\0\x01\x011\0";
    list: List, b"\x01\x01\0\0\x09\x41\0ABCDEF\0\x011";
    tree: Tree, b"\x01\x01\0\0\0\x09\x41\0ABCDEF\0\x011";
}

#[test]
fn a_value_that_is_not_json_is_refused() {
    for text in [&b"\"\xff\""[..], b"1 ", b"{\"a\":1,\"a\":2}", b"", b"\"\\ud800\""] {
        let mut out = Writer::default();
        out.fixed(&[1, 1]);
        out.bytes(text);
        assert!(matches!(Register::read_edit(out.finish()), Err(DecodeError::NotCanonical(_))));
    }
}
