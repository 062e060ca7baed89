//! What the engine and the view tell each other.
//!
//! The engine says what it knows ([`Shown`]); the view says what it did in the folder where a placeholder stood: brought its
//! bytes, put others in their place, deleted it, had it moved. Such a *fact* is how the node is held from then on; it is in the journal before
//! anybody is told that it is so, and the engine takes it over before and after each walk through the folder.
//!
//! What must hold: who puts something where a placeholder stood says so under the same lock, so that whatever a walk found
//! there is known by the time the engine asks for facts; a placeholder that is one no longer is not shown as one again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use syncline::EntityId;
use syncline::files::{Body, Held, Identity};
use syncline::tree::Content;
use tokio::sync::Notify;

use super::flights::Flights;
use super::shown::Shown;
use crate::steps::Outcome;

/// What the engine and the view tell each other.
#[derive(Debug, Default)]
pub struct Window {
    both: Mutex<Both>,
    /// The engine should look.
    look: Notify,
}

/// What both know.
#[derive(Debug, Default)]
pub(super) struct Both {
    pub(super) shown: Arc<Shown>,
    /// What the view did since the engine last showed something: how nodes are held.
    facts: HashMap<EntityId, Fact>,
    /// Files that the engine is about to take away: placeholders as soon as they are gone.
    leaving: HashMap<EntityId, Held>,
    pub(super) flights: Flights,
}

#[derive(Debug)]
struct Fact {
    held: Held,
    taken: bool,
}

impl Window {
    pub(super) fn both(&self) -> MutexGuard<'_, Both> {
        self.both.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the engine to look soon.
    pub fn look_soon(&self) {
        self.look.notify_one();
    }

    /// Waits until the engine should look.
    pub async fn asked(&self) {
        self.look.notified().await;
    }

    /// What the view did that the engine does not know yet: how these nodes are held. The engine must
    /// [show](Self::show) afterwards.
    #[must_use]
    pub fn take(&self) -> Vec<(EntityId, Held)> {
        let mut both = self.both();
        let untaken = both.facts.iter_mut().filter(|(_, fact)| !fact.taken);
        let take = |(id, fact): (&EntityId, &mut Fact)| {
            fact.taken = true;
            (*id, fact.held.clone())
        };
        untaken.map(take).collect()
    }

    /// Does something while the view does nothing to placeholders; `true` for nodes of which the view knows more than the
    /// engine has taken over.
    pub fn still<T>(&self, mut work: impl FnMut(&dyn Fn(EntityId) -> bool) -> T) -> T {
        let both = self.both();
        work(&|id| both.facts.get(&id).is_some_and(|fact| !fact.taken))
    }

    /// Makes a folder: nobody sees it without the placeholders that are to stand in it.
    pub(crate) fn makes_folder(&self, id: EntityId, make: impl FnOnce() -> Outcome) -> Outcome {
        let mut both = self.both();
        let made = make();
        if let Outcome::Done(Some(print)) = &made {
            Arc::make_mut(&mut both.shown).made_folder(print.identity, id);
        }
        made
    }

    /// A file will be taken away, and is a placeholder as soon as it is gone.
    pub fn leaving(&self, id: EntityId, held: &Held) {
        let held = Held { body: Body::Elsewhere, print: None, ..held.clone() };
        let mut both = self.both();
        // Who takes it away knows that it is here.
        both.facts.remove(&id);
        both.leaving.insert(id, held);
    }

    /// The engine knows more. Downloads of what was changed or deleted meanwhile are told so.
    pub fn show(&self, shown: Shown) {
        let mut both = self.both();
        both.facts.retain(|_, fact| !fact.taken);
        both.leaving.clear();
        both.shown = Arc::new(shown);
        both.news_for_flights();
    }
}

impl Both {
    /// A fact: how a node is held from now on.
    pub(super) fn did(&mut self, id: EntityId, held: Held) {
        self.leaving.remove(&id);
        self.facts.insert(id, Fact { held, taken: false });
    }

    /// What the view did with a node that the engine does not show yet.
    pub(super) fn fact(&self, id: EntityId) -> Option<&Held> {
        self.facts.get(&id).map(|fact| &fact.held)
    }

    /// What the view did that the engine does not show yet.
    pub(super) fn facts(&self) -> impl Iterator<Item = &Held> {
        self.facts.values().map(|fact| &fact.held)
    }

    /// What a file that is here contained when it was last what the server has or had.
    pub(super) fn content_here(&self, file: Identity) -> Option<Content> {
        let brought = self.facts().find(|held| held.print.is_some_and(|print| print.identity == file));
        brought.map(|held| held.content).or_else(|| Some(self.shown.file(file)?.content))?
    }

    /// A placeholder, as it would be held.
    pub(super) fn placeholder(&self, id: EntityId) -> Option<Held> {
        match self.fact(id) {
            Some(fact) => (fact.body == Body::Elsewhere).then(|| fact.clone()),
            None => self.shown.placeholder(id).or_else(|| self.leaving.get(&id)).cloned(),
        }
    }

    /// Placeholders that the view gave another place.
    fn moved(&self) -> impl Iterator<Item = (EntityId, &Held)> {
        let facts = self.facts.iter().map(|(id, fact)| (*id, &fact.held));
        facts.filter(|(_, held)| held.body == Body::Elsewhere)
    }

    /// The placeholder of this name in a folder.
    pub(super) fn at(&self, folder: EntityId, name: &str) -> Option<(EntityId, Held)> {
        let lies = |held: &Held| (held.parent, held.at.as_str()) == (folder, name);
        let came = self.moved().find(|(_, held)| lies(held)).map(|(id, _)| id);
        let left = || self.leaving.iter().find(|(_, held)| lies(held)).map(|(id, _)| *id);
        let id = came.or_else(|| self.shown.at(folder, name)).or_else(left)?;
        self.placeholder(id).filter(lies).map(|held| (id, held))
    }

    /// The placeholders in a folder.
    pub(super) fn inside(&self, folder: EntityId) -> Vec<(EntityId, Held)> {
        let shown = self.shown.inside(folder).map(|(_, id)| id);
        let more = self.leaving.iter().filter(|(_, held)| held.parent == folder).map(|(id, _)| *id);
        let came = self.moved().filter(|(_, held)| held.parent == folder).map(|(id, _)| id);
        let mut ids: Vec<EntityId> = shown.chain(more).chain(came).collect();
        ids.sort_unstable();
        ids.dedup();
        let found = ids.into_iter().filter_map(|id| Some((id, self.placeholder(id)?)));
        found.filter(|(_, held)| held.parent == folder).collect()
    }
}
