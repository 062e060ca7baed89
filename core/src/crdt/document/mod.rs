//! Fields in fields, each of which belongs to its newest write.
//!
//! A field has a [path](Path). A write or a remove of it ends everything in it that is not newer, also what arrives later; a
//! newer write into a field that held a value makes that one a map of fields. A delete of the document ends
//! every field that is not newer than it. What a reader sees is the JSON object of the fields that hold something, in byte
//! order; a map in which nothing is left is not there.
//!
//! [`Fields`](crate::oplog::Fields) is a document whose paths have one name each: a nested object there is one value, replaced
//! whole. Here a handle writes an object's fields one by one.
//!
//! What must hold: the state is what the edits say one after the other in the order of their stamps. Where stamps are equal,
//! the edits are of one author and the later one counts; of two copies that differ in such, [`Document::merge`] takes the
//! larger text, so that it is commutative, associative and idempotent on exact ties too.
//!
//! A removed field leaves its path and its stamp behind, for what may still arrive. [`DocumentEdit::forget`] drops these
//! up to a stamp that every device has heard of, and from then on what is as old as that says nothing of fields that are not
//! here. Its place in the log is what counts; everything else goes by stamps.
//!
//! # State bytes, version 1
//!
//! In the form of [`codec`](crate::codec):
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the version: 1 |
//! | 1 | what follows: bit 0 a deletion, bit 1 a bare existence, bit 2 fields with paths, bit 3 what was forgotten |
//! | stamp | of the newest delete, if bit 0 |
//! | stamp | of the newest change that named no field, if bit 1 |
//! | stamp | up to which removed fields were forgotten, if bit 3 |
//! | varint | how many fields; each: |
//! | varint + bytes | its name in UTF-8, in byte order; if bit 2, a count of names and each so, in the order of [paths](Path) |
//! | stamp | of the change it belongs to |
//! | 1 | only if bit 2: 0 where there is no value, 1 where there is |
//! | varint + bytes | the value's JSON text, if there is one |
//!
//! A stamp is the hlc's milliseconds as a varint, its counter as a varint, and the 16 bytes of the replica. Nothing is
//! older than the deletion or than what it is in, a bare existence is newer than every field (older ones say nothing that a
//! field does not), a field in which others are has no value, bit 2 is set where a path has more names than one or a
//! field no value. Every other spelling is refused.

mod bytes;
mod delta;
mod edit;
mod path;
mod view;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use ::bytes::Bytes;

pub use delta::Seen;
pub use edit::DocumentEdit;
pub use path::{Path, PathError};
pub use view::fields_of;

use super::content::Content;
use super::moment::{Moment, Stamp};
use crate::codec::DecodeError;

const WHAT: &str = "a document";
const BAD: DecodeError = DecodeError::NotCanonical(WHAT);

/// Fields, last writer wins for each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    deleted: Option<Stamp>,
    bare: Option<Stamp>,
    forgot: Option<Stamp>,
    /// Shared with copies until one of them changes.
    fields: Arc<BTreeMap<Path, Field>>,
    /// How many paths have more than one name.
    nested: usize,
}

/// A field's newest write.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Field {
    stamp: Stamp,
    /// `None` where it was removed, or others are in it.
    value: Option<Bytes>,
}

impl Document {
    /// Writes a field, or removes it without a text. Whether that changed anything.
    pub fn write(&mut self, stamp: Stamp, path: Path, text: Option<Bytes>) -> bool {
        self.write_over(stamp, path, text, |inner| inner <= stamp)
    }

    /// Writes a field, which ends what is in it and `ends` says of.
    fn write_over(&mut self, stamp: Stamp, path: Path, text: Option<Bytes>, ends: impl Fn(Stamp) -> bool) -> bool {
        let old = |known: Option<Stamp>| known.is_some_and(|known| known > stamp);
        if old(self.deleted) {
            return false;
        }
        let nested = path.is_nested();
        if nested && path.above().any(|above| old(self.fields.get(&above).map(|field| field.stamp))) {
            return false;
        }
        match Arc::make_mut(&mut self.fields).get_mut(&path) {
            Some(known) if known.stamp > stamp => return false,
            Some(known) if self.nested == 0 => *known = Field { stamp, value: text },
            None if self.forgot.is_some_and(|forgot| stamp <= forgot) => return false,
            _ => self.put(stamp, path, text, ends),
        }
        self.bare = self.bare.filter(|bare| *bare > stamp);
        true
    }

