//! A [`Text`] as the state of an entity: what was saved last, and the deltas that came since, one behind the other.
//!
//! Taking a delta in costs its own bytes; nobody reads the text for it. Once the deltas outgrow what is saved, all of it is
//! read, merged and saved anew, so a state is never more than twice what it has to be, and the work per byte stays the same.
//!
//! Who types is named by a *writer*: 8 random bytes that a device draws whenever it opens its replica. So a delta means
//! the same under whatever name its op is sent, and two devices that were one never number their events alike.
//!
//! What must hold: the same changes in the same order make the same bytes; a delta that builds on what is not there waits for
//! it (a server that was put back may get it later); one that can never apply says nothing, for everybody, and that it does
//! is in the state ([`LeftOuts`]).
//!
//! A text's history never shrinks: an edit may come that has seen as little of it as ever. What deleted characters were is
//! not needed for that, and goes when somebody says so ([`Said::Forgotten`]), at that place in the log, for everybody alike.
//!
//! # Bytes
//!
//! ```text
//! edit    := 1  writer(8)  said             what an op says
//! said    := 1 delta | 2 mark | 3            see `text::delta` and `text::marks`; 3: forget what deleted characters were
//! state   := 1  flags(1)  left out (see `taken`)  varint length, what `Text::save` wrote (nothing: an empty text)  record*
//! flags   := 1 if it exists, and 2 if what was saved has nothing that could be forgotten
//! record  := writer(8)  varint length, said     length 0: all that stands here is deleted
//! ```
//!
//! Where next: [`text`](super::text); [`taken`](super::taken), what becomes of records; `oplog::Texts`, the reducer.

use bytes::Bytes;

use super::taken::{LEFT_OUT_BYTES_MAX, LeftOut, LeftOuts, Taken, WhyLeftOut, take_in};
use super::text::{Text, TextError, join};
use crate::codec::{DecodeError, Reader, Writer};
use crate::id::{OpId, ReplicaId};

const FORMAT: u8 = 1;
const TYPED: u8 = 1;
const MARKED: u8 = 2;
const FORGOTTEN: u8 = 3;
const EXISTS: u8 = 1;
const NOTHING_MORE: u8 = 2;
/// Deltas that are kept beside what is saved, however little that is.
const RECENT_BYTES_MIN: usize = 4096;
/// Deltas are joined up to this size: a reader takes one in whole.
const JOINED_BYTES_MAX: usize = 64 << 10;
/// What stands before what is saved takes no more, its length included.
const HEAD_BYTES_MAX: usize = 2 + LEFT_OUT_BYTES_MAX + 10;
/// What a record takes besides its delta, at most.
const RECORD_BYTES: usize = 13;
const WHAT: &str = "a text";

/// Who types: one device, from one opening of its replica to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_structs, reason = "a name")]
pub struct WriterId(pub [u8; 8]);

impl WriterId {
    /// The author's name inside a [`Text`].
    #[must_use]
    pub fn author(self) -> ReplicaId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.0);
        ReplicaId::from_bytes(id)
    }

    /// The writer of an author's name, the inverse of [`WriterId::author`].
    #[must_use]
    pub fn of(author: ReplicaId) -> Self {
        let mut id = [0; 8];
        id.copy_from_slice(&author.as_bytes()[..8]);
        Self(id)
    }
}

/// What one op says of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "two facts")]
pub struct TextEdit {
    /// Whose it is.
    pub writer: WriterId,
    /// What it says.
    pub said: Said,
}

/// What a writer says of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a form of bytes of its own version")]
pub enum Said {
    /// A delta of the text.
    Typed(Bytes),
    /// A mark on it.
    Marked(Bytes),
    /// That all of it that stands here goes.
    Cleared,
    /// That what was deleted before here in the log is forgotten ([`Text::forget_deleted`]).
    Forgotten,
}

impl Said {
    fn to_bytes(&self) -> Bytes {
        let (kind, bytes) = match self {
            Self::Typed(delta) => (TYPED, delta),
            Self::Marked(mark) => (MARKED, mark),
            Self::Forgotten => return Bytes::from_static(&[FORGOTTEN]),
            Self::Cleared => return Bytes::new(),
        };
        let mut out = Writer::with_capacity(1 + bytes.len());
        out.u8(kind);
        out.fixed(bytes);
        out.finish()
    }

    fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        if input.remaining() == 0 {
            return Ok(Self::Cleared);
        }
        let kind = input.u8(WHAT)?;
        let rest = input.take(input.remaining(), WHAT)?;
        match kind {
            FORGOTTEN if rest.is_empty() => Ok(Self::Forgotten),
            _ if rest.is_empty() => Err(DecodeError::Truncated(WHAT)),
            TYPED => Ok(Self::Typed(rest)),
            MARKED => Ok(Self::Marked(rest)),
            other => Err(DecodeError::Unknown { what: WHAT, value: other.into() }),
        }
    }
}

impl TextEdit {
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let said = self.said.to_bytes();
        let mut out = Writer::with_capacity(9 + said.len());
        out.u8(FORMAT);
        out.fixed(&self.writer.0);
        out.fixed(&said);
        out.finish()
    }

    /// The inverse of [`TextEdit::to_bytes`]. What is in it is not looked at.
    ///
    /// # Errors
    /// When it says nothing, or the version is not known.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        known(input.u8(WHAT)?)?;
        let writer = WriterId(input.fixed(WHAT)?);
        let said = input.take(input.remaining(), WHAT)?;
        if said.is_empty() {
            Err(DecodeError::Truncated(WHAT))
        } else {
            Ok(Self { writer, said: Said::from_bytes(said)? })
        }
    }

    /// One edit that says what two say of which neither was sent yet; `None` when they do not follow each other, or would be
    /// large.
    #[must_use]
    pub fn join(&self, newer: &Self) -> Option<Self> {
        let (Said::Typed(older), Said::Typed(newer), true) = (&self.said, &newer.said, self.writer == newer.writer)
        else {
            return None;
        };
        if older.len() + newer.len() > JOINED_BYTES_MAX {
            return None;
        }
        Some(Self { writer: self.writer, said: Said::Typed(join(older, newer)?) })
    }
}

const fn known(version: u8) -> Result<(), DecodeError> {
    if version == FORMAT { Ok(()) } else { Err(DecodeError::Unknown { what: WHAT, value: version as u64 }) }
}

/// A state, read as far as its parts go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextState {
    exists: bool,
    forgotten: bool,
    left_out: LeftOuts,
    saved: Bytes,
    records: Bytes,
}

