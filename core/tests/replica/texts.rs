//! Texts on several devices: typed into offline and at once, undone, deleted; on copied devices and behind servers that
//! were put back.

use std::sync::Arc;

use syncline::client::{ReplicaError, SharedText};
use syncline::crdt::text::{Expand, Side, TextError};
use syncline::oplog::{OpKind, Payload};
use syncline::store::{MemoryStore, PageLimit, Store as _};
use syncline::{Cursor, Seq};

use crate::world::{Device, LOG, World, run};

pub(crate) fn text(device: &Device) -> SharedText {
    device.replica.collection("texts").unwrap().text("poem").unwrap()
}

/// Types at the end.
fn add(text: &SharedText, more: &str) {
    let end = run(text.look(|text| text.len())).unwrap();
    run(text.insert(end, more)).unwrap();
}

pub(crate) fn get(device: &Device) -> String {
    run(text(device).get()).unwrap()
}

fn ops(device: &Device) -> usize {
    run(device.store.ops_after(LOG, Seq::ZERO, PageLimit::default())).unwrap().ops.len()
}

#[test]
fn what_two_type_at_once_is_there_whole_and_the_same_on_both() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    run(text(&a).insert(0, "roses are red")).unwrap();
    world.sync(&a);
    world.sync(&b);
    let (here, there) = (text(&a), text(&b));
    run(here.insert(13, ", violets are blue")).unwrap();
    run(there.insert(0, "they say ")).unwrap();
    run(there.delete(9..14)).unwrap();
    for device in [&a, &b, &a] {
        assert!(world.sync(device).is_safe());
    }
    assert_eq!(run(here.get()).unwrap(), "they say  are red, violets are blue");
    assert_eq!(run(there.get()).unwrap(), run(here.get()).unwrap());
    let fresh = world.device();
    world.sync(&fresh);
    assert_eq!(get(&fresh), get(&a));
    let hash = |device: &Device| run(text(device).look(|text| text.state_hash())).unwrap();
    assert_eq!(hash(&fresh), hash(&a));
    assert_eq!(hash(&b), hash(&a));
}

#[test]
fn keystrokes_that_wait_travel_as_one_op() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    let poem = text(&a);
    let mut receipts = Vec::new();
    for (at, key) in "the quick brown fox".chars().enumerate() {
        receipts.extend(run(poem.insert(at, &key.to_string())).unwrap());
    }
    run(a.task("1").set("n", "between")).unwrap();
    receipts.extend(run(poem.delete(4..10)).unwrap());
    assert_eq!(a.replica.status().unsynced, 21);
    assert!(world.sync(&a).is_safe());
    assert_eq!(ops(&a), 2, "the text's, and what was written between");
    let places: Vec<_> = receipts.iter().map(syncline::client::Receipt::fate).collect();
    assert!(places.iter().all(|fate| *fate == places[0]), "{places:?}");
    world.sync(&b);
    assert_eq!(get(&b), "the brown fox");
    let payload: usize = {
        let page = run(a.store.ops_after(LOG, Seq::ZERO, PageLimit::default())).unwrap();
        let ops = page.ops.iter().map(|logged| logged.op.read().unwrap());
        ops.filter(|op| matches!(op.payload(), Payload::Plain(_))).map(|op| op.payload().bytes().len()).sum()
    };
    assert!(payload <= 19 + 9 + 6, "{payload} bytes for 19 letters and a deletion");
}

#[test]
fn ten_thousand_edits_made_offline_join_what_two_others_wrote_meanwhile() {
    let mut world = World::new();
    let (a, b, away) = (world.device(), world.device(), world.device());
    run(text(&a).insert(0, "start\n")).unwrap();
    for device in [&a, &b, &away] {
        world.sync(device);
    }
    let (here, there, far) = (text(&a), text(&b), text(&away));
    let edits = 10_000;
    for edit in 0..edits {
        add(&far, if edit % 60 == 59 { "\n" } else { "x" });
    }
    for round in 0..20 {
        add(&here, &format!("a{round} "));
        run(there.insert(0, &format!("b{round} "))).unwrap();
        world.sync(&a);
        world.sync(&b);
    }
    assert!(world.sync(&away).is_safe());
    for device in [&a, &b, &away, &a] {
        world.sync(device);
    }
    let whole = run(far.get()).unwrap();
    assert_eq!(whole.chars().filter(|c| *c == 'x').count(), edits - edits / 60);
    for round in 0..20 {
        assert!(whole.contains(&format!("a{round} ")) && whole.contains(&format!("b{round} ")), "{round}");
    }
    for device in [&a, &b] {
        assert_eq!(get(device), whole);
    }
    let fresh = world.device();
    world.sync(&fresh);
    assert_eq!(get(&fresh), whole);
    assert!(ops(&a) < 60, "{} ops for {edits} edits", ops(&a));
}

