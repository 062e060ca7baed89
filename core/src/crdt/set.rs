//! A set in which adding wins: a remove takes away the adds that its author had seen, and no other.
//!
//! Elements are JSON texts, compared as texts; a handle writes every value in one spelling. An element lives by its adds,
//! each named by its op; a new add takes the place of those its author saw, so there is mostly one. What was removed leaves
//! nothing behind: the [context](super::context) tells an add that is gone from one that has not come. A remove that comes
//! before the add it names is remembered until that comes.
//!
//! What must hold: every order of the same edits, each author's in theirs, makes the same bytes; an element is in it exactly
//! when some add of it was seen by no remove. A set without elements does not exist, and adding to it brings it back.
//!
//! # Bytes, version 1
//!
//! An edit: the byte 1, then 0 for adds or 1 for removes, and a count of at least one element in byte order: the text behind
//! its varint length, a count, and that many adds that it takes the place of or away, in order of their ops: 16 bytes, and
//! the birth.
//!
//! The value: the byte 1, the context, a count, then per element in byte order: the text behind its varint length, a count of
//! at least one, and the adds it lives by in order of their ops: 16 bytes, and the birth. Then a count, and in order the adds
//! that were removed before they came: the element's text, 16 bytes of the op, and the birth as in an edit.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::content::{Content, array, begin, json, opened};
use super::context::{Birth, Context, Named, decode_op, encode_op};
use super::moment::Moment;
use crate::codec::{DecodeError, Reader};
use crate::id::OpId;

const WHAT: &str = "a set";
const BAD: DecodeError = DecodeError::NotCanonical(WHAT);

/// In order of their ops; mostly one.
type Adds = Vec<(OpId, Option<Birth>)>;

/// Elements in order, each with its adds in order.
type Read<B> = Vec<(Bytes, Vec<(OpId, B)>)>;

/// Elements, and the adds of each that an edit names.
pub type SetNamed = BTreeMap<Bytes, Vec<Named<OpId>>>;

/// A set of JSON values; adding wins over a remove that did not see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set {
    context: Context,
    elements: BTreeMap<Bytes, Adds>,
    early: BTreeMap<(Bytes, OpId), Birth>,
}

/// What one op says of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "what there is to say of a set")]
pub enum SetEdit {
    /// Adds these, in the place of the adds named.
    Add(SetNamed),
    /// Takes these adds away.
    Remove(SetNamed),
}

impl Set {
    /// The elements' JSON texts, in byte order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.elements.keys()
    }

    /// Whether the element with this text is in it.
    #[must_use]
    pub fn contains(&self, text: &[u8]) -> bool {
        self.elements.contains_key(text)
    }

    /// What an add of these elements says.
    #[must_use]
    pub fn adding(&self, texts: impl IntoIterator<Item = Bytes>) -> SetEdit {
        SetEdit::Add(texts.into_iter().map(|text| (text.clone(), self.named(&text))).collect())
    }

    /// What a remove of these elements says; `None` when none of them is in it.
    #[must_use]
    pub fn removing(&self, texts: impl IntoIterator<Item = Bytes>) -> Option<SetEdit> {
        let named: SetNamed = texts.into_iter().map(|text| (text.clone(), self.named(&text))).collect();
        let named: SetNamed = named.into_iter().filter(|(_, adds)| !adds.is_empty()).collect();
        (!named.is_empty()).then_some(SetEdit::Remove(named))
    }

    fn named(&self, text: &[u8]) -> Vec<Named<OpId>> {
        let adds = self.elements.get(text).into_iter().flatten();
        adds.map(|(id, birth)| Named { id: *id, birth: *birth }).collect()
    }

    /// Takes in another copy of it, that had each author's ops in their order too: an add that one has and the other has had
    /// was removed.
    pub fn merge(&mut self, other: &Self) {
        let keeps = |context: &Context, birth: Option<Birth>| birth.is_none_or(|birth| !context.covers(birth));
        for (text, ours) in &mut self.elements {
            let theirs = other.elements.get(text);
            ours.retain(|(op, birth)| {
                theirs.is_some_and(|theirs| place(theirs, *op).is_ok()) || keeps(&other.context, *birth)
            });
        }
        for (text, theirs) in &other.elements {
            let ours = self.elements.entry(text.clone()).or_default();
            for (op, birth) in theirs.iter().filter(|(_, birth)| keeps(&self.context, *birth)) {
                insert(ours, *op, *birth);
            }
        }
        self.early.extend(other.early.iter().map(|(add, birth)| (add.clone(), *birth)));
        for (text, op) in self.early.keys() {
            if let Some(adds) = self.elements.get_mut(text) {
                adds.retain(|(add, _)| add != op);
            }
        }
        self.elements.retain(|_, adds| !adds.is_empty());
        self.context.merge(&other.context);
        self.early.retain(|_, birth| !self.context.covers(*birth));
    }

    fn remove(&mut self, text: &Bytes, named: &[Named<OpId>]) {
        let mut adds = self.elements.get_mut(text);
        for Named { id, birth } in named {
            let here = adds.as_ref().and_then(|adds| place(adds, *id).ok());
            match (here, &mut adds) {
                (Some(at), Some(adds)) => drop(adds.remove(at)),
                _ => {
                    if let Some(birth) = birth.filter(|birth| !self.context.covers(*birth)) {
                        self.early.insert((text.clone(), *id), birth);
                    }
                }
            }
        }
    }

    fn remove_whole(&mut self, text: &Bytes, named: &[Named<OpId>]) {
        self.remove(text, named);
        if self.elements.get(text).is_some_and(Vec::is_empty) {
            self.elements.remove(text);
        }
    }
}

