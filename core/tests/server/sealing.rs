//! A log's policy on sealed payloads: every policy by every payload by every epoch, held for ops, full states and snapshots.

use crate::common::seq;
use crate::*;
use bytes::Bytes;
use syncline::conformance::author::entity_subject;
use syncline::conformance::support::accepted;
use syncline::oplog::{Draft, FullStateKind, LogState, Subject};
use syncline::seal::EnvelopeHead;

const FOREIGN: u32 = 0;

/// A payload under this epoch; of another program at epoch 0.
fn sealed(epoch: u32) -> Payload {
    let head = EnvelopeHead::new(1, epoch).map(|head| Bytes::copy_from_slice(&head.to_bytes()));
    Payload::Sealed(head.unwrap_or_else(|| Bytes::from_static(b"U2FsdGVkX1")))
}

fn plain() -> Payload {
    Payload::Plain(LogState::default().to_bytes())
}

/// A log of this policy at this epoch.
fn world(sealing: Sealing, epoch: u32) -> World {
    let world = World::new();
    world.call(Call::CreateLog { log: LOG.log, sealing });
    world.meddle(move |bounds, _| bounds.key_epoch = epoch);
    world
}

fn rotate(from: u32) -> Call {
    Call::RotateKeys { log: LOG.log, from }
}

/// What the documents promise, written down once more: the verdict, or the epoch afterwards.
fn promised(sealing: Sealing, current: u32, payload: Option<u32>) -> Result<u32, RejectReason> {
    match (sealing, payload) {
        (Sealing::Required, None) => Err(RejectReason::SealedRequired),
        (Sealing::Forbidden, Some(_)) => Err(RejectReason::SealedForbidden),
        (_, None) => Ok(current),
        (_, Some(FOREIGN)) if current == 0 => Ok(0),
        (_, Some(FOREIGN)) => Err(RejectReason::KeyEpochStale { current }),
        (_, Some(epoch)) if current == 0 => Ok(epoch),
        (_, Some(epoch)) if epoch < current => Err(RejectReason::KeyEpochStale { current }),
        (_, Some(epoch)) if epoch > current => Err(RejectReason::KeyEpochAhead { current }),
        (_, Some(_)) => Ok(current),
    }
}

/// Every policy, every epoch a log may be at, every payload; `None` is one that is not sealed.
fn table() -> Vec<(Sealing, u32, Option<u32>)> {
    let mut rows = Vec::new();
    for (sealing, ..) in Sealing::ALL {
        for current in [0, 1, 2, 3, u32::MAX - 1, u32::MAX] {
            let payloads = [None, Some(FOREIGN), Some(1), Some(2), Some(3), Some(u32::MAX - 1), Some(u32::MAX)];
            rows.extend(payloads.map(|payload| (sealing, current, payload)));
        }
    }
    rows
}

#[test]
fn every_policy_holds_for_every_payload_at_every_epoch() {
    for (sealing, current, payload) in table() {
        for full_state in [false, true] {
            let world = world(sealing, current);
            let mut author = Author::new(1);
            let (kind, subject) = match full_state {
                true => (OpKind::FullState(FullStateKind::Initial), Subject::Log),
                false => (OpKind::Create, entity_subject("causal", 1)),
            };
            let op = author.draft(kind, subject, payload.map_or_else(plain, sealed)).seal().expect("a good draft");
            let (verdict, epoch) = match promised(sealing, current, payload) {
                Ok(epoch) => (accepted(1), epoch),
                Err(reason) => (rejected(reason), current),
            };
            let row = format!("{sealing:?} at {current}: {payload:?}, full state: {full_state}");
            assert_eq!(world.verdicts(std::slice::from_ref(&op)), std::slice::from_ref(&verdict), "{row}");
            let bounds = world.bounds();
            assert_eq!((bounds.sealing, bounds.key_epoch), (sealing, epoch), "{row}");
            let spent = bounds.clock.get(author.replica());
            assert_eq!(spent, u64::from(verdict == accepted(1)), "{row}: a refused payload spends no counter");
            // An op that is in the log stays a duplicate, whatever the log's epoch has come to.
            if verdict == accepted(1) && sealing != Sealing::Forbidden && epoch < u32::MAX {
                world.call(rotate(epoch));
                assert_eq!(world.verdicts(&[op]), [Verdict::Duplicate { seq: seq(1) }], "{row}");
            }
        }
    }
}

#[test]
fn a_clients_snapshot_is_held_to_the_same_policy_and_sets_no_epoch() {
    for (sealing, current, payload) in table() {
        let world = world(sealing, 0);
        // A history that only clients can read, where the policy allows one.
        let history = if sealing == Sealing::Forbidden { plain() } else { sealed(FOREIGN) };
        let draft = Author::new(1).draft(OpKind::Create, entity_subject("causal", 1), history);
        world.verdicts(&[draft.seal().expect("a good draft")]);
        world.meddle(move |bounds, _| bounds.key_epoch = current);
        let bounds = world.bounds();
        let snapshot = Snapshot {
            seq: seq(1),
            anchor: bounds.tip,
            clock: bounds.clock.clone(),
            schema_version: 1,
            payload: payload.map_or_else(plain, sealed),
        };
        let answer = world.ask(&operator(), Call::PutSnapshot { log: LOG.log, snapshot: Box::new(snapshot) });
        let code = answer.map(drop).map_err(|refusal| refusal.code);
        let row = format!("{sealing:?} at {current}: {payload:?}");
        match promised(sealing, current, payload) {
            Err(RejectReason::SealedRequired | RejectReason::SealedForbidden) => {
                assert_eq!(code, Err(ErrorCode::SealingPolicy), "{row}");
            }
            Ok(epoch) if epoch == current && payload.is_some() => assert_eq!(code, Ok(()), "{row}"),
            // Plain snapshots are checked against a replay as ever.
            Ok(_) if payload.is_none() => assert_ne!(code, Err(ErrorCode::SealingPolicy), "{row}"),
            _ => assert_eq!(code, Err(ErrorCode::KeyEpochMoved), "{row}"),
        }
        assert_eq!(world.bounds().key_epoch, current, "{row}");
    }
}

