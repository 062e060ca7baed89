//! What a copy of a document has that another one has not seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Document;
use crate::crdt::moment::Stamp;
use crate::id::ReplicaId;
use crate::time::Hlc;

/// The newest reading of each author that a copy has seen. An author's edits come in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen(BTreeMap<ReplicaId, Hlc>);

impl Seen {
    /// Takes note of a change.
    pub fn note(&mut self, stamp: Stamp) {
        let newest = self.0.entry(stamp.replica).or_insert(stamp.hlc);
        *newest = (*newest).max(stamp.hlc);
    }

    /// Whether a change was seen.
    #[must_use]
    pub fn covers(&self, stamp: Stamp) -> bool {
        self.0.get(&stamp.replica).is_some_and(|newest| *newest >= stamp.hlc)
    }
}

impl Document {
    /// What it shows to have seen. Of writes that later ones overwrote it cannot know; who has seen more says so.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let mut seen = Seen::default();
        let stamps = self.fields.values().map(|field| field.stamp);
        stamps.chain(self.deleted).chain(self.bare).chain(self.forgot).for_each(|stamp| seen.note(stamp));
        seen
    }

    /// The part of it that somebody has not seen: a document that, [merged](Document::merge) into theirs, makes it this
    /// one and theirs.
    #[must_use]
    pub fn delta_since(&self, seen: &Seen) -> Self {
        let new = |stamp: &Stamp| !seen.covers(*stamp);
        let fields = self.fields.iter().filter(|(_, field)| new(&field.stamp));
        let fields: BTreeMap<_, _> = fields.map(|(path, field)| (path.clone(), field.clone())).collect();
        let nested = if self.nested > 0 { fields.keys().filter(|path| path.is_nested()).count() } else { 0 };
        Self {
            deleted: self.deleted.filter(new),
            bare: self.bare.filter(new),
            forgot: self.forgot,
            fields: Arc::new(fields),
            nested,
        }
    }
}
