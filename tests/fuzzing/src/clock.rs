//! Vector clocks: bytes and JSON of any origin, and the laws of joining and comparing.
//!
//! What must hold: what reads has one spelling; joining is a join; comparing agrees with joining; nothing overflows.

use bytes::Bytes;
use syncline::arbitrary;
use syncline::codec::{Reader, Writer};
use syncline::{Causality, VectorClock};

use crate::core_laws::{check, joined, mirrored, read_whole, written};
use crate::given::{each, how};

fn bytes(clock: &VectorClock) -> Bytes {
    written(|out: &mut Writer| clock.encode(out))
}

fn read(bytes: Bytes) -> Result<VectorClock, syncline::codec::DecodeError> {
    read_whole(bytes, |input: &mut Reader| VectorClock::decode(input))
}

pub(crate) fn clock(data: &[u8]) {
    let (how, data) = how(data);
    match how % 3 {
        0 => {
            let given = Bytes::copy_from_slice(data);
            if let Ok(clock) = read(given.clone()) {
                assert_eq!(bytes(&clock), given, "one spelling");
            }
        }
        1 => {
            let Ok(clock) = serde_json::from_slice::<VectorClock>(data) else { return };
            let text = serde_json::to_string(&clock).expect("writes");
            assert_eq!(serde_json::from_str::<VectorClock>(&text).ok(), Some(clock.clone()));
            assert_eq!(read(bytes(&clock)), Ok(clock));
        }
        _ => laws(data),
    }
}

fn laws(data: &[u8]) {
    let (change, data) = data.split_at(data.len().min(2));
    let mut clocks = each(&arbitrary::clock(), data).into_iter();
    let (Some(a), Some(b), Some(c)) = (clocks.next(), clocks.next(), clocks.next()) else { return };
    let &[at, byte] = change else { return };
    check(&a, (at.into(), byte), bytes, read);
    let both = joined(&a, &b);
    assert_eq!(both, joined(&b, &a), "commutative");
    assert_eq!(joined(&both, &c), joined(&a, &joined(&b, &c)), "associative");
    assert_eq!(joined(&a, &a), a, "idempotent");
    assert!(both.covers(&a) && both.covers(&b));
    assert_eq!(a.compare(&b), mirrored(b.compare(&a)));
    assert_eq!(a.compare(&b) == Causality::Equal, a == b);
    for (replica, counter) in both.iter() {
        assert_eq!(counter, a.get(replica).max(b.get(replica)));
    }
}
