//! A list of JSON values that many edit at once: insert, set, move, remove.
//!
//! An element is named by the op that inserted it and never gets another name. Its value and its [place](Position) belong
//! each to the newest write of theirs, so a move takes the element along with what somebody else writes into it, and two moves
//! leave one element at one of the two places. A remove is for good: what is written concurrently into an element that
//! somebody took out is lost with it (it stays in the log). Removed elements leave nothing behind: the
//! [context](super::context) tells them from such as have not come; edits of those wait for them.
//!
//! What must hold: every order of the same edits, each author's in theirs, makes the same bytes; elements stand in the order of
//! their places, and of their names where somebody made two places equal. Nobody gives an element another place but who moves
//! it, so nobody ever sees two elements change sides that nobody moved ([why](super::position)). A list without elements does not exist, and
//! inserting brings it back.
//!
//! # Bytes, version 1
//!
//! For an edit see [`ListEdit`]. The value: the byte 1, the context, a count, then per element in order: its place as in an edit; a byte with bit 0 when it was
//! moved and bit 1 when it was written since; with bit 2 it is the next of the op that the element before is of, and born
//! with it; else follow the 16 bytes of its op; with bit 3, which of the op's it is as a varint, not 0; with bit 4 it has no birth, else
//! follow, without bit 5, the author's place in the context as a varint, with it, it is the author of the birth before; the
//! reading's milliseconds less those of the birth before as a zigzag varint; with bit 6 the reading's counter and the number among equals
//! as varints, not both 0. Then [when](super::newest) its place and its value were written, where it was not the insert; the
//! text behind its varint length. What a bit can leave out is. Then a count, and in order what was said of elements that have not come: id, birth as in an
//! edit, and 0 for a remove, or 1 with when and a text, 2 with when and a place (its bytes behind their length), 3 with all four.

mod bytes;
mod edit;
mod merge;
mod names;
mod order;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use ::bytes::Bytes;

pub use edit::ListEdit;
use order::{Order, Shared};

use super::content::{Content, array};
use super::context::{Birth, Context, Named};
use super::item::ItemId;
use super::moment::{Moment, Stamp};
use super::newest::Newest;
use super::position::{PlaceFull, Position, SessionName};
use crate::codec::DecodeError;

const WHAT: &str = "a list";
const BAD: DecodeError = DecodeError::NotCanonical(WHAT);

/// A list of JSON values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    context: Context,
    items: HashMap<ItemId, Item>,
    order: Order,
    early: BTreeMap<ItemId, Early>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    birth: Option<Birth>,
    place: Newest<Position>,
    value: Newest<Bytes>,
}

/// What was said of an element before it came.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Early {
    birth: Birth,
    said: Said,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Removed,
    Changed { value: Option<Newest<Bytes>>, place: Option<Newest<Position>> },
}

/// Why an edit cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// There is nothing there.
    #[error("there is no place {index} in a list of {len}")]
    Index {
        /// What was asked for.
        index: usize,
        /// How many there are.
        len: usize,
    },
    /// There is no room at this place.
    #[error(transparent)]
    Full(#[from] PlaceFull),
}

