//! One call.

use std::sync::Arc;

use bytes::Bytes;
use syncline::access::{Access, Caller};
use syncline::call::{Call, ErrorCode, Push};
use syncline::conformance::author::{Author, entity_subject};
use syncline::conformance::support::{env, log, schema};
use syncline::oplog::{KeyPrefix, Op, OpKind, Part, PartError, Payload, Subject};
use syncline::server::Server;
use syncline::store::{Interest, MemoryFanout, MemoryStore, PageLimit, Signal, Store};
use syncline::{EntityId, limits};

use crate::check;
use crate::clock::replica;
use crate::common::poll_to_end;

pub(crate) fn asks(store: impl Store, call: Call) -> Result<(), ErrorCode> {
    let server = Server::new(Arc::new(store), Arc::new(MemoryFanout::new()), schema());
    let caller = Caller::operator(log(1).bucket);
    poll_to_end(server.handle(&caller, call, env(1))).map(drop).map_err(|refusal| refusal.code)
}

fn pushes(ops: Vec<Op>) -> Result<(), ErrorCode> {
    let push = Push { log: log(1).log, request: None, cursor: None, atomic: false, ops };
    asks(MemoryStore::new(), Call::Push(push))
}

#[test]
fn a_batch_has_at_most_its_ops_and_bytes() {
    check(limits::BATCH_OPS_MAX, &ErrorCode::BatchSize, |count| {
        let mut author = Author::new(1);
        pushes((0..count).map(|_| author.op(OpKind::Update, "merge", 1, "x")).collect())
    });
    assert_eq!(pushes(Vec::new()), Err(ErrorCode::BatchSize));
    let op = |author: &mut Author, bytes: usize| {
        let payload = Payload::Plain(vec![0; bytes].into());
        author.draft(OpKind::Update, entity_subject("merge", 1), payload).seal().expect("a good draft")
    };
    check(limits::BATCH_BYTES_MAX, &ErrorCode::BatchSize, |bytes| {
        let mut author = Author::new(1);
        // Five alike, each below an op's own limit, and a sixth that makes the sum exact.
        let sixth = limits::BATCH_BYTES_MAX / 6;
        let mut ops: Vec<Op> = (0..5).map(|_| op(&mut author, sixth)).collect();
        let held: usize = ops.iter().map(|op| op.bytes().len()).sum();
        let around = ops[0].bytes().len() - sixth;
        ops.push(op(&mut author, bytes - held - around));
        assert_eq!(ops.iter().map(|op| op.bytes().len()).sum::<usize>(), bytes);
        pushes(ops)
    });
}

#[test]
fn a_part_has_at_most_its_prefixes() {
    let part = |count: usize| {
        let prefix = |index: usize| KeyPrefix::starting("tasks".parse().expect("a name"), &index.to_be_bytes()[4..]);
        Part::of((0..count).map(prefix).collect::<Result<Vec<_>, _>>()?)
    };
    let refused = PartError::Prefixes(limits::PART_PREFIXES_MAX + 1);
    check(limits::PART_PREFIXES_MAX, &refused, |count| part(count).map(drop));
    assert_eq!(part(0), Err(PartError::Prefixes(0)));
}

#[test]
fn a_batch_touches_at_most_its_entities() {
    check(limits::BATCH_ENTITIES_MAX, &ErrorCode::BatchSize, |entities| {
        let mut author = Author::new(1);
        let (mut left, mut ops) = (entities, Vec::new());
        while left > 0 {
            let take = left.min(limits::OP_ENTITIES_MAX);
            left -= take;
            let id = |n: usize| EntityId::from_bytes(u128::try_from(n).expect("small").to_be_bytes());
            let Subject::Entity { key, .. } = entity_subject("merge", 255) else { unreachable!("an entity") };
            let subject = Subject::Entity { key, also: (1..take).map(id).collect() };
            ops.push(author.draft(OpKind::Batch, subject, Payload::Plain("x".into())).seal().expect("a good draft"));
        }
        pushes(ops)
    });
}

#[test]
fn a_page_has_at_most_its_ops_and_bytes_and_never_less_than_one_op() {
    let page = |ops| PageLimit::ops(ops).map(drop).ok_or(());
    check(limits::PAGE_OPS_MAX, &(), page);
    assert_eq!((page(0), page(1)), (Err(()), Ok(())));
    let limit = PageLimit::default();
    assert_eq!((limit.ops_max(), limit.bytes_max()), (limits::PAGE_OPS_DEFAULT, limits::PAGE_BYTES_MAX));
    for (asked, given) in
        [(1, 1), (limits::PAGE_BYTES_MAX - 1, limits::PAGE_BYTES_MAX - 1), (usize::MAX, limits::PAGE_BYTES_MAX)]
    {
        assert_eq!(limit.bytes(asked).bytes_max(), given);
    }
    let max = limits::PAGE_BYTES_MAX;
    let takes = |ops, held, bytes| limit.takes(ops, held, bytes);
    assert!(takes(0, 0, usize::MAX), "one op, however large");
    assert!(takes(1, max - 10, 9) && takes(1, max - 10, 10) && !takes(1, max - 10, 11));
    let ops = limits::PAGE_OPS_DEFAULT;
    assert!(takes(ops - 1, 0, 1) && !takes(ops, 0, 1));
}

#[test]
fn a_listing_and_a_token_name_keep_their_limits() {
    check(limits::LIST_ITEMS_MAX, &ErrorCode::LimitOutOfRange, |limit| {
        asks(MemoryStore::new(), Call::Logs { after: None, limit })
    });
    check(limits::LIST_ITEMS_MAX, &ErrorCode::LimitOutOfRange, |limit| {
        asks(MemoryStore::new(), Call::RestorePoints { log: log(1).log, limit })
    });
    check(limits::TOKEN_NAME_CHARS_MAX, &ErrorCode::Malformed, |chars| {
        let (name, access) = ("n".repeat(chars), Access::Read);
        asks(MemoryStore::new(), Call::MintToken { name, access, logs: None, replica: None, expires_at: None })
    });
}

#[test]
fn a_listener_that_does_not_listen_keeps_the_newest_ephemerals() {
    let bus = MemoryFanout::new();
    let mut ear = bus.listen(Interest::Everything);
    let signal = |number: usize| Signal::Ephemeral {
        log: log(1),
        from: replica(0),
        payload: Bytes::copy_from_slice(&number.to_be_bytes()),
    };
    (0..=limits::SOCKET_QUEUE_FRAMES_MAX).for_each(|number| bus.send(&signal(number)));
    assert_eq!(poll_to_end(ear.next()), Some(signal(1)), "the oldest went");
    (2..=limits::SOCKET_QUEUE_FRAMES_MAX).for_each(|number| assert_eq!(poll_to_end(ear.next()), Some(signal(number))));
}
