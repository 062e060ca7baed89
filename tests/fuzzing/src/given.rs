//! Values made of a fuzzer's bytes: what a strategy would draw if its random numbers were these.
//!
//! What must hold: the same bytes make the same value, and no bytes make it try for long. Where bytes end, the same random
//! ones follow always: zeros would be refused by a strategy that wants one of three, for ever.

use std::sync::LazyLock;

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use crate::random::Random;

/// More than the longest value takes.
static REST: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut random = Random::new(1);
    (0..16 << 10).flat_map(|_| random.read(8).to_le_bytes()).collect()
});

/// The value, unless the strategy cannot make one of these bytes. Each choice between strategies in it leaves half of the
/// bytes unread: those are for [`each`].
pub(crate) fn drawn<S: Strategy>(strategy: &S, data: &[u8]) -> Option<S::Value> {
    drawn_by(strategy, TestRng::from_seed(RngAlgorithm::PassThrough, &[data, &REST].concat()))
}

/// As many values as there are four bytes: a changed byte is another value in one place.
pub(crate) fn each<S: Strategy>(strategy: &S, data: &[u8]) -> Vec<S::Value> {
    let seeded = |four: &[u8]| {
        let mut seed = [7; 32];
        seed[..four.len()].copy_from_slice(four);
        drawn_by(strategy, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
    };
    data.chunks(4).filter_map(seeded).collect()
}

fn drawn_by<S: Strategy>(strategy: &S, random: TestRng) -> Option<S::Value> {
    let config = Config { max_local_rejects: 16, failure_persistence: None, ..Config::default() };
    let tree = strategy.new_tree(&mut TestRunner::new_with_rng(config, random));
    tree.ok().map(|tree| tree.current())
}

/// A law held.
pub(crate) fn holds(law: Result<(), TestCaseError>) {
    if let Err(TestCaseError::Fail(why)) = law {
        panic!("{why}");
    }
}

/// The first byte, which says how the others are meant.
pub(crate) fn how(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}
