//! Who may do what, which logs may be known of, and how a bearer token lives and ends.

use std::collections::BTreeSet;

use crate::*;
use syncline::access::{Access, Bearer};
use syncline::blob::ScanPolicy;
use syncline::call::NewLink;
use syncline::decide::TREE_ROOT;
use syncline::digest::Digest;
use syncline::limits;
use syncline::{BucketId, LinkId, ReplicaId, Timestamp, TokenId};

fn caller(access: Access, logs: Option<&[u8]>) -> Caller {
    let logs = logs.map(|logs| logs.iter().map(|number| log(*number).log).collect::<BTreeSet<_>>());
    Caller { access, logs, ..operator() }
}

fn mint(name: &str, access: Access) -> Call {
    Call::MintToken { name: name.to_owned(), access, logs: None, replica: None, expires_at: None }
}

fn minted(reply: Reply) -> (TokenId, Bearer) {
    match reply {
        Reply::Token { id, bearer } => (id, bearer),
        other => panic!("not a token: {other:?}"),
    }
}

/// Every call on one log with the access it needs.
fn calls(log: LogId) -> Vec<(Access, Call)> {
    let (seen, request) = (Cursor::START, request(1));
    let payload = Payload::Sealed(bytes::Bytes::new());
    let anchor = syncline::Anchor::genesis(LOG, syncline::Origin([1; 16]));
    let snapshot =
        Snapshot { seq: Seq::FIRST, anchor, clock: syncline::VectorClock::new(), schema_version: 1, payload };
    let new = NewLink { log, node: TREE_ROOT, pin: None, expires_at: None, password: None, max_downloads: None };
    vec![
        (Access::Admin, create(log)),
        (Access::Write, Call::RotateKeys { log, from: 0 }),
        (Access::Read, Call::Status(log)),
        (Access::Admin, Call::DeleteLog { log, seen }),
        (Access::Write, Call::Push(Push { log, ..push(&[]) })),
        (Access::Read, pull(log, Cursor::START)),
        (Access::Read, Call::GetSnapshot(log)),
        (Access::Write, Call::PutSnapshot { log, snapshot: Box::new(snapshot) }),
        (Access::Read, Call::RestorePoints { log, limit: 1 }),
        (Access::Write, Call::Restore { log, to: Seq::FIRST, seen, request }),
        (Access::Write, Call::UndoRestore { log, seen, request }),
        (Access::Read, Call::Acknowledge { log, replica: ReplicaId::from_bytes([1; 16]), cursor: seen }),
        (Access::Read, Call::Devices(log)),
        (Access::Admin, Call::SetScanning { log, policy: ScanPolicy::Off }),
        (Access::Admin, Call::Scans { log, after: None, limit: 1 }),
        (Access::Admin, Call::ReleaseBlob { log, blob: Digest::of(&[b"x"]) }),
        (Access::Admin, Call::RescanBlob { log, blob: Digest::of(&[b"x"]) }),
        (Access::Admin, Call::MakeLink(new)),
        (Access::Admin, Call::Links { log, after: None, limit: 1 }),
        (Access::Admin, Call::RevokeLink { log, link: LinkId::from_bytes([1; 16]) }),
    ]
}

#[test]
fn every_call_needs_its_access() {
    for has in [Access::Read, Access::Write, Access::Admin] {
        let world = World::new();
        world.verdicts(&edits(&mut Author::new(1), 1));
        for (needs, call) in calls(LOG.log) {
            let name = format!("{call:?}");
            let answer = world.ask(&caller(has, Some(&[1])), call).map_err(|refusal| refusal.code);
            let forbidden = matches!(answer, Err(ErrorCode::Forbidden));
            assert_eq!(forbidden, needs > has, "{has:?}: {name}: {answer:?}");
            assert!(!matches!(answer, Err(ErrorCode::LogNotFound)), "{name}");
        }
    }
}

