//! Laws that hold for every value: of clocks, of canonical bytes, of anchors, of replay, of decisions.
//!
//! How: proptest draws the values from `syncline::arbitrary`, which loves the ends of ranges, and shrinks what fails.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "each proof uses its part")]
mod common;

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use common::{poll_to_end, seq};
use proptest::collection::vec;
use proptest::prelude::*;
use syncline::arbitrary::{anchor, clock, cursor, draft, hlc, op, seq as any_seq, timestamp};
use syncline::codec::{DecodeError, Reader, Writer};
use syncline::conformance::support::{env, log, schema};
use syncline::decide::{self, Choice, Upload, View};
use syncline::oplog::{
    ConflictReason, FullStateMark, Head, HeadState, LogBounds, LogState, LoggedOp, Op, OpKind, RejectReason, Sealing,
    Snapshot, Verdict,
};
use syncline::store::{MemoryStore, PageLimit, Store};
use syncline::wire::binary;
use syncline::{Anchor, Causality, Env, Hlc, OpId, Origin, ReplicaId, Seq, Timestamp, VectorClock};

pub(crate) fn joined(left: &VectorClock, right: &VectorClock) -> VectorClock {
    let mut clock = left.clone();
    clock.join(right).expect("few replicas");
    clock
}

pub(crate) const fn mirrored(causality: Causality) -> Causality {
    match causality {
        Causality::Before => Causality::After,
        Causality::After => Causality::Before,
        same => same,
    }
}

/// A row written before logs had a policy on sealed payloads.
fn of_version_1(bounds: &LogBounds) -> Bytes {
    let old = LogBounds { sealing: Sealing::Optional, key_epoch: 0, ..bounds.clone() }.to_bytes();
    let mut bytes = old[..old.len() - 2].to_vec();
    bytes[0] = 1;
    bytes.into()
}

proptest! {
    #[test]
    fn joining_clocks_is_commutative_associative_and_idempotent(a in clock(), b in clock(), c in clock()) {
        prop_assert_eq!(joined(&a, &b), joined(&b, &a));
        prop_assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
        prop_assert_eq!(joined(&a, &a), a.clone());
        prop_assert_eq!(joined(&a, &VectorClock::new()), a);
    }

    #[test]
    fn comparing_clocks_agrees_with_itself_and_with_join(a in clock(), b in clock()) {
        prop_assert_eq!(a.compare(&b), mirrored(b.compare(&a)));
        prop_assert_eq!(a.compare(&b) == Causality::Equal, a == b);
        prop_assert_eq!(a.compare(&a), Causality::Equal);
        let both = joined(&a, &b);
        prop_assert!(both.covers(&a) && both.covers(&b));
        prop_assert_eq!(a.covers(&b), both == a, "a clock covers what joining does not add to");
        prop_assert_eq!(a.covers(&b) && b.covers(&a), a == b);
    }

    #[test]
    fn clocks_are_ordered_transitively(a in clock(), b in clock(), c in clock()) {
        let (b, c) = (joined(&a, &b), joined(&joined(&a, &b), &c));
        prop_assert!(c.covers(&b) && b.covers(&a) && c.covers(&a));
    }

    #[test]
    fn an_hlc_tick_strictly_increases_whatever_the_wall_clock_says(last in hlc(), now in timestamp()) {
        let ticked = last.tick(now);
        let at_the_end = last == Hlc { ms: Timestamp::MAX, counter: u16::MAX };
        prop_assert!(ticked > last || at_the_end && ticked == last);
        prop_assert!(ticked.ms >= now);
    }

    #[test]
    fn an_hlc_that_observed_another_is_after_both(last in hlc(), remote in hlc(), now in timestamp()) {
        let after = last.observe(remote, now);
        let end = Hlc { ms: Timestamp::MAX, counter: u16::MAX };
        prop_assert!(after > last.max(remote) || last.max(remote) == end);
        prop_assert!(after.ms >= now);
    }

    #[test]
    fn a_capped_hlc_is_bounded_keeps_the_order_and_leaves_honest_clocks_alone(
        a in hlc(),
        b in hlc(),
        at in timestamp(),
    ) {
        let cap = at.plus_ms(syncline::limits::CLOCK_DRIFT_MS_MAX);
        prop_assert!(a.capped(at).ms <= cap && a.capped(at) <= a);
        prop_assert_eq!(a.capped(at) == a, a.ms <= cap);
        prop_assert_eq!(a.capped(at).capped(at), a.capped(at));
        prop_assert!(a > b || a.capped(at) <= b.capped(at));
    }

    #[test]
    fn an_env_answers_the_same_whenever_it_is_asked(
        entropy in proptest::array::uniform32(any::<u8>()),
        now in timestamp(),
        one in "[a-z]{1,8}",
        two in "[a-z]{1,8}",
    ) {
        let (env, again) = (Env { now, entropy }, Env { now, entropy });
        prop_assert_eq!(env.bytes16(&one), again.bytes16(&one));
        prop_assert_eq!(env.bytes32(&one), again.bytes32(&one));
        prop_assert_eq!(env.uuid7(&one), again.uuid7(&one));
        prop_assert_eq!(env.bytes16(&one) == env.bytes16(&two), one == two);
        let id = env.uuid7(&one);
        prop_assert_eq!(&id[..6], &now.ms().to_be_bytes()[2..], "ids made later sort later");
        prop_assert_eq!((id[6] >> 4, id[8] >> 6), (7, 0b10), "RFC 9562, version 7");
    }

    #[test]
    fn anchors_extended_in_batches_equal_anchors_extended_one_by_one(ops in vec(op(), 0..12), cut in 0..12_usize) {
        let genesis = Anchor::genesis(log(1), Origin([4; 16]));
        let extend = |from: Anchor, ops: &[Op]| ops.iter().fold(from, |anchor, op| anchor.extend(op.digest(), env(0).now));
        let (head, tail) = ops.split_at(cut.min(ops.len()));
        prop_assert_eq!(extend(extend(genesis, head), tail), extend(genesis, &ops));
        prop_assert_eq!(extend(genesis, &ops) == genesis, ops.is_empty());
    }
}

