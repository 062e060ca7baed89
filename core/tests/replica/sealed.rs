//! Logs that only devices can read: keys that are missing, wrong or changed, policies, and servers that cannot be trusted.

use std::sync::Arc;

use syncline::call::{Call, Reply};
use syncline::client::{
    Halt, Phase, ReplicaError, ReplicaOptions, SharedKeyring, Transport as _, Unopened, Unreadable,
};
use syncline::oplog::{Draft, OpBytes, OpKind, Payload, Sealing, Snapshot, Subject};
use syncline::seal::LogSecret;
use syncline::store::MemoryStore;
use syncline::{Anchor, LogId, Seq};

use crate::world::{Device, Fault, LOG, Meddler, World, run};

fn secret(epoch: u32) -> LogSecret {
    LogSecret::from_bytes([u8::try_from(epoch).unwrap(); 32])
}

fn keys(epochs: &[u32]) -> SharedKeyring {
    let keys = SharedKeyring::default();
    epochs.iter().for_each(|epoch| keys.add(*epoch, &secret(*epoch)).unwrap());
    keys
}

fn with(keys: &SharedKeyring, sealing: Option<Sealing>) -> impl FnOnce(&mut ReplicaOptions) + use<> {
    let keys = keys.clone();
    move |options| {
        options.sealer = Some(Arc::new(keys));
        options.sealing = sealing;
    }
}

/// A device with keys that takes the log as it is.
fn holder(world: &mut World, keys: &SharedKeyring) -> Device {
    world.open_with(Arc::new(MemoryStore::new()), 0, with(keys, None))
}

fn create(world: &World, sealing: Sealing) {
    run(world.way.call(Call::CreateLog { log: LOG.log, sealing })).unwrap();
}

