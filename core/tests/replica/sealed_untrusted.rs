//! Sealed logs on servers that cannot be trusted: what they change, move, forge or say.

use std::sync::Arc;

use syncline::call::Reply;
use syncline::client::Unopened;
use syncline::client::Unreadable;
use syncline::oplog::{Draft, OpBytes, OpKind, Payload, Sealing, Snapshot, Subject};
use syncline::store::MemoryStore;
use syncline::{Anchor, LogId, Seq};

use crate::sealed::{create, holder, keys, lacks, secret, with};
use crate::world::{LOG, Meddler, World, run};

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
            anchor = anchor.extend(op.op.digest(), op.accepted_at);
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
