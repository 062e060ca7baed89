//! Whatever bytes come in: a typed error or a sound text, and after an error the text as it was.

use bytes::Bytes;
use syncline::Digest;
use syncline::codec::{DecodeError, Writer};
use syncline::crdt::text::{Text, TextError};
use syncline::limits;

use crate::random::Random;
use crate::replica;
use crate::speaker::{Speaker, zigzag};
use crate::traces::Patch;

/// Two authors who met, parted and met again, one of them with four-byte characters.
pub(crate) fn sample() -> (Text, Vec<(usize, Bytes)>) {
    let (mut one, mut other) = (Text::new(), Text::new());
    let mut deltas = Vec::new();
    let mut random = Random::new(5);
    for round in 0..6 {
        for (who, text) in [&mut one, &mut other].into_iter().enumerate() {
            let since = text.seen(replica(who));
            for _ in 0..4 {
                let at = random.below(text.len() + 1);
                text.insert(replica(who), at, ["word ", "👍", "é", "x"][random.below(4)]).unwrap();
                let at = random.below(text.len());
                text.delete(replica(who), at..at + 1).unwrap();
            }
            deltas.push((who, text.delta(replica(who), since).unwrap()));
        }
        if round % 2 == 0 {
            for (who, delta) in &deltas {
                one.apply(replica(*who), delta).unwrap();
                other.apply(replica(*who), delta).unwrap();
            }
        }
    }
    for (who, delta) in &deltas {
        one.apply(replica(*who), delta).unwrap();
    }
    (one, deltas)
}

fn raw(build: impl FnOnce(&mut Writer)) -> Bytes {
    let mut out = Writer::default();
    build(&mut out);
    out.finish()
}

/// A text of one author: "abc".
fn abc() -> Text {
    let mut text = Text::new();
    text.insert(replica(1), 0, "abc").unwrap();
    text
}

fn refused(delta: &Bytes) -> TextError {
    refused_by(abc(), 2, delta)
}

fn refused_by(mut text: Text, author: usize, delta: &Bytes) -> TextError {
    let before = (text.save().unwrap(), text.state_hash());
    let error = text.apply(replica(author), delta).unwrap_err();
    assert_eq!((text.save().unwrap(), text.state_hash()), before, "{error}");
    text.check().unwrap();
    // And it goes on as if nothing had been.
    text.insert(replica(1), 0, "x").unwrap();
    error
}

#[test]
fn a_delta_of_extremes_is_refused() {
    let max = u64::MAX;
    let seq = refused(&raw(|out| out.u64(max)));
    assert!(matches!(seq, TextError::TooLarge { .. }), "{seq}");
    let hole = refused(&raw(|out| {
        out.u64(7);
        out.u64(4);
        out.u64(0);
        out.u8(b'x');
    }));
    assert_eq!(hole, TextError::Unseen { replica: replica(2), seq: 0 });
    for head in [max, max - 1, max - 2, max - 3] {
        refused(&raw(|out| {
            out.u64(0);
            out.u64(head);
            out.u64(max);
        }));
        refused(&raw(|out| {
            out.u64(0);
            out.u64(head);
            out.u64(0);
        }));
    }
    // Deletes more than there is, and more than there can be.
    for len in [2, 1 << 30, 1 << 32, max >> 3] {
        refused(&raw(|out| {
            out.u64(0);
            out.u64(len << 2 | 1);
            out.u64(0);
        }));
    }
}

#[test]
fn empty_runs_are_refused() {
    for kind in 0..3 {
        let error = refused(&raw(|out| {
            out.u64(0);
            out.u64(kind);
            out.u64(0);
        }));
        assert!(matches!(error, TextError::Decode(DecodeError::NotCanonical(_))), "{error}");
    }
}