#[test]
fn undo_takes_back_what_was_typed_here_and_nothing_of_others() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    let (here, there) = (text(&a), text(&b));
    run(here.insert(0, "one ")).unwrap();
    here.step();
    run(here.insert(4, "two ")).unwrap();
    world.sync(&a);
    world.sync(&b);
    run(there.insert(6, "--")).unwrap();
    world.sync(&b);
    world.sync(&a);
    assert_eq!(run(here.get()).unwrap(), "one tw--o ");
    assert!(run(here.undo()).unwrap().is_some());
    assert_eq!(run(here.get()).unwrap(), "one --");
    assert!(run(here.redo()).unwrap().is_some());
    assert_eq!(run(here.get()).unwrap(), "one tw--o ");
    assert!(run(here.undo()).unwrap().is_some());
    assert!(run(here.undo()).unwrap().is_some());
    assert_eq!(run(here.get()).unwrap(), "--");
    assert_eq!(run(here.undo()).unwrap().map(|_| ()), None);
    world.sync(&a);
    world.sync(&b);
    assert_eq!(run(there.get()).unwrap(), "--");
}

#[test]
fn a_cursor_stays_at_its_letter_on_every_device() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    run(text(&a).insert(0, "hello world")).unwrap();
    world.sync(&a);
    world.sync(&b);
    let anchor = run(text(&a).anchor(6, Side::Before)).unwrap();
    run(text(&b).insert(0, ">> ")).unwrap();
    world.sync(&b);
    world.sync(&a);
    for device in [&a, &b] {
        assert_eq!(run(text(device).resolve(anchor)).unwrap(), 9);
    }
}

/// Between two calls others' letters may arrive; within an edit they do not.
#[test]
fn what_is_typed_at_a_cursor_stands_there_whatever_arrived_before() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    let (here, there) = (text(&a), text(&b));
    run(here.insert(0, "ab")).unwrap();
    let mut cursor = run(here.anchor(1, Side::After)).unwrap();
    for (typed, shown) in [("1", ">a1b"), ("2", ">>a12b"), ("3", ">>>a123b")] {
        world.sync(&a);
        world.sync(&b);
        run(there.insert(0, ">")).unwrap();
        world.sync(&b);
        world.sync(&a);
        let edit = here.edit(|typing| {
            let at = typing.resolve(cursor)?;
            typing.insert(at, typed)?;
            cursor = typing.anchor(at + 1, Side::After)?;
            Ok(())
        });
        run(edit).unwrap();
        assert_eq!(get(&a), shown);
    }
    let beyond = run(here.edit(|typing| typing.anchor(99, Side::Before).map(drop)));
    assert!(matches!(beyond, Err(ReplicaError::Text(TextError::OutOfBounds { at: 99, .. }))));
}

#[test]
fn a_deleted_text_keeps_what_was_typed_meanwhile() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    run(text(&a).insert(0, "old")).unwrap();
    world.sync(&a);
    world.sync(&b);
    run(text(&a).remove()).unwrap();
    assert_eq!((get(&a), run(text(&a).exists()).unwrap()), (String::new(), false));
    run(text(&b).insert(3, " new")).unwrap();
    for device in [&a, &b, &a] {
        world.sync(device);
    }
    for device in [&a, &b] {
        assert_eq!((get(device), run(text(device).exists()).unwrap()), (" new".to_owned(), true));
    }
    run(text(&a).remove()).unwrap();
    world.sync(&a);
    world.sync(&b);
    assert!(!run(text(&b).exists()).unwrap());
    assert_eq!(run(b.replica.state(text(&b).key())).unwrap(), None);
}