/// Where an add is, or would be.
fn place(adds: &Adds, op: OpId) -> Result<usize, usize> {
    adds.binary_search_by_key(&op, |(known, _)| *known)
}

fn insert(adds: &mut Adds, op: OpId, birth: Option<Birth>) {
    if let Err(at) = place(adds, op) {
        adds.insert(at, (op, birth));
    }
}

impl Content for Set {
    type Edit = SetEdit;

    const NAME: &'static str = WHAT;

    fn read_edit(payload: Bytes) -> Result<SetEdit, DecodeError> {
        let mut input = opened(payload, WHAT)?;
        let edit = match input.u8(WHAT)? {
            0 => SetEdit::Add(read_named(&mut input, 0)?),
            1 => SetEdit::Remove(read_named(&mut input, 1)?),
            other => return Err(DecodeError::Unknown { what: WHAT, value: other.into() }),
        };
        input.finish()?;
        Ok(edit)
    }

    fn write_edit(edit: &SetEdit) -> Bytes {
        let (tag, named) = match edit {
            SetEdit::Add(named) => (0, named),
            SetEdit::Remove(named) => (1, named),
        };
        let mut out = begin(named.iter().map(|(text, adds)| 8 + text.len() + 48 * adds.len()).sum());
        out.u8(tag);
        out.len(named.len());
        for (text, adds) in named {
            out.bytes(text);
            out.len(adds.len());
            for Named { id, birth } in adds {
                encode_op(*id, &mut out);
                Birth::encode(*birth, &mut out);
            }
        }
        out.finish()
    }

    fn apply(&mut self, moment: &Moment, edit: SetEdit) {
        let birth = self.context.note(moment).birth;
        match edit {
            SetEdit::Add(named) => {
                for (text, mut adds) in named {
                    // Nobody has seen the op they are writing: who names it would have it here and taken away.
                    adds.retain(|named| named.id != moment.op);
                    if self.early.is_empty() || self.early.remove(&(text.clone(), moment.op)).is_none() {
                        self.remove(&text, &adds);
                        insert(self.elements.entry(text).or_default(), moment.op, birth);
                    } else {
                        self.remove_whole(&text, &adds);
                    }
                }
            }
            SetEdit::Remove(named) => named.iter().for_each(|(text, adds)| self.remove_whole(text, adds)),
        }
        if !self.early.is_empty() {
            self.early.retain(|_, birth| !self.context.covers(*birth));
        }
    }

