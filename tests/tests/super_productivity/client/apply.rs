//! What arrives: the import filter, conflicts per entity, and who wins them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::clock::Clock;
use super::{Device, Entry, Fate, entities, is_full_state};

impl Device {
    /// Applies ops of other devices, readable and in order.
    pub(super) fn receive(&mut self, ops: Vec<Value>) {
        let mut seen = BTreeSet::new();
        let new = ops.into_iter().filter(|op| !self.knows(op) && seen.insert(op["id"].to_string())).collect();
        let ops = self.kept_beside_the_newest_import(new);
        if ops.iter().any(|op| matches!(op["opType"].as_str(), Some("SYNC_IMPORT" | "BACKUP_IMPORT"))) {
            for op in ops {
                self.take(op);
            }
            return;
        }
        let mut conflicts: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
        for op in ops {
            match self.conflicting_entity(&op) {
                Standing::Apply => self.take(op),
                Standing::Known => self.store(op),
                Standing::Conflict(entity) => conflicts.entry(entity).or_default().push(op),
            }
        }
        for (entity, remote) in conflicts {
            self.settle(&entity, remote);
        }
    }

    /// Ordinary ops that the writer of the newest import had not seen are dropped with what the import replaced.
    fn kept_beside_the_newest_import(&self, ops: Vec<Value>) -> Vec<Value> {
        let known = self.log.iter().filter(|entry| entry.fate == Fate::Synced).map(|entry| &entry.op);
        let mut imports = known.chain(&ops).filter(|op| is_full_state(op));
        let Some(line) = imports.next_back().map(|op| Clock::of(&op["vectorClock"])) else { return ops };
        let stays = |op: &Value| {
            is_full_state(op)
                || matches!(Clock::of(&op["vectorClock"]).compare(&line), Some(Ordering::Greater | Ordering::Equal))
        };
        ops.into_iter().filter(stays).collect()
    }

    fn conflicting_entity(&self, op: &Value) -> Standing {
        let remote = Clock::of(&op["vectorClock"]);
        for entity in entities(op) {
            let about = |entry: &&Entry| entities(&entry.op).contains(&entity);
            let pending = |entry: &&Entry| entry.fate == Fate::Pending;
            let mut frontier = Clock::default();
            let applied = self.log.iter().filter(|entry| entry.fate == Fate::Synced).rfind(about);
            for entry in applied.into_iter().chain(self.log.iter().filter(pending).filter(about)) {
                frontier.merge(&Clock::of(&entry.op["vectorClock"]));
            }
            match frontier.compare(&remote) {
                Some(Ordering::Greater | Ordering::Equal) => return Standing::Known,
                None if self.log.iter().filter(pending).any(|entry| about(&entry)) => {
                    return Standing::Conflict(entity);
                }
                None | Some(Ordering::Less) => {}
            }
        }
        Standing::Apply
    }

    /// The newest edit wins; on a tie the other side does.
    fn settle(&mut self, (kind, id): &(String, String), remote: Vec<Value>) {
        let when = |op: &Value| op["timestamp"].as_u64().unwrap_or_default();
        let local: Vec<Value> = self
            .log
            .iter()
            .filter(|entry| entry.fate == Fate::Pending && entities(&entry.op).contains(&(kind.clone(), id.clone())))
            .map(|entry| entry.op.clone())
            .collect();
        let ours = local.iter().map(when).max().unwrap_or_default();
        let theirs = remote.iter().map(when).max().unwrap_or_default();
        for op in &local {
            self.set_fate(&op["id"], Fate::Rejected);
        }
        if ours > theirs {
            remote.into_iter().for_each(|op| self.store(op));
            self.write_again(kind, id, ours);
        } else {
            remote.into_iter().for_each(|op| self.take(op));
        }
    }

    /// Keeps an op and shows what it says.
    fn take(&mut self, op: Value) {
        self.change(&op);
        self.store(op);
    }

    /// Keeps an op as seen.
    fn store(&mut self, op: Value) {
        self.clock.merge(&Clock::of(&op["vectorClock"]));
        self.log.push(Entry { op, fate: Fate::Synced });
    }
}

enum Standing {
    Apply,
    Known,
    Conflict((String, String)),
}