#[test]
fn no_edits_leave_more_versions_open_than_the_next_edit_can_join() {
    let max = limits::TEXT_PARENTS_MAX;
    // One who never sees even their own edits.
    let mut speaker = Speaker::default();
    let mut alone = |count: usize| {
        let say = |_| (replica(2), speaker.say(false, &[], &[Patch(0, 0, "x".to_owned())]));
        (0..count).map(say).collect::<Vec<_>>()
    };
    let mut text = abc();
    text.apply_all(&alone(max - 2)).unwrap();
    let mut other = text.clone();
    let [last, one_more] = <[_; 2]>::try_from(alone(2)).unwrap();
    text.apply(last.0, &last.1).unwrap();
    let before = (text.save().unwrap(), text.state_hash());
    assert_eq!(text.apply(one_more.0, &one_more.1), Err(TextError::TooManyVersions));
    assert_eq!((text.save().unwrap(), text.state_hash()), before);
    // At the limit somebody joins them all, and everybody reads it.
    let since = text.seen(replica(3));
    text.insert(replica(3), 0, "all of them ").unwrap();
    let joined = text.delta(replica(3), since).unwrap();
    other.apply(last.0, &last.1).unwrap();
    other.apply(replica(3), &joined).unwrap();
    assert_eq!((other.to_string(), other.state_hash()), (text.to_string(), text.state_hash()));
    assert_eq!(other.apply(one_more.0, &one_more.1), Ok(()), "there is room again");
}

#[test]
fn parents_that_nobody_made_are_refused() {
    let insert = [Patch(0, 0, "x".to_owned())];
    let mut speaker = Speaker::default();
    let unknown = refused(&speaker.clone().say(false, &[(replica(9), 0)], &insert));
    assert_eq!(unknown, TextError::Unseen { replica: replica(9), seq: 0 });
    let ahead = refused(&speaker.clone().say(false, &[(replica(1), 3)], &insert));
    assert_eq!(ahead, TextError::Unseen { replica: replica(1), seq: 3 });
    let itself = refused(&speaker.clone().say(false, &[(replica(2), 0)], &insert));
    assert_eq!(itself, TextError::Unseen { replica: replica(2), seq: 0 });
    let own_before_the_first = refused(&speaker.clone().say(true, &[(replica(1), 0)], &insert));
    assert!(matches!(own_before_the_first, TextError::Decode(_)));
    let one_saw_the_other = refused(&speaker.clone().say(false, &[(replica(1), 1), (replica(1), 2)], &insert));
    assert!(matches!(one_saw_the_other, TextError::Decode(_)));
    let huge = refused(&raw(|out| {
        out.u64(0);
        out.u64(u64::MAX);
    }));
    assert!(matches!(huge, TextError::Decode(_)));
    let nothing_behind = refused(&speaker.say(false, &[(replica(1), 1)], &[]));
    assert!(matches!(nothing_behind, TextError::Decode(_)));
}

#[test]
fn positions_are_checked_in_the_text_the_author_saw() {
    let saw_a = |at, deleted| Speaker::default().say(false, &[(replica(1), 0)], &[Patch(at, deleted, "x".to_owned())]);
    assert_eq!(refused(&saw_a(2, 0)), TextError::OutOfBounds { at: 2, len: 1 });
    assert_eq!(refused(&saw_a(0, 2)), TextError::OutOfBounds { at: 2, len: 1 });
    let saw_all = Speaker::default().say(false, &[(replica(1), 2)], &[Patch(4, 0, "x".to_owned())]);
    assert_eq!(refused(&saw_all), TextError::OutOfBounds { at: 4, len: 3 });
    let saw_nothing = Speaker::default().say(false, &[], &[Patch(1, 0, "x".to_owned())]);
    assert_eq!(refused(&saw_nothing), TextError::OutOfBounds { at: 1, len: 0 });
    let before_the_start = refused(&raw(|out| {
        out.u64(0);
        out.u64(3 << 2 | 2);
        out.u64(zigzag(1));
    }));
    assert!(matches!(before_the_start, TextError::Decode(_)));
    abc().apply(replica(2), &saw_a(1, 0)).unwrap();
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    // A lone surrogate, an overlong slash, a character cut in half.
    for bytes in [&[0xed, 0xa0, 0x80][..], &[0xc0, 0xaf], &[0xe2, 0x82], &[0xff]] {
        let error = refused(&raw(|out| {
            out.u64(0);
            out.len(bytes.len() << 2);
            out.u64(0);
            out.fixed(bytes);
        }));
        assert_eq!(error, TextError::Decode(DecodeError::NotCanonical("inserted text")));
    }
}