/// R13: a device with an old key writes nothing the others cannot read, and loses nothing.
#[test]
fn after_a_rotation_pending_ops_are_refused_by_their_epoch_and_taken_when_sealed_again() {
    let world = world(Sealing::Required, 0);
    let mut author = Author::new(1);
    let mut op = |entity| {
        let draft = author.draft(OpKind::Create, entity_subject("causal", entity), sealed(1));
        draft.seal().expect("a good draft")
    };
    assert_eq!(world.verdicts(&[op(1)]), [accepted(1)]);
    let pending = [op(2), op(3), op(4)];
    assert!(matches!(world.call(rotate(1)), Reply::Log { bounds, created: false, .. } if bounds.key_epoch == 2));
    let stale = rejected(RejectReason::KeyEpochStale { current: 2 });
    assert_eq!(world.verdicts(&pending), [stale.clone(), stale.clone(), stale]);
    assert_eq!(world.bounds().last, seq(1));
    let again: Vec<Op> = pending
        .iter()
        .map(|op| Draft { payload: sealed(2), ..op.draft().clone() }.seal().expect("a good draft"))
        .collect();
    assert_eq!(world.verdicts(&again), [accepted(2), accepted(3), accepted(4)], "same ids, same counters");
}

#[test]
fn a_rotation_is_refused_from_where_the_log_is_not_and_beyond_the_last_epoch() {
    let world = world(Sealing::Optional, u32::MAX - 1);
    for from in [0, u32::MAX - 2, u32::MAX] {
        let refusal = world.refused(rotate(from));
        assert_eq!(refusal.code, ErrorCode::KeyEpochMoved);
        assert!(refusal.detail.contains("4294967294"), "{refusal}");
    }
    world.call(rotate(u32::MAX - 1));
    assert_eq!(world.code(rotate(u32::MAX)), ErrorCode::KeyEpochMoved);
    assert_eq!(world.bounds().key_epoch, u32::MAX);
    world.meddle(|bounds, _| bounds.damaged = true);
    assert_eq!(world.code(rotate(u32::MAX)), ErrorCode::LogDamaged);
    let nowhere = Call::RotateKeys { log: log(9).log, from: 0 };
    assert_eq!(world.code(nowhere), ErrorCode::LogNotFound);
    assert_eq!(self::world(Sealing::Forbidden, 0).code(rotate(0)), ErrorCode::SealingPolicy);
    assert_eq!(world.code(Call::RotateKeys { log: LogId::SYSTEM, from: 0 }), ErrorCode::LogNotFound);
}

/// R14: nobody talks a log out of its policy.
#[test]
fn a_logs_policy_is_fixed_when_it_is_made() {
    for (made, ..) in Sealing::ALL {
        let world = world(made, 0);
        for (asked, ..) in Sealing::ALL {
            let call = Call::CreateLog { log: LOG.log, sealing: asked };
            match world.ask(&operator(), call) {
                Ok(Reply::Log { created: false, .. }) => assert_eq!(asked, made),
                Err(refusal) => assert!(asked != made && refusal.code == ErrorCode::SealingPolicy),
                other => panic!("{other:?}"),
            }
            assert_eq!(world.bounds().sealing, made);
        }
    }
    let world = World::new();
    for sealing in [Sealing::Required, Sealing::Forbidden] {
        let call = Call::CreateLog { log: LogId::SYSTEM, sealing };
        assert_eq!(world.code(call), ErrorCode::SealingPolicy, "the engine's own records are not sealed");
    }
    world.verdicts(&edits(&mut Author::new(1), 1));
    assert_eq!(world.bounds().sealing, Sealing::Optional, "made by a first push");
}

/// An atomic batch that fails leaves the epoch where it was.
#[test]
fn a_batch_that_is_not_taken_sets_no_epoch() {
    let world = world(Sealing::Optional, 0);
    let mut author = Author::new(1);
    let mut op = |entity, payload| {
        author.draft(OpKind::Create, entity_subject("causal", entity), payload).seal().expect("a good draft")
    };
    let ops = [op(1, sealed(4)), op(2, sealed(5))];
    let atomic = Push { atomic: true, ..push(&ops) };
    let verdicts = world.pushes(atomic).verdicts;
    let ahead = rejected(RejectReason::KeyEpochAhead { current: 4 });
    assert_eq!(verdicts, [rejected(RejectReason::BatchAborted), ahead.clone()]);
    assert_eq!(world.bounds().key_epoch, 0);
    assert_eq!(world.verdicts(&ops), [accepted(1), ahead]);
    assert_eq!(world.bounds().key_epoch, 4);
}
