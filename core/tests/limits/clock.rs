//! Clocks.

use bytes::Bytes;
use syncline::clock::ClockError;
use syncline::codec::{DecodeError, Reader, Writer};
use syncline::conformance::author::Author;
use syncline::conformance::support::{self, accepted, log};
use syncline::oplog::{OpKind, RejectReason, Verdict};
use syncline::store::MemoryStore;
use syncline::{Hlc, ReplicaId, Timestamp, VectorClock, limits};

use crate::check;
use crate::common::poll_to_end;

pub(crate) fn replica(number: usize) -> ReplicaId {
    ReplicaId::from_bytes((number as u128 + 1).to_be_bytes())
}

fn encoded_clock(entries: usize, counter: u64) -> Bytes {
    let mut out = Writer::default();
    out.len(entries);
    for number in 0..entries {
        out.fixed(replica(number).as_bytes());
        out.u64(counter);
    }
    out.finish()
}

fn json_clock(entries: usize, counter: u64) -> String {
    let entries: Vec<String> = (0..entries).map(|number| format!("\"{}\":{counter}", replica(number))).collect();
    format!("{{{}}}", entries.join(","))
}

fn clock(entries: usize) -> Result<VectorClock, ClockError> {
    let mut clock = VectorClock::new();
    (0..entries).try_for_each(|number| clock.set(replica(number), 1)).map(|()| clock)
}

#[test]
fn a_clock_has_at_most_a_hundred_entries_however_it_comes() {
    let max = limits::CLOCK_ENTRIES_MAX;
    check(max, &ClockError::TooManyEntries { given: max + 1 }, |entries| clock(entries).map(drop));
    check(max, &ClockError::TooManyEntries { given: max + 1 }, |entries| {
        let mut other = VectorClock::new();
        other.set(replica(entries - 1), 1)?;
        let mut joined = clock(entries - 1)?;
        let before = joined.clone();
        joined.join(&other).inspect_err(|_| assert_eq!(joined, before, "and is unchanged"))
    });
    let refused = DecodeError::NotCanonical("a vector clock");
    check(max, &refused, |entries| VectorClock::decode(&mut Reader::new(encoded_clock(entries, 1))).map(drop));
    let read = |entries, counter| serde_json::from_str::<VectorClock>(&json_clock(entries, counter)).is_ok();
    assert!(read(max - 1, 1) && read(max, 1) && !read(max + 1, 1) && !read(max + 1, 0));
}

#[test]
fn fault_s07_clock_with_ten_thousand_entries_is_refused() {
    assert!(VectorClock::decode(&mut Reader::new(encoded_clock(10_000, 1))).is_err());
    assert!(serde_json::from_str::<VectorClock>(&json_clock(10_000, 1)).is_err());
    assert!(serde_json::from_str::<VectorClock>(&json_clock(10_000, 0)).is_err(), "zeros are entries too");
}

#[test]
fn a_counter_is_at_most_what_every_json_reader_keeps() {
    let max = limits::CLOCK_COUNTER_MAX;
    let set = |counter| VectorClock::new().set(replica(0), counter);
    let decode = |counter| VectorClock::decode(&mut Reader::new(encoded_clock(1, counter))).is_ok();
    let read = |counter| serde_json::from_str::<VectorClock>(&json_clock(1, counter)).is_ok();
    for (counter, good) in [(1, true), (max - 1, true), (max, true), (max + 1, false), (u64::MAX, false)] {
        let too_large = Err(ClockError::CounterTooLarge { replica: replica(0), given: counter });
        assert_eq!(set(counter), if good { Ok(()) } else { too_large });
        assert_eq!((decode(counter), read(counter)), (good, good), "counter {counter}");
    }
}

#[test]
fn a_clock_that_runs_ahead_wins_by_at_most_the_drift() {
    let at = Timestamp::from_ms(1_700_000_000_000).expect("in range");
    let ahead = |ms| Hlc { ms: at.plus_ms(ms), counter: 3 };
    let drift = limits::CLOCK_DRIFT_MS_MAX;
    for honest in [0, drift - 1, drift] {
        assert_eq!(ahead(honest).capped(at), ahead(honest));
    }
    for fast in [drift + 1, u64::MAX] {
        assert_eq!(ahead(fast).capped(at), Hlc { ms: at.plus_ms(drift), counter: u16::MAX });
    }
}

#[test]
fn a_log_has_at_most_a_hundred_authoring_replicas() {
    let store = MemoryStore::new();
    for number in 0..=limits::CLOCK_ENTRIES_MAX {
        let mut author = Author::new(u8::try_from(number + 1).expect("small"));
        let op = author.op(OpKind::Create, "merge", 1, "x");
        let expected = if number < limits::CLOCK_ENTRIES_MAX {
            accepted(number as u64 + 1)
        } else {
            Verdict::Rejected { reason: RejectReason::TooManyReplicas }
        };
        assert_eq!(poll_to_end(support::push(&store, log(1), &[op])), [expected], "replica {}", number + 1);
    }
}
