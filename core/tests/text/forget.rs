//! Forgetting what was deleted changes nothing for anybody who merges.

use std::collections::BTreeSet;

use bytes::Bytes;
use syncline::crdt::text::{Expand, Side, Text, TextError, Undo};

use crate::random::Random;
use crate::replica;
use crate::traces::{Trace, load};

/// A replica, and which edits it has.
#[derive(Default)]
struct Peer {
    text: Text,
    forgets: bool,
    has: BTreeSet<usize>,
}

/// Edits in the order in which they were made, and who made them.
type Sent = Vec<(usize, Bytes)>;

fn edit(sent: &mut Sent, peer: &mut Peer, who: usize, edit: impl FnOnce(&mut Text)) {
    let since = peer.text.seen(replica(who));
    edit(&mut peer.text);
    peer.has.insert(sent.len());
    sent.push((who, peer.text.delta(replica(who), since).unwrap()));
}

/// Brings what one has to another, from whoever made it or from who has it: that one may have forgotten some of it.
fn meet(sent: &Sent, peers: &mut [Peer], from: usize, to: usize, random: &mut Random) {
    let missing: Vec<usize> = peers[from].has.difference(&peers[to].has).copied().collect();
    for at in missing {
        let (who, delta) = &sent[at];
        let next =
            sent.iter().zip(0..).skip(at + 1).find(|((other, _), next)| other == who && peers[from].has.contains(next));
        let again = random.below(3) == 0 && next.is_none();
        let since = peers[to].text.seen(replica(*who));
        let delta = if again { peers[from].text.delta(replica(*who), since).unwrap() } else { delta.clone() };
        peers[to].text.apply(replica(*who), &delta).unwrap();
        peers[to].has.insert(at);
    }
}

#[test]
fn replicas_that_forgot_at_different_times_or_never_agree_however_late_an_edit_comes() {
    for seed in 0..150 {
        let (mut random, mut sent) = (Random::new(seed), Sent::new());
        let mut peers: Vec<Peer> = (0..4).map(|at| Peer { forgets: at < 2, ..Peer::default() }).collect();
        for _ in 0..120 {
            let who = random.below(4);
            let len = peers[who].text.len();
            match random.below(10) {
                0..4 => {
                    let letters = ["a", "bcd", "é🦀", "\r\n", "\u{1a}"][random.below(5)];
                    let at = random.below(len + 1);
                    edit(&mut sent, &mut peers[who], who, |text| text.insert(replica(who), at, letters).unwrap());
                }
                4..7 if len > 0 => {
                    let at = random.below(len);
                    let range = at..(at + 1 + random.below(6)).min(len);
                    edit(&mut sent, &mut peers[who], who, |text| text.delete(replica(who), range).unwrap());
                }
                7 if peers[who].forgets => {
                    let before = (peers[who].text.to_string(), peers[who].text.state_hash());
                    let known = peers[who].text.forgettable().unwrap();
                    assert_eq!(peers[who].text.forget_deleted(), Ok(known));
                    assert_eq!(peers[who].text.forgettable(), Ok(0));
                    assert_eq!((peers[who].text.to_string(), peers[who].text.state_hash()), before);
                    let saved = peers[who].text.save().unwrap();
                    peers[who].text = Text::load(&saved).unwrap();
                    assert_eq!(peers[who].text.state_hash(), before.1);
                    assert_eq!(peers[who].text.save().unwrap(), saved);
                }
                // The last one meets nobody until the end.
                _ if who < 3 => {
                    let from = random.below(3);
                    meet(&sent, &mut peers, from, who, &mut random);
                }
                _ => {}
            }
        }
        for (from, to) in [(3, 0), (0, 1), (1, 2), (2, 3), (3, 0), (0, 1), (1, 2)] {
            meet(&sent, &mut peers, from, to, &mut random);
        }
        let hashes: Vec<_> = peers.iter().map(|peer| peer.text.state_hash()).collect();
        assert!(hashes.iter().all(|hash| *hash == hashes[3]), "seed {seed}");
        for peer in &mut peers {
            peer.text.check().unwrap();
            peer.text.forget_deleted().unwrap();
        }
        let saved: Vec<Bytes> = peers.iter_mut().map(|peer| peer.text.save().unwrap()).collect();
        assert!(saved.iter().all(|bytes| *bytes == saved[0]), "seed {seed}");
    }
}

#[test]
fn what_was_forgotten_is_gone_and_all_else_is_kept() {
    let (me, you) = (replica(1), replica(2));
    let mut text = Text::new();
    text.insert(me, 0, "the secret word").unwrap();
    let mark = text.mark(me, 4..10, "bold", Some("yes"), Expand::After).unwrap();
    let before = text.version();
    let anchor = text.anchor(11, Side::Before).unwrap();
    let mut undo = Undo::new(&text, you);
    text.delete(you, 4..11).unwrap();
    let late = {
        let mut late = Text::new();
        late.apply(me, &text.delta(me, 0).unwrap()).unwrap();
        late.insert(replica(3), 10, "!").unwrap();
        late.delta(replica(3), 0).unwrap()
    };
    let hash = text.state_hash();
    assert_eq!(text.forget_deleted(), Ok(7));
    assert_eq!((text.to_string(), text.state_hash()), ("the word".to_owned(), hash));
    assert_eq!(text.text_at(&before).unwrap(), "the \u{1a}\u{1a}\u{1a}\u{1a}\u{1a}\u{1a}\u{1a}word");
    assert_eq!(text.resolve(anchor), Ok(4));
    assert_eq!(undo.undo(&mut text), Err(TextError::Collected));
    assert_eq!(text.to_string(), "the word");
    let saved = text.save().unwrap();
    assert!(!saved.windows(6).any(|bytes| bytes == b"secret"));
    // What is here already may come again, in another piece.
    text.apply(me, &{
        let mut whole = Text::new();
        whole.insert(me, 0, "the secret word").unwrap();
        whole.delta(me, 0).unwrap()
    })
    .unwrap();
    text.apply_mark(me, &mark).unwrap();
    text.apply(replica(3), &late).unwrap();
    assert_eq!(text.to_string(), "the !word");
    let other = {
        let mut other = Text::new();
        other.insert(me, 0, "the other words").unwrap();
        other.delta(me, 0).unwrap()
    };
    assert!(matches!(text.apply(me, &other), Err(TextError::Forked { .. })), "what is known still counts");
}

#[test]
fn a_paper_s_history_is_smaller_without_what_was_deleted_from_it() {
    let trace: Trace = load("sequential/automerge-paper.json.gz");
    let mut text = Text::new();
    for patch in trace.txns.iter().flat_map(|txn| &txn.patches) {
        text.delete(replica(1), patch.0..patch.0 + patch.1).unwrap();
        text.insert(replica(1), patch.0, &patch.2).unwrap();
    }
    let (before, hash) = (text.save().unwrap().len(), text.state_hash());
    let known = text.forget_deleted().unwrap();
    let after = text.save().unwrap().len();
    assert_eq!((text.to_string(), text.state_hash()), (trace.end_content, hash));
    assert!(known > 70_000 && after * 10 < before * 9, "{known} characters: {before} bytes, then {after}");
    println!("{known} characters: {before} bytes, then {after}");
}
