//! What comes again and again into an open zone, counted in events replayed.

use bytes::Bytes;

use super::super::Text;
use crate::codec::Writer;
use crate::crdt::content::zigzag;
use crate::id::ReplicaId;

const FIRST: ReplicaId = ReplicaId::from_bytes([1; 16]);
const SECOND: ReplicaId = ReplicaId::from_bytes([2; 16]);

/// One character of the second author, who has seen the first one's events up to `seen` and none of their own.
fn only_seen(number: u64, seen: u64, last: u64) -> Bytes {
    let mut out = Writer::default();
    out.u64(number);
    out.u64(1 << 3 | 3);
    if number == 0 {
        out.u64(0);
        out.fixed(FIRST.as_bytes());
    } else {
        out.u64(1);
    }
    out.u64(zigzag(i64::try_from(seen).unwrap_or(0) - i64::try_from(last).unwrap_or(0)));
    out.u64(1 << 2);
    out.u64(zigzag(if number == 0 { 0 } else { -1 }));
    out.u8(b'y');
    out.finish()
}

/// Events replayed an event, when each has seen a little less than the one before.
fn further_and_further_back(count: u64) -> u64 {
    let mut text = Text::new();
    for _ in 0..count {
        let at = text.len();
        text.insert(FIRST, at, "x").expect("within");
    }
    let mut deltas = Vec::new();
    let mut last = 0;
    for number in 0..count - 1 {
        let seen = count - 2 - number;
        deltas.push((SECOND, only_seen(number, seen, last)));
        last = seen;
    }
    let mut at_once = text.clone();
    for (author, delta) in &deltas {
        text.apply(*author, delta).expect("a delta");
    }
    at_once.apply_all(&deltas).expect("deltas");
    assert_eq!(text.state_hash(), at_once.state_hash());
    text.check().expect("every structure holds");
    text.zone.map_or(0, |zone| zone.replayed / count)
}

#[test]
fn who_has_seen_less_each_time_has_few_events_replayed() {
    let replayed = [250, 1_000, 4_000].map(further_and_further_back);
    assert!(replayed[0] > 0 && replayed[2] < 16, "{replayed:?} events replayed an event");
}