    fn clear(&mut self, moment: &Moment) {
        self.context.note(moment);
        self.elements.clear();
        self.early.retain(|_, birth| !self.context.covers(*birth));
    }

    fn encode(&self) -> Vec<u8> {
        let elements: usize = self.elements.iter().map(|(text, adds)| 4 + text.len() + 28 * adds.len()).sum();
        let early: usize = self.early.keys().map(|(text, _)| 48 + text.len()).sum();
        let mut out = begin(16 + 28 * self.context.len() + elements + early);
        let roster = self.context.encode(&mut out);
        out.len(self.elements.len());
        for (text, adds) in &self.elements {
            out.bytes(text);
            out.len(adds.len());
            for (op, birth) in adds {
                encode_op(*op, &mut out);
                roster.encode_birth(*birth, &mut out);
            }
        }
        out.len(self.early.len());
        for ((text, op), birth) in &self.early {
            out.bytes(text);
            encode_op(*op, &mut out);
            Birth::encode(Some(*birth), &mut out);
        }
        out.finish().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut input = opened(bytes, WHAT)?;
        let (context, roster) = Context::decode(&mut input)?;
        let elements = read_elements(
            &mut input,
            |input| input.bytes(WHAT),
            |input| {
                let op = decode_op(input)?;
                Ok((op, context.decode_birth(&roster, input)?))
            },
        )?;
        let elements =
            elements.into_iter().map(|(text, adds)| if adds.is_empty() { Err(BAD) } else { Ok((text, adds)) });
        let elements = elements.collect::<Result<BTreeMap<Bytes, Adds>, DecodeError>>()?;
        let count = input.count(38, WHAT)?;
        let mut early = BTreeMap::new();
        for _ in 0..count {
            let add = (input.bytes(WHAT)?, decode_op(&mut input)?);
            let birth = Birth::decode(&mut input)?.ok_or(BAD)?;
            let ascends = early.last_key_value().is_none_or(|(last, _)| *last < add);
            let lives = elements.get(&add.0).is_some_and(|adds| place(adds, add.1).is_ok());
            if !ascends || lives || context.covers(birth) {
                return Err(BAD);
            }
            early.insert(add, birth);
        }
        input.finish()?;
        Ok(Self { context, elements, early })
    }

    fn view(&self) -> Result<Option<Bytes>, DecodeError> {
        let texts = self.elements.keys().map(AsRef::as_ref);
        (!self.elements.is_empty()).then(|| array(texts, WHAT)).transpose()
    }
}

/// Reads elements and their adds.
fn read_elements<B>(
    input: &mut Reader,
    text: fn(&mut Reader) -> Result<Bytes, DecodeError>,
    mut add: impl FnMut(&mut Reader) -> Result<(OpId, B), DecodeError>,
) -> Result<Read<B>, DecodeError> {
    let count = input.count(3, WHAT)?;
    let mut elements: Read<B> = Vec::with_capacity(count.min(1024));
    for _ in 0..count {
        let text = text(input)?;
        let adds_count = input.count(17, WHAT)?;
        let mut adds: Vec<(OpId, B)> = Vec::with_capacity(adds_count);
        for _ in 0..adds_count {
            let next = add(input)?;
            if adds.last().is_some_and(|last| last.0 >= next.0) {
                return Err(BAD);
            }
            adds.push(next);
        }
        if elements.last().is_some_and(|(last, _)| *last >= text) {
            return Err(BAD);
        }
        elements.push((text, adds));
    }
    Ok(elements)
}

fn read_named(input: &mut Reader, adds_min: usize) -> Result<SetNamed, DecodeError> {
    let elements =
        read_elements(input, |input| json(input, WHAT), |input| Ok((decode_op(input)?, Birth::decode(input)?)))?;
    let poor = elements.iter().any(|(_, adds)| adds.len() < adds_min);
    if elements.is_empty() || poor {
        return Err(BAD);
    }
    let named = elements.into_iter().map(|(text, adds)| {
        let adds = adds.into_iter().map(|(id, birth)| Named { id, birth });
        (text, adds.collect())
    });
    Ok(named.collect())
}