/// Catalogue C8: both go on as writers of their own.
#[test]
fn a_device_that_is_copied_types_on_twice_and_nothing_is_lost() {
    let mut world = World::new();
    let first = world.device();
    run(text(&first).insert(0, "common ")).unwrap();
    world.sync(&first);
    run(text(&first).insert(7, "unsent ")).unwrap();
    let (one, two) = (world.open(first.copy_of_store(), 0), world.open(first.copy_of_store(), 0));
    run(text(&one).insert(14, "one")).unwrap();
    run(text(&two).insert(14, "two")).unwrap();
    for device in [&one, &two, &one, &two] {
        world.sync(device);
    }
    let whole = get(&one);
    assert!(["common unsent onetwo", "common unsent twoone"].contains(&whole.as_str()), "{whole}");
    assert_eq!(get(&two), whole);
    let fresh = world.device();
    world.sync(&fresh);
    assert_eq!(get(&fresh), whole);
}

/// Catalogue S12.
#[test]
fn what_was_typed_before_a_server_was_put_back_is_there_after_it() {
    let mut world = World::new();
    let server = Arc::new(MemoryStore::new());
    world.replace_server(Arc::clone(&server));
    let (a, b) = (world.device(), world.device());
    run(text(&a).insert(0, "kept ")).unwrap();
    world.sync(&a);
    world.sync(&b);
    let backup = Arc::new(server.fork());
    let (here, there) = (text(&a), text(&b));
    for round in 0..5 {
        add(&here, &format!("a{round} "));
        world.sync(&a);
        run(there.insert(0, &format!("b{round} "))).unwrap();
        world.sync(&b);
    }
    world.replace_server(backup);
    run(there.insert(0, "unsent ")).unwrap();
    for device in [&a, &b, &a, &b] {
        assert!(world.sync(device).is_safe());
    }
    let whole = run(here.get()).unwrap();
    assert_eq!(run(there.get()).unwrap(), whole);
    let fresh = world.device();
    world.sync(&fresh);
    assert_eq!(get(&fresh), whole);
    for word in ["kept ", "unsent "] {
        assert!(whole.contains(word), "{whole}");
    }
    for round in 0..5 {
        assert!(whole.contains(&format!("a{round} ")) && whole.contains(&format!("b{round} ")), "{whole}");
    }
}

#[test]
fn bad_edits_are_refused_and_leave_the_text_as_it_was() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    let poem = text(&a);
    run(poem.insert(0, "abc")).unwrap();
    let refused = run(poem.insert(4, "x")).unwrap_err();
    assert!(matches!(refused, ReplicaError::Text(TextError::OutOfBounds { at: 4, len: 3 })), "{refused:?}");
    let half = run(poem.edit(|typing| {
        typing.insert(0, "half ")?;
        typing.delete(0..99)
    }));
    assert!(matches!(half, Err(ReplicaError::Text(TextError::OutOfBounds { .. }))));
    assert_eq!(run(poem.get()).unwrap(), "abc");
    assert!(run(poem.edit(|_| Ok(()))).unwrap().is_none());
    let elsewhere = a.replica.collection("tasks").unwrap().text("poem");
    assert!(matches!(elsewhere, Err(ReplicaError::WrongType { .. })), "{elsewhere:?}");
    world.sync(&a);
    // Whoever may write may write rubbish: it says nothing, to anybody.
    for rubbish in [&b"\x01junkjunk\x01\x00"[..], b"\x01junkjunk\x02\xff\xff", b"\x01junkjunk\x01\x00\x07\x00\x09\x09"]
    {
        let payload = Payload::Plain(rubbish.to_vec().into());
        let write = syncline::client::Write {
            key: poem.key().clone(),
            kind: OpKind::Update,
            precondition: syncline::oplog::Precondition::None,
            payload,
        };
        run(b.replica.write(write)).unwrap();
    }
    world.sync(&b);
    run(poem.insert(3, "d")).unwrap();
    world.sync(&a);
    world.sync(&b);
    for device in [&a, &b] {
        assert_eq!(get(device), "abcd");
    }
    assert_ne!(run(a.replica.cursor_at(Seq::new(4).unwrap())).unwrap(), None::<Cursor>);
}