#[test]
fn one_name_for_two_events_is_refused() {
    let mut forger = Speaker::default();
    let other = forger.say(false, &[], &[Patch(0, 0, "abX".to_owned())]);
    assert_eq!(refused_by(abc(), 1, &other), TextError::Forked { replica: replica(1), seq: 0 });
    let same = Speaker::default().say(false, &[], &[Patch(0, 0, "abc".to_owned())]);
    let mut text = abc();
    text.apply(replica(1), &same).unwrap();
    assert_eq!(text.to_string(), "abc");
    let more = Speaker::default().say(false, &[], &[Patch(0, 0, "abcde".to_owned())]);
    text.apply(replica(1), &more).unwrap();
    assert_eq!(text.to_string(), "abcde", "what was new of it");
}

#[test]
fn a_refused_batch_leaves_nothing_of_its_beginning() {
    let good = Speaker::default().say(false, &[(replica(1), 2)], &[Patch(0, 0, "good".to_owned())]);
    let mut bad = Speaker::default();
    let bad = bad.say(false, &[(replica(2), 3)], &[Patch(99, 0, "bad".to_owned())]);
    let mut text = abc();
    let before = text.save().unwrap();
    text.apply_all(&[(replica(2), good.clone()), (replica(3), bad)]).unwrap_err();
    assert_eq!(text.save().unwrap(), before);
    text.apply(replica(2), &good).unwrap();
    assert_eq!(text.to_string(), "goodabc");
}

#[test]
fn a_position_outside_is_refused_and_changes_nothing() {
    let mut text = abc();
    let before = text.state_hash();
    assert_eq!(text.insert(replica(1), 4, "x"), Err(TextError::OutOfBounds { at: 4, len: 3 }));
    assert_eq!(text.delete(replica(1), 1..4), Err(TextError::OutOfBounds { at: 4, len: 3 }));
    assert_eq!(text.delete(replica(1), 4..4), Err(TextError::OutOfBounds { at: 4, len: 3 }));
    assert!(text.insert(replica(1), usize::MAX, "x").is_err());
    assert_eq!(text.state_hash(), before);
    let mut text = Text::new();
    text.insert(replica(1), 0, "a👍b").unwrap();
    assert_eq!(text.from_utf16(2), Err(TextError::InsideCharacter { at: 2 }));
    assert_eq!(text.from_byte(3), Err(TextError::InsideCharacter { at: 3 }));
    assert_eq!(text.from_utf16(3), Ok(2));
}

#[test]
fn mutated_deltas_are_refused_or_sound() {
    let (_, deltas) = sample();
    let mut random = Random::new(11);
    let mut accepted = 0;
    for _ in 0..3_000 {
        let at = random.below(deltas.len());
        let mut text = Text::new();
        for (who, delta) in &deltas[..at] {
            text.apply(replica(*who), delta).unwrap();
        }
        let mut bytes = deltas[at].1.to_vec();
        mutate(&mut bytes, &mut random);
        accepted += usize::from(delta_is_refused_or_sound(text, deltas[at].0, &bytes.into()));
    }
    assert!(accepted > 100, "some mutations are harmless: {accepted}");
}

/// Whether it was taken.
pub(crate) fn delta_is_refused_or_sound(mut text: Text, author: usize, delta: &Bytes) -> bool {
    let before = text.state_hash();
    let taken = text.apply(replica(author), delta);
    if taken.is_err() {
        assert_eq!(text.state_hash(), before);
    }
    text.check().unwrap();
    text.insert(replica(0), 0, "goes on").unwrap();
    let saved = text.save().unwrap();
    let mut again = Text::load(&saved).unwrap();
    assert_eq!(again.save().unwrap(), saved);
    assert_eq!((again.to_string(), again.state_hash()), (text.to_string(), text.state_hash()));
    taken.is_ok()
}

