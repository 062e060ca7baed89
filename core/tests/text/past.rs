//! Old versions, differences, authorship, anchors, undo, and dropping history: against random histories.

use bytes::Bytes;
use syncline::crdt::text::{Anchor, Side, Text, TextError, Undo, Version};

use crate::random::Random;
use crate::replica;

/// Two authors who edit at once and meet now and then; every version on the way with its text.
fn history(seed: u64, rounds: usize) -> (Text, Vec<(Version, String)>) {
    let mut random = Random::new(seed);
    let mut texts = [Text::new(), Text::new()];
    let mut versions = vec![(Version::default(), String::new())];
    let mut sent = [0, 0];
    for round in 0..rounds {
        for (who, text) in texts.iter_mut().enumerate() {
            let at = random.below(text.len() + 1);
            text.insert(replica(who), at, ["uno ", "dos👍", "x", "é"][random.below(4)]).unwrap();
            if random.below(2) == 0 && text.len() > 4 {
                let at = random.below(text.len() - 3);
                text.delete(replica(who), at..at + 1 + random.below(3)).unwrap();
            }
            versions.push((text.version(), text.to_string()));
        }
        if round % 3 == 2 || round + 1 == rounds {
            let deltas = [0, 1].map(|who| (replica(who), texts[who].delta(replica(who), sent[who]).unwrap()));
            for (who, text) in texts.iter_mut().enumerate() {
                sent[who] = text.seen(replica(who));
                text.apply(deltas[1 - who].0, &deltas[1 - who].1).unwrap();
            }
            versions.push((texts[0].version(), texts[0].to_string()));
        }
    }
    let [one, _] = texts;
    (one, versions)
}

#[test]
fn the_text_can_be_read_at_every_version() {
    for seed in 0..20 {
        let (mut text, versions) = history(seed, 30);
        for (version, then) in &versions {
            assert_eq!(text.text_at(version).unwrap(), *then, "seed {seed}");
        }
        let mut loaded = Text::load(&text.save().unwrap()).unwrap();
        for (version, then) in versions.iter().rev() {
            assert_eq!(loaded.text_at(version).unwrap(), *then, "loaded, seed {seed}");
        }
        let unknown = Version::of([(replica(9), 0)]);
        assert_eq!(text.text_at(&unknown), Err(TextError::Unseen { replica: replica(9), seq: 0 }));
    }
}

#[test]
fn a_difference_turns_one_version_into_the_other() {
    for seed in 0..20 {
        let (mut text, versions) = history(seed, 30);
        let mut random = Random::new(seed);
        for _ in 0..20 {
            let (from, to) = (&versions[random.below(versions.len())], &versions[random.below(versions.len())]);
            let mut chars: Vec<char> = from.1.chars().collect();
            for change in text.diff(&from.0, &to.0).unwrap() {
                chars.splice(change.at..change.at + change.deleted, change.inserted.chars());
            }
            assert_eq!(chars.into_iter().collect::<String>(), to.1, "seed {seed}");
        }
    }
}

#[test]
fn every_character_has_its_author() {
    let (mut one, mut other) = (Text::new(), Text::new());
    one.insert(replica(1), 0, "one one").unwrap();
    other.apply(replica(1), &one.delta(replica(1), 0).unwrap()).unwrap();
    other.insert(replica(2), 3, "+two").unwrap();
    other.delete(replica(2), 0..1).unwrap();
    let blame: Vec<_> = other.blame().unwrap().into_iter().map(|written| (written.len, written.author)).collect();
    assert_eq!(other.to_string(), "ne+two one");
    assert_eq!(blame, [(2, Some(replica(1))), (4, Some(replica(2))), (4, Some(replica(1)))]);
    let stable = other.version();
    other.collect(&stable).unwrap();
    other.insert(replica(3), 0, "three").unwrap();
    let blame: Vec<_> = other.blame().unwrap().into_iter().map(|written| (written.len, written.author)).collect();
    let expected = [(5, Some(replica(3))), (2, Some(replica(1))), (4, Some(replica(2))), (4, Some(replica(1)))];
    assert_eq!(blame, expected, "kept although the history is gone");
}