impl TextState {
    /// Reads a state.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(state: Bytes) -> Result<Self, DecodeError> {
        let mut input = Reader::new(state);
        known(input.u8(WHAT)?)?;
        let flags = input.u8(WHAT)?;
        if flags & !(EXISTS | NOTHING_MORE) != 0 {
            return Err(DecodeError::NotCanonical(WHAT));
        }
        let left_out = LeftOuts::read(&mut input)?;
        let saved = input.bytes(WHAT)?;
        let records = input.take(input.remaining(), WHAT)?;
        let (exists, forgotten) = (flags & EXISTS != 0, flags & NOTHING_MORE != 0);
        let state = Self { exists, forgotten, left_out, saved, records };
        state.records().try_for_each(|record| record.map(drop))?;
        Ok(state)
    }

    /// Takes an edit into a state, `None` for a delete that says nothing else.
    ///
    /// # Errors
    /// When the state is none. It is unchanged.
    pub fn take(
        state: &mut Option<Vec<u8>>,
        deletes: bool,
        edit: Option<&TextEdit>,
        op: OpId,
    ) -> Result<(), DecodeError> {
        let forgets = edit.is_some_and(|edit| edit.said == Said::Forgotten);
        let bytes = match state.take() {
            None if forgets => return Ok(()),
            None => vec![FORMAT, 0, 0, 0],
            Some(bytes) => bytes,
        };
        let saved = match lengths(&bytes) {
            Ok(saved) => saved,
            Err(error) => {
                *state = Some(bytes);
                return Err(error);
            }
        };
        let mut bytes = bytes;
        let (flags, len) = (bytes[1], bytes.len());
        if !forgets {
            bytes[1] = bytes[1] & !EXISTS | if deletes { 0 } else { EXISTS };
        } else if bytes[1] & NOTHING_MORE != 0 && bytes.len() == saved.end {
            // Somebody else said so just before.
            *state = Some(bytes);
            return Ok(());
        }
        let mut record = Writer::default();
        match edit {
            Some(edit) => {
                record.fixed(&edit.writer.0);
                record.bytes(&edit.said.to_bytes());
            }
            None => {
                record.fixed(&op.as_bytes()[..8]);
                record.len(0);
            }
        }
        bytes.extend_from_slice(&record.finish());
        let recent = bytes.len() - saved.end;
        if forgets || recent > saved.len().max(RECENT_BYTES_MIN) {
            let whole = Bytes::from(bytes);
            bytes = match Self::read(whole.clone()) {
                Ok(read) => read.fold(forgets),
                Err(error) => {
                    let mut before = whole[..len].to_vec();
                    before[1] = flags;
                    *state = Some(before);
                    return Err(error);
                }
            };
        }
        *state = Some(bytes);
        Ok(())
    }

    /// Everything that is said, in the order of the log.
    pub fn records(&self) -> impl Iterator<Item = Result<(ReplicaId, Said), DecodeError>> + use<> {
        let mut input = Reader::new(self.records.clone());
        std::iter::from_fn(move || {
            if input.remaining() == 0 {
                return None;
            }
            let mut next = || Ok((WriterId(input.fixed(WHAT)?).author(), Said::from_bytes(input.bytes(WHAT)?)?));
            let record = next();
            if record.is_err() {
                let _ = input.take(input.remaining(), WHAT);
            }
            Some(record)
        })
    }

    /// What was left out of all that was said, as far as that was known when it was saved last; [`TextState::merge`] tells
    /// of what came since.
    #[must_use]
    pub const fn left_out(&self) -> &LeftOuts {
        &self.left_out
    }

    /// How many records were left out, by a state's bytes alone; 0 if they are none.
    #[must_use]
    pub fn left_out_of(state: &[u8]) -> u64 {
        let mut input = Reader::new(Bytes::copy_from_slice(&state[..state.len().min(HEAD_BYTES_MAX)]));
        let mut count = || input.fixed::<2>(WHAT).and_then(|_| input.u64(WHAT));
        count().unwrap_or_default()
    }

    /// What was saved, apart from what came since.
    #[must_use]
    pub const fn saved(&self) -> &Bytes {
        &self.saved
    }

    /// The text. Its history is read when it is needed.
    ///
    /// # Errors
    /// When what was saved does not read.
    pub fn load(&self) -> Result<Text, TextError> {
        self.merge().map(|(text, _)| text)
    }

    /// The text, and the records that did not apply.
    ///
    /// # Errors
    /// As [`TextState::load`].
    pub fn merge(&self) -> Result<(Text, Taken), TextError> {
        let mut text = if self.saved.is_empty() { Text::new() } else { Text::load(&self.saved)? };
        let taken = take_in(&mut text, self.records().flatten());
        Ok((text, taken))
    }

    /// Whether there is a text to show: nobody deleted it, or somebody wrote in it again, or not everything of it was seen
    /// by who deleted it.
    #[must_use]
    pub fn shows(&self, text: &Text) -> bool {
        self.exists || !text.is_empty()
    }

    fn fold(&self, forgets: bool) -> Vec<u8> {
        let anew = self.merge().and_then(|(mut text, taken)| Ok((text.save()?, taken)));
        let mut out = Writer::with_capacity(self.saved.len() + self.records.len() + 16);
        out.u8(FORMAT);
        let forgotten = if anew.is_ok() { forgets } else { self.forgotten };
        out.u8(if self.exists { EXISTS } else { 0 } | if forgotten { NOTHING_MORE } else { 0 });
        let mut left_out = self.left_out.clone();
        match anew {
            Ok((saved, taken)) => {
                // So that the next time is not at once: of what nobody may ever complete, the newest is kept.
                let room = saved.len().max(RECENT_BYTES_MIN) / 2;
                let waiting: Vec<(WriterId, Bytes)> =
                    taken.waiting.into_iter().map(|(author, said)| (WriterId::of(author), said.to_bytes())).collect();
                let sizes = waiting.iter().rev().scan(0, |sum, (_, said)| {
                    *sum += said.len() + RECORD_BYTES;
                    Some(*sum)
                });
                let (gone, kept) = waiting.split_at(waiting.len() - sizes.take_while(|sum| *sum <= room).count());
                left_out.extend(taken.left_out);
                left_out.extend(gone.iter().map(|(writer, _)| LeftOut { writer: *writer, why: WhyLeftOut::NeverCame }));
                left_out.write(&mut out);
                out.bytes(&saved);
                for (writer, said) in kept {
                    out.fixed(&writer.0);
                    out.bytes(said);
                }
            }
            // What was saved by this very code and is damaged now stays as it is, and so does what came since.
            Err(_) => {
                left_out.write(&mut out);
                out.bytes(&self.saved);
                out.fixed(&self.records);
            }
        }
        out.finish().into()
    }
}

