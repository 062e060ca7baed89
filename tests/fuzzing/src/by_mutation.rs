//! A fuzzer for any compiler: takes what is in a corpus, changes it, and runs it, again and again.
//!
//! What must hold: a seed makes the same inputs; an input that breaks a promise is given back as it was.

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use crate::Target;
use crate::hostile_text::mutate;
use crate::random::Random;

/// Runs between two looks at the clock.
const AT_ONCE: u64 = 64;
/// What an input has at most; longer ones say nothing that shorter ones do not.
const INPUT_BYTES_MAX: usize = 4_096;

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tried {
    /// How often the target was run.
    pub runs: u64,
    /// The input at which a promise broke, if one did; then no more was tried.
    pub broken: Option<Vec<u8>>,
}

/// Runs a target over changes of a corpus for a while.
#[must_use]
pub fn run_for((_, body): Target, corpus: &[Vec<u8>], time: Duration, seed: u64) -> Tried {
    let begun = Instant::now();
    let mut random = Random::new(seed);
    let mut tried = Tried::default();
    loop {
        for _ in 0..AT_ONCE {
            let input = changed(corpus, &mut random);
            tried.runs += 1;
            if catch_unwind(|| body(&input)).is_err() {
                tried.broken = Some(input);
                return tried;
            }
        }
        if begun.elapsed() >= time {
            return tried;
        }
    }
}

/// One of the corpus, changed a little: by bytes and edges of numbers, by a part of another one, by a part of its own.
fn changed(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let any = |random: &mut Random| corpus.get(random.below(corpus.len().max(1))).cloned().unwrap_or_default();
    let mut input = any(random);
    for _ in 0..=random.below(3) {
        let at = random.below(input.len() + 1);
        match random.below(6) {
            0 => {
                let other = any(random);
                input.truncate(at);
                input.extend_from_slice(&other[random.below(other.len() + 1)..]);
            }
            1 => {
                let part = input[at..].to_vec();
                let to = random.below(input.len() + 1);
                input.splice(to..to, part);
            }
            2 => {
                // A number of fixed width at one of its edges.
                let bits = [0, 7, 8, 15, 16, 31, 32, 48, 53, 63][random.below(10)];
                let number = (1_u64 << bits).wrapping_sub(random.below(3) as u64);
                let width = [1, 2, 4, 8][random.below(4)];
                let end = input.len().min(at + width);
                let mut bytes = number.to_be_bytes()[8 - width..].to_vec();
                if random.below(2) == 0 {
                    bytes.reverse();
                }
                input.splice(at..end, bytes);
            }
            3 => {
                if let Some(how) = input.first_mut() {
                    *how = u8::try_from(random.below(256)).unwrap_or(0);
                }
            }
            _ => mutate(&mut input, random),
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}