/// Everything at once, seeded: whoever syncs last has what everybody typed, and all have the same.
#[test]
fn whatever_order_edits_arrive_in_every_device_ends_with_the_same_text() {
    for seed in 1..=20_u64 {
        let mut world = World::new();
        let devices: Vec<Device> = (0..3).map(|_| world.device()).collect();
        let texts: Vec<SharedText> = devices.iter().map(text).collect();
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        for _ in 0..150 {
            let who = next(3);
            let len = run(texts[who].look(|text| text.len())).unwrap();
            match next(10) {
                0..5 => drop(run(texts[who].insert(next(len + 1), ["a", "bc", "é", "🦀", "\r\n"][next(5)])).unwrap()),
                5..7 if len > 0 => {
                    let at = next(len);
                    drop(run(texts[who].delete(at..(at + 1 + next(4)).min(len))).unwrap());
                }
                7 => drop(run(texts[who].undo()).unwrap()),
                _ => drop(world.sync(&devices[who])),
            }
        }
        for _ in 0..2 {
            devices.iter().for_each(|device| drop(world.sync(device)));
        }
        let shown: Vec<String> = texts.iter().map(|text| run(text.get()).unwrap()).collect();
        assert!(shown.iter().all(|text| *text == shown[0]), "seed {seed}: {shown:#?}");
        let fresh = world.device();
        world.sync(&fresh);
        assert_eq!(get(&fresh), shown[0], "seed {seed}");
    }
}

/// A partial copy offers its own ops alone, so after a rollback what it typed may come before what it typed it into.
#[test]
fn what_was_typed_into_text_that_comes_later_waits_for_it() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    run(text(&a).insert(0, "ends")).unwrap();
    world.sync(&a);
    world.sync(&b);
    run(text(&b).insert(2, "-in-between-")).unwrap();
    world.sync(&b);
    let page = run(b.store.ops_after(LOG, Seq::ZERO, PageLimit::default())).unwrap();
    let edits: Vec<_> = page.ops.iter().map(|logged| logged.op.read().unwrap().payload().clone()).collect();
    let mut other = World::new();
    let (late, reader) = (other.device(), other.device());
    let poem = text(&reader);
    for edit in edits.into_iter().rev() {
        assert_eq!(run(poem.get()).unwrap(), "");
        let key = poem.key().clone();
        let precondition = syncline::oplog::Precondition::None;
        let write = syncline::client::Write { key, kind: OpKind::Update, precondition, payload: edit };
        run(late.replica.write(write)).unwrap();
        other.sync(&late);
        other.sync(&reader);
    }
    assert_eq!(run(poem.get()).unwrap(), "en-in-between-ds");
    assert_eq!(get(&late), "en-in-between-ds");
}

#[test]
fn marks_hold_on_to_their_letters_on_every_device() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    run(text(&a).insert(0, "plain bold plain")).unwrap();
    world.sync(&a);
    world.sync(&b);
    run(text(&a).mark(6..10, "bold", Some("yes"), Expand::After)).unwrap();
    run(text(&b).insert(0, "very ")).unwrap();
    run(text(&b).mark(11..15, "link", Some("there"), Expand::None)).unwrap();
    for device in [&a, &b, &a] {
        assert!(world.sync(device).is_safe());
    }
    run(text(&a).insert(15, "er")).unwrap();
    world.sync(&a);
    world.sync(&b);
    let fresh = world.device();
    world.sync(&fresh);
    for device in [&a, &b, &fresh] {
        assert_eq!(get(device), "very plain bolder plain");
        let marked = run(text(device).marked()).unwrap();
        let shown: Vec<(usize, String)> =
            marked.iter().map(|part| (part.len, part.marks.keys().cloned().collect::<Vec<_>>().join("+"))).collect();
        let expected = [(11, ""), (4, "bold+link"), (2, "bold"), (6, "")].map(|(len, keys)| (len, keys.to_owned()));
        assert_eq!(shown, expected);
    }
    run(text(&b).mark(11..17, "bold", None, Expand::After)).unwrap();
    world.sync(&b);
    world.sync(&a);
    assert!(run(text(&a).marked()).unwrap().iter().all(|part| !part.marks.contains_key("bold")));
}
