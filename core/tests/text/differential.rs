//! Random replicas that edit, lag behind, repeat themselves, stop and start again show what the oracle says.

use std::collections::BTreeSet;

use bytes::Bytes;
use syncline::ReplicaId;
use syncline::crdt::text::{Text, TextError};

use crate::oracle::Oracle;
use crate::random::Random;
use crate::replica;

/// Characters of one to four bytes, combining ones, halves of line ends, both directions.
const SOUP: &[char] =
    &['a', 'b', ' ', '\r', '\n', 'é', '\u{301}', 'ß', '日', '👍', '\u{1f3fd}', '\u{200d}', 'א', 'ب', '\u{10ffff}'];

struct Sent {
    author: usize,
    delta: Bytes,
    /// Everything whoever takes it in must have: sent deltas by index.
    needs: BTreeSet<usize>,
    events: std::ops::Range<usize>,
}

struct Replica {
    text: Text,
    id: ReplicaId,
    seen: BTreeSet<usize>,
    has: BTreeSet<usize>,
}

struct World {
    random: Random,
    oracle: Oracle,
    replicas: Vec<Replica>,
    sent: Vec<Sent>,
}

impl World {
    fn new(random: Random, count: usize) -> Self {
        let replicas = (0..count)
            .map(|at| Replica { text: Text::new(), id: replica(at), seen: BTreeSet::new(), has: BTreeSet::new() })
            .collect();
        Self { random, oracle: Oracle::default(), replicas, sent: Vec::new() }
    }

    /// One replica makes a few edits and sends them as one delta.
    fn edit(&mut self, who: usize) {
        let Self { random, oracle, replicas, sent } = self;
        let replica = &mut replicas[who];
        let since = replica.text.seen(replica.id);
        let first = oracle.len();
        let mut cursor = random.below(replica.text.len() + 1);
        for _ in 0..=random.below(3) {
            let len = replica.text.len();
            let mut seq = replica.text.seen(replica.id);
            if random.below(3) == 0 && len > 0 {
                let at = random.below(len);
                let end = (at + 1 + random.below(4)).min(len);
                replica.text.delete(replica.id, at..end).unwrap();
                for _ in at..end {
                    oracle.delete(replica.id, seq, &mut replica.seen, at);
                    seq += 1;
                }
            } else {
                // Often at the start: there writers meet.
                cursor = match random.below(4) {
                    0 => 0,
                    1 => random.below(len + 1),
                    _ => cursor.min(len),
                };
                let typed: String = (0..=random.below(4)).map(|_| SOUP[random.below(SOUP.len())]).collect();
                replica.text.insert(replica.id, cursor, &typed).unwrap();
                for char in typed.chars() {
                    oracle.insert(replica.id, seq, &mut replica.seen, cursor, char);
                    seq += 1;
                    cursor += 1;
                }
            }
        }
        let delta = replica.text.delta(replica.id, since).unwrap();
        let needs = replica.has.clone();
        replica.has.insert(sent.len());
        sent.push(Sent { author: who, delta, needs, events: first..oracle.len() });
    }

    /// One replica takes in something it lacks, with all that needs, in one batch or singly.
    fn deliver(&mut self, who: usize) {
        let lacking: Vec<usize> = (0..self.sent.len()).filter(|at| !self.replicas[who].has.contains(at)).collect();
        if lacking.is_empty() {
            return;
        }
        let wanted = lacking[self.random.below(lacking.len())];
        let missing: Vec<usize> = self.sent[wanted]
            .needs
            .iter()
            .copied()
            .chain([wanted])
            .filter(|at| !self.replicas[who].has.contains(at))
            .collect();
        let Self { random, replicas, sent, .. } = self;
        let replica = &mut replicas[who];
        if missing.len() > 1 && random.below(8) == 0 {
            // Out of order: refused, and nothing changes.
            let before = replica.text.state_hash();
            let late = &sent[wanted];
            let refused = replica.text.apply(crate::replica(late.author), &late.delta);
            assert!(matches!(refused, Err(TextError::Unseen { .. })), "{refused:?}");
            assert_eq!(replica.text.state_hash(), before);
        }
        let deltas: Vec<_> =
            missing.iter().map(|at| (crate::replica(sent[*at].author), sent[*at].delta.clone())).collect();
        if random.below(2) == 0 {
            replica.text.apply_all(&deltas).unwrap();
        } else {
            for (author, delta) in &deltas {
                replica.text.apply(*author, delta).unwrap();
            }
        }
        if random.below(4) == 0 {
            let (author, again) = &deltas[random.below(deltas.len())];
            replica.text.apply(*author, again).unwrap();
        }
        for at in missing {
            replica.has.insert(at);
            replica.seen.extend(sent[at].events.clone());
        }
    }