#[test]
fn a_log_one_may_not_know_of_answers_as_one_that_is_not_there() {
    let world = World::new();
    world.verdicts(&edits(&mut Author::new(1), 1));
    world.call(mint("makes the system log", Access::Read));
    for access in [Access::Read, Access::Write, Access::Admin] {
        let scoped = caller(access, Some(&[2]));
        for hidden in [LOG.log, LogId::SYSTEM, log(9).log] {
            for (_, call) in calls(hidden) {
                let name = format!("{call:?}");
                let refusal = world.ask(&scoped, call).expect_err("refused");
                let told = (refusal.code, refusal.detail.as_str(), refusal.end);
                assert_eq!(told, (ErrorCode::LogNotFound, "no such log", None), "{access:?}: {name}");
            }
        }
    }
    let elsewhere = Caller::operator(BucketId::from_bytes([2; 16]));
    let status = world.ask(&elsewhere, Call::Status(LOG.log)).expect_err("refused");
    assert_eq!((status.code, status.detail.as_str()), (ErrorCode::LogNotFound, "no such log"), "another bucket");
}

fn listed(world: &World, caller: &Caller, after: Option<u8>, limit: usize) -> Vec<LogId> {
    let after = after.map(|number| log(number).log);
    match world.ask(caller, Call::Logs { after, limit }).expect("answered") {
        Reply::Logs(logs) => logs.iter().map(|summary| summary.log).collect(),
        other => panic!("not a listing: {other:?}"),
    }
}

#[test]
fn a_listing_is_whole_for_whom_it_is_made() {
    let world = World::new();
    world.call(mint("makes the system log", Access::Read));
    (1..=6).for_each(|number| drop(world.call(create(log(number).log))));
    let ids = |numbers: &[u8]| numbers.iter().map(|number| log(*number).log).collect::<Vec<_>>();
    type Row<'r> = (Option<&'r [u8]>, Option<u8>, usize, &'r [u8]);
    let rows: [Row<'_>; 8] = [
        (None, None, 10, &[1, 2, 3, 4, 5, 6]),
        (None, None, 2, &[1, 2]),
        (None, Some(4), 10, &[5, 6]),
        (Some(&[3, 5, 9]), None, 10, &[3, 5]),
        (Some(&[3, 5, 9]), None, 1, &[3]),
        (Some(&[3, 5, 9]), Some(3), 1, &[5]),
        (Some(&[3, 5, 9]), Some(5), 1, &[]),
        (Some(&[]), None, 10, &[]),
    ];
    for (logs, after, limit, expected) in rows {
        let found = listed(&world, &caller(Access::Read, logs), after, limit);
        assert_eq!(found, ids(expected), "{logs:?} after {after:?} limit {limit}");
    }
    for limit in [0, limits::LIST_ITEMS_MAX + 1] {
        assert_eq!(world.code(Call::Logs { after: None, limit }), ErrorCode::LimitOutOfRange);
    }
    world.call(Call::Logs { after: None, limit: limits::LIST_ITEMS_MAX });
}

#[test]
fn making_and_deleting_a_log_take_what_was_seen() {
    let world = World::new();
    let create = || match world.call(create(LOG.log)) {
        Reply::Log { bounds, created, .. } => (*bounds, created),
        other => panic!("not a log: {other:?}"),
    };
    let (bounds, created) = create();
    assert!(created);
    assert_eq!(create(), (bounds.clone(), false));
    world.verdicts(&edits(&mut Author::new(1), 1));
    let delete = |seen| Call::DeleteLog { log: LOG.log, seen };
    let refusal = world.refused(delete(bounds.end()));
    assert_eq!((refusal.code, refusal.end), (ErrorCode::LogMoved, Some(world.end())));
    let seen = world.end();
    assert!(matches!(world.call(delete(seen)), Reply::Done));
    assert!(matches!(world.call(delete(seen)), Reply::Done), "and again");
    assert_eq!(world.code(Call::Status(LOG.log)), ErrorCode::LogNotFound);
    world.verdicts(&edits(&mut Author::new(1), 1));
    assert_eq!(world.code(pull(LOG.log, seen)), ErrorCode::GapForeignLog, "made again, it is another log");
}

#[test]
fn the_system_log_is_the_engines_own() {
    let world = World::new();
    let (_, bearer) = minted(world.call(mint("one", Access::Read)));
    let system = LogId::SYSTEM;
    for (access, call) in calls(system).into_iter().filter(|(access, _)| *access < Access::Admin) {
        let name = format!("{access:?} {call:?}");
        assert_eq!(world.code(call), ErrorCode::LogNotFound, "not even for an operator: {name}");
    }
    assert_eq!(world.code(Call::DeleteLog { log: system, seen: Cursor::START }), ErrorCode::Forbidden);
    assert!(matches!(world.call(create(system)), Reply::Log { created: false, .. }));
    assert!(poll_to_end(world.server.authenticate(&bearer.to_string(), world.env().now)).is_ok());
}