pub(crate) fn head() -> impl Strategy<Value = Head> {
    let state = prop_oneof![
        Just(HeadState::Live(None)),
        vec(any::<u8>(), 0..20).prop_map(|state| HeadState::Live(Some(state.into()))),
        timestamp().prop_map(HeadState::Tombstone),
    ];
    let ids = proptest::array::uniform16(any::<u8>());
    (any_seq(), ids, ids, clock(), state).prop_map(|(version, op, replica, clock, state)| {
        let (op, replica) = (OpId::from_bytes(op), ReplicaId::from_bytes(replica));
        Head { version, op, replica, clock, state }
    })
}

pub(crate) fn verdict() -> impl Strategy<Value = Verdict> {
    let conflict = prop::sample::select(ConflictReason::ALL.map(|(reason, ..)| reason).to_vec());
    let reject = prop::sample::select(RejectReason::ALL.map(|(reason, ..)| reason).to_vec());
    prop_oneof![
        any_seq().prop_map(|seq| Verdict::Accepted { seq }),
        any_seq().prop_map(|seq| Verdict::Duplicate { seq }),
        (conflict, prop::option::of(head()))
            .prop_map(|(reason, head)| Verdict::Conflict { reason, head: head.map(Box::new) }),
        (reject, any::<u64>()).prop_map(|(reason, number)| Verdict::Rejected { reason: reason.with_number(number) }),
    ]
}

pub(crate) fn bounds() -> impl Strategy<Value = LogBounds> {
    let mark = (any_seq(), clock(), clock()).prop_map(|(seq, clock, seen)| FullStateMark {
        seq,
        op: OpId::from_bytes([2; 16]),
        clock,
        seen,
    });
    let ends = (any_seq(), any_seq()).prop_map(|(one, two)| (one.min(two).max(Seq::FIRST), one.max(two)));
    let policy = prop::sample::select(Sealing::ALL.map(|(sealing, ..)| sealing).to_vec());
    let sums = (any_seq(), any::<u64>(), any::<bool>(), policy, any::<u32>());
    (timestamp(), ends, anchor(), anchor(), clock(), prop::option::of(mark), sums).prop_map(
        |(created_at, (first, last), base, tip, clock, full_state, (snapshot, bytes, damaged, sealing, key_epoch))| {
            LogBounds {
                created_at,
                first,
                last,
                base,
                tip,
                clock,
                full_state,
                snapshot,
                bytes,
                damaged,
                sealing,
                key_epoch,
            }
        },
    )
}

