//! Two copies of a list made one.

use super::{Early, Item, ItemId, List, Said};
use crate::crdt::context::{Birth, Context};
use crate::crdt::newest::Newest;

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
                self.write(*id, Some(item.value.clone()));
                self.place(*id, Some(item.place.clone()));
            } else if !had(&self.context, item.birth) {
                self.put(*id, item.clone());
            }
        }
        let ours = std::mem::take(&mut self.early);
        self.context.merge(&other.context);
        for (id, early) in ours.into_iter().chain(other.early.clone()) {
            self.say(id, early);
        }
    }

    /// Applies what was said of an element, or keeps it until that comes.
    fn say(&mut self, id: ItemId, early: Early) {
        match early.said {
            Said::Removed if self.items.contains_key(&id) => {
                self.take(id);
            }
            Said::Changed { value, place } if self.items.contains_key(&id) => {
                self.write(id, value);
                self.place(id, place);
            }
            _ if self.context.covers(early.birth) => {}
            said => {
                let known = self.early.entry(id).or_insert_with(|| Early { birth: early.birth, said: said.clone() });
                known.said.join(said);
            }
        }
    }
}

impl Said {
    fn join(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::Changed { value, place }, Self::Changed { value: text, place: to }) => {
                Newest::join(value, text.as_ref());
                Newest::join(place, to.as_ref());
            }
            _ => *self = Self::Removed,
        }
    }
}
