//! Two copies of a list made one.

use super::{Early, Item, ItemId, List, Said};
use crate::crdt::context::{Birth, Context};

impl List {
    /// Takes in another copy of it, that had each author's ops in their order too: an element that one has and the other has
    /// had was removed.
    pub fn merge(&mut self, other: &Self) {
        let had = |context: &Context, birth: Option<Birth>| birth.is_some_and(|birth| context.covers(birth));
        let gone = |(id, item): &(&ItemId, &Item)| !other.items.contains_key(id) && had(&other.context, item.birth);
        for id in self.items.iter().filter(gone).map(|(id, _)| *id).collect::<Vec<_>>() {
            self.take(id);
        }
        for (id, item) in &other.items {
            if self.items.contains_key(id) {
                self.write(*id, item.value.0, item.value.1.clone());
                self.place(*id, item.place.0, item.place.1.clone());
            } else if !had(&self.context, item.birth) {
                self.put(*id, item.clone());
            }
        }
        let theirs = other.early.iter().map(|(id, early)| (*id, early.clone()));
        let ours = std::mem::take(&mut self.early);
        self.context.merge(&other.context);
        for (id, early) in ours.into_iter().chain(theirs) {
            self.say(id, early);
        }
    }

    /// Applies what was said of an element, or keeps it until that comes.
    fn say(&mut self, id: ItemId, early: Early) {
        if self.items.contains_key(&id) {
            match early.said {
                Said::Removed => {
                    self.take(id);
                }
                Said::Changed { value, place } => {
                    value.into_iter().for_each(|(stamp, text)| self.write(id, stamp, text));
                    place.into_iter().for_each(|(stamp, place)| self.place(id, stamp, place));
                }
            }
            return;
        }
        if self.context.covers(early.birth) {
            return;
        }
        match self.early.get_mut(&id) {
            None => {
                self.early.insert(id, early);
            }
            Some(known) => known.said.join(early.said),
        }
    }
}

impl Said {
    fn join(&mut self, other: Self) {
        match (self, other) {
            (Self::Removed, _) => {}
            (this, Self::Removed) => *this = Self::Removed,
            (Self::Changed { value, place }, Self::Changed { value: text, place: to }) => {
                newer(value, text);
                newer(place, to);
            }
        }
    }
}

/// Keeps the newer of two.
fn newer<T: Ord>(known: &mut Option<T>, other: Option<T>) {
    if other > *known {
        *known = other;
    }
}