impl List {
    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.len() == 0
    }

    /// The elements in order: their names and JSON texts.
    pub fn iter(&self) -> impl Iterator<Item = (ItemId, &Bytes)> {
        self.order.iter().filter_map(|(_, id)| Some((*id, &self.items.get(id)?.value.value)))
    }

    /// The element at an index.
    #[must_use]
    pub fn at(&self, index: usize) -> Option<ItemId> {
        self.order.at(index).map(|(_, id)| *id)
    }

    /// The JSON text of an element.
    #[must_use]
    pub fn get(&self, id: ItemId) -> Option<&Bytes> {
        self.items.get(&id).map(|item| &item.value.value)
    }

    /// Where an element stands.
    #[must_use]
    pub fn index_of(&self, id: ItemId) -> Option<usize> {
        let key = (self.items.get(&id)?.place.value.clone(), id);
        Some(self.order.index_of(&key))
    }

    /// What an insert of these values says, the first of which will have this index.
    ///
    /// # Errors
    /// When the list is shorter than that, or the place is full.
    pub fn inserting(
        &self,
        index: usize,
        texts: impl IntoIterator<Item = Bytes>,
        session: SessionName,
    ) -> Result<Vec<ListEdit>, ListError> {
        let (mut left, right) = self.around(index, None)?;
        let mut inserts = Vec::new();
        for text in texts {
            let place = Position::between(left.as_ref(), right.as_ref(), session)?;
            left = Some(place.clone());
            inserts.push(ListEdit::Insert(place, text));
        }
        Ok(inserts)
    }

    /// What a new value for the element at an index says.
    ///
    /// # Errors
    /// When there is none.
    pub fn setting(&self, index: usize, text: Bytes) -> Result<Vec<ListEdit>, ListError> {
        Ok(vec![ListEdit::Set(self.named(index)?, text)])
    }

    /// What a move of the element at an index says, which will have the index `to` afterwards.
    ///
    /// # Errors
    /// When there are no such indexes, or the place is full.
    pub fn moving(&self, from: usize, to: usize, session: SessionName) -> Result<Vec<ListEdit>, ListError> {
        let item = self.named(from)?;
        self.named(to)?;
        let (left, right) = self.around(to, Some(from))?;
        Ok(vec![ListEdit::Move(item, Position::between(left.as_ref(), right.as_ref(), session)?)])
    }

    /// What a remove of `count` elements from an index on says.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn removing(&self, index: usize, count: usize) -> Result<Vec<ListEdit>, ListError> {
        let end = index.saturating_add(count);
        if end > self.len() {
            return Err(ListError::Index { index: end, len: self.len() });
        }
        let items = self.order.iter().skip(index).take(count).filter_map(|(_, id)| self.name(*id));
        Ok(items.map(ListEdit::Remove).collect())
    }

    /// The places before and behind an index, without an element that leaves.
    fn around(&self, index: usize, leaves: Option<usize>) -> Result<(Option<Position>, Option<Position>), ListError> {
        if index > self.len() {
            return Err(ListError::Index { index, len: self.len() });
        }
        let there = |at: usize| if leaves.is_some_and(|leaves| at >= leaves) { at + 1 } else { at };
        let place = |at: usize| self.order.at(there(at)).map(|(place, _)| place.clone());
        Ok((index.checked_sub(1).and_then(place), place(index)))
    }

    fn name(&self, id: ItemId) -> Option<Named<ItemId>> {
        Some(Named { id, birth: self.items.get(&id)?.birth })
    }

    fn named(&self, index: usize) -> Result<Named<ItemId>, ListError> {
        let found = self.at(index).and_then(|id| self.name(id));
        found.ok_or(ListError::Index { index, len: self.len() })
    }

    fn put(&mut self, id: ItemId, item: Item) {
        self.order.insert((item.place.value.clone(), id));
        self.items.insert(id, item);
    }

    fn take(&mut self, id: ItemId) -> bool {
        let Some(item) = self.items.remove(&id) else { return false };
        self.order.remove(&(item.place.value, id));
        true
    }

    /// Puts an element where a place says, if that is newer than what is known.
    fn place(&mut self, id: ItemId, place: Option<Newest<Position>>) {
        if let Some((item, place)) = self.items.get_mut(&id).zip(place)
            && place.beats(&item.place)
        {
            self.order.remove(&(item.place.value.clone(), id));
            self.order.insert((place.value.clone(), id));
            item.place = place;
        }
    }

    fn write(&mut self, id: ItemId, value: Option<Newest<Bytes>>) {
        if let Some((item, value)) = self.items.get_mut(&id).zip(value)
            && value.beats(&item.value)
        {
            item.value = value;
        }
    }

    /// Whether an element is yet to come; then what is said of it is kept.
    fn early(&mut self, item: Named<ItemId>) -> Option<&mut Said> {
        let birth = item.birth.filter(|birth| !self.context.covers(*birth))?;
        let said = Said::Changed { value: None, place: None };
        Some(&mut self.early.entry(item.id).or_insert(Early { birth, said }).said)
    }

    fn edit(&mut self, id: ItemId, birth: Option<Birth>, stamp: Stamp, edit: ListEdit) {
        match edit {
            ListEdit::Insert(place, text) => {
                let early = if self.early.is_empty() { None } else { self.early.remove(&id) };
                let said = early.map(|early| early.said);
                if said == Some(Said::Removed) {
                    return;
                }
                let Entry::Vacant(vacant) = self.items.entry(id) else { return };
                self.order.insert((place.clone(), id));
                let (place, value) = (Newest::new(stamp, place), Newest::new(stamp, text));
                vacant.insert(Item { birth, place, value });
                if let Some(Said::Changed { value, place }) = said {
                    self.write(id, value);
                    self.place(id, place);
                }
            }
            ListEdit::Set(named, text) => match self.items.get(&named.id) {
                Some(item) => self.write(named.id, Newest::after(Some(&item.value), stamp, text)),
                None => {
                    if let Some(Said::Changed { value, .. }) = self.early(named)
                        && let Some(newest) = Newest::after(value.as_ref(), stamp, text)
                    {
                        *value = Some(newest);
                    }
                }
            },
            ListEdit::Move(named, to) => match self.items.get(&named.id) {
                Some(item) => self.place(named.id, Newest::after(Some(&item.place), stamp, to)),
                None => {
                    if let Some(Said::Changed { place, .. }) = self.early(named)
                        && let Some(newest) = Newest::after(place.as_ref(), stamp, to)
                    {
                        *place = Some(newest);
                    }
                }
            },
            ListEdit::Remove(item) => {
                if !self.take(item.id)
                    && let Some(said) = self.early(item)
                {
                    *said = Said::Removed;
                }
            }
        }
    }

    fn forget_early(&mut self) {
        if !self.early.is_empty() {
            self.early.retain(|_, early| !self.context.covers(early.birth));
        }
    }
}

