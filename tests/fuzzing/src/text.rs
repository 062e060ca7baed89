//! Texts: deltas and saved texts of any origin, and several replicas against the naive oracle.
//!
//! What must hold: a refused delta leaves the text as it was; what is taken saves, loads and goes on; sections of a saved
//! text are altered under right checksums, so that what is behind them is reached; replicas that took in the same events
//! show what the order of Fugue by the book shows.

use bytes::Bytes;
use syncline::OpId;
use syncline::crdt::text::{Anchor, Text, Version};
use syncline::crdt::writing::{Said, TextEdit, TextState, WriterId};

use crate::differential;
use crate::given::how;
use crate::hostile_text::{
    delta_is_refused_or_sound, mutate, sample, sections, snapshot_is_refused_or_sound, with_checksums,
};
use crate::random::Random;
use crate::replica;

/// A text, and who says what to it next.
type Begun = (Text, Option<(usize, Bytes)>);

thread_local! {
    static BEGUN: Vec<Begun> = all_begun();
}

fn all_begun() -> Vec<Begun> {
    let (_, deltas) = sample();
    let mut text = Text::new();
    let mut all = Vec::new();
    for (who, delta) in deltas {
        all.push((text.clone(), Some((who, delta.clone()))));
        text.apply(replica(who), &delta).expect("a good delta");
    }
    all.push((text, None));
    all
}

/// A text of some who met and parted, as far as `parts` of what they said, and what comes next.
fn begun(parts: usize) -> Begun {
    BEGUN.with(|all| all[parts % all.len()].clone())
}

pub(crate) fn text_delta(data: &[u8]) {
    let (how, data) = how(data);
    let (text, next) = begun(usize::from(how / 2));
    if how.is_multiple_of(2) {
        delta_is_refused_or_sound(text, usize::from(how) % 3, &Bytes::copy_from_slice(data));
        return;
    }
    let Some((who, delta)) = next else { return };
    let mut random = Random::over(data);
    let mut delta = delta.to_vec();
    mutate(&mut delta, &mut random);
    delta_is_refused_or_sound(text, who, &delta.into());
}

/// A packed section that is not deflated.
fn packed(content: &[u8]) -> Vec<u8> {
    let mut out = syncline::codec::Writer::default();
    out.len(content.len() << 1);
    out.fixed(content);
    out.finish().to_vec()
}

pub(crate) fn text_saved(data: &[u8]) {
    let (how, data) = how(data);
    let (mut text, _) = begun(usize::from(how / 3));
    let saved = text.save().expect("it saves");
    let mut contents: Vec<Vec<u8>> = sections(&saved).into_iter().map(|part| saved[part].to_vec()).collect();
    let mut random = Random::over(data);
    match how % 3 {
        0 => snapshot_is_refused_or_sound(&Bytes::copy_from_slice(data)),
        1 => {
            for _ in 0..=random.below(2) {
                let which = random.below(contents.len());
                mutate(&mut contents[which], &mut random);
            }
            snapshot_is_refused_or_sound(&with_checksums(&contents));
        }
        _ => {
            // One section is what the fuzzer says, as it stands.
            let (which, content) = data.split_first().map_or((0, data), |(which, rest)| (usize::from(*which), rest));
            let which = which % contents.len();
            contents[which] = packed(content);
            snapshot_is_refused_or_sound(&with_checksums(&contents));
        }
    }
}

pub(crate) fn text_oracle(data: &[u8]) {
    let (how, data) = how(data);
    differential::run(Random::over(data), 2 + usize::from(how % 4), 24);
}

/// The state of an entity: edits and states of any origin, and anchors and versions on the way.
pub(crate) fn text_state(data: &[u8]) {
    let mut random = Random::over(data);
    let mut state = None;
    let deltas: Vec<_> = BEGUN.with(|all| all.iter().filter_map(|(_, next)| next.clone()).collect());
    for number in 0..8_u8 {
        if random.is_over() {
            break;
        }
        let writer = WriterId([[1, 2, 3][random.below(3)]; 8]);
        let (_, delta) = deltas[random.below(deltas.len())].clone();
        let mut said = delta.to_vec();
        if random.below(3) == 0 {
            mutate(&mut said, &mut random);
        }
        let said = match random.below(8) {
            0 => Said::Cleared,
            1 => Said::Marked(said.into()),
            _ => Said::Typed(said.into()),
        };
        let edit = TextEdit { writer, said };
        let bytes = edit.to_bytes();
        let Ok(edit) = TextEdit::from_bytes(bytes.clone()) else { continue };
        assert_eq!(edit.to_bytes(), bytes, "one spelling");
        let edit = (random.below(8) != 0).then_some(edit);
        let deletes = random.below(6) == 0;
        TextState::take(&mut state, deletes, edit.as_ref(), OpId::from_bytes([number; 16])).expect("a state of ours");
        let kept = state.clone().expect("something was said");
        let read = TextState::read(kept.into()).expect("a state of ours reads");
        let (mut text, _) = read.merge().expect("what we saved loads");
        text.check().expect("a sound text");
        let saved = text.save().expect("it saves");
        assert_eq!(Text::load(&saved).expect("it loads").to_string(), text.to_string());
    }
    let rest: Vec<u8> = (0..24).map(|_| u8::try_from(random.below(256)).unwrap_or_default()).collect();
    let rest = Bytes::from(rest);
    if let Ok(anchor) = Anchor::decode(&rest) {
        assert_eq!(anchor.encode(), rest);
    }
    if let Ok(version) = Version::decode(&rest) {
        assert_eq!(version.encode(), rest);
    }
    if let Some(mut state) = state {
        mutate(&mut state, &mut random);
        if let Ok(read) = TextState::read(state.clone().into()) {
            let _ = read.merge();
            let mut state = Some(state);
            let taken = TextState::take(&mut state, false, None, OpId::from_bytes([9; 16]));
            assert!(taken.is_err() || TextState::read(state.expect("kept").into()).is_ok());
        }
    }
}