    /// A write that wins where fields may be in each other.
    fn put(&mut self, stamp: Stamp, path: Path, mut text: Option<Bytes>, ends: impl Fn(Stamp) -> bool) {
        if self.nested > 0 {
            let within = self.fields.range(path.within());
            let old: Vec<Path> =
                within.clone().filter(|(_, field)| ends(field.stamp)).map(|(path, _)| path.clone()).collect();
            if within.count() > old.len() {
                text = None;
            }
            let fields = Arc::make_mut(&mut self.fields);
            old.iter().for_each(|path| drop(fields.remove(path)));
            self.nested -= old.len();
        }
        let fields = Arc::make_mut(&mut self.fields);
        for above in path.above() {
            if let Some(field) = fields.get_mut(&above) {
                field.value = None;
            }
        }
        let nested = usize::from(path.is_nested());
        if fields.insert(path, Field { stamp, value: text }).is_none() {
            self.nested += nested;
        }
    }

    fn retain(&mut self, stays: impl Fn(&Field) -> bool) {
        Arc::make_mut(&mut self.fields).retain(|_, field| stays(field));
        if self.nested > 0 {
            self.nested = self.fields.keys().filter(|path| path.is_nested()).count();
        }
    }

    /// Says that it exists, with or without fields. Whether that changed anything.
    pub fn touch(&mut self, stamp: Stamp) -> bool {
        if self.deleted.is_some_and(|deleted| deleted > stamp) {
            return false;
        }
        let said = self.bare.into_iter().chain(self.fields.values().map(|field| field.stamp)).max();
        let news = said.is_none_or(|newest| newest < stamp);
        if news {
            self.bare = Some(stamp);
        }
        news
    }

    /// Ends every field that is not newer. Whether that changed anything.
    pub fn delete(&mut self, stamp: Stamp) -> bool {
        if self.deleted.is_some_and(|deleted| deleted > stamp) {
            return false;
        }
        self.deleted = Some(stamp);
        self.bare = self.bare.filter(|bare| *bare > stamp);
        self.retain(|field| field.stamp > stamp);
        true
    }

    /// Forgets removed fields up to a stamp: the compaction rule.
    pub fn forget(&mut self, upto: Stamp) {
        self.forgot = self.forgot.max(Some(upto));
        self.retain(|field| field.value.is_some() || field.stamp > upto);
    }