impl Content for List {
    type Edit = Vec<ListEdit>;

    const NAME: &'static str = WHAT;

    fn read_edit(payload: Bytes) -> Result<Vec<ListEdit>, DecodeError> {
        edit::read(payload)
    }

    fn write_edit(edit: &Vec<ListEdit>) -> Bytes {
        edit::write(edit)
    }

    fn apply(&mut self, moment: &Moment, edits: Vec<ListEdit>) {
        let (birth, stamp) = (self.context.note(moment).birth, moment.stamp());
        let mut id = ItemId { op: moment.op, nth: 0 };
        let mut shared = Shared::default();
        for mut edit in edits {
            if let ListEdit::Insert(place, _) | ListEdit::Move(_, place) = &mut edit {
                shared.share(place, &self.order);
            }
            let makes = matches!(edit, ListEdit::Insert(..));
            self.edit(id, birth, stamp, edit);
            id.nth = id.nth.saturating_add(u32::from(makes));
        }
        self.forget_early();
    }

    fn clear(&mut self, moment: &Moment) {
        self.context.note(moment);
        self.items.clear();
        self.order = Order::default();
        self.forget_early();
    }

    fn encode(&self) -> Vec<u8> {
        self.to_bytes()
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        Self::from_bytes(bytes)
    }

    fn view(&self) -> Result<Option<Bytes>, DecodeError> {
        let texts = self.iter().map(|(_, text)| text.as_ref());
        (!self.is_empty()).then(|| array(texts, WHAT)).transpose()
    }

    fn left_of(older: Vec<ListEdit>, newer: &Vec<ListEdit>) -> Option<Vec<ListEdit>> {
        Some(edit::left_of(older, newer)).filter(|left| !left.is_empty())
    }
}
