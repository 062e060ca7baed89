//! Logs that only devices can read: keys that are missing, wrong or changed, policies, and servers that cannot be trusted.

use std::sync::Arc;

use syncline::EntityId;
use syncline::call::Call;
use syncline::client::{
    Choose, Halt, Phase, ReplicaError, ReplicaOptions, SharedKeyring, Transport as _, Unopened, Write,
};
use syncline::oplog::{EntityKey, OpKind, Payload, Precondition, Sealing};
use syncline::seal::LogSecret;
use syncline::store::MemoryStore;

use crate::world::{Device, Fault, LOG, World, run, seq};

pub(crate) fn secret(epoch: u32) -> LogSecret {
    LogSecret::from_bytes([u8::try_from(epoch).unwrap(); 32])
}

pub(crate) fn keys(epochs: &[u32]) -> SharedKeyring {
    let keys = SharedKeyring::default();
    epochs.iter().for_each(|epoch| keys.add(*epoch, &secret(*epoch)).unwrap());
    keys
}

pub(crate) fn with(keys: &SharedKeyring, sealing: Option<Sealing>) -> impl FnOnce(&mut ReplicaOptions) + use<> {
    let keys = keys.clone();
    move |options| {
        options.sealer = Some(Arc::new(keys));
        options.sealing = sealing;
    }
}

/// A device with keys that takes the log as it is.
pub(crate) fn holder(world: &mut World, keys: &SharedKeyring) -> Device {
    world.open_with(Arc::new(MemoryStore::new()), 0, with(keys, None))
}

pub(crate) fn create(world: &World, sealing: Sealing) {
    run(world.way.call(Call::CreateLog { log: LOG.log, sealing })).unwrap();
}

pub(crate) fn finds(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

pub(crate) fn phase(device: &Device) -> Option<Phase> {
    device.replica.status().phase
}

pub(crate) fn lacks(world: &World, device: &Device, epoch: u32) {
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

/// A server that cannot read what is typed stores and orders it; the devices merge it.
#[test]
fn what_is_typed_into_a_sealed_text_merges_on_the_devices_and_by_nobody_else() {
    let mut world = World::new();
    create(&world, Sealing::Required);
    let keys = keys(&[1]);
    let devices = [holder(&mut world, &keys), holder(&mut world, &keys)];
    let poem = |device: &Device| device.replica.collection("texts").unwrap().text("poem").unwrap();
    run(poem(&devices[0]).insert(0, "roses are red")).unwrap();
    devices.iter().for_each(|device| drop(world.sync(device)));
    run(poem(&devices[0]).insert(13, ", violets are blue")).unwrap();
    for letter in ["e", "h", "t", " "] {
        run(poem(&devices[1]).insert(0, letter)).unwrap();
    }
    for device in devices.iter().chain(&devices) {
        assert!(world.sync(device).is_safe());
    }
    run(devices[0].replica.put_snapshot(&world.way)).unwrap().unwrap();
    let fresh = holder(&mut world, &keys);
    world.sync(&fresh);
    for device in devices.iter().chain([&fresh]) {
        assert_eq!(run(poem(device).get()).unwrap(), " theroses are red, violets are blue");
    }
    let sent = world.way.sent.lock().unwrap().clone();
    for word in ["roses", "violets"] {
        assert!(!finds(&sent, word), "{word} left the device");
    }
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

/// An op that had been in the log lost when it was offered again; what was chosen of it was sent with a seal for the op that it
/// had been. Found by the simulator.
#[test]
fn what_is_chosen_of_a_sealed_conflict_is_read_by_everybody() {
    let mut world = World::new();
    let server = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    let (a, b) = (holder(&mut world, &keys(&[1])), holder(&mut world, &keys(&[1])));
    let key = EntityKey { collection: "causal".parse().unwrap(), entity: EntityId::named("1") };
    let write = |device: &Device, title: &str| {
        let payload = Payload::Json(format!(r#"{{"title":"{title}"}}"#).into());
        let (key, kind, precondition) = (key.clone(), OpKind::Update, Precondition::None);
        run(device.replica.write(Write { key, kind, precondition, payload })).unwrap();
    };
    a.set("1", "n", "known to both");
    for device in [&a, &b] {
        world.sync(device);
    }
    let backup = Arc::new(server.fork());
    write(&a, "mine");
    world.sync(&a);
    world.replace_server(backup);
    write(&b, "theirs");
    world.sync(&b);
    world.sync(&a);
    let conflicts = run(a.replica.conflicts()).unwrap();
    assert_eq!(conflicts.len(), 1);
    let mine = Payload::Json(r#"{"title":"mine"}"#.into());
    assert_eq!(*conflicts[0].mine().payload(), mine, "it was in the log before, sealed, and is to be read here");
    // Opened where the key is not, it stays as it was, and says which key is needed.
    let other = world.open_with(a.copy_of_store(), 0, with(&keys(&[]), None));
    let sealed = run(other.replica.conflicts()).unwrap();
    assert!(sealed[0].mine().payload().is_sealed());
    let refused = run(other.replica.resolve(sealed[0].no(), Choose::Mine));
    assert!(matches!(refused, Err(ReplicaError::Unopened(Unopened::KeyNeeded { epoch: 1 }))), "{refused:?}");
    run(a.replica.resolve(conflicts[0].no(), Choose::Mine)).unwrap();
    for device in [&a, &b] {
        world.sync(device);
        assert!(run(device.replica.unread()).unwrap().is_empty());
        assert_eq!(run(device.replica.state(&key)).unwrap().unwrap(), r#"{"title":"mine"}"#);
    }
}

/// Found by the simulator: what a full state says was not shown before that was back in the log, where it was sealed.
#[test]
fn a_sealed_restore_is_shown_while_it_is_offered_again() {
    let mut world = World::new();
    let server = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    let a = holder(&mut world, &keys(&[1]));
    a.set("1", "n", "early");
    world.sync(&a);
    let backup = Arc::new(server.fork());
    a.set("1", "n", "late");
    world.sync(&a);
    run(a.replica.restore(seq(1))).unwrap();
    world.sync(&a);
    world.replace_server(backup);
    for calls in 1..8 {
        world.sync_for(calls, &a);
        assert_eq!(a.read("1"), r#"{"n":"early"}"#, "after {calls} calls");
        let again = world.open_with(a.copy_of_store(), 0, with(&keys(&[1]), None));
        assert_eq!(again.read("1"), r#"{"n":"early"}"#, "opened anew after {calls} calls");
    }
    assert_eq!(run(a.replica.end()).unwrap().seq, seq(3));
}