    fn check(&mut self, who: usize) {
        let replica = &mut self.replicas[who];
        replica.text.check().unwrap_or_else(|what| panic!("{what}"));
        let expected = self.oracle.text(&replica.seen);
        assert_eq!(replica.text.to_string(), expected);
        let at = self.random.below(replica.text.len() + 1);
        let head: String = expected.chars().take(at).collect();
        assert_eq!(replica.text.to_byte(at).unwrap(), head.len());
        assert_eq!(replica.text.to_utf16(at).unwrap(), head.encode_utf16().count());
        assert_eq!(replica.text.from_byte(head.len()).unwrap(), at);
        assert_eq!(replica.text.from_utf16(head.encode_utf16().count()).unwrap(), at);
        assert_eq!(replica.text.slice(0..at).unwrap(), head);
        if self.random.below(3) == 0 {
            let saved = replica.text.save().unwrap();
            replica.text = Text::load(&saved).unwrap();
            assert_eq!(replica.text.to_string(), expected, "loaded");
        }
    }

    /// Everybody takes in the rest and shows the same.
    fn finish(&mut self) {
        for who in 0..self.replicas.len() {
            while self.replicas[who].has.len() < self.sent.len() {
                self.deliver(who);
            }
            self.check(who);
        }
        let hash = self.replicas[0].text.state_hash();
        let saved = self.replicas[0].text.save().unwrap();
        for replica in &mut self.replicas {
            assert_eq!(replica.text.state_hash(), hash);
            assert_eq!(replica.text.save().unwrap(), saved);
        }
    }
}

/// So many replicas take so many steps, as these numbers have it, and everybody has everything at the end.
pub(crate) fn run(random: Random, replicas: usize, steps: usize) {
    let mut world = World::new(random, replicas);
    for _ in 0..steps {
        if world.random.is_over() {
            break;
        }
        let who = world.random.below(replicas);
        if world.random.below(2) == 0 {
            world.edit(who);
        } else {
            world.deliver(who);
        }
        if world.random.below(4) == 0 {
            world.check(who);
        }
    }
    world.finish();
}

fn seeded(seed: u64, replicas: usize, steps: usize) {
    println!("seed {seed}");
    run(Random::new(seed), replicas, steps);
}

#[test]
fn random_replicas_show_what_the_oracle_says() {
    for seed in 0..150 {
        seeded(seed, 2 + usize::try_from(seed % 4).unwrap(), 40);
    }
}

#[test]
fn many_replicas_at_one_place_show_what_the_oracle_says() {
    for seed in 1_000..1_010 {
        seeded(seed, 8, 60);
    }
}

/// Writers who hardly or never read anything are heard one event at a time by somebody who types as well.
fn listen(seed: u64, writers: usize, reads: usize, types: bool) {
    println!("seed {seed}");
    let mut world = World::new(Random::new(seed), writers + 1);
    for step in 0..30 {
        for writer in 1..=writers {
            if reads > 0 && world.random.below(reads) == 0 {
                world.deliver(writer);
            }
            world.edit(writer);
            while world.replicas[0].has.len() < world.sent.len() {
                world.deliver(0);
            }
            if types && world.random.below(2) == 0 {
                world.edit(0);
            }
        }
        if step % 8 == 7 {
            let at = world.random.below(writers + 1);
            world.check(at);
        }
    }
    world.finish();
}

#[test]
fn writers_who_hardly_read_show_what_the_oracle_says() {
    for seed in 0..12 {
        for (writers, reads, types) in [(1, 0, true), (2, 0, false), (2, 0, true), (3, 9, true), (2, 3, false)] {
            listen(seed, writers, reads, types);
        }
    }
    for seed in 20..22 {
        for (writers, reads, types) in [(4, 0, false), (5, 20, true), (5, 0, true)] {
            listen(seed, writers, reads, types);
        }
    }
}