/// A few changes, a number at its edges among them.
pub(crate) fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(2) {
        let at = random.below(bytes.len().max(1));
        match random.below(5) {
            0 => bytes.truncate(at),
            1 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            2 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            3 if !bytes.is_empty() => {
                let bits = [0, 7, 8, 14, 16, 30, 31, 32, 48, 53, 62, 63][random.below(12)];
                let mut out = Writer::default();
                out.u64((1_u64 << bits).wrapping_sub(random.below(3) as u64));
                let end = bytes[at..].iter().position(|byte| *byte < 0x80).map_or(bytes.len(), |len| at + len + 1);
                bytes.splice(at..end, out.finish());
            }
            _ => bytes.insert(at.min(bytes.len()), u8::try_from(random.below(256)).unwrap()),
        }
    }
}

/// The sections of a snapshot: content as packed, and where each stands.
pub(crate) fn sections(snapshot: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut at = 4;
    while at < snapshot.len() {
        if found.len() == 3 {
            at += 1;
        }
        let (mut len, mut shift) = (0_usize, 0);
        loop {
            let byte = snapshot[at];
            at += 1;
            len |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        at += 8;
        found.push(at..at + len);
        at += len;
    }
    found
}

#[test]
fn mutated_snapshots_with_right_checksums_are_refused_or_sound() {
    let (mut text, _) = sample();
    let saved = text.save().unwrap();
    let parts = sections(&saved);
    assert_eq!(parts.len(), 7);
    let mut random = Random::new(13);
    for _ in 0..3_000 {
        let which = random.below(parts.len());
        let mut contents: Vec<Vec<u8>> = parts.iter().map(|part| saved[part.clone()].to_vec()).collect();
        mutate(&mut contents[which], &mut random);
        snapshot_is_refused_or_sound(&with_checksums(&contents));
    }
}

#[test]
fn a_snapshot_whose_history_has_more_characters_than_its_text_is_refused() {
    for (typed, stored) in [("aéb", "é"), ("éé", "é"), ("abc", "ab"), ("abc", "aé")] {
        let mut text = Text::new();
        text.insert(replica(1), 0, typed).unwrap();
        let saved = text.save().unwrap();
        let mut contents: Vec<Vec<u8>> = sections(&saved).into_iter().map(|part| saved[part].to_vec()).collect();
        contents[0] = raw(|out| {
            out.len(stored.len() << 1);
            out.fixed(stored.as_bytes());
        })
        .to_vec();
        let read = Text::load(&with_checksums(&contents)).and_then(|mut text| text.save());
        assert!(matches!(read, Err(TextError::Decode(DecodeError::NotCanonical(_)))), "{typed} as {stored}: {read:?}");
    }
}

/// A snapshot of these sections, which may be anything.
pub(crate) fn with_checksums(sections: &[Vec<u8>]) -> Bytes {
    let mut out = Writer::default();
    out.fixed(b"SLT\x01");
    for (at, content) in sections.iter().enumerate() {
        if at == 3 {
            out.u8(1);
        }
        out.len(content.len());
        out.fixed(&Digest::of(&[content]).as_bytes()[..8]);
        out.fixed(content);
    }
    out.finish()
}

pub(crate) fn snapshot_is_refused_or_sound(bytes: &Bytes) {
    let Ok(mut loaded) = Text::load(bytes) else { return };
    let shown = loaded.to_string();
    // Reading its history may fail; the text stays.
    if let Ok(again) = loaded.save() {
        assert_eq!(Text::load(&again).unwrap().to_string(), shown);
    }
    assert_eq!(loaded.to_string(), shown);
    loaded.check().unwrap();
    loaded.insert(replica(0), 0, "goes on").unwrap();
}

#[test]
fn a_damaged_snapshot_is_found_by_its_checksum() {
    let (mut text, _) = sample();
    let saved = text.save().unwrap();
    for at in 0..saved.len() {
        let mut bytes = saved.to_vec();
        bytes[at] ^= 0x10;
        match Text::load(&Bytes::from(bytes)) {
            Err(_) => {}
            Ok(mut loaded) => {
                assert_eq!(loaded.to_string(), text.to_string());
                loaded.save().unwrap_err();
            }
        }
        let cut = Text::load(&saved.slice(..at)).and_then(|mut loaded| loaded.save());
        assert!(cut.is_err(), "cut at {at}");
    }
}