pub(crate) fn snapshot() -> impl Strategy<Value = Snapshot> {
    (any_seq(), anchor(), clock(), any::<u32>(), draft()).prop_map(|(seq, anchor, clock, schema_version, draft)| {
        Snapshot { seq, anchor, clock, schema_version, payload: draft.payload }
    })
}

pub(crate) fn written(encode: impl Fn(&mut Writer)) -> Bytes {
    let mut out = Writer::default();
    encode(&mut out);
    out.finish()
}

pub(crate) fn read_whole<T>(
    bytes: Bytes,
    decode: impl Fn(&mut Reader) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let mut input = Reader::new(bytes);
    let value = decode(&mut input)?;
    input.finish().map(|()| value)
}

/// Round trip of a value, and of whatever still decodes after one byte of it was changed, cut off or put in.
pub(crate) fn check<T: PartialEq + Debug, E: Debug>(
    value: &T,
    (at, byte): (usize, u8),
    encode: impl Fn(&T) -> Bytes,
    decode: impl Fn(Bytes) -> Result<T, E>,
) {
    let bytes = encode(value);
    assert_eq!(decode(bytes.clone()).expect("own bytes decode"), *value);
    let at = at % bytes.len();
    let changes: [fn(&mut Vec<u8>, usize, u8); 4] = [
        |bytes, at, byte| bytes[at] = byte,
        |bytes, at, byte| bytes[at] ^= 1 << (byte % 8),
        |bytes, at, _| bytes.truncate(at),
        |bytes, at, byte| bytes.insert(at, byte),
    ];
    for change in changes {
        let mut mutated = bytes.to_vec();
        change(&mut mutated, at, byte);
        let mutated = Bytes::from(mutated);
        if let Ok(other) = decode(mutated.clone()) {
            assert_eq!(encode(&other), mutated, "{other:?} has a second spelling");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn canonical_bytes_have_one_spelling(
        op in op(),
        head in head(),
        bounds in bounds(),
        verdict in verdict(),
        snapshot in snapshot(),
        clock in clock(),
        change in (any::<usize>(), any::<u8>()),
    ) {
        check(&op, change, |op| op.bytes().clone(), Op::decode);
        check(&head, change, Head::to_bytes, Head::from_bytes);
        check(&bounds, change, LogBounds::to_bytes, LogBounds::from_bytes);
        check(&verdict, change, |v| written(|out| v.encode(out)), |bytes| read_whole(bytes, Verdict::decode));
        check(&clock, change, |c| written(|out| c.encode(out)), |bytes| read_whole(bytes, VectorClock::decode));
        check(&snapshot, change, binary::encode_snapshot, binary::decode_snapshot);
    }

    #[test]
    fn a_sealed_op_reads_back_as_what_was_sealed(draft in draft(), code in any::<u8>()) {
        for kind in [draft.kind, OpKind::Other(code)] {
            if let Ok(op) = (syncline::oplog::Draft { kind, ..draft.clone() }).seal() {
                prop_assert_eq!(Op::decode(op.bytes().clone()), Ok(op));
            }
        }
    }

    #[test]
    fn positions_keep_their_text_and_json(cursor in cursor(), hlc in hlc()) {
        if let Some(anchor) = cursor.anchor {
            prop_assert_eq!(anchor.to_string().parse::<Anchor>(), Ok(anchor));
        }
        let text = serde_json::to_string(&(cursor, hlc)).expect("writes");
        prop_assert_eq!(serde_json::from_str::<(syncline::Cursor, Hlc)>(&text).expect("reads"), (cursor, hlc));
    }
}

/// Ops on few entities of every policy, as a log would hold them.
pub(crate) fn history() -> impl Strategy<Value = Vec<LoggedOp>> {
    let kinds = vec![OpKind::Create, OpKind::Update, OpKind::Update, OpKind::Delete];
    let step = (0..4_usize, vec(0..4_u8, 1..3), prop::sample::select(kinds), "[a-c]", 0..100_u32);
    vec(step, 1..30).prop_map(|steps| {
        let names = ["causal", "merge", "precondition", "append"];
        let mut anchor = Anchor::genesis(log(1), Origin([4; 16]));
        let logged = steps.into_iter().enumerate().map(|(index, (name, entities, kind, field, value))| {
            let mut author = syncline::conformance::author::Author::new(1);
            author.counter_is(index as u64);
            let mut subject = syncline::conformance::author::entity_subject(names[name], entities[0]);
            if let (syncline::oplog::Subject::Entity { key, also }, Some(second)) = (&mut subject, entities.get(1)) {
                also.extend(Some(syncline::EntityId::from_bytes([*second; 16])).filter(|id| *id != key.entity));
            }
            let payload = syncline::oplog::Payload::Json(format!("{{\"{field}\":{value}}}").into());
            let op = author.draft(kind, subject, payload).seal().expect("a good draft");
            anchor = anchor.extend(op.digest(), env(0).now);
            let number = seq(index as u64 + 1);
            LoggedOp { seq: number, anchor, accepted_at: env(0).now, batch_rest: 0, op: op.raw().clone() }
        });
        logged.collect()
    })
}

proptest! {
    #[test]
    fn a_prefix_a_snapshot_and_the_rest_equal_the_whole(ops in history(), cut in 0..30_usize) {
        let schema = schema();
        let mut whole = LogState::default();
        ops.iter().for_each(|op| whole.apply(op, &schema).expect("applies"));

        let (prefix, rest) = ops.split_at(cut.min(ops.len()));
        let mut state = LogState::default();
        prefix.iter().for_each(|op| state.apply(op, &schema).expect("applies"));
        let mut state = LogState::from_bytes(state.to_bytes()).expect("own bytes decode");
        rest.iter().for_each(|op| state.apply(op, &schema).expect("applies"));
        prop_assert_eq!(state.to_bytes(), whole.to_bytes());
        prop_assert_eq!(state, whole, "equal bytes, equal states");
    }

    #[test]
    fn a_log_state_has_one_spelling(ops in history(), change in (any::<usize>(), any::<u8>())) {
        let mut state = LogState::default();
        ops.iter().for_each(|op| state.apply(op, &schema()).expect("applies"));
        check(&state, change, LogState::to_bytes, LogState::from_bytes);
    }

    #[test]
    fn a_decision_is_a_function_of_its_view(ops in vec(op(), 1..8), atomic in any::<bool>(), at in 0..9_u64) {
        let store = MemoryStore::new();
        let upload = Upload { log: log(1), request: None, cursor: None, atomic, ops: Arc::from(ops) };
        let answers: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
        let (kept, input) = (Arc::clone(&answers), upload.clone());
        let decision = Arc::new(move |view: &View| {
            let run = || decide::upload(&input, &schema(), &env(at), view);
            let (once, twice) = (run(), run());
            kept.lock().expect("not poisoned").extend([format!("{once:?}"), format!("{twice:?}")]);
            match once {
                Choice::Read(more) => decide::Step::Read(more),
                Choice::Done(_, writes) => writes.map_or(decide::Step::Abort, decide::Step::Commit),
            }
        });
        let scope = decide::Scope::log(upload.log, upload.reads());
        poll_to_end(store.transact(scope, decision)).expect("the store takes what the rule wrote");
        let answers = answers.lock().expect("not poisoned");
        prop_assert_eq!(&answers[0], &answers[1]);
        let page = poll_to_end(store.ops_after(log(1), Seq::ZERO, PageLimit::default())).expect("a page");
        prop_assert_eq!(page.gap(syncline::Cursor::START), None);
    }

    #[test]
    fn bounds_of_version_1_read_as_optional_at_epoch_0(bounds in bounds()) {
        let read = LogBounds::from_bytes(of_version_1(&bounds)).expect("reads");
        prop_assert_eq!(&read, &LogBounds { sealing: Sealing::Optional, key_epoch: 0, ..bounds });
        prop_assert_eq!(LogBounds::from_bytes(read.to_bytes()), Ok(read));
    }
}