fn finds(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

fn phase(device: &Device) -> Option<Phase> {
    device.replica.status().phase
}

fn lacks(world: &World, device: &Device, epoch: u32) {
    match world.try_sync(device) {
        Err(ReplicaError::Unopened(Unopened::KeyNeeded { epoch: needed })) => assert_eq!(needed, epoch),
        other => panic!("{other:?}"),
    }
    assert_eq!(phase(device), Some(Phase::Halted(Halt::KeyNeeded { epoch })));
}

#[test]
fn what_devices_write_is_read_by_devices_and_by_nobody_else() {
    let mut world = World::new();
    let (a, b) = (holder(&mut world, &keys(&[1])), holder(&mut world, &keys(&[1])));
    a.set("1", "title", "a secret plan");
    assert!(world.sync(&a).is_safe());
    run(a.task("2").set("title", "a passing thought")).unwrap();
    run(a.task("2").delete()).unwrap();
    world.sync(&a);
    world.sync(&b);
    assert_eq!(b.read("1"), r#"{"title":"a secret plan"}"#);
    assert_eq!(b.read("2"), "-");
    let sent = world.way.sent.lock().unwrap().clone();
    for word in ["secret", "title", "thought"] {
        assert!(!finds(&sent, word), "{word} left the device");
    }
    assert_eq!(b.replica.status().key_epoch, 1);
    let keyless = world.device();
    lacks(&world, &keyless, 1);
    assert_eq!(keyless.read("1"), "-");
}

/// Catalogue A20.
#[test]
fn fault_a20_a_wrong_key_stops_before_anything_is_judged_and_the_right_one_goes_on() {
    let mut world = World::new();
    let writer = holder(&mut world, &keys(&[1]));
    writer.set("1", "n", "1");
    world.sync(&writer);
    let mistyped = SharedKeyring::with(1, &secret(9)).unwrap();
    let reader = holder(&mut world, &mistyped);
    reader.set("2", "n", "waits");
    for _ in 0..2 {
        let error = world.try_sync(&reader).unwrap_err();
        assert!(matches!(error, ReplicaError::Unopened(Unopened::WrongKey { epoch: 1 })), "{error}");
    }
    assert!(run(reader.replica.unread()).unwrap().is_empty(), "nothing was judged");
    assert_eq!(reader.replica.status().unsynced, 1, "and nothing was sent");
    mistyped.replace(1, &secret(1)).unwrap();
    reader.replica.keys_changed();
    assert!(world.sync(&reader).is_safe());
    world.sync(&writer);
    assert_eq!((reader.read("1"), writer.read("2")), (r#"{"n":"1"}"#.into(), r#"{"n":"waits"}"#.into()));
}

/// Catalogue A18.
#[test]
fn fault_a18_what_two_devices_had_pending_is_sealed_again_after_a_rotation_and_each_needs_the_new_key() {
    let mut world = World::new();
    let (mine, theirs) = (keys(&[1]), keys(&[1]));
    let (a, b) = (holder(&mut world, &mine), holder(&mut world, &theirs));
    a.set("1", "n", "before");
    world.sync(&a);
    world.sync(&b);
    // Both hold a batch that is durable, sealed under epoch 1, and perhaps sent.
    for (device, name) in [(&a, "a"), (&b, "b")] {
        device.set(name, "n", "pending");
        world.fault(&[Fault::Unreachable]);
        assert!(world.try_sync(device).is_err());
        device.set(name, "m", "behind it");
    }
    let early = run(a.replica.rotate_keys(&world.way, 2)).unwrap_err();
    assert!(matches!(early, ReplicaError::Unopened(Unopened::KeyNeeded { epoch: 2 })), "{early}");
    mine.add(2, &secret(2)).unwrap();
    run(a.replica.rotate_keys(&world.way, 2)).unwrap();
    run(a.replica.rotate_keys(&world.way, 2)).unwrap();
    mine.add(4, &secret(4)).unwrap();
    let error = run(a.replica.rotate_keys(&world.way, 4)).unwrap_err();
    assert!(matches!(error, ReplicaError::Rotation { current: 2, to: 4 }), "{error}");
    assert!(world.sync(&a).is_safe(), "the newest key is not the log's");
    lacks(&world, &b, 2);
    assert_eq!(b.read("b"), r#"{"m":"behind it","n":"pending"}"#, "writes still show here");
    assert!(run(b.replica.parked()).unwrap().is_empty());
    theirs.add(2, &secret(2)).unwrap();
    b.replica.keys_changed();
    assert!(world.sync(&b).is_safe());
    world.sync(&a);
    assert_eq!(a.read("b"), b.read("b"));
    assert_eq!(a.read("a"), r#"{"m":"behind it","n":"pending"}"#);
    assert_eq!((a.replica.status().key_epoch, b.replica.status().key_epoch), (2, 2));
    let fresh = holder(&mut world, &keys(&[1, 2]));
    world.sync(&fresh);
    assert_eq!(fresh.read("b"), b.read("b"));
}

/// A batch that was sealed before the rotation and taken before it stays what it was, though nobody heard so.
#[test]
fn a_lost_answer_before_a_rotation_has_no_second_effect_after_it() {
    let mut world = World::new();
    let keys = keys(&[1]);
    let (a, b) = (holder(&mut world, &keys), holder(&mut world, &keys));
    a.set("0", "n", "1");
    world.sync(&a);
    a.set("1", "n", "1");
    world.fault(&[Fault::AnswerLost]);
    assert!(world.try_sync(&a).is_err());
    keys.add(2, &secret(2)).unwrap();
    run(b.replica.rotate_keys(&world.way, 2)).unwrap();
    a.set("1", "n", "2");
    assert!(world.sync(&a).is_safe());
    world.sync(&b);
    assert_eq!(b.read("1"), r#"{"n":"2"}"#);
    let mut feed = b.replica.changes(syncline::Cursor::START);
    let mut ops = 0;
    while run(feed.try_next()).unwrap().is_some() {
        ops += 1;
    }
    assert_eq!(ops, 3);
}

/// Catalogue A19: each field of an op that the server could change, in a chain that it makes fit.
#[test]
fn fault_a19_whatever_a_server_changes_around_a_payload_is_noticed_named_and_hinders_nothing() {
    type Change = fn(&mut Draft);
    let changes: [(&str, Change); 9] = [
        ("id", |draft| draft.id = syncline::OpId::from_bytes([9; 16])),
        ("replica", |draft| {
            let counter = draft.clock.get(draft.replica);
            draft.replica = syncline::ReplicaId::from_bytes([9; 16]);
            draft.clock.set(draft.replica, counter).unwrap();
        }),
        ("clock", |draft| draft.clock.set(draft.replica, 70).unwrap()),
        ("time", |draft| draft.hlc.counter += 1),
        ("kind", |draft| draft.kind = OpKind::Delete),
        ("precondition", |draft| draft.precondition = syncline::oplog::Precondition::Absent),
        ("entity", |draft| {
            if let Subject::Entity { key, .. } = &mut draft.subject {
                key.entity = syncline::EntityId::named("another");
            }
        }),
        ("collection", |draft| {
            if let Subject::Entity { key, .. } = &mut draft.subject {
                key.collection = "files".parse().unwrap();
            }
        }),
        ("ciphertext", |draft| {
            let mut bytes = draft.payload.bytes().to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            draft.payload = Payload::Sealed(bytes.into());
        }),
    ];
    for (field, change) in changes {
        let mut world = World::new();
        let writer = holder(&mut world, &keys(&[1]));
        writer.set("1", "n", "1");
        world.sync(&writer);
        writer.set("2", "n", "2");
        world.sync(&writer);
        let reader = holder(&mut world, &keys(&[1]));
        meddle(&world, Seq::FIRST, move |op| {
            let mut draft = op.read().unwrap().draft().clone();
            change(&mut draft);
            draft.seal().unwrap().raw().clone()
        });
        world.sync(&reader);
        assert_eq!(run(reader.replica.unread()).unwrap(), [(Seq::FIRST, Unreadable::Tampered)], "{field}");
        assert_eq!(reader.read("1"), "-", "{field}");
        assert_eq!(reader.read("2"), r#"{"n":"2"}"#, "{field}");
        assert_eq!(reader.replica.status().unread, 1);
    }
}

/// Changes the op at one seq in every page, and makes all that the chain says fit.
fn meddle(world: &World, at: Seq, change: impl Fn(&OpBytes) -> OpBytes + Send + Sync + 'static) {
    let meddle = move |reply| {
        let Reply::Pulled(mut page) = reply else { return reply };
        let origin = page.next.anchor.map(|anchor| anchor.origin);
        let Some(mut anchor) = origin.map(|origin| Anchor::genesis(LOG, origin)) else { return Reply::Pulled(page) };
        assert!(page.ops.first().is_none_or(|op| op.seq == Seq::FIRST), "read in one page");
        for op in &mut page.ops {
            if op.seq == at {
                op.op = change(&op.op);
            }
            anchor = anchor.extend(op.op.digest());
        }
        if !page.ops.is_empty() {
            page.next.anchor = Some(anchor);
        }
        Reply::Pulled(page)
    };
    *world.way.meddler.lock().unwrap() = Meddler(Some(Box::new(meddle)));
}

/// Catalogue A19: a server that answers with plain ops, or says that the log does not require sealing.
#[test]
fn fault_a19_nothing_unsealed_has_an_effect_where_sealing_is_required_whatever_the_server_says() {
    for honest in [true, false] {
        let mut world = World::new();
        let keys = keys(&[1]);
        let required = with(&keys, Some(Sealing::Required));
        let writer = world.open_with(Arc::new(MemoryStore::new()), 0, required);
        if !honest {
            create(&world, Sealing::Optional);
        }
        writer.set("1", "n", "1");
        world.sync(&writer);
        let said = if honest { Sealing::Required } else { Sealing::Optional };
        assert_eq!(writer.replica.status().sealing, Some(said), "a log that was not there is made as it is wanted");
        let reader = world.open_with(Arc::new(MemoryStore::new()), 0, with(&keys, Some(Sealing::Required)));
        meddle(&world, Seq::FIRST, |op| {
            let draft =
                Draft { payload: Payload::Json(r#"{"n":"forged"}"#.into()), ..op.read().unwrap().draft().clone() };
            draft.seal().unwrap().raw().clone()
        });
        world.sync(&reader);
        assert_eq!(run(reader.replica.unread()).unwrap(), [(Seq::FIRST, Unreadable::Sealing)]);
        assert_eq!(reader.read("1"), "-");
    }
}

#[test]
fn a_logs_policy_is_held_on_the_devices_end_before_anything_leaves_it() {
    // (the log's, the application's, has keys) → what becomes of a write.
    let wrong = |sealing| Some(Halt::Sealing(sealing));
    let key = Some(Halt::KeyNeeded { epoch: 0 });
    let rows = [
        (Sealing::Required, None, false, key),
        (Sealing::Required, None, true, None),
        (Sealing::Required, Some(Sealing::Required), true, None),
        (Sealing::Required, Some(Sealing::Optional), true, None),
        (Sealing::Required, Some(Sealing::Forbidden), true, wrong(Sealing::Required)),
        (Sealing::Required, Some(Sealing::Forbidden), false, wrong(Sealing::Required)),
        (Sealing::Forbidden, None, false, None),
        (Sealing::Forbidden, None, true, wrong(Sealing::Forbidden)),
        (Sealing::Forbidden, Some(Sealing::Required), true, wrong(Sealing::Forbidden)),
        (Sealing::Forbidden, Some(Sealing::Forbidden), true, None),
        (Sealing::Optional, None, false, None),
        (Sealing::Optional, None, true, None),
        (Sealing::Optional, Some(Sealing::Required), false, key),
        (Sealing::Optional, Some(Sealing::Required), true, None),
        (Sealing::Optional, Some(Sealing::Forbidden), true, None),
    ];
    for (made, wanted, keyed, halt) in rows {
        let row = format!("{made} log, {wanted:?} wanted, keys: {keyed}");
        let mut world = World::new();
        create(&world, made);
        let device = world.open_with(Arc::new(MemoryStore::new()), 0, |options| {
            options.sealing = wanted;
            options.sealer = keyed.then(|| Arc::new(keys(&[1])) as Arc<dyn syncline::client::Sealer>);
        });
        device.set("1", "title", "private");
        let synced = world.try_sync(&device);
        let sent = world.way.sent.lock().unwrap().clone();
        match halt {
            Some(halt) => {
                assert!(synced.is_err(), "{row}");
                assert_eq!(phase(&device), Some(Phase::Halted(halt)), "{row}");
                assert!(sent.is_empty(), "{row}: something left the device");
                assert_eq!(device.replica.status().unsynced, 1, "{row}");
            }
            None => {
                assert!(synced.unwrap().is_safe(), "{row}");
                let seals = keyed && wanted != Some(Sealing::Forbidden);
                assert_eq!(!finds(&sent, "private"), seals, "{row}");
            }
        }
    }
}

#[test]
fn a_fresh_device_begins_from_a_sealed_snapshot_and_reads_on() {
    let mut world = World::new();
    create(&world, Sealing::Required);
    let keys = keys(&[1, 2]);
    let writer = holder(&mut world, &keys);
    assert_eq!(run(writer.replica.put_snapshot(&world.way)).unwrap(), None, "of nothing there is none");
    for index in 0..50 {
        writer.set(&index.to_string(), "n", &index.to_string());
        world.sync(&writer);
    }
    run(writer.task("7").delete()).unwrap();
    world.sync(&writer);
    let cursor = run(writer.replica.put_snapshot(&world.way)).unwrap().unwrap();
    assert_eq!(cursor, run(writer.replica.cursor_at(Seq::new(51).unwrap())).unwrap().unwrap());
    writer.set("after", "n", "1");
    world.sync(&writer);
    let fresh = holder(&mut world, &keys);
    world.calls();
    world.sync(&fresh);
    assert!(world.calls() <= 5);
    for name in ["0", "49", "7", "after"] {
        assert_eq!(fresh.read(name), writer.read(name), "{name}");
    }
    assert_eq!(run(fresh.replica.cursor_at(Seq::new(50).unwrap())).unwrap(), None, "it did not read from the start");
    // Another one can be made by a device that began from one.
    fresh.set("more", "n", "1");
    world.sync(&fresh);
    run(fresh.replica.put_snapshot(&world.way)).unwrap().unwrap();
    let third = holder(&mut world, &keys);
    world.sync(&third);
    for name in ["3", "after", "more"] {
        assert_eq!(third.read(name), fresh.read(name), "{name}");
    }
    let sent = world.way.sent.lock().unwrap().clone();
    assert!(!finds(&sent, r#"{"n""#) && !finds(&sent, r#""n":"#), "a snapshot left the device readable");
}

#[test]
fn a_snapshot_that_was_altered_or_is_not_sealed_is_no_snapshot() {
    type Change = fn(&mut Snapshot);
    let changes: [(&str, Change); 5] = [
        ("clock", |snapshot| snapshot.clock.set(syncline::ReplicaId::from_bytes([9; 16]), 5).unwrap()),
        ("schema", |snapshot| snapshot.schema_version += 1),
        ("seq", |snapshot| snapshot.seq = snapshot.seq.before()),
        ("state", |snapshot| {
            let mut bytes = snapshot.payload.bytes().to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            snapshot.payload = Payload::Sealed(bytes.into());
        }),
        ("seal", |snapshot| snapshot.payload = Payload::Plain(syncline::oplog::LogState::default().to_bytes())),
    ];
    for (field, change) in changes {
        let mut world = World::new();
        create(&world, Sealing::Required);
        let writer = holder(&mut world, &keys(&[1]));
        for index in 0..5 {
            writer.set("1", "n", &index.to_string());
            world.sync(&writer);
        }
        run(writer.replica.put_snapshot(&world.way)).unwrap();
        let meddle = move |mut reply| {
            if let Reply::Snapshot(Some(snapshot)) = &mut reply {
                change(snapshot);
            }
            reply
        };
        *world.way.meddler.lock().unwrap() = Meddler(Some(Box::new(meddle)));
        let fresh = holder(&mut world, &keys(&[1]));
        world.sync(&fresh);
        assert_eq!(fresh.read("1"), r#"{"n":"4"}"#, "{field}");
        assert!(run(fresh.replica.cursor_at(Seq::FIRST)).unwrap().is_some(), "{field}: it read from the start");
    }
}

/// A server answers with the payload of the newest full state, which is bound to that op.
#[test]
fn a_fresh_device_begins_from_a_sealed_full_state() {
    let mut world = World::new();
    let server = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    create(&world, Sealing::Required);
    let keys = keys(&[1]);
    let writer = holder(&mut world, &keys);
    for index in 0..5 {
        writer.set("1", "n", &index.to_string());
        world.sync(&writer);
    }
    run(writer.replica.put_snapshot(&world.way)).unwrap().unwrap();
    let second = holder(&mut world, &keys);
    world.sync(&second);
    second.set("2", "n", "more");
    world.sync(&second);
    // The server is emptied; a device that began from a snapshot seeds it with a sealed full state.
    world.replace_server(Arc::new(MemoryStore::new()));
    assert!(world.sync(&second).is_safe());
    assert_eq!(second.replica.status().sealing, Some(Sealing::Required), "and the log is made as it was");
    let Reply::Log { bounds, .. } = run(world.way.call(Call::Status(LOG.log))).unwrap() else { panic!("bounds") };
    assert_eq!(bounds.sealing, Sealing::Required);
    assert!(bounds.full_state.is_some());
    let fresh = holder(&mut world, &keys);
    world.sync(&fresh);
    for name in ["1", "2"] {
        assert_eq!(fresh.read(name), second.read(name), "{name}");
        assert_ne!(fresh.read(name), "-", "{name}");
    }
    fresh.set("3", "n", "goes on");
    assert!(world.sync(&fresh).is_safe());
    world.sync(&second);
    assert_eq!(second.read("3"), r#"{"n":"goes on"}"#);
}

/// A restore is a full state, and a server that cannot read it serves it as one.
#[test]
fn a_restore_in_a_sealed_log_is_sealed_and_fresh_devices_begin_from_it() {
    let mut world = World::new();
    create(&world, Sealing::Required);
    let ring = keys(&[1]);
    let (a, b) = (holder(&mut world, &ring), holder(&mut world, &ring));
    a.set("1", "n", "good");
    world.sync(&a);
    let good = run(a.replica.end()).unwrap().seq;
    a.set("1", "n", "bad");
    world.sync(&a);
    world.sync(&b);
    run(a.replica.restore(good)).unwrap();
    world.sync(&a);
    world.sync(&b);
    assert_eq!(b.read("1"), r#"{"n":"good"}"#);
    let fresh = holder(&mut world, &ring);
    world.sync(&fresh);
    assert_eq!(fresh.read("1"), r#"{"n":"good"}"#);
    assert_eq!(run(fresh.replica.cursor_at(Seq::FIRST)).unwrap(), None, "it did not read from the start");
    for (device, name) in [(&fresh, "2"), (&b, "3")] {
        device.set(name, "n", "after");
        assert!(world.sync(device).is_safe());
    }
    run(a.replica.rotate_keys(&world.way, 2)).unwrap_err();
    ring.add(2, &secret(2)).unwrap();
    run(a.replica.rotate_keys(&world.way, 2)).unwrap();
    world.sync(&a);
    run(a.replica.put_snapshot(&world.way)).unwrap().unwrap();
    let another = holder(&mut world, &ring);
    world.sync(&another);
    for name in ["1", "2", "3"] {
        assert_eq!(another.read(name), a.read(name), "{name}");
        assert_ne!(another.read(name), "-", "{name}");
    }
    assert!(!finds(&world.way.sent.lock().unwrap(), "good"));
}

/// What was sealed under two epochs is offered again to a server that knows neither, or only the first.
#[test]
fn a_rolled_back_or_emptied_server_is_brought_to_the_epoch_again() {
    for emptied in [true, false] {
        let mut world = World::new();
        let server = Arc::new(MemoryStore::new());
        world.replace_server(Arc::clone(&server));
        let (mine, theirs) = (keys(&[1]), keys(&[1, 2]));
        let (a, b) = (holder(&mut world, &mine), holder(&mut world, &theirs));
        a.set("1", "n", "first epoch");
        world.sync(&a);
        let backup = Arc::new(if emptied { MemoryStore::new() } else { server.fork() });
        a.set("2", "n", "first epoch, too");
        world.sync(&a);
        mine.add(2, &secret(2)).unwrap();
        run(a.replica.rotate_keys(&world.way, 2)).unwrap();
        a.set("3", "n", "second epoch");
        world.sync(&a);
        world.sync(&b);
        world.replace_server(backup);
        b.set("4", "n", "after");
        for device in [&a, &b, &a, &b] {
            assert!(world.sync(device).is_safe(), "{:?}", device.replica.status());
        }
        let Reply::Log { bounds, .. } = run(world.way.call(Call::Status(LOG.log))).unwrap() else { panic!("bounds") };
        assert_eq!(bounds.key_epoch, 2);
        let fresh = holder(&mut world, &theirs);
        world.sync(&fresh);
        for name in ["1", "2", "3", "4"] {
            assert_ne!(fresh.read(name), "-", "{name}");
            assert_eq!((a.read(name), b.read(name)), (fresh.read(name), fresh.read(name)), "{name}");
        }
    }
}

#[test]
fn a_batch_stays_whole_when_its_key_is_missing() {
    let mut world = World::new();
    let (mine, theirs) = (keys(&[1]), keys(&[]));
    let (a, b) = (holder(&mut world, &mine), holder(&mut world, &theirs));
    let write = |name: &str| syncline::client::Write {
        key: a.task(name).key().clone(),
        kind: OpKind::Update,
        precondition: syncline::oplog::Precondition::None,
        payload: Payload::Json(r#"{"paid":true}"#.into()),
    };
    run(a.replica.write_batch(vec![write("1"), write("2"), write("3")])).unwrap();
    world.sync(&a);
    // The last op of the batch under a key that nobody has yet: everything before it waits with it.
    let third = Seq::new(3).unwrap();
    meddle(&world, third, |op| {
        let draft = op.read().unwrap().draft().clone();
        let mut bytes = draft.payload.bytes().to_vec();
        bytes[7] = 5;
        Draft { payload: Payload::Sealed(bytes.into()), ..draft }.seal().unwrap().raw().clone()
    });
    theirs.add(1, &secret(1)).unwrap();
    lacks(&world, &b, 5);
    assert_eq!((b.read("1"), b.read("2")), ("-".into(), "-".into()));
    *world.way.meddler.lock().unwrap() = Meddler::default();
    assert!(world.sync(&b).is_safe());
    assert_eq!(b.read("3"), r#"{"paid":true}"#);
}

#[test]
fn a_payload_of_another_program_is_kept_and_named_and_one_log_never_opens_in_another() {
    let mut world = World::new();
    create(&world, Sealing::Optional);
    let writer = holder(&mut world, &keys(&[1]));
    writer.set("1", "n", "1");
    world.sync(&writer);
    let reader = holder(&mut world, &keys(&[1]));
    meddle(&world, Seq::FIRST, |op| {
        let draft = Draft { payload: Payload::Sealed("U2FsdGVkX1".into()), ..op.read().unwrap().draft().clone() };
        draft.seal().unwrap().raw().clone()
    });
    world.sync(&reader);
    assert_eq!(run(reader.replica.unread()).unwrap(), [(Seq::FIRST, Unreadable::Unknown)]);
    let other = syncline::LogKey { bucket: LOG.bucket, log: LogId::from_bytes([3; 16]) };
    let op = run(writer.replica.changes(syncline::Cursor::START).try_next()).unwrap().unwrap().changes[0].op.clone();
    let opened = syncline::client::Sealer::open(&keys(&[1]), other, &op.unwrap());
    assert_eq!(opened, Err(Unopened::Tampered));
}

/// Seeded, as `whatever_happens_in_between_all_devices_end_with_the_same_and_every_write`, with keys that change and reach
/// each device when they like.
#[test]
fn whatever_happens_to_servers_and_keys_all_devices_end_with_the_same_and_nothing_left_them_readable() {
    for seed in 0..40_u64 {
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
        let rings: Vec<SharedKeyring> = (0..3).map(|_| keys(&[1])).collect();
        let required = |ring: &SharedKeyring| with(ring, Some(Sealing::Required));
        let mut devices: Vec<Device> = Vec::new();
        for ring in &rings {
            devices.push(world.open_with(Arc::new(MemoryStore::new()), 0, required(ring)));
        }
        // A log without an epoch takes the newest key of whoever comes first.
        devices[0].set("first", "by", "0");
        world.sync(&devices[0]);
        let (mut written, mut current, mut epoch) = (Vec::new(), server, 1);
        let mut backup = Arc::new(current.fork());
        for step in 0..60_u64 {
            let at = usize::try_from(next(devices.len() as u64)).unwrap();
            match next(14) {
                0..=4 => {
                    let name = format!("s{step}");
                    devices[at].set(&name, "by", &step.to_string());
                    devices[at].set("shared", &format!("f{}", next(4)), &step.to_string());
                    written.push(name);
                }
                5..=8 => {
                    let fault = [Fault::None, Fault::None, Fault::AnswerLost, Fault::Unreachable];
                    let faults: Vec<Fault> = (0..6).map(|_| fault[usize::try_from(next(4)).unwrap()]).collect();
                    world.fault(&faults);
                    let _ = world.try_sync(&devices[at]);
                }
                9 => {
                    let store = Arc::clone(&devices[at].store);
                    devices[at] = world.open_with(store, 0, required(&rings[at]));
                }
                10 => backup = Arc::new(current.fork()),
                11 => {
                    // The key of the next epoch comes to one device, which may rotate at once.
                    rings[at].add(epoch + 1, &secret(epoch + 1)).unwrap();
                    world.fault(&[]);
                    if next(2) == 0 && run(devices[at].replica.rotate_keys(&world.way, epoch + 1)).is_ok() {
                        epoch += 1;
                    }
                }
                12 => {
                    (1..=epoch).for_each(|epoch| rings[at].add(epoch, &secret(epoch)).unwrap());
                    devices[at].replica.keys_changed();
                }
                _ if next(3) == 0 => {
                    world.fault(&[]);
                    for (device, ring) in devices.iter().zip(&rings) {
                        (1..=epoch).for_each(|epoch| ring.add(epoch, &secret(epoch)).unwrap());
                        device.replica.keys_changed();
                        world.sync(device);
                    }
                    if current.has_any() && backup.has_any() {
                        current = Arc::new(backup.fork());
                        world.replace_server(Arc::clone(&current));
                    }
                }
                _ => {}
            }
        }
        world.fault(&[]);
        for round in 0..5 {
            for (device, ring) in devices.iter().zip(&rings) {
                (1..=epoch).for_each(|epoch| ring.add(epoch, &secret(epoch)).unwrap());
                device.replica.keys_changed();
                let synced = world.try_sync(device);
                assert!(round == 0 || synced.as_ref().is_ok_and(|status| status.is_safe()), "seed {seed}: {synced:?}");
            }
        }
        let all: Vec<u32> = (1..=epoch).collect();
        devices.push(world.open_with(Arc::new(MemoryStore::new()), 0, required(&keys(&all))));
        world.sync(&devices[3]);
        written.push("shared".into());
        for name in &written {
            let states: Vec<String> = devices.iter().map(|device| device.read(name)).collect();
            assert!(states.iter().all(|state| *state == states[0]), "seed {seed}: {name}: {states:?}");
        }
        for device in &devices {
            assert!(run(device.replica.parked()).unwrap().is_empty(), "seed {seed}");
            assert!(run(device.replica.unread()).unwrap().is_empty(), "seed {seed}");
        }
        let sent = world.way.sent.lock().unwrap().clone();
        assert!(!finds(&sent, r#""by""#), "seed {seed}");
    }
}
