//! Groups and what they are granted, tokens that are rotated and revoked: each counts from the next request on.

use std::collections::BTreeMap;
use std::sync::Arc;

use syncline::access::{Access, Bearer};
use syncline::call::{Call, Commit, ErrorCode, Group, Refusal, Reply, Token};
use syncline::conformance::support::{env, log};
use syncline::decide::TREE_ROOT;
use syncline::store::{Interest, Signal};
use syncline::tree::{self, Kind, Label, TreeOp};
use syncline::{EntityId, GroupId, LogId, OpId, ReplicaId, TokenId, limits};

use super::common::poll_to_end;
use super::{LOG, World, create, heard, operator};

/// Lets into nothing but by groups.
fn device(world: &World) -> (TokenId, Bearer) {
    let logs = Some(Vec::new());
    let name = "device".to_owned();
    let call = Call::MintToken { name, access: Access::Read, logs, replica: None, expires_at: None };
    match world.call(call) {
        Reply::Token { id, bearer } => (id, bearer),
        other => panic!("{other:?}"),
    }
}

fn group(world: &World) -> GroupId {
    match world.call(Call::CreateGroup { name: "group".into() }) {
        Reply::GroupMade(id) => id,
        other => panic!("{other:?}"),
    }
}

fn done(world: &World, call: Call) {
    let reply = world.call(call);
    assert!(matches!(reply, Reply::Done), "{reply:?}");
}

fn member(world: &World, group: GroupId, token: TokenId, member: bool) {
    done(world, Call::SetMember { group, token, member });
}

fn grant(world: &World, group: GroupId, log: LogId, access: Option<Access>) {
    done(world, Call::SetGrant { group, log, access });
}

/// As a request over HTTP is: who asks is looked up each time.
fn ask(world: &World, bearer: &Bearer, call: Call) -> Result<Reply, Refusal> {
    let caller = poll_to_end(world.server.authenticate(&bearer.to_string(), world.env().now))?;
    world.ask(&caller, call)
}

fn code(world: &World, bearer: &Bearer, call: Call) -> Option<ErrorCode> {
    ask(world, bearer, call).err().map(|refusal| refusal.code)
}

fn commit(number: u8) -> Call {
    let made = TreeOp::Create {
        node: EntityId::from_bytes([number; 16]),
        parent: TREE_ROOT,
        name: format!("folder {number}"),
        kind: Kind::Folder,
        content: None,
    };
    Call::Commit(Commit {
        log: LOG.log,
        id: OpId::from_bytes([number; 16]),
        replica: ReplicaId::from_bytes([1; 16]),
        label: Label::new("x").expect("a label"),
        ops: Arc::new(tree::Commit::new(vec![made]).expect("a commit")),
    })
}

fn world() -> World {
    let world = World::new();
    (1..=3).for_each(|number| drop(world.call(create(log(number).log))));
    world
}

#[test]
fn e40_a_role_is_the_highest_of_all_groups_and_counts_from_the_next_request_on() {
    let world = world();
    let (token, bearer) = device(&world);
    let (readers, writers) = (group(&world), group(&world));
    let status = || Call::Status(LOG.log);
    assert_eq!(code(&world, &bearer, status()), Some(ErrorCode::LogNotFound), "a token grants nothing by itself");
    grant(&world, readers, LOG.log, Some(Access::Read));
    grant(&world, writers, LOG.log, Some(Access::Write));
    member(&world, readers, token, true);
    assert_eq!((code(&world, &bearer, status()), code(&world, &bearer, commit(1))), (None, Some(ErrorCode::Forbidden)));
    member(&world, writers, token, true);
    member(&world, writers, token, true);
    assert_eq!(code(&world, &bearer, commit(1)), None, "the higher of two counts");
    let grants = |access| Call::SetGrant { group: readers, log: LOG.log, access };
    assert_eq!(
        code(&world, &bearer, grants(Some(Access::Admin))),
        Some(ErrorCode::Forbidden),
        "a writer grants nothing"
    );
    // A writer becomes a reader with a commit on its way.
    grant(&world, writers, LOG.log, Some(Access::Read));
    assert_eq!(code(&world, &bearer, commit(2)), Some(ErrorCode::Forbidden));
    grant(&world, writers, LOG.log, Some(Access::Write));
    member(&world, writers, token, false);
    assert_eq!(code(&world, &bearer, commit(2)), Some(ErrorCode::Forbidden));
    assert_eq!(code(&world, &bearer, status()), None, "and reads on by the other group");
    done(&world, Call::DeleteGroup(readers));
    assert_eq!(code(&world, &bearer, status()), Some(ErrorCode::LogNotFound), "a group that is gone grants nothing");
}

