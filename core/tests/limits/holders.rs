//! Who holds a log: how often that is written down, for how many, and for how long one who is silent counts.

use syncline::oplog::Holders;
use syncline::{ReplicaId, Seq, Timestamp, limits};

const START: u64 = 1_700_000_000_000;

fn at(after: u64) -> Timestamp {
    Timestamp::from_ms(START + after).expect("in range")
}

fn replica(number: usize) -> ReplicaId {
    ReplicaId::from_bytes((number as u128 + 1).to_be_bytes())
}

fn seq(value: u64) -> Seq {
    Seq::new(value).expect("in range")
}

#[test]
fn an_acknowledgement_is_written_down_when_it_moved_and_some_time_went_by() {
    let (least, most) = (limits::ACKNOWLEDGE_MS_MIN, limits::ACKNOWLEDGE_MS_MAX);
    for (after, moved, kept) in [
        (least - 1, true, false),
        (least, true, true),
        (least + 1, true, true),
        (most - 1, false, false),
        (most, false, true),
        (most + 1, false, true),
    ] {
        let mut holders = Holders::default();
        assert!(holders.hear(replica(1), seq(5), at(0)));
        let before = holders.clone();
        let says = if moved { seq(6) } else { seq(5) };
        assert_eq!(holders.hear(replica(1), says, at(after)), kept, "{after} {moved}");
        assert_eq!(holders != before, kept);
        assert_eq!(holders.stable(), if kept { says } else { seq(5) });
    }
}

#[test]
fn a_replica_that_is_silent_too_long_is_retired_until_it_comes_back() {
    let longest = limits::REPLICA_SILENT_MS_MAX;
    for (silent, counts) in [(longest - 1, true), (longest, true), (longest + 1, false)] {
        let mut holders = Holders::default();
        holders.hear(replica(1), seq(3), at(0));
        holders.hear(replica(2), seq(9), at(silent));
        assert_eq!(holders.iter().len(), if counts { 2 } else { 1 }, "{silent}");
        assert_eq!(holders.stable(), if counts { seq(3) } else { seq(9) });
        if !counts {
            assert!(holders.hear(replica(1), seq(3), at(silent + 1)));
            holders.hear(replica(2), seq(12), at(silent + limits::ACKNOWLEDGE_MS_MIN));
            assert_eq!((holders.iter().len(), holders.stable()), (2, seq(9)), "it holds back what comes, not what was");
        }
    }
}

#[test]
fn with_more_replicas_than_are_counted_the_frontier_waits() {
    let most = limits::REPLICAS_COUNTED_MAX;
    for (count, rises) in [(most - 1, true), (most, true), (most + 1, false)] {
        let mut holders = Holders::default();
        (0..count).for_each(|number| assert!(holders.hear(replica(number), seq(1), at(0))));
        assert_eq!(holders.iter().len(), count.min(most));
        assert_eq!(holders.crowded_at().is_some(), !rises);
        let again = Holders::from_bytes(holders.to_bytes()).expect("reads");
        assert_eq!(again, holders);
        for number in 0..count {
            holders.hear(replica(number), seq(7), at(limits::ACKNOWLEDGE_MS_MAX));
        }
        assert_eq!(holders.stable(), seq(if rises { 7 } else { 1 }), "{count}");
        if rises {
            continue;
        }
        let later = limits::ACKNOWLEDGE_MS_MAX + limits::REPLICA_SILENT_MS_MAX;
        for number in 0..most {
            holders.hear(replica(number), seq(8), at(later + 1));
        }
        assert_eq!(holders.stable(), seq(8), "the one too many was silent long enough");
    }
}