/// Where what was saved stands in a state.
fn lengths(state: &[u8]) -> Result<std::ops::Range<usize>, DecodeError> {
    let head = Bytes::copy_from_slice(&state[..state.len().min(HEAD_BYTES_MAX)]);
    let mut input = Reader::new(head.clone());
    known(input.u8(WHAT)?)?;
    input.u8(WHAT)?;
    LeftOuts::read(&mut input)?;
    let len = usize::try_from(input.u64(WHAT)?).map_err(|_| DecodeError::Truncated(WHAT))?;
    let start = head.len() - input.remaining();
    match start.checked_add(len) {
        Some(end) if end <= state.len() => Ok(start..end),
        _ => Err(DecodeError::Truncated(WHAT)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const ONE: WriterId = WriterId([1; 8]);
    const TWO: WriterId = WriterId([2; 8]);

    fn op() -> OpId {
        OpId::from_bytes([9; 16])
    }

    /// Types a letter and gives the edit.
    fn typed(text: &mut Text, writer: WriterId, at: usize, letters: &str) -> TextEdit {
        let since = text.seen(writer.author());
        text.insert(writer.author(), at, letters).expect("within");
        TextEdit { writer, said: Said::Typed(text.delta(writer.author(), since).expect("there")) }
    }

    #[test]
    fn a_state_is_merged_once_what_came_since_outgrows_what_was_saved() {
        let (mut text, mut state, mut folds, mut most) = (Text::new(), None, 0, 0);
        let mut before = 0;
        for index in 0..20_000 {
            let edit = typed(&mut text, ONE, index, if index % 2 == 0 { "a" } else { "b" });
            TextState::take(&mut state, false, Some(&edit), op()).expect("a state");
            let len = state.as_ref().map_or(0, Vec::len);
            folds += u32::from(len < before);
            before = len;
            most = most.max(len);
        }
        let shown = TextState::read(state.clone().expect("some").into()).expect("a state");
        assert_eq!(shown.load().expect("a text").state_hash(), text.state_hash());
        let saved = text.save().expect("saved").len();
        assert!(most <= 2 * saved.max(RECENT_BYTES_MIN) + 64, "{most} bytes where {saved} are enough");
        // Twenty thousand records of 15 bytes, 4 KiB of them at a time.
        assert!(folds <= 20_000 * 15 / 4096 + 1, "{folds} times");
    }

    #[test]
    fn what_waits_for_what_never_comes_is_bounded_and_costs_no_merge_each_time() {
        let mut state = None;
        let mut folds = 0;
        let mut before = 0;
        for seq in 0..20_000_u64 {
            let mut delta = Writer::default();
            delta.u64(seq + 1_000);
            delta.u64(1 << 2);
            delta.u64(0);
            delta.fixed(b"x");
            let edit = TextEdit { writer: TWO, said: Said::Typed(delta.finish()) };
            TextState::take(&mut state, false, Some(&edit), op()).expect("a state");
            let len = state.as_ref().map_or(0, Vec::len);
            folds += u32::from(len < before);
            before = len;
        }
        assert!(before <= 2 * RECENT_BYTES_MIN, "{before} bytes");
        assert!(folds <= 20_000 * 15 / 2_048 + 1, "{folds} times");
    }

    proptest! {
        #[test]
        fn bytes_of_any_origin_are_a_state_or_refused(
            head in vec(0..3_u8, 0..4),
            tail in vec(any::<u8>(), 0..60),
            said in vec(any::<u8>(), 1..20),
            kind in 0..3_u8,
        ) {
            let bytes = [head, tail].concat();
            if let Ok(state) = TextState::read(bytes.clone().into()) {
                let _ = state.load();
            }
            let mut state = Some(bytes.clone());
            let said = [Said::Marked(said.clone().into()), Said::Typed(said.into()), Said::Forgotten][usize::from(kind)].clone();
            let edit = TextEdit { writer: ONE, said };
            if TextState::take(&mut state, false, Some(&edit), op()).is_err() {
                prop_assert_eq!(state, Some(bytes));
            }
            prop_assert_eq!(TextEdit::from_bytes(edit.to_bytes()), Ok(edit));
        }
    }
}