#[test]
fn a_token_lets_in_until_it_is_revoked() {
    let world = World::new();
    let now = env(100).now;
    let replica = ReplicaId::from_bytes([7; 16]);
    let call = Call::MintToken {
        name: "phone".to_owned(),
        access: Access::Write,
        logs: Some(vec![LOG.log]),
        replica: Some(replica),
        expires_at: None,
    };
    let (id, bearer) = minted(world.call(call));
    let text = bearer.to_string();
    let let_in = poll_to_end(world.server.authenticate(&text, now)).expect("let in");
    let logs = Some(BTreeSet::from([LOG.log]));
    let grants = std::collections::BTreeMap::new();
    let expected =
        Caller { bucket: LOG.bucket, token: Some(id), access: Access::Write, logs, grants, replica: Some(replica) };
    assert_eq!(let_in, expected);
    assert!(!format!("{bearer:?}").contains(&text[42..]), "debug output hides the secret");

    world.call(Call::RevokeToken(id));
    assert_eq!(poll_to_end(world.server.authenticate(&text, now)).expect_err("out").code, ErrorCode::Unauthenticated);
    assert!(matches!(world.call(Call::RevokeToken(id)), Reply::Done), "ending it twice is no error");
    assert!(matches!(world.call(Call::RevokeToken(TokenId::from_bytes([9; 16]))), Reply::Done));
}

#[test]
fn a_token_ends_at_its_time() {
    let world = World::new();
    let end = 1_800_000_000_000;
    let at = |ms: u64| Timestamp::from_ms(ms).expect("in range");
    let call = Call::MintToken {
        name: "guest".to_owned(),
        access: Access::Read,
        logs: None,
        replica: None,
        expires_at: Some(at(end)),
    };
    let text = minted(world.call(call)).1.to_string();
    for (ms, let_in) in [(end - 1, true), (end, false), (end + 1, false)] {
        assert_eq!(poll_to_end(world.server.authenticate(&text, at(ms))).is_ok(), let_in, "at {ms}");
    }
}

#[test]
fn every_token_that_is_not_known_gets_one_answer() {
    let world = World::new();
    let (id, good) = minted(world.call(mint("one", Access::Admin)));
    let good = good.to_string();
    let other_bucket = Bearer::new(BucketId::from_bytes([2; 16]), id, [3; 32]).to_string();
    let unknown = Bearer::new(LOG.bucket, id, [3; 32]).to_string();
    let moved = good.replace(&"01".repeat(16), &"02".repeat(16));
    let rows = ["", "syncline_", "Bearer", &good[1..], &good[..good.len() - 1], &format!("{good}0"), &other_bucket];
    for bearer in rows.into_iter().chain([unknown.as_str(), moved.as_str()]) {
        let refusal = poll_to_end(world.server.authenticate(bearer, env(100).now)).expect_err("refused");
        let told = (refusal.code, refusal.detail.as_str());
        assert_eq!(told, (ErrorCode::Unauthenticated, "the bearer token is not known"), "{bearer:?}");
    }
    assert!(poll_to_end(world.server.authenticate(&good, env(100).now)).is_ok());
}

#[test]
fn tokens_are_made_by_those_who_administer_the_whole_bucket() {
    let world = World::new();
    let callers = [
        (caller(Access::Read, None), ErrorCode::Forbidden),
        (caller(Access::Write, None), ErrorCode::Forbidden),
        (caller(Access::Write, Some(&[1])), ErrorCode::LogNotFound),
        (caller(Access::Admin, Some(&[1])), ErrorCode::LogNotFound),
    ];
    for (caller, code) in callers {
        for call in [mint("x", Access::Admin), Call::RevokeToken(TokenId::from_bytes([1; 16]))] {
            assert_eq!(world.ask(&caller, call).expect_err("refused").code, code, "{caller:?}");
        }
    }
    let max = limits::TOKEN_NAME_CHARS_MAX;
    for (name, let_in) in [(0, false), (1, true), (max - 1, true), (max, true), (max + 1, false)] {
        let answer = world.ask(&operator(), mint(&"ü".repeat(name), Access::Read)).map_err(|refusal| refusal.code);
        assert_eq!(answer.is_ok(), let_in, "{name} characters");
        assert!(let_in || matches!(answer, Err(ErrorCode::Malformed)));
    }
}