#[test]
fn anchors_stay_with_their_characters() {
    let mut text = Text::new();
    text.insert(replica(1), 0, "abcdef").unwrap();
    let before_c = text.anchor(2, Side::Before).unwrap();
    let after_b = text.anchor(2, Side::After).unwrap();
    text.insert(replica(2), 2, "XY").unwrap();
    assert_eq!((text.resolve(after_b).unwrap(), text.resolve(before_c).unwrap()), (2, 4));
    text.delete(replica(2), 1..5).unwrap();
    assert_eq!(text.to_string(), "adef");
    assert_eq!((text.resolve(after_b).unwrap(), text.resolve(before_c).unwrap()), (1, 1));
    assert_eq!(text.anchor(0, Side::After), Ok(Anchor::Start));
    assert_eq!(text.anchor(4, Side::Before), Ok(Anchor::End));
    assert_eq!(text.anchor(5, Side::Before), Err(TextError::OutOfBounds { at: 5, len: 4 }));
    let d = text.anchor(1, Side::Before).unwrap();
    let mut loaded = Text::load(&text.save().unwrap()).unwrap();
    assert_eq!(loaded.resolve(d), Ok(1));
    let stable = text.version();
    text.collect(&stable).unwrap();
    text.insert(replica(3), 0, "++").unwrap();
    assert_eq!(text.resolve(d), Ok(3));
    assert_eq!(text.anchor(3, Side::Before), Ok(d));
    assert_eq!(text.resolve(before_c), Err(TextError::Collected), "its character is gone for good");
    let nobody = Anchor::Char { replica: replica(8), seq: 0, side: Side::Before };
    assert_eq!(text.resolve(nobody), Err(TextError::Unseen { replica: replica(8), seq: 0 }));
}

#[test]
fn undo_takes_back_ones_own_edits_and_no_others() {
    let (me, you) = (replica(1), replica(2));
    let mut text = Text::new();
    let mut undo = Undo::new(&text, me);
    text.insert(me, 0, "hello world").unwrap();
    undo.step(&text);
    text.delete(me, 0..6).unwrap();
    undo.step(&text);
    text.insert(you, 5, "!").unwrap();
    assert_eq!(text.to_string(), "world!");
    assert!(undo.undo(&mut text).unwrap());
    assert_eq!(text.to_string(), "hello world!");
    assert!(undo.undo(&mut text).unwrap());
    assert_eq!(text.to_string(), "!", "restored characters go with what they stand for");
    assert!(!undo.undo(&mut text).unwrap());
    assert!(undo.redo(&mut text).unwrap());
    assert_eq!(text.to_string(), "hello world!");
    assert!(undo.redo(&mut text).unwrap());
    assert_eq!(text.to_string(), "world!");
    assert!(!undo.redo(&mut text).unwrap());
    assert!(undo.undo(&mut text).unwrap());
    text.insert(me, 0, ">").unwrap();
    assert!(!undo.redo(&mut text).unwrap(), "an edit ends redo");
    assert_eq!(text.to_string(), ">hello world!");
}

#[test]
fn what_two_deleted_stays_deleted_when_one_undoes() {
    let (me, you) = (replica(1), replica(2));
    let mut mine = Text::new();
    mine.insert(me, 0, "both").unwrap();
    let mut yours = Text::new();
    yours.apply(me, &mine.delta(me, 0).unwrap()).unwrap();
    let mut undo = Undo::new(&mine, me);
    mine.delete(me, 0..3).unwrap();
    yours.delete(you, 2..4).unwrap();
    mine.apply(you, &yours.delta(you, 0).unwrap()).unwrap();
    assert_eq!(mine.to_string(), "");
    undo.undo(&mut mine).unwrap();
    assert_eq!(mine.to_string(), "bo");
}

#[test]
fn undo_and_redo_of_random_steps_return_to_where_they_were() {
    for seed in 0..30 {
        let mut random = Random::new(seed);
        let mut text = Text::new();
        text.insert(replica(2), 0, "the common text").unwrap();
        let mut undo = Undo::new(&text, replica(1));
        let mut shown = vec![text.to_string()];
        for _ in 0..8 {
            for _ in 0..=random.below(3) {
                let at = random.below(text.len() + 1);
                text.insert(replica(1), at, ["abc", "👍"][random.below(2)]).unwrap();
                let at = random.below(text.len() - 1);
                text.delete(replica(1), at..at + random.below(3).min(text.len() - at)).unwrap();
            }
            undo.step(&text);
            shown.push(text.to_string());
        }
        for _ in 0..3 {
            for then in shown.iter().rev().skip(1) {
                assert!(undo.undo(&mut text).unwrap());
                assert_eq!(text.to_string(), *then, "seed {seed}");
            }
            assert!(!undo.undo(&mut text).unwrap());
            for then in &shown[1..] {
                assert!(undo.redo(&mut text).unwrap());
                assert_eq!(text.to_string(), *then, "seed {seed}");
            }
        }
    }
}