#[test]
fn who_administers_a_log_by_a_group_grants_that_log_and_no_other() {
    let world = world();
    let (token, bearer) = device(&world);
    let (owners, others) = (group(&world), group(&world));
    grant(&world, owners, LOG.log, Some(Access::Admin));
    member(&world, owners, token, true);
    let grants = |log: LogId| Call::SetGrant { group: others, log, access: Some(Access::Write) };
    assert_eq!(code(&world, &bearer, grants(LOG.log)), None);
    assert_eq!(code(&world, &bearer, grants(log(2).log)), Some(ErrorCode::LogNotFound));
    assert_eq!(code(&world, &bearer, grants(LogId::SYSTEM)), Some(ErrorCode::LogNotFound));
    assert_eq!(world.code(grants(LogId::SYSTEM)), ErrorCode::Forbidden, "not even an operator grants that one");
    let links = Call::Links { log: LOG.log, after: None, limit: 1 };
    assert_eq!(code(&world, &bearer, links), None, "links are an administrator's");
    for call in [
        Call::CreateGroup { name: "mine".into() },
        Call::DeleteGroup(others),
        Call::Groups { after: None, limit: 1 },
        Call::Tokens { after: None, limit: 1 },
        Call::SetMember { group: owners, token, member: true },
        Call::RotateToken(TokenId::from_bytes([9; 16])),
        Call::RevokeToken(token),
    ] {
        assert_eq!(code(&world, &bearer, call.clone()), Some(ErrorCode::LogNotFound), "{call:?}");
    }
    let Ok(Reply::Logs(logs)) = ask(&world, &bearer, Call::Logs { after: None, limit: 10 }) else { panic!("no list") };
    assert_eq!(logs.iter().map(|log| log.log).collect::<Vec<_>>(), [LOG.log], "what is granted is listed");
}

#[test]
fn a_rotated_token_lets_in_for_five_minutes_and_the_new_one_for_good() {
    let world = world();
    let (token, first) = device(&world);
    let (owners, now) = (group(&world), 1_000);
    grant(&world, owners, LOG.log, Some(Access::Read));
    member(&world, owners, token, true);
    let lets_in = |bearer: &Bearer, at: u64| poll_to_end(world.server.authenticate(&bearer.to_string(), env(at).now));
    let rotate = |bearer: &Bearer, at: u64| {
        let caller = lets_in(bearer, at).expect("let in");
        match poll_to_end(world.server.handle(&caller, Call::RotateToken(token), env(at))).expect("rotated") {
            Reply::Token { id, bearer } => {
                assert_eq!((id, bearer.id()), (token, token), "who holds it stays the same");
                bearer
            }
            other => panic!("{other:?}"),
        }
    };
    let second = rotate(&first, now);
    let for_ms = limits::TOKEN_FORMER_MS;
    for (at, both) in [(now + for_ms - 1, true), (now + for_ms, false)] {
        assert_eq!(lets_in(&first, at).is_ok(), both, "at {at}");
        let caller = lets_in(&second, at).expect("let in");
        assert!(caller.may(Access::Read, LOG.log), "in the same groups");
    }
    // An answer that got lost: the old one asks again, and what was lost ends with it.
    let (lost, third) = (rotate(&second, now), rotate(&second, now + 1));
    assert!(lets_in(&lost, now + for_ms).is_ok() && lets_in(&lost, now + 1 + for_ms).is_err());
    assert!(lets_in(&third, now + 9 * for_ms).is_ok());
    // Of very many at once the oldest ends early.
    let mut newest = third.clone();
    let mut all = vec![third];
    for at in 0..=limits::TOKENS_FORMER_MAX as u64 {
        newest = rotate(&newest, now + 2 + at);
        all.push(newest.clone());
    }
    let live = all.iter().filter(|bearer| lets_in(bearer, now + 20).is_ok()).count();
    assert_eq!(live, limits::TOKENS_FORMER_MAX + 1);
    world.call(Call::RevokeToken(token));
    assert!(all.iter().all(|bearer| lets_in(bearer, now + 20).is_err()), "revoking ends all of them");
    assert_eq!(world.code(Call::RotateToken(token)), ErrorCode::TokenNotFound);
}

#[test]
fn e39_whoever_may_do_less_is_told_of_at_once_to_all_servers() {
    let world = world();
    let (token, _) = device(&world);
    let owners = group(&world);
    let mut bus = world.bus.listen(Interest::Logs(vec![syncline::LogKey { log: LogId::SYSTEM, ..LOG }]));
    let told = |bus: &mut dyn syncline::store::SignalSource| matches!(heard(bus), Some(Signal::Wake { .. }));
    assert!(!told(&mut *bus));
    for call in [
        Call::SetGrant { group: owners, log: LOG.log, access: Some(Access::Read) },
        Call::SetMember { group: owners, token, member: true },
        Call::SetMember { group: owners, token, member: false },
        Call::SetGrant { group: owners, log: LOG.log, access: None },
        Call::DeleteGroup(owners),
        Call::RevokeToken(token),
    ] {
        let name = format!("{call:?}");
        done(&world, call);
        assert!(told(&mut *bus), "{name}");
    }
    device(&world);
    assert!(!told(&mut *bus), "a token more takes nothing from anybody");
}

