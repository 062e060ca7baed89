//! Authors that edit one value with what they have seen, and deliveries of what they said in any order.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use syncline::crdt::position::SessionName;
use syncline::crdt::{Content, Moment};
use syncline::{Hlc, OpId, ReplicaId, Timestamp};

pub(crate) const AUTHORS: usize = 3;

/// One change, as the log has it.
#[derive(Debug, Clone)]
pub(crate) struct Said<C: Content> {
    pub(crate) author: usize,
    pub(crate) moment: Moment,
    pub(crate) edit: C::Edit,
}

/// What an author does next.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    author: usize,
    /// Of whom it reads before, and how much.
    reads: Vec<(usize, usize)>,
    /// In one batch with its last one.
    together: bool,
    pub(crate) choice: u8,
    pub(crate) at: u16,
    pub(crate) other: u16,
}

pub(crate) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let reads = vec((0..AUTHORS, 0..6_usize), 0..3);
    let step = (0..AUTHORS, reads, any::<bool>(), any::<u8>(), any::<u16>(), any::<u16>());
    let step = step.prop_map(|(author, reads, together, choice, at, other)| Step {
        author,
        reads,
        together,
        choice,
        at,
        other,
    });
    vec(step, 1..most)
}

/// A type that can be tried: what somebody who sees this value may say.
pub(crate) trait Tried: Content {
    /// Whether two copies know which of equal stamps is newer.
    const KNOWS_TIES: bool = true;

    fn say(&self, step: &Step, session: SessionName) -> Option<Self::Edit>;
    fn merged(self, other: &Self) -> Self;
}

pub(crate) fn moment(author: usize, number: usize, ms: u64) -> Moment {
    let mut op = [0; 16];
    // Names that are not in the order of time.
    op[0] = u8::try_from((number * 37 + author * 101) % 256).unwrap();
    op[8..].copy_from_slice(&(number as u64).to_be_bytes());
    op[1] = u8::try_from(author).unwrap();
    Moment {
        op: OpId::from_bytes(op),
        replica: ReplicaId::from_bytes([u8::try_from(author).unwrap() + 1; 16]),
        hlc: Hlc { ms: Timestamp::from_ms(ms).unwrap(), counter: 0 },
        accepted_at: Timestamp::from_ms(1_000 + number as u64),
    }
}

pub(crate) fn session(author: usize) -> SessionName {
    SessionName([u8::try_from(author).unwrap() + 1; 6])
}

/// What everybody says.
pub(crate) fn talk<C: Tried>(steps: &[Step]) -> Vec<Said<C>> {
    talk_with(steps, true)
}

/// What everybody says, with or without writes that share a stamp.
pub(crate) fn talk_with<C: Tried>(steps: &[Step], ties: bool) -> Vec<Said<C>> {
    let mut said: Vec<Said<C>> = Vec::new();
    let mut values: Vec<C> = (0..AUTHORS).map(|_| C::default()).collect();
    let mut heard = [[0_usize; AUTHORS]; AUTHORS];
    // Of the last author the clock runs so far ahead that the server holds it back.
    let mut clocks = [10_u64, 20, 200_000];
    for step in steps {
        let author = step.author;
        for (of, many) in &step.reads {
            for _ in 0..*many {
                let next = said.iter().filter(|said| said.author == *of).nth(heard[author][*of]);
                let Some(next) = next.filter(|_| *of != author) else { break };
                values[author].apply(&next.moment, next.edit.clone());
                heard[author][*of] += 1;
                if *of != 2 {
                    clocks[author] = clocks[author].max(next.moment.hlc.ms.ms());
                }
            }
        }
        let Some(edit) = values[author].say(step, session(author)) else { continue };
        let edit = C::read_edit(C::write_edit(&edit)).expect("what is written is read");
        let number = said.len();
        let own = said.iter().any(|said| said.author == author);
        if !(ties && step.together && own) {
            clocks[author] += 1;
        }
        let moment = moment(author, number, clocks[author]);
        values[author].apply(&moment, edit.clone());
        said.push(Said { author, moment, edit });
    }
    said
}

/// The same in another order, each author's in theirs: `picks` says whose comes next.
pub(crate) fn shuffled<C: Content>(said: &[Said<C>], picks: &[u8]) -> Vec<Said<C>> {
    let mut lanes: Vec<std::collections::VecDeque<Said<C>>> = vec![std::collections::VecDeque::new(); AUTHORS];
    said.iter().for_each(|said| lanes[said.author].push_back(said.clone()));
    let mut order = Vec::new();
    for pick in picks.iter().copied().chain(0..=u8::MAX).chain((0..=u8::MAX).cycle()) {
        order.extend(lanes[usize::from(pick) % AUTHORS].pop_front());
        if order.len() == said.len() {
            break;
        }
    }
    order
}

pub(crate) fn value<C: Content>(said: &[Said<C>]) -> C {
    let mut value = C::default();
    said.iter().for_each(|said| value.apply(&said.moment, said.edit.clone()));
    value
}

/// The first ones of each author.
pub(crate) fn prefix<C: Content>(said: &[Said<C>], counts: [usize; AUTHORS]) -> Vec<Said<C>> {
    let mut left = counts;
    let keep = |said: &&Said<C>| {
        let more = left[said.author] > 0;
        left[said.author] -= usize::from(more);
        more
    };
    said.iter().filter(keep).cloned().collect()
}

pub(crate) fn text(of: impl std::fmt::Display) -> Bytes {
    Bytes::from(of.to_string())
}