    /// The JSON text of a field that holds a value of its own.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<&Bytes> {
        self.fields.get(path).and_then(|field| field.value.as_ref())
    }

    /// The fields that hold a value of their own, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Bytes)> {
        self.fields.iter().filter_map(|(path, field)| Some((path, field.value.as_ref()?)))
    }

    /// Whether it holds what only late edits need.
    #[must_use]
    pub fn has_removed(&self) -> bool {
        self.fields.values().any(|field| field.value.is_none())
    }

    /// When something was last said of it.
    #[must_use]
    pub fn newest(&self) -> Option<Stamp> {
        self.fields.values().map(|field| field.stamp).max().max(self.deleted).max(self.bare)
    }

    /// Takes in another copy or a part of one.
    pub fn merge(&mut self, other: &Self) {
        if let Some(deleted) = other.deleted.filter(|deleted| self.deleted < Some(*deleted)) {
            self.deleted = Some(deleted);
            self.bare = self.bare.filter(|bare| *bare >= deleted);
            self.retain(|field| field.stamp >= deleted);
        }
        let flat = self.nested == 0 && other.nested == 0 && self.forgot.is_none() && self.deleted <= other.deleted;
        if flat && other.fields.len() > self.fields.len() / 8 {
            self.merge_flat(&other.fields);
        } else {
            self.merge_fields(&other.fields);
        }
        if let Some(bare) = other.bare {
            self.touch(bare);
        }
        if let Some(forgot) = other.forgot.max(self.forgot) {
            self.forget(forgot);
        }
    }

    /// Fields that are in no others: both in order, in one go.
    fn merge_flat(&mut self, other: &Arc<BTreeMap<Path, Field>>) {
        match compared(&self.fields, other) {
            Compared::Ours => {}
            Compared::Theirs => self.fields = Arc::clone(other),
            Compared::Both => self.merge_new(other),
        }
        let newest = self.bare.and(self.fields.values().map(|field| field.stamp).max());
        self.bare = self.bare.filter(|bare| newest.is_none_or(|newest| newest < *bare));
    }

    /// The newer one of each.
    fn merge_new(&mut self, other: &BTreeMap<Path, Field>) {
        let ours = std::mem::take(&mut self.fields);
        let mut ours = Arc::unwrap_or_clone(ours).into_iter().peekable();
        let mut theirs = other.iter().peekable();
        let merged = std::iter::from_fn(|| {
            let order = match (ours.peek(), theirs.peek()) {
                (Some((ours, _)), Some((theirs, _))) => ours.cmp(theirs),
                (Some(_), None) => Ordering::Less,
                (None, _) => Ordering::Greater,
            };
            match order {
                Ordering::Less => ours.next(),
                Ordering::Greater => theirs.next().map(|(path, field)| (path.clone(), field.clone())),
                Ordering::Equal => {
                    let (path, mut field) = ours.next()?;
                    let (_, other) = theirs.next()?;
                    if field < *other {
                        field.clone_from(other);
                    }
                    Some((path, field))
                }
            }
        });
        self.fields = Arc::new(merged.collect());
    }

    fn merge_fields(&mut self, other: &BTreeMap<Path, Field>) {
        for (path, theirs) in other {
            let ours = self.fields.get(path);
            // On an exact tie the larger text, and both of a field and what is in it.
            if ours.is_none_or(|ours| ours < theirs) {
                let (stamp, value) = (theirs.stamp, theirs.value.clone());
                self.write_over(stamp, path.clone(), value, |inner| inner < stamp);
            }
        }
    }
}

/// Whose fields are all that two copies have.
enum Compared {
    Ours,
    Theirs,
    Both,
}

fn compared(ours: &BTreeMap<Path, Field>, theirs: &BTreeMap<Path, Field>) -> Compared {
    if ours.len() != theirs.len() {
        return Compared::Both;
    }
    let (mut newer, mut older) = (false, false);
    for ((path, our), (other, their)) in ours.iter().zip(theirs) {
        if path != other {
            return Compared::Both;
        }
        match our.cmp(their) {
            Ordering::Less => older = true,
            Ordering::Greater => newer = true,
            Ordering::Equal => {}
        }
        if newer && older {
            return Compared::Both;
        }
    }
    if older { Compared::Theirs } else { Compared::Ours }
}

impl Content for Document {
    type Edit = DocumentEdit;

    const NAME: &'static str = WHAT;

    fn read_edit(payload: Bytes) -> Result<DocumentEdit, DecodeError> {
        edit::read(payload)
    }

    fn write_edit(edit: &DocumentEdit) -> Bytes {
        edit::write(edit)
    }

    fn apply(&mut self, moment: &Moment, edit: DocumentEdit) {
        let stamp = moment.stamp();
        if edit.fields.is_empty() && edit.forget.is_none() {
            self.touch(stamp);
        }
        for (path, text) in edit.fields {
            self.write(stamp, path, text);
        }
        if let Some(upto) = edit.forget {
            self.forget(upto);
        }
    }

    fn clear(&mut self, moment: &Moment) {
        self.delete(moment.stamp());
    }

    fn encode(&self) -> Vec<u8> {
        self.to_bytes()
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        Self::from_bytes(bytes)
    }

    fn view(&self) -> Result<Option<Bytes>, DecodeError> {
        view::text(self)
    }

    fn left_of(older: DocumentEdit, newer: &DocumentEdit) -> Option<DocumentEdit> {
        edit::left_of(older, newer)
    }
}
