//! What texts forget, and what is left out of them: nothing that anybody typed, however late it comes.

use std::sync::Arc;

use syncline::Seq;
use syncline::client::{Retain, SharedText, Unreadable};
use syncline::crdt::taken::{WhyLeftOut, take_in};
use syncline::crdt::text::Text;
use syncline::crdt::writing::{Said, TextEdit, WriterId};
use syncline::oplog::{OpKind, Payload};
use syncline::store::{MemoryStore, PageLimit, Store as _, StoreExt as _};

use crate::texts::{get, text};
use crate::world::{Device, Fault, LOG, World, run};

fn left_out(text: &SharedText) -> Vec<(WriterId, WhyLeftOut)> {
    let all = run(text.left_out()).unwrap();
    assert_eq!(all.count(), all.newest().len() as u64);
    all.newest().iter().map(|one| (one.writer, one.why)).collect()
}

/// Says something of the poem that no handle would.
fn say(device: &Device, writer: WriterId, said: Said) {
    let payload = Payload::Plain(TextEdit { writer, said }.to_bytes());
    let key = text(device).key().clone();
    let precondition = syncline::oplog::Precondition::None;
    run(device.replica.write(syncline::client::Write { key, kind: OpKind::Update, precondition, payload })).unwrap();
}

#[test]
fn what_can_never_apply_is_told_to_everybody_and_to_its_author() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    run(text(&a).insert(0, "abc")).unwrap();
    world.sync(&a);
    world.sync(&b);
    let (here, there) = (text(&a), text(&b));
    assert_eq!(left_out(&here), []);
    let (writer, stranger) = (there.writer(), WriterId([9; 8]));
    // Nothing is at 40; no delta at all; and what builds on what never came waits.
    let said =
        [(writer, &b"\x00\x05\x50"[..], WhyLeftOut::OutOfBounds), (stranger, b"\x00\x03\x00", WhyLeftOut::Malformed)];
    let expected: Vec<_> = said.iter().map(|(writer, _, why)| (*writer, *why)).collect();
    for (writer, delta, _) in &said {
        say(&b, *writer, Said::Typed(delta.to_vec().into()));
    }
    say(&b, WriterId([8; 8]), Said::Typed(b"\x07\x04\x00x".to_vec().into()));
    assert_eq!(left_out(&there), expected, "the author, before it was sent");
    world.sync(&b);
    world.sync(&a);
    for text in [&here, &there] {
        assert_eq!(left_out(text), expected);
        assert_eq!(run(text.get()).unwrap(), "abc");
    }
    assert_eq!(a.replica.status().unread, 0, "nobody put the state together yet");
    // Once it is, the state says so, to who comes later too; and the device lists it.
    run(here.insert(3, &"d".repeat(5_000))).unwrap();
    world.sync(&a);
    world.sync(&b);
    let fresh = world.device();
    world.sync(&fresh);
    for device in [&a, &b, &fresh] {
        assert_eq!(left_out(&text(device)), expected);
        assert_eq!(device.replica.status().unread, 1);
        assert_eq!(run(device.replica.unread()).unwrap(), [(Seq::new(5).unwrap(), Unreadable::LeftOut)]);
        assert!(device.replica.status().is_safe());
    }
}

/// Copies of a running device are one writer: the first in the log counts, and the other one is told.
#[test]
fn of_two_that_go_on_as_one_writer_the_second_is_told_that_its_edit_does_not_count() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    let poem = text(&a);
    run(poem.insert(0, "ab")).unwrap();
    let twin = {
        let mut twin = Text::new();
        twin.insert(poem.writer().author(), 0, "xyz").unwrap();
        twin.delta(poem.writer().author(), 0).unwrap()
    };
    say(&b, poem.writer(), Said::Typed(twin));
    world.sync(&b);
    assert!(world.sync(&a).is_safe());
    world.sync(&b);
    for device in [&a, &b] {
        assert_eq!(get(device), "xyz");
        assert_eq!(left_out(&text(device)), [(poem.writer(), WhyLeftOut::Forked)]);
    }
    assert_eq!(run(poem.get()).unwrap(), "xyz", "what was typed here, too, though it was shown");
    assert_eq!(left_out(&poem), [(poem.writer(), WhyLeftOut::Forked)]);
}

#[test]
fn what_was_deleted_is_forgotten_once_every_device_has_heard_of_it() {
    let mut world = World::new();
    let (a, b) = (world.device(), world.device());
    let (here, there) = (text(&a), text(&b));
    for round in 0..200 {
        run(here.insert(0, &format!("draft {round} of {} ", round * 7919 % 1009))).unwrap();
    }
    world.sync(&a);
    world.sync(&b);
    let whole = run(here.look(|text| text.len())).unwrap();
    run(here.delete(10..whole)).unwrap();
    assert!(run(here.forget_deleted()).unwrap().is_none(), "it waits here still");
    world.sync(&a);
    assert!(run(here.forget_deleted()).unwrap().is_none(), "the other has not heard of it");
    for _ in 0..3 {
        world.later(syncline::limits::ACKNOWLEDGE_MS_MAX);
        world.sync(&a);
        world.sync(&b);
    }
    let size = |device: &Device| run(device.store.head(LOG, here.key())).unwrap().unwrap().live_state().unwrap().len();
    let before = size(&b);
    assert!(run(here.forget_deleted()).unwrap().is_some());
    world.sync(&a);
    world.sync(&b);
    let after = size(&b);
    assert!(after * 2 < before && size(&a) == after, "{before} bytes, then {after}");
    assert!(run(there.forget_deleted()).unwrap().is_none(), "there is nothing more");
    run(there.insert(0, "> ")).unwrap();
    world.sync(&b);
    world.sync(&a);
    for text in [&here, &there] {
        assert_eq!(run(text.get()).unwrap(), "> draft 199 ");
    }
    run(here.remove()).unwrap();
    for _ in 0..3 {
        world.later(syncline::limits::ACKNOWLEDGE_MS_MAX);
        world.sync(&a);
        world.sync(&b);
    }
    assert!(run(here.forget_deleted()).unwrap().is_some());
    world.sync(&a);
    assert!(!run(here.exists()).unwrap(), "forgetting brings nothing back");
}

