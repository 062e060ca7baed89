//! Which rules a collection follows. Declared by whoever runs the engine, never by an op.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::arbitrate::ConflictPolicy;
use super::fields::Fields;
use super::op::Collection;
use super::reducer::{History, JsonMerge, Reducer, Replace};

/// The rules of one collection.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_structs, reason = "a declaration: every field is the declarer's decision")]
pub struct Rules {
    /// How conflicts are decided.
    pub policy: ConflictPolicy,
    /// How ops become state.
    pub reducer: Arc<dyn Reducer>,
}

impl Rules {
    /// A policy with the reducer that suits it: JSON merge for causal, history for merging, replace otherwise.
    #[must_use]
    pub fn of(policy: ConflictPolicy) -> Self {
        let reducer: Arc<dyn Reducer> = match policy {
            ConflictPolicy::Causal => Arc::new(JsonMerge),
            ConflictPolicy::Merge => Arc::new(History),
            ConflictPolicy::Precondition | ConflictPolicy::Append => Arc::new(Replace),
        };
        Self { policy, reducer }
    }

    /// What an app that writes offline wants unless it knows better: every op is accepted, and of each field of an
    /// entity the newest edit wins ([`Fields`]). Nobody's edit is refused for another's; what lost stays in the log.
    #[must_use]
    pub fn fields() -> Self {
        Self { policy: ConflictPolicy::Merge, reducer: Arc::new(Fields) }
    }
}

/// How strictly authors' counters are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_enums, reason = "counters are checked or they are not")]
pub enum Counters {
    /// Each op of an author takes the next counter, and a clock names only what this log has. Clones and
    /// restored devices are found out.
    #[default]
    Dense,
    /// Clocks are taken as they come: for foreign protocols whose clients skip counters.
    Open,
}

/// The rules of every collection of a log. The default is [`Rules::fields`] for all of them.
#[derive(Debug, Clone)]
pub struct Schema {
    collections: BTreeMap<Collection, Rules>,
    otherwise: Rules,
    counters: Counters,
    version_max: u32,
}

impl Default for Schema {
    fn default() -> Self {
        Self::new(Rules::fields())
    }
}

impl Schema {
    /// A schema in which every collection follows `otherwise` until declared.
    #[must_use]
    pub const fn new(otherwise: Rules) -> Self {
        Self { collections: BTreeMap::new(), otherwise, counters: Counters::Dense, version_max: 1 }
    }

    /// Declares a collection.
    #[must_use]
    pub fn with(mut self, collection: Collection, rules: Rules) -> Self {
        self.collections.insert(collection, rules);
        self
    }

    /// Sets how counters are held.
    #[must_use]
    pub const fn counters_held(mut self, counters: Counters) -> Self {
        self.counters = counters;
        self
    }

    /// Sets the newest op schema version whose ops are understood here; newer ones are stored and relayed unread.
    #[must_use]
    pub const fn understood_up_to(mut self, version: u32) -> Self {
        self.version_max = version;
        self
    }

    /// The rules of a collection.
    #[must_use]
    pub fn rules(&self, collection: &Collection) -> &Rules {
        self.collections.get(collection).unwrap_or(&self.otherwise)
    }

    /// How counters are held.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// The newest op schema version understood.
    #[must_use]
    pub const fn version_max(&self) -> u32 {
        self.version_max
    }
}
