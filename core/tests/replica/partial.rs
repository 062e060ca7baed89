//! Devices that hold a part of their log: they end with what everybody has of it, and say of the rest that it is not here.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use syncline::call::{Call, Push, Reply};
use syncline::client::{Map, ReplicaError, Status, Transport as _, Write};
use syncline::oplog::{Draft, EntityKey, Gap, KeyPrefix, OpKind, Part, PartError, Payload, Precondition, Subject};
use syncline::store::{MemoryStore, PageLimit, Store as _, StoreExt as _};
use syncline::{Cursor, EntityId, Hlc, OpId, ReplicaId, Seq, VectorClock};

use crate::world::{Device, Fault, LOG, World, run};

pub(crate) fn part(text: &str) -> Part {
    text.parse().unwrap()
}

pub(crate) fn map(device: &Device, collection: &str, name: &str) -> Map {
    device.replica.collection(collection).unwrap().named(name)
}

pub(crate) fn set(device: &Device, collection: &str, name: &str, value: &str) {
    run(map(device, collection, name).set("n", value)).unwrap();
}

/// What is shown, `-` for what does not exist and `?` for what is not here.
pub(crate) fn read(device: &Device, collection: &str, name: &str) -> String {
    match run(device.replica.state(map(device, collection, name).key())) {
        Ok(Some(state)) => String::from_utf8(state.to_vec()).unwrap(),
        Ok(None) => "-".to_owned(),
        Err(ReplicaError::NotHere(key)) => {
            assert_eq!(key, *map(device, collection, name).key());
            "?".to_owned()
        }
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn partial(world: &mut World, text: &str) -> Device {
    world.part = Some(part(text));
    let device = world.device();
    world.part = None;
    device
}

/// Rows and bytes of one kind: heads of these collections, and ops.
pub(crate) fn rows(device: &Device, collections: &[&str]) -> (usize, usize, usize) {
    let (mut heads, mut bytes) = (0, 0);
    for collection in collections {
        let collection = collection.parse().unwrap();
        let mut after: Option<EntityKey> = None;
        loop {
            let page = run(device.store.heads(LOG, &collection, after.as_ref(), 1_000)).unwrap();
            heads += page.heads.len();
            bytes += page.heads.iter().map(|(_, head)| 32 + head.to_bytes().len()).sum::<usize>();
            after = page.heads.last().map(|(key, _)| key.clone());
            if !page.more {
                break;
            }
        }
    }
    let first = run(device.store.bounds(LOG)).unwrap().unwrap().first;
    let (mut ops, mut at) = (0, first.before());
    loop {
        let page = run(device.store.ops_after(LOG, at, PageLimit::default())).unwrap();
        let Some(last) = page.ops.last() else { break };
        at = last.seq;
        ops += page.ops.len();
        bytes += page.ops.iter().map(|op| 100 + op.op.bytes().len()).sum::<usize>();
    }
    (heads, ops, bytes)
}

#[test]
fn a_partial_device_shows_its_part_as_everybody_does_and_says_what_is_not_here() {
    let mut world = World::new();
    let whole = world.device();
    let some = partial(&mut world, "tasks");
    for round in 0..5 {
        for name in ["1", "2", "3"] {
            set(&whole, "tasks", name, &round.to_string());
            set(&whole, "notes", name, &round.to_string());
        }
        world.sync(&whole);
        assert!(world.sync(&some).is_safe());
        for name in ["1", "2", "3"] {
            assert_eq!(read(&some, "tasks", name), read(&whole, "tasks", name));
            assert_eq!(read(&some, "notes", name), "?");
        }
    }
    assert_eq!(read(&some, "tasks", "4"), "-", "it is in the part and does not exist");
    assert_eq!(rows(&some, &["tasks", "notes"]).0, 3);
    assert_eq!(rows(&some, &[]).1, 0, "no history is kept");
    let end = |device: &Device| run(device.replica.end()).unwrap();
    assert_eq!(end(&some), end(&whole), "the running hash covers what was left out");
    let mut feed = some.replica.changes(Cursor::START);
    assert!(matches!(run(feed.try_next()), Err(ReplicaError::Gap(Gap::Pruned))));
    assert!(matches!(run(some.replica.at(Seq::FIRST)), Err(ReplicaError::NotKept(_))));
    let reopened = world.open(Arc::clone(&some.store), 0);
    assert_eq!(reopened.replica.part(), Some(part("tasks")), "kept with what it is the part of");
    assert_eq!(read(&reopened, "tasks", "1"), r#"{"n":"4"}"#);
}

#[test]
fn what_is_left_out_costs_its_digest_and_little_more() {
    let mut world = World::new();
    let whole = world.device();
    let some = partial(&mut world, "tasks");
    for index in 0..400 {
        set(&whole, "notes", &index.to_string(), &"a long note ".repeat(100));
    }
    set(&whole, "tasks", "1", "1");
    world.sync(&whole);
    world.way.bytes.store(0, Ordering::Relaxed);
    world.sync(&some);
    let bytes = world.way.bytes.load(Ordering::Relaxed);
    assert!(bytes < 400 * 45, "{bytes} bytes for 400 ops of 1,200 that are left out");
    assert_eq!(read(&some, "tasks", "1"), r#"{"n":"1"}"#);
}

/// Catalogue W2 for a partial reader: what is left out cannot be dropped, moved, changed or sent to who did not ask.
#[test]
fn fault_w02_a_page_with_ops_left_out_follows_only_as_it_was_sent() {
    let mut world = World::new();
    let whole = world.device();
    for index in 0..12 {
        set(&whole, ["tasks", "notes"][index % 2], &index.to_string(), "1");
    }
    world.sync(&whole);
    let pull = Call::Pull { log: LOG.log, cursor: Cursor::START, limit: PageLimit::default() };
    let Ok(Reply::Pulled(page)) = run(world.way.call(pull)) else { panic!("a page") };
    let sent = page.clone().only(&part("tasks"));
    assert_eq!((sent.ops.len(), sent.left_out.len()), (6, 6));
    assert_eq!(sent.follows_partly(LOG, Cursor::START), Ok(()));
    assert_eq!(sent.follows(LOG, Cursor::START), Err(Gap::Hole), "a reader of everything takes no less");
    for at in 0..6 {
        let mut dropped = sent.clone();
        dropped.left_out.remove(at);
        assert!(dropped.follows_partly(LOG, Cursor::START).is_err());
        let mut moved = sent.clone();
        moved.left_out.swap(at, (at + 1) % 6);
        assert_eq!(moved.follows_partly(LOG, Cursor::START), Err(Gap::Hole));
        let mut changed = sent.clone();
        changed.left_out[at].digest = sent.left_out[(at + 1) % 6].digest;
        assert_eq!(changed.follows_partly(LOG, Cursor::START), Err(Gap::Diverged));
    }
}

#[test]
fn a_partial_device_writes_outside_its_part_and_claims_no_more_than_it_saw() {
    let mut world = World::new();
    let whole = world.device();
    let some = partial(&mut world, "tasks");
    set(&whole, "notes", "1", "theirs");
    set(&whole, "causal", "1", "theirs");
    world.sync(&whole);
    world.sync(&some);
    run(map(&some, "notes", "1").set("by", "blind")).unwrap();
    set(&some, "notes", "2", "new");
    assert_eq!(read(&some, "notes", "2"), "?", "a part of what it says would be a guess");
    let blind = run(map(&some, "causal", "1").set("n", "mine")).unwrap();
    let status = world.sync(&some);
    assert_eq!(status.unsynced, 0);
    world.sync(&whole);
    assert_eq!(read(&whole, "notes", "1"), r#"{"by":"blind","n":"theirs"}"#);
    assert_eq!(read(&whole, "notes", "2"), r#"{"n":"new"}"#);
    assert_eq!(read(&whole, "causal", "1"), r#"{"n":"theirs"}"#, "nobody overwrites what they did not see");
    let conflicts = run(some.replica.conflicts()).unwrap();
    assert_eq!(conflicts.iter().map(syncline::client::Conflict::no).collect::<Vec<_>>(), [blind.no()]);
}

#[test]
fn of_a_batch_the_inside_is_applied_whole() {
    let mut world = World::new();
    let whole = world.device();
    let some = partial(&mut world, "tasks");
    let write = |collection: &str, name: &str| Write {
        key: map(&whole, collection, name).key().clone(),
        kind: OpKind::Update,
        precondition: Precondition::None,
        payload: Payload::Json(r#"{"paid":true}"#.into()),
    };
    for order in [["tasks", "notes", "tasks"], ["notes", "tasks", "notes"], ["notes", "notes", "tasks"]] {
        let batch = order.iter().zip(["1", "2", "3"]).map(|(collection, name)| write(collection, name)).collect();
        run(whole.replica.write_batch(batch)).unwrap();
        world.sync(&whole);
        world.sync(&some);
        for name in ["1", "2", "3"] {
            assert_eq!(read(&some, "tasks", name), read(&whole, "tasks", name));
        }
    }
    let end = |device: &Device| run(device.replica.end()).unwrap();
    assert_eq!(end(&some), end(&whole));
}

#[test]
fn entities_are_evicted_and_fetched_again_as_the_log_has_them_by_then() {
    let mut world = World::new();
    let whole = world.device();
    let some = partial(&mut world, "tasks,files");
    for name in ["1", "2", "3", "4"] {
        set(&whole, "tasks", name, "old");
    }
    world.sync(&whole);
    world.sync(&some);
    let key = |name: &str| map(&some, "tasks", name).key().clone();
    set(&some, "tasks", "3", "waits");
    let refused = run(some.replica.evict(&[key("1"), key("3")]));
    assert!(matches!(refused, Err(ReplicaError::Waits(waiting)) if waiting == key("3")));
    assert_eq!(read(&some, "tasks", "1"), r#"{"n":"old"}"#, "all or none");
    run(some.replica.evict(&[key("1"), key("2"), key("4")])).unwrap();
    for name in ["1", "2", "4"] {
        assert_eq!(read(&some, "tasks", name), "?");
    }
    let ids = run(some.replica.collection("tasks").unwrap().ids(None, 100)).unwrap();
    assert_eq!(ids.len(), 4, "they still exist");
    // What happens meanwhile is not shown, and not lost.
    run(map(&whole, "tasks", "1").set("more", "1")).unwrap();
    run(map(&whole, "tasks", "4").delete()).unwrap();
    world.sync(&whole);
    world.sync(&some);
    assert_eq!(read(&some, "tasks", "1"), "?");
    run(map(&some, "tasks", "2").set("blind", "1")).unwrap();
    run(some.replica.fetch(&[key("1"), key("2"), key("4")], &world.way)).unwrap();
    assert_eq!(read(&some, "tasks", "1"), r#"{"more":"1","n":"old"}"#);
    assert_eq!(read(&some, "tasks", "2"), r#"{"blind":"1","n":"old"}"#);
    assert_eq!(read(&some, "tasks", "4"), "-");
    assert!(world.sync(&some).is_safe());
    world.sync(&whole);
    for name in ["1", "2", "3", "4"] {
        assert_eq!(read(&some, "tasks", name), read(&whole, "tasks", name));
    }
    let outside = map(&some, "notes", "1").key().clone();
    assert!(matches!(run(some.replica.fetch(&[outside], &world.way)), Err(ReplicaError::NotHere(_))));
    assert!(matches!(run(whole.replica.evict(&[key("1")])), Err(ReplicaError::NotPartial)));
}

#[test]
fn a_part_grows_by_what_is_read_for_it_and_shrinks_by_what_is_let_go() {
    let mut world = World::new();
    let whole = world.device();
    let some = partial(&mut world, "tasks");
    for index in 0..20 {
        set(&whole, "tasks", &index.to_string(), "1");
        set(&whole, "notes", &index.to_string(), "1");
        world.sync(&whole);
    }
    world.sync(&some);
    world.fault(&[Fault::None, Fault::None, Fault::Unreachable]);
    assert!(run(some.replica.widen(&part("notes"), &world.way)).is_err());
    assert_eq!(some.replica.part(), Some(part("tasks")), "all of it or nothing");
    world.fault(&[]);
    run(some.replica.widen(&part("notes"), &world.way)).unwrap();
    assert_eq!(some.replica.part(), Some(part("notes,tasks")));
    set(&whole, "notes", "3", "2");
    set(&some, "notes", "4", "2");
    for device in [&whole, &some, &whole] {
        assert!(world.sync(device).is_safe());
    }
    for name in (0..20).map(|index| index.to_string()) {
        assert_eq!(read(&some, "notes", &name), read(&whole, "notes", &name));
    }
    set(&some, "tasks", "3", "waits");
    assert!(matches!(run(some.replica.narrow(&part("notes"))), Err(ReplicaError::Waits(_))));
    world.sync(&some);
    assert!(matches!(run(some.replica.narrow(&part("other"))), Err(ReplicaError::NotHere(_))));
    run(some.replica.narrow(&part("notes"))).unwrap();
    assert_eq!((read(&some, "tasks", "3"), rows(&some, &["tasks"]).0), ("?".to_owned(), 0));
    assert_eq!(read(&some, "notes", "4"), r#"{"n":"2"}"#);
    set(&whole, "notes", "5", "3");
    world.sync(&whole);
    world.sync(&some);
    assert_eq!(read(&some, "notes", "5"), r#"{"n":"3"}"#);
}

#[test]
fn a_part_may_be_ids_that_begin_alike() {
    let mut world = World::new();
    let whole = world.device();
    let some = partial(&mut world, "tasks:07,tasks:0801");
    let id = |index: u16| {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&index.to_be_bytes());
        EntityId::from_bytes(id)
    };
    let task = |device: &Device, index| device.replica.collection("tasks").unwrap().map(id(index));
    for index in 0x06f0..0x0810 {
        run(task(&whole, index).set("n", "1")).unwrap();
    }
    world.sync(&whole);
    world.sync(&some);
    for index in 0x06f0..0x0810 {
        let held = (0x0700..0x0800).contains(&index) || index == 0x0801;
        assert_eq!(run(some.replica.state(task(&some, index).key())).is_ok(), held, "{index:x}");
    }
    assert_eq!(rows(&some, &["tasks"]).0, 257);
}

#[test]
fn a_part_has_one_spelling() {
    for (text, spelled) in [
        ("tasks,notes", "notes,tasks"),
        ("tasks,tasks:07", "tasks"),
        ("tasks:0708,tasks:07,tasks:06", "tasks:06,tasks:07"),
        ("a:00000000000000000000000000000000", "a:00000000000000000000000000000000"),
    ] {
        assert_eq!(part(text).to_string(), spelled);
    }
    for text in ["", ",", "tasks:", "tasks:0", "tasks:0A", "ta sks", "tasks:000000000000000000000000000000000000"] {
        assert!(text.parse::<Part>().is_err(), "{text}");
    }
    let long = KeyPrefix::starting("tasks".parse().unwrap(), &[0; 17]);
    assert_eq!(long, Err(PartError::Start(17)));
}

/// Everything is replaced at once: the server sends a part of the state in its place.
#[test]
fn a_restore_reaches_a_partial_device_as_its_part_of_the_state() {
    let mut world = World::new();
    let whole = world.device();
    let some = partial(&mut world, "tasks");
    set(&whole, "tasks", "1", "before");
    set(&whole, "notes", "1", "before");
    world.sync(&whole);
    let then = run(whole.replica.end()).unwrap().seq;
    set(&whole, "tasks", "1", "after");
    set(&whole, "tasks", "2", "after");
    world.sync(&whole);
    world.sync(&some);
    set(&some, "tasks", "3", "mine");
    world.sync(&some);
    world.sync(&whole);
    run(whole.replica.restore(then)).unwrap();
    world.sync(&whole);
    set(&whole, "tasks", "4", "later");
    world.sync(&whole);
    assert!(world.sync(&some).is_safe());
    for name in ["1", "2", "3", "4"] {
        assert_eq!(read(&some, "tasks", name), read(&whole, "tasks", name), "{name}");
    }
    assert_eq!(read(&some, "tasks", "1"), r#"{"n":"before"}"#);
    assert_eq!(rows(&some, &["notes"]).0, 0);
}

/// Seeded: partial devices beside whole ones, with lost answers, kills and servers put back; in the end all agree on what
/// they hold, and no write is nowhere.
#[test]
fn partial_devices_beside_whole_ones_end_with_the_same_of_their_part() {
    for seed in 0..60_u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut world = World::new();
        let server = Arc::new(MemoryStore::new());
        world.replace_server(Arc::clone(&server));
        let mut devices = vec![world.device(), world.device()];
        devices.push(partial(&mut world, "tasks"));
        devices.push(partial(&mut world, "notes,chats"));
        let (mut written, mut current) = (Vec::new(), server);
        let mut backup = Arc::new(current.fork());
        for step in 0..70_u64 {
            let at = usize::try_from(next(devices.len() as u64)).unwrap();
            let collection = ["tasks", "notes"][usize::try_from(next(2)).unwrap()];
            match next(13) {
                0..=4 => {
                    let name = format!("s{step}");
                    set(&devices[at], collection, &name, &step.to_string());
                    let field = format!("f{}", next(4));
                    run(map(&devices[at], collection, "shared").set(&field, &step.to_string())).unwrap();
                    written.push((collection, name));
                }
                5..=8 => {
                    let fault = [Fault::None, Fault::None, Fault::AnswerLost, Fault::Unreachable];
                    let faults: Vec<Fault> = (0..6).map(|_| fault[usize::try_from(next(4)).unwrap()]).collect();
                    world.fault(&faults);
                    let _ = world.try_sync(&devices[at]);
                }
                9 => {
                    let store = Arc::clone(&devices[at].store);
                    devices[at] = world.open(store, 0);
                }
                10 => {
                    let key = map(&devices[2], "tasks", "shared").key().clone();
                    let _ = run(devices[2].replica.evict(std::slice::from_ref(&key)));
                    world.fault(&[]);
                    let _ = run(devices[2].replica.fetch(&[key], &world.way));
                }
                11 => backup = Arc::new(current.fork()),
                _ if backup.has_any() => {
                    current = Arc::new(backup.fork());
                    world.replace_server(Arc::clone(&current));
                }
                _ => {}
            }
        }
        world.fault(&[]);
        for _ in 0..5 {
            for device in &devices {
                let status = world.try_sync(device).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                assert!(is_settled(&status), "seed {seed}: {status:?}");
            }
        }
        let key = map(&devices[2], "tasks", "shared").key().clone();
        run(devices[2].replica.fetch(&[key], &world.way)).unwrap();
        written.extend([("tasks", "shared".to_owned()), ("notes", "shared".to_owned())]);
        for (collection, name) in &written {
            let shown = read(&devices[0], collection, name);
            assert_eq!(shown, read(&devices[1], collection, name), "seed {seed}: {collection} {name}");
            let holder = if *collection == "tasks" { 2 } else { 3 };
            assert_eq!(shown, read(&devices[holder], collection, name), "seed {seed}: {collection} {name}");
            assert_eq!(read(&devices[5 - holder], collection, name), "?");
            assert!(shown != "-" || name == "shared", "seed {seed}: {collection} {name} is nowhere");
        }
    }
}

fn is_settled(status: &Status) -> bool {
    status.unsynced == 0 && status.parked == 0
}

/// A hundred thousand entities of which one in a hundred is held: rows, bytes on the way and bytes at rest.
#[test]
fn a_hundredth_of_a_large_log_costs_about_a_hundredth() {
    const ENTITIES: u32 = 100_000;
    let mut world = World::new();
    let server = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    let replica = ReplicaId::from_bytes([9; 16]);
    let id = |index: u32| {
        let mut id = [7; 16];
        id[..4].copy_from_slice(&[u8::try_from(index % 100).unwrap(), 0, 0, 0]);
        id[4..8].copy_from_slice(&index.to_be_bytes());
        id
    };
    let op = |index: u32| {
        let mut clock = VectorClock::new();
        clock.set(replica, u64::from(index) + 1).unwrap();
        let draft = Draft {
            id: OpId::from_bytes(id(index)),
            replica,
            subject: Subject::Entity {
                key: EntityKey { collection: "tasks".parse().unwrap(), entity: EntityId::from_bytes(id(index)) },
                also: Vec::new(),
            },
            kind: OpKind::Update,
            clock,
            hlc: Hlc::default(),
            schema_version: 1,
            precondition: Precondition::None,
            payload: Payload::Json(format!(r#"{{"title":"task {index}","done":false}}"#).into()),
        };
        draft.seal().unwrap()
    };
    let push = |from: u32, count: u32| {
        let ops = (from..from + count).map(op).collect();
        let push = Push { log: LOG.log, request: None, cursor: None, atomic: false, ops };
        run(world.way.call(Call::Push(push))).unwrap();
    };
    (0..ENTITIES / 1_000).for_each(|batch| push(batch * 1_000, 1_000));
    world.way.bytes.store(0, Ordering::Relaxed);
    let some = partial(&mut world, "tasks:2a");
    world.sync(&some);
    let began = world.way.bytes.load(Ordering::Relaxed);
    let (heads, ops, at_rest) = rows(&some, &["tasks"]);
    let log_bytes = run(server.bounds(LOG)).unwrap().unwrap().bytes;
    assert_eq!((heads, ops), (1_000, 0));
    assert!((at_rest as u64) * 50 < log_bytes, "{at_rest} bytes at rest, of a log of {log_bytes}");
    assert!(began * 50 < log_bytes, "{began} bytes to begin with, of a log of {log_bytes}");
    println!("a log of {log_bytes} bytes; {began} to begin with, {at_rest} at rest");
}
