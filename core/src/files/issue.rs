//! What the server refused: it stays in the folder as it is, and is not asked for again until it is another thing.

use std::collections::BTreeMap;

use super::held::Fingerprint;
use super::recognize::Place;
use crate::id::EntityId;
use crate::tree::Refusal;

/// Which kind of op was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_enums, reason = "the kinds of ops that say what is in a folder")]
pub enum About {
    /// A new node.
    Make,
    /// Another place.
    Move,
    /// A new content.
    Fill,
}

/// What is refused as long as it looks so.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a row of a device's journal")]
pub struct Issue {
    /// How the entry looked, if that matters: another content may be taken where one was not.
    pub print: Option<Fingerprint>,
    /// Why.
    pub refusal: Refusal,
}

/// What was refused, by where it lies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Issues(BTreeMap<(EntityId, String, About), Issue>);

impl Issues {
    /// All of them: the folder, the name there, what was refused.
    pub fn iter(&self) -> impl Iterator<Item = (EntityId, &str, About, &Issue)> {
        self.0.iter().map(|((parent, at, about), issue)| (*parent, at.as_str(), *about, issue))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes a refusal.
    pub fn raise(&mut self, parent: EntityId, at: String, about: About, issue: Issue) {
        self.0.insert((parent, at, about), issue);
    }

    /// Forgets those that are about something that is no longer there, or that this says are worth another try.
    pub fn retain(&mut self, mut keep: impl FnMut(EntityId, &str, About, &Issue) -> bool) {
        self.0.retain(|(parent, at, about), issue| keep(*parent, at, *about, issue));
    }

    pub(super) fn blocks(&self, about: About, place: &Place) -> bool {
        let issue = self.0.get(&(place.parent, place.at.clone(), about));
        issue.is_some_and(|issue| issue.print.is_none_or(|print| print == place.print))
    }
}
