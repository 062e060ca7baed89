//! Of which nodes the folder may say something else in a moment.
//!
//! A look finds what is there while a program is still at it: half of a file, nothing where a file is about to be again. Whoever
//! [hears](super::Debounce) that it goes on leaves these nodes alone, and looks again. What must hold: only what is waited for
//! is left alone, and a folder that vanished takes everything in it along.
//!
//! Next: `wish` leaves them alone.

use std::collections::HashSet;

use super::debounce::Debounce;
use super::held::Base;
use super::recognize::Local;
use super::scan::Scan;
use crate::id::EntityId;

impl Debounce {
    /// The nodes that are left alone for now: those that lie at a path which is [waited for](Self::holds), and held ones that
    /// lay there and are missed. `now_ms` is when the look began that found `scan`.
    #[must_use]
    pub fn unsettled(&self, scan: &Scan, local: &Local, base: &Base, now_ms: u64) -> HashSet<EntityId> {
        let (mut unsettled, mut names) = (HashSet::new(), HashSet::new());
        for (path, vanished) in self.waited_for(now_ms) {
            names.insert(path.rsplit('/').next().unwrap_or(path));
            let Some(id) = path.split('/').try_fold(base.root(), |folder, name| base.at(folder, name)) else {
                continue;
            };
            let gone = if vanished { base.below(id) } else { vec![id] };
            unsettled.extend(gone.into_iter().filter(|id| !local.nodes.contains_key(id)));
        }
        if names.is_empty() {
            return unsettled;
        }
        // Most names are nobody's that is waited for, so few paths are put together.
        let found = local.nodes.iter().filter(|(_, place)| names.contains(place.at.as_str()));
        unsettled.extend(
            found.filter(|(_, place)| self.holds(&scan.path(place.entry).join("/"), now_ms)).map(|(id, _)| *id),
        );
        unsettled
    }
}