#[test]
fn tokens_and_groups_are_listed_and_their_numbers_are_held() {
    let world = world();
    let (token, _) = device(&world);
    let groups: Vec<GroupId> = (0..=limits::GROUPS_PER_TOKEN_MAX).map(|_| group(&world)).collect();
    let join = |group| Call::SetMember { group, token, member: true };
    for (at, group) in groups.iter().enumerate() {
        let joined = world.ask(&operator(), join(*group)).map_err(|refusal| refusal.code);
        let expected = if at < limits::GROUPS_PER_TOKEN_MAX { None } else { Some(ErrorCode::LimitOutOfRange) };
        assert_eq!(joined.err(), expected, "group {at}");
    }
    let mut grants = BTreeMap::new();
    for number in 0..=limits::GRANTS_PER_GROUP_MAX {
        let mut id = [5; 16];
        id[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let log = LogId::from_bytes(id);
        let call = Call::SetGrant { group: groups[0], log, access: Some(Access::Write) };
        let granted = world.ask(&operator(), call).map_err(|refusal| refusal.code);
        if number < limits::GRANTS_PER_GROUP_MAX {
            grants.insert(log, Access::Write);
            assert!(granted.is_ok(), "grant {number}");
        } else {
            assert_eq!(granted.err(), Some(ErrorCode::LimitOutOfRange));
        }
    }
    let Reply::Groups(listed) = world.call(Call::Groups { after: None, limit: 1_000 }) else { panic!("no list") };
    assert_eq!(listed.len(), groups.len());
    let first = Group { id: groups[0], name: "group".into(), grants };
    assert!(listed.contains(&first));
    let after = Some(listed[0].id);
    let Reply::Groups(rest) = world.call(Call::Groups { after, limit: 1_000 }) else { panic!("no list") };
    assert_eq!(rest, listed[1..]);
    let Reply::Tokens(tokens) = world.call(Call::Tokens { after: None, limit: 10 }) else { panic!("no list") };
    let held = groups[..limits::GROUPS_PER_TOKEN_MAX].to_vec();
    let (name, access, logs) = ("device".to_owned(), Access::Read, Some(Vec::new()));
    assert_eq!(tokens, [Token { id: token, name, access, logs, replica: None, expires_at: None, groups: held }]);
    for call in
        [Call::Tokens { after: None, limit: 0 }, Call::Groups { after: None, limit: limits::LIST_ITEMS_MAX + 1 }]
    {
        assert_eq!(world.code(call), ErrorCode::LimitOutOfRange);
    }
    let (absent, nobody) = (GroupId::from_bytes([9; 16]), TokenId::from_bytes([9; 16]));
    assert_eq!(world.code(join(absent)), ErrorCode::GroupNotFound);
    let grant = Call::SetGrant { group: absent, log: LOG.log, access: None };
    assert_eq!(world.code(grant), ErrorCode::GroupNotFound);
    let stranger = Call::SetMember { group: groups[0], token: nobody, member: true };
    assert_eq!(world.code(stranger), ErrorCode::TokenNotFound);
    let max = limits::TOKEN_NAME_CHARS_MAX;
    for (len, good) in [(0, false), (1, true), (max, true), (max + 1, false)] {
        let made = world.ask(&operator(), Call::CreateGroup { name: "ü".repeat(len) });
        assert_eq!(made.is_ok(), good, "{len} characters");
    }
}

/// Whoever makes a log anew under the id of one that was deleted lets nobody in by that.
#[test]
fn what_was_granted_of_a_log_ends_with_it() {
    let world = world();
    let (token, bearer) = device(&world);
    let groups = [group(&world), group(&world)];
    for group in groups {
        grant(&world, group, LOG.log, Some(Access::Write));
        grant(&world, group, log(2).log, Some(Access::Read));
        member(&world, group, token, true);
    }
    let end = |log| match world.call(Call::Status(log)) {
        Reply::Log { bounds, .. } => bounds.end(),
        other => panic!("{other:?}"),
    };
    let (one, two) = (end(LOG.log), end(log(2).log));
    let stale = Call::DeleteLog { log: log(2).log, seen: one };
    if one != two {
        assert!(world.ask(&operator(), stale).is_err());
    }
    done(&world, Call::DeleteLog { log: LOG.log, seen: one });
    done(&world, Call::DeleteLog { log: LOG.log, seen: one });
    drop(world.call(create(LOG.log)));
    assert_eq!(code(&world, &bearer, Call::Status(LOG.log)), Some(ErrorCode::LogNotFound));
    assert_eq!(code(&world, &bearer, Call::Status(log(2).log)), None, "another log's grants are gone");
    match world.call(Call::Groups { after: None, limit: 10 }) {
        Reply::Groups(groups) => assert!(groups.iter().all(|group| group.grants.keys().eq([&log(2).log]))),
        other => panic!("{other:?}"),
    }
}