/// The text as whoever never forgot anything has it, by the ops of a device that keeps all of them.
fn unforgetting(device: &Device) -> Text {
    let (mut records, mut after) = (Vec::new(), Seq::ZERO);
    loop {
        let page = run(device.store.ops_after(LOG, after, PageLimit::default())).unwrap();
        let Some(last) = page.ops.last() else { break };
        after = last.seq;
        for logged in &page.ops {
            let op = logged.op.read().unwrap();
            assert!(op.full_state().is_none());
            let edit = TextEdit::from_bytes(op.payload().bytes().clone()).unwrap();
            if edit.said != Said::Forgotten {
                records.push((edit.writer.author(), edit.said));
            }
        }
    }
    let mut text = Text::new();
    let taken = take_in(&mut text, records.into_iter());
    assert_eq!((taken.waiting.len(), taken.left_out.len()), (0, 0));
    text
}

/// Devices that are away for longer than they count, go on from old images, are copied, lose answers, and servers that are put
/// back: every edit comes out as if nobody had ever forgotten anything.
fn forgetting_runs(seeds: u64, retain: Retain) -> usize {
    let mut forgotten = 0;
    for seed in 0..seeds {
        let mut world = World::new();
        world.retain = retain;
        let server = Arc::new(MemoryStore::new());
        world.replace_server(Arc::clone(&server));
        let mut devices: Vec<Device> = (0..4).map(|_| world.device()).collect();
        let mut texts: Vec<SharedText> = devices.iter().map(text).collect();
        let mut images: Vec<Arc<MemoryStore>> = devices.iter().map(Device::copy_of_store).collect();
        let (mut current, mut backup, mut back) = (Arc::clone(&server), Arc::new(server.fork()), 0);
        let mut state = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        for _ in 0..140 {
            // The last one is mostly away.
            let who = if next(12) == 0 { 3 } else { next(3) };
            let len = run(texts[who].look(|text| text.len())).unwrap();
            match next(20) {
                0..7 => drop(run(texts[who].insert(next(len + 1), ["a", "bc", "é", "🦀", "\r\n"][next(5)])).unwrap()),
                7..11 if len > 0 => {
                    let at = next(len);
                    drop(run(texts[who].delete(at..(at + 1 + next(6)).min(len))).unwrap());
                }
                11 => {
                    let fault = [Fault::None, Fault::AnswerLost, Fault::Unreachable];
                    world.fault(&[fault[next(3)], fault[next(3)], fault[next(3)]]);
                    let _ = world.try_sync(&devices[who]);
                    world.fault(&[]);
                }
                12 => images[who] = devices[who].copy_of_store(),
                // Somebody goes on from an old image, beside or in place of who has gone on meanwhile.
                13 if next(3) == 0 => {
                    let unsynced = devices[who].replica.status().unsynced > 0;
                    if !unsynced {
                        devices[who] = world.open(Arc::clone(&images[who]), 0);
                        texts[who] = text(&devices[who]);
                        images[who] = devices[who].copy_of_store();
                    }
                }
                14 => backup = Arc::new(current.fork()),
                15 if next(4) == 0 && backup.has_any() && back < 2 => {
                    back += 1;
                    current = Arc::new(backup.fork());
                    world.replace_server(Arc::clone(&current));
                }
                // Whoever is silent for so long counts no more.
                16 if next(2) == 0 => world.later(syncline::limits::REPLICA_SILENT_MS_MAX + 1),
                17 => {
                    for device in &devices[..3] {
                        world.later(syncline::limits::ACKNOWLEDGE_MS_MAX);
                        let _ = world.try_sync(device);
                    }
                    forgotten += usize::from(run(texts[who].forget_deleted()).unwrap().is_some());
                }
                _ if who < 3 => drop(world.try_sync(&devices[who])),
                _ => {}
            }
        }
        for _ in 0..4 {
            devices.iter().for_each(|device| drop(world.sync(device)));
        }
        devices.push(world.device());
        world.sync(&devices[4]);
        let hashes: Vec<_> =
            devices.iter().map(|device| run(text(device).look(|text| text.state_hash())).unwrap()).collect();
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "seed {seed}");
        let states: Vec<_> = devices
            .iter()
            .map(|device| run(device.store.head(LOG, texts[0].key())).unwrap().map(|head| head.state))
            .collect();
        assert!(states.iter().all(|state| *state == states[0]), "seed {seed}");
        for device in &devices {
            assert_eq!(left_out(&text(device)), [], "seed {seed}");
            assert!(device.replica.status().is_safe() && device.replica.status().unread == 0, "seed {seed}");
        }
        if retain == Retain::Everything {
            assert_eq!(unforgetting(&devices[0]).state_hash(), hashes[0], "seed {seed}");
        }
    }
    forgotten
}

#[test]
fn no_edit_is_lost_or_comes_out_otherwise_because_somebody_forgot_however_old_it_is() {
    let forgotten = forgetting_runs(30, Retain::Everything);
    assert!(forgotten > 30, "{forgotten} times");
}

#[test]
fn devices_that_let_go_of_their_history_lose_no_edit_to_forgetting_either() {
    let forgotten = forgetting_runs(20, Retain::Window { ops: 40, ms: 0 });
    assert!(forgotten > 20, "{forgotten} times");
}