#[test]
fn collecting_keeps_the_text_and_all_that_follows() {
    for seed in 0..20 {
        let (mut full, versions) = history(seed, 30);
        let mut random = Random::new(seed);
        let (stable, _) = &versions[1 + random.below(versions.len() - 1)];
        let mut short = Text::load(&full.save().unwrap()).unwrap();
        let dropped = short.collect(stable).unwrap();
        assert_eq!(short.state_hash(), full.state_hash());
        short.check().unwrap();
        let saved = short.save().unwrap();
        assert!(dropped < 20 || saved.len() < full.save().unwrap().len());
        let mut again = Text::load(&saved).unwrap();
        assert_eq!(again.save().unwrap(), saved, "seed {seed}");
        for (version, then) in &versions {
            match short.text_at(version) {
                Ok(read) => assert_eq!(read, *then, "seed {seed}"),
                Err(error) => assert_eq!(error, TextError::Collected),
            }
        }
        // A writer who has all goes on, concurrently with another.
        let mut other = Text::load(&full.save().unwrap()).unwrap();
        let since = full.seen(replica(0));
        full.insert(replica(0), 0, "here").unwrap();
        other.insert(replica(5), 0, "there").unwrap();
        let (here, there) = (full.delta(replica(0), since).unwrap(), other.delta(replica(5), 0).unwrap());
        full.apply(replica(5), &there).unwrap();
        again.apply(replica(0), &here).unwrap();
        again.apply(replica(5), &there).unwrap();
        assert_eq!(again.to_string(), full.to_string(), "seed {seed}");
        assert_eq!(again.state_hash(), full.state_hash());
        let early = crate::speaker::Speaker::default().say(false, &[], &[crate::traces::Patch(0, 0, "x".to_owned())]);
        if dropped > 0 {
            assert_eq!(again.apply(replica(7), &early), Err(TextError::Collected));
            assert_eq!(again.state_hash(), full.state_hash());
        }
    }
}

#[test]
fn a_text_alone_goes_on_from_where_it_is() {
    let (mut full, _) = history(3, 30);
    let shallow = full.save_shallow().unwrap();
    assert!(shallow.len() < full.save().unwrap().len());
    let mut alone = Text::load(&shallow).unwrap();
    assert_eq!(alone.state_hash(), full.state_hash());
    assert_eq!(alone.save_shallow().unwrap(), shallow);
    let since = alone.seen(replica(0));
    alone.insert(replica(0), 1, "goes on").unwrap();
    full.apply(replica(0), &alone.delta(replica(0), since).unwrap()).unwrap();
    assert_eq!(alone.state_hash(), full.state_hash());
    let saved = alone.save().unwrap();
    let mut loaded = Text::load(&saved).unwrap();
    assert_eq!(loaded.save().unwrap(), saved);
    assert_eq!(loaded.state_hash(), full.state_hash());
}

#[test]
fn versions_and_anchors_travel_as_bytes() {
    let (mut text, versions) = history(7, 12);
    for (version, _) in &versions {
        let bytes = version.encode();
        assert_eq!(Version::decode(&bytes).as_ref(), Ok(version));
        for at in 0..bytes.len() {
            Version::decode(&bytes.slice(..at)).unwrap_err();
        }
    }
    let twice = Version::of([(replica(1), 1), (replica(2), 2)]).encode();
    let mut swapped = twice.to_vec();
    swapped[1..].rotate_left(17);
    Version::decode(&Bytes::from(swapped)).unwrap_err();
    for side in [Side::Before, Side::After] {
        for at in 0..=text.len() {
            let anchor = text.anchor(at, side).unwrap();
            let bytes = anchor.encode();
            assert_eq!(Anchor::decode(&bytes), Ok(anchor));
            Anchor::decode(&bytes.slice(..bytes.len() - 1)).unwrap_err();
            assert_eq!(text.resolve(anchor), Ok(at));
        }
    }
}
