//! Random documents, written and read back: the value that is shown, the value that is read and the value at a peer are one.
//!
//! What must hold: for each document edits are made as an application makes them; then what the author holds, what its saved
//! bytes read as, and what a peer makes of the edits' bytes are compared, by what they show and to the byte.

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use syncline::crdt::text::Text;
use syncline::crdt::{Counter, Document, List, Set, Tree};

use crate::random::Random;
use crate::replica;
use crate::world::{Tried, steps, talk, value};

/// A kind of document, and what makes so many of it from a seed and compares.
pub type Kind = (&'static str, fn(u64, u64));

/// All kinds.
pub const KINDS: &[Kind] = &[
    ("text", texts),
    ("document", values::<Document>),
    ("set", values::<Set>),
    ("counter", values::<Counter>),
    ("list", values::<List>),
    ("tree", values::<Tree>),
];

fn values<C: Tried>(seed: u64, count: u64) {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, random);
    let strategy = steps(14);
    for number in 0..count {
        let steps = strategy.new_tree(&mut runner).expect("steps").current();
        let said = talk::<C>(&steps);
        let live = value(&said);
        let saved = live.encode();
        let read = C::decode(saved.clone().into()).expect("what was saved is read");
        assert!(read == live && read.encode() == saved, "{} {number} of seed {seed}: {steps:?}", C::NAME);
        assert_eq!(read.view(), live.view(), "{} {number} of seed {seed}: {steps:?}", C::NAME);
        let mut peer = C::default();
        for said in &said {
            let edit = C::read_edit(C::write_edit(&said.edit)).expect("what was sent is read");
            peer.apply(&said.moment, edit);
            peer = C::decode(peer.encode().into()).expect("what was saved on the way is read");
        }
        assert!(peer == live, "{} {number} of seed {seed} at a peer: {steps:?}", C::NAME);
    }
}

const SOUP: &[char] = &['a', 'b', 'c', ' ', '\n', 'é', '\u{301}', '日', '👍', '\u{200d}', 'א'];

fn texts(seed: u64, count: u64) {
    let mut random = Random::new(seed);
    for number in 0..count {
        let (mut text, mut plain) = (Text::new(), Vec::<char>::new());
        let (mut peer, mut sent) = (Text::new(), 0);
        for _ in 0..=random.below(12) {
            let at = random.below(plain.len() + 1);
            if random.below(3) == 0 && at < plain.len() {
                let end = plain.len().min(at + 1 + random.below(3));
                plain.drain(at..end);
                text.delete(replica(1), at..end).expect("within");
            } else {
                let typed: String = (0..=random.below(4)).map(|_| SOUP[random.below(SOUP.len())]).collect();
                plain.splice(at..at, typed.chars());
                text.insert(replica(1), at, &typed).expect("within");
            }
            if random.below(4) == 0 {
                let delta = text.delta(replica(1), sent).expect("a delta");
                peer.apply(replica(1), &delta).expect("it applies");
                sent = text.seen(replica(1));
            }
        }
        let shown: String = plain.into_iter().collect();
        assert_eq!(text.to_string(), shown, "text {number} of seed {seed}");
        let saved = text.save().expect("it saves");
        let mut read = Text::load(&saved).expect("it loads");
        assert_eq!(read.to_string(), shown, "text {number} of seed {seed}, read");
        assert_eq!((read.state_hash(), read.save().expect("again")), (text.state_hash(), saved.clone()));
        let delta = read.delta(replica(1), sent).expect("a delta of what was read");
        peer.apply(replica(1), &delta).expect("it applies");
        assert_eq!(peer.to_string(), shown, "text {number} of seed {seed}, at a peer");
        assert_eq!(peer.save().expect("it saves"), saved);
    }
}
